"""Muon: momentum, made orthogonal. Matrices of one shape are stepped in one batch, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from reference_impl.optim import ranks
from reference_impl.optim.newton_schulz import orthogonalise


class Muon(torch.optim.Optimizer):
    """Takes banks [n, rows, columns] and single matrices [rows, columns].

    All of one shape form a stack, which is a parameter group. A step reduces each stack's gradients
    to their mean over the ranks, of which every rank gets its share of the matrices
    (reduce-scatter); makes those orthogonal; and gathers all updates. A stack travels while another
    is computed. One process alone does the same without the travel. Raises ValueError for a
    parameter that is no matrix.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.99,
        weight_decay: float = 0.04,
        nesterov: bool = True,
        steps: int = 5,
    ) -> None:
        stacks: dict[torch.Size, list[nn.Parameter]] = {}
        for p in parameters:
            if p.ndim not in (2, 3):
                raise ValueError(f"Muon steps matrices and banks of them, not {tuple(p.shape)}")
            stacks.setdefault(p.shape[-2:], []).append(p)
        # The largest first: what follows it hides its travel.
        by_size = sorted(stacks.values(), key=lambda ps: -sum(p.numel() for p in ps))
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "steps": steps,
        }
        super().__init__([{"params": stack} for stack in by_size], defaults)
        self._reduced: list[_Travelling] = []

    @torch.no_grad()
    def reduce(self) -> list[Tensor]:
        """This rank's share of the stacks' mean gradients, each [matrices, rows, columns].

        ``step`` uses them as they then are, so they may be clipped in between.
        """
        if not self._reduced:
            self._reduced = [_reduce_scatter(_stacked(g["params"])) for g in self.param_groups]
        return [stack.wait() for stack in self._reduced]

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Steps every parameter. All ranks must call it; a closure is not taken."""
        assert closure is None
        with torch.no_grad():
            gradients, self._reduced = self.reduce(), []
            gathered: list[_Travelling] = []
            for group, gradient in zip(self.param_groups, gradients, strict=True):
                update = orthogonalise(self._momentum(group, gradient), group["steps"])
                gathered.append(_all_gather(update))
            for group, whole in zip(self.param_groups, gathered, strict=True):
                _apply(group, whole.wait())

    def _momentum(self, group: dict[str, Any], gradient: Tensor) -> Tensor:
        # A stack's state lies with its first parameter; it is this rank's share alone.
        state = self.state[group["params"][0]]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        held: Tensor = state["momentum"]
        held.mul_(group["momentum"]).add_(gradient)
        return gradient.add(held, alpha=group["momentum"]) if group["nesterov"] else held


class _Travelling:
    """A tensor that is on its way between ranks, or is here already."""

    def __init__(self, tensor: Tensor, work: distributed.Work | None, divisor: int = 1) -> None:
        self.tensor, self.work, self.divisor = tensor, work, divisor

    def wait(self) -> Tensor:
        if self.work is not None:
            self.work.wait()
            self.work = None
            self.tensor.div_(self.divisor)
        return self.tensor


def _stacked(parameters: list[nn.Parameter]) -> Tensor:
    """The gradients [n, rows, columns] of a stack, in its order."""
    rows, columns = parameters[0].shape[-2:]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if len(gradients) < len(parameters):
        raise RuntimeError("a matrix has no gradient: is it part of the loss?")
    # A copy also of a lone bank, so that clipping a share leaves the gradients as they are.
    return torch.cat([g.view(-1, rows, columns) for g in gradients])


def _reduce_scatter(stack: Tensor) -> _Travelling:
    n = ranks.count()
    if n == 1:
        return _Travelling(stack, None)
    share = math.ceil(len(stack) / n)
    padded = nn.functional.pad(stack, (0, 0, 0, 0, 0, share * n - len(stack)))
    out = stack.new_empty(share, *stack.shape[1:])
    # The sum, as gloo knows no mean.
    return _Travelling(out, ranks.reduce_scatter(out, padded), n)


def _all_gather(share: Tensor) -> _Travelling:
    n = ranks.count()
    if n == 1:
        return _Travelling(share, None)
    out = share.new_empty(n * len(share), *share.shape[1:])
    return _Travelling(out, ranks.all_gather(out, share.contiguous()))


def _apply(group: dict[str, Any], update: Tensor) -> None:
    rows, columns = update.shape[-2:]
    rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
    at = 0
    for p in group["params"]:
        matrices = p.numel() // (rows * columns)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(update[at : at + matrices].view_as(p), alpha=-rate)
        at += matrices
