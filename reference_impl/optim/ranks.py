"""The processes that train together, each on its part of a batch; one alone needs no group."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


def count() -> int:
    """How many processes train together."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def add(tensor: Tensor) -> Tensor:
    """The sum over all processes, written into ``tensor``."""
    if count() > 1:
        distributed.all_reduce(tensor)
    return tensor


def average(tensors: Sequence[Tensor]) -> None:
    """Replaces each tensor by its mean over all processes; they travel as one."""
    if count() == 1:
        return
    together = add(torch.cat([t.flatten() for t in tensors])).div_(count())
    at = 0
    for t in tensors:
        t.copy_(together[at : at + t.numel()].view_as(t))
        at += t.numel()


def reduce_scatter(out: Tensor, whole: Tensor) -> distributed.Work:
    """Begins to write the sum of this rank's part of every rank's ``whole`` to ``out``."""
    name = "reduce_scatter_single"  # its name from torch 2.13 on
    begin = getattr(distributed, name, None) or distributed.reduce_scatter_tensor
    return begin(out, whole, async_op=True)  # type: ignore[no-any-return]


def all_gather(out: Tensor, part: Tensor) -> distributed.Work:
    """Begins to write every rank's ``part``, one after the other, to ``out``."""
    begin = getattr(distributed, "all_gather_single", None) or distributed.all_gather_into_tensor
    return begin(out, part, async_op=True)  # type: ignore[no-any-return]
