"""All optimisers of a model as one, on one process or on many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from reference_impl.model import GPT
from reference_impl.optim import ranks, schedule
from reference_impl.optim.groups import groups
from reference_impl.optim.muon import Muon


@dataclass(frozen=True)
class Settings:
    """Learning rates before any schedule, and what the optimisers have besides."""

    matrix_lr: float = 0.025
    embedding_lr: float = 0.035
    scalar_lr: float = 0.025
    head_lr: float = 0.008
    weight_decay: float = 0.04
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip: float = 0.3  # the norm of all gradients together; 0: as they are
    first_momentum: float = 0.92
    last_momentum: float = 0.99
    momentum_steps: int = 1500


class Optimisers:
    """Muon for the matrices and AdamW for all else.

    On several ranks each computes the gradients of its part of the batch, without DDP, and ``step``
    takes their mean: the weights stay the same everywhere, and those of one process that saw the
    whole batch.
    """

    def __init__(self, model: GPT, settings: Settings | None = None) -> None:
        s = self.settings = settings or Settings()
        self.model = model
        held = groups(model)
        self.muon = Muon(held.matrices, s.matrix_lr, s.first_momentum, s.weight_decay)
        by_rate = (
            (held.embeddings, s.embedding_lr),
            (held.scalars, s.scalar_lr),
            (held.heads, s.head_lr),
        )
        self.adamw = torch.optim.AdamW(
            [{"params": parameters, "lr": lr} for parameters, lr in by_rate if parameters],
            betas=s.betas,
            eps=s.eps,
            weight_decay=s.weight_decay,
            fused=model.embedding.is_cuda,
        )
        for group in self._groups():
            group["base_lr"] = group["lr"]

    def schedule(self, step: int, factor: float) -> None:
        """Sets the learning rates to ``factor`` of their own, and the momentum of this step."""
        s = self.settings
        for group in self._groups():
            group["lr"] = group["base_lr"] * factor
        for group in self.muon.param_groups:
            group["momentum"] = schedule.momentum(
                step, s.first_momentum, s.last_momentum, s.momentum_steps
            )

    def step(self) -> Tensor:
        """Steps every trainable parameter; the norm of all gradients, before they are clipped.

        All ranks must call it. Raises RuntimeError where a parameter has no gradient.
        """
        small = [p for group in self.adamw.param_groups for p in group["params"]]
        gradients = [p.grad for p in small if p.grad is not None]
        if len(gradients) < len(small):
            raise RuntimeError(f"{self._without_gradient()} has no gradient: is it in the loss?")
        ranks.average(gradients)
        shares = self.muon.reduce()
        norm = (get_total_norm(gradients) ** 2 + ranks.add(get_total_norm(shares) ** 2)).sqrt()
        if self.settings.clip:
            factor = (self.settings.clip / (norm + 1e-6)).clamp(max=1.0)
            for gradient in (*gradients, *shares):
                gradient.mul_(factor)
        self.adamw.step()
        self.muon.step()
        return norm

    def zero_grad(self) -> None:
        """Forgets the gradients of all the model's parameters, also of those that are held."""
        self.model.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` takes. Muon's is this rank's share alone."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])

    def _groups(self) -> list[dict[str, Any]]:
        return [*self.muon.param_groups, *self.adamw.param_groups]

    def _without_gradient(self) -> str:
        named = self.model.named_parameters()
        return next(name for name, p in named if p.requires_grad and p.grad is None)
