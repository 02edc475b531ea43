"""A grid for each row of a matrix: integers of few bits times a scale in fp16.

The clip search of "GPTQ-lite": a row's outliers may be cut off so that the steps between all other
weights get smaller. Of five shares that may stay uncut, each row takes the one of least error.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

QUANTILES = (1.0, 0.99999, 0.9999, 0.9995, 0.999)  # of a row's magnitudes; 1: nothing is cut
SMALLEST_SCALE = 2.0**-14  # below it fp16 loses precision


class Quantised(NamedTuple):
    """``values`` int8 [..., rows, columns] and ``scales`` fp16 [..., rows], one for each row."""

    values: Tensor
    scales: Tensor

    def restored(self) -> Tensor:
        """The weights that these stand for, float32."""
        return self.values.float() * self.scales.float()[..., None]


def limit(bits: int) -> int:
    """The largest integer of a grid: it is symmetric, so one code of 2**bits stays unused."""
    return int(2 ** (bits - 1)) - 1


@torch.no_grad()
def quantise(weight: Tensor, bits: int, quantiles: tuple[float, ...] = QUANTILES) -> Quantised:
    """The nearest points of each row's best grid, of a matrix or a bank [..., rows, columns].

    Raises ValueError where a weight is no number or too large for a scale in fp16.
    """
    scales = best_scales(weight, bits, quantiles)
    if not bool(scales.isfinite().all() & weight.isfinite().all()):
        raise ValueError("a weight is infinite, not a number or too large for an fp16 scale")
    return Quantised(steps(weight, scales, bits).round().to(torch.int8), scales)


@torch.no_grad()
def best_scales(weight: Tensor, bits: int, quantiles: tuple[float, ...] = QUANTILES) -> Tensor:
    """fp16 [..., rows]: for each row the scale of least squared error, the first among equals."""
    weight = weight.float()
    candidates = [scales_at(weight, bits, share) for share in quantiles]
    best, least = candidates[0], _error(weight, candidates[0], bits)
    for scales in candidates[1:]:
        error = _error(weight, scales, bits)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best


def scales_at(weight: Tensor, bits: int, share: float) -> Tensor:
    """fp16 [..., rows]: the scales at which ``share`` of each row's magnitudes are not cut."""
    clip = _quantile(weight.abs(), share)
    return (clip / limit(bits)).clamp_min(SMALLEST_SCALE).half()


def steps(weight: Tensor, scales: Tensor, bits: int) -> Tensor:
    """The weights in steps of their row's grid, cut at its ends, not rounded."""
    return (weight.float() / scales.float()[..., None]).clamp(-limit(bits), limit(bits))


def _error(weight: Tensor, scales: Tensor, bits: int) -> Tensor:
    rounded = steps(weight, scales, bits).round() * scales.float()[..., None]
    return (rounded - weight).square().mean(-1)


def _quantile(magnitudes: Tensor, share: float) -> Tensor:
    """As ``torch.quantile`` along the last dimension, but without sorting what is far below it."""
    place = share * (magnitudes.size(-1) - 1)
    below = int(place)
    largest = magnitudes.topk(magnitudes.size(-1) - below, dim=-1).values
    low, high = largest[..., -1], largest[..., max(largest.size(-1) - 2, 0)]
    return low + (high - low) * (place - below)
