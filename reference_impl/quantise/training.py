"""Quantisation-aware training, in its last part: the model computes with what will be shipped."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from reference_impl.model import GPT
from reference_impl.model.matrices import Transformed
from reference_impl.quantise.grid import best_scales, limit, steps
from reference_impl.quantise.plan import HALF, Plan, role

WARMEST, COLDEST = 1.0, 1.0 / 16  # temperatures of soft rounding, at the start and at the end


@dataclass
class LateQAT:
    """Turns on once the learning rate has fallen below ``start`` of its peak (0: never).

    Every matrix, banked or separate, is then used as it would be shipped, except for pruning; the
    gradient passes straight through. With ``soft`` it is rounded softly, by a differentiable
    function that nears rounding while the learning rate falls to zero: its temperature follows
    the schedule of the training and can't be left behind by it.
    """

    plan: Plan
    start: float = 0.15
    soft: bool = False
    temperature: Tensor = field(default_factory=lambda: torch.tensor(WARMEST))  # no recompilation

    def follow(self, model: GPT, learning_rate_share: float) -> bool:
        """To be called before each step. Says whether the quantiser is on."""
        on = learning_rate_share < self.start
        if on:
            done = 1 - max(learning_rate_share, 0.0) / self.start
            self.temperature.fill_(1 / (1 / WARMEST + done * (1 / COLDEST - 1 / WARMEST)))
        for module in model.modules():
            if isinstance(module, Transformed):
                module.transform = self.used if on else None
        return on

    def used(self, weight: Tensor, role: str) -> Tensor:
        """What is multiplied by in place of a matrix or bank, [..., rows, columns]."""
        bits = self.plan.bits(role)
        if bits == HALF:
            return straight_through(weight, weight.detach().half().float())
        scales = best_scales(weight.detach(), bits)
        if self.soft:
            soft = soft_round(steps(weight, scales, bits), self.temperature)
            return soft * scales.float()[..., None]
        rounded = steps(weight.detach(), scales, bits).round() * scales.float()[..., None]
        return straight_through(weight, rounded)


def straight_through(weight: Tensor, shown: Tensor) -> Tensor:
    """Exactly ``shown``, with the gradient of ``weight``."""
    return shown + (weight - weight.detach())


def soft_round(x: Tensor, temperature: Tensor | float) -> Tensor:
    """Nearly ``x`` when warm, nearly its rounding when cold; integers and halves stay as they are.

    The function of Agustsson and Theis (2020).
    """
    temperature = torch.as_tensor(temperature)
    floor = x.detach().floor()
    centred = x - floor - 0.5
    return floor + 0.5 + 0.5 * (centred / temperature).tanh() / (0.5 / temperature).tanh()


def crown_q(model: GPT, plan: Plan) -> Tensor:
    """A penalty on weights that rounding would hurt: the sum over matrices of the mean of
    w² · step² / 12.

    step² / 12 is the variance of rounding to a grid of that step, here the row's largest magnitude
    over the largest integer, taken as given; w² stands for what an error costs there. So it is a
    weight decay that is stronger in rows whose grid is coarse. A bank counts as its matrices do.
    """
    total = torch.zeros((), device=model.embedding.device)
    for name, weight in model.named_parameters():
        bits = plan.bits(role(name))
        if bits != HALF:
            variance = (weight.detach().abs().amax(-1, keepdim=True) / limit(bits)).square() / 12
            total = total + (weight.square() * variance).mean((-2, -1)).sum()
    return total
