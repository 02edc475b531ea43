"""A whole model with its matrices on their grids."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reference_impl.model import GPT, ModelConfig
from reference_impl.quantise.grid import Quantised, quantise
from reference_impl.quantise.plan import HALF, Plan, is_matrix, role


@dataclass(frozen=True)
class QuantisedModel:
    """What scoring needs of a model: each exported tensor on its grid, or in fp16."""

    config: ModelConfig  # without the heads that only training uses
    plan: Plan
    tensors: dict[str, Quantised | Tensor]

    @staticmethod
    def of(model: GPT, plan: Plan) -> QuantisedModel:
        """Prunes, then quantises. Raises ValueError, with the tensor's name, for a weight that
        can't be held."""
        tensors: dict[str, Quantised | Tensor] = {}
        for name, weight in model.exported().items():
            try:
                tensors[name] = _held(weight.detach().cpu(), name, plan)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return QuantisedModel(replace(model.config, mtp_heads=0), plan, tensors)

    def build(self) -> GPT:
        """The model, ready to score; its parameters are float32, on the CPU."""
        model = empty(self.config)
        state = {
            name: held.restored() if isinstance(held, Quantised) else held.float()
            for name, held in self.tensors.items()
        }
        model.load_state_dict(state, assign=True)
        return model.eval()


def empty(config: ModelConfig) -> GPT:
    """A model of that shape whose parameters take no memory."""
    with torch.device("meta"):
        return GPT(config)


@torch.no_grad()
def prune(weight: Tensor, share: float) -> Tensor:
    """[..., rows, columns] with that share of each matrix's weights, the smallest, set to zero."""
    flat = weight.flatten(-2)
    smallest = flat.abs().argsort(dim=-1, stable=True)[..., : int(share * flat.size(-1))]
    return flat.scatter(-1, smallest, 0.0).view_as(weight)


def _held(weight: Tensor, name: str, plan: Plan) -> Quantised | Tensor:
    if plan.pruned and is_matrix(name):
        weight = prune(weight, plan.pruned)
    bits = plan.bits(role(name))
    if bits != HALF:
        return quantise(weight, bits)
    half = weight.half()
    if not bool(half.isfinite().all()):
        raise ValueError("a weight is infinite, not a number or too large for fp16")
    return half
