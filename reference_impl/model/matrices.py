"""The large matrices of all layers, kept apart from the blocks that multiply by them.

So there is one place where they are stored (one by one, or in banks that an optimiser steps in one
batch) and one through which every use passes: quantisation-aware training hooks in there and can
miss neither form. The embeddings' matrices pass through the same kind of place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from reference_impl.model.config import ModelConfig


class Matrices(NamedTuple):
    """One layer's matrices, each [out, in]."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor
    up: Tensor
    down: Tensor


class Transformed(nn.Module):
    """A module whose matrices pass ``transform`` before each use, where it is set.

    It is given a parameter [..., out, in] and its role, which is the name of the attribute that
    holds it, and returns the same shape: a quantiser with a straight-through gradient.
    """

    transform: Callable[[Tensor, str], Tensor] | None = None

    def used(self, parameter: Tensor, role: str) -> Tensor:
        return parameter if self.transform is None else self.transform(parameter, role)


class LayerMatrices(Transformed):
    """What both forms share. A subclass says how the matrices are stored."""

    def layers(self) -> list[Matrices]:
        """The matrices to multiply by, of the first layer to the last."""
        raise NotImplementedError

    @torch.no_grad()
    def initialise(self) -> None:
        """Orthogonal; zero where a matrix writes to the residual stream."""
        for layer in self.stored():
            for matrix in (layer.q, layer.k, layer.v, layer.up):
                nn.init.orthogonal_(matrix)
            nn.init.zeros_(layer.out)
            nn.init.zeros_(layer.down)

    def stored(self) -> list[Matrices]:
        """Views of the parameters themselves, of the first layer to the last."""
        held, self.transform = self.transform, None
        try:
            return self.layers()
        finally:
            self.transform = held


class Separate(LayerMatrices):
    """A parameter for each matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.q = _list(c.layers, c.dim, c.dim)
        self.k = _list(c.layers, c.kv_dim, c.dim)
        self.v = _list(c.layers, c.kv_dim, c.dim)
        self.out = _list(c.layers, c.dim, c.dim)
        self.up = _list(c.layers, c.mlp_dim, c.dim)
        self.down = _list(c.layers, c.dim, c.mlp_dim)

    def layers(self) -> list[Matrices]:
        rows = zip(self.q, self.k, self.v, self.out, self.up, self.down, strict=True)
        return [Matrices(*map(self.used, row, Matrices._fields)) for row in rows]


class Banks(LayerMatrices):
    """Four parameters for all layers: q then out, k then v, up, down; each [matrices, out, in]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.qo = _parameter(2 * c.layers, c.dim, c.dim)
        self.kv = _parameter(2 * c.layers, c.kv_dim, c.dim)
        self.up = _parameter(c.layers, c.mlp_dim, c.dim)
        self.down = _parameter(c.layers, c.dim, c.mlp_dim)

    def layers(self) -> list[Matrices]:
        # One unbind a bank: its gradient comes back in one stack, not in a bank for each layer.
        qo = self.used(self.qo, "qo").unbind()
        kv = self.used(self.kv, "kv").unbind()
        up, down = self.used(self.up, "up").unbind(), self.used(self.down, "down").unbind()
        n = len(up)
        rows = zip(qo[:n], kv[:n], kv[n:], qo[n:], up, down, strict=True)
        return [Matrices(*row) for row in rows]


def linear(x: Tensor, matrix: Tensor) -> Tensor:
    """[..., in] to [..., out], in the precision of ``x``."""
    return nn.functional.linear(x, matrix.type_as(x))


def orthogonal(rows: int, columns: int) -> nn.Parameter:
    """A matrix [rows, columns] of its own, for the embeddings' projections."""
    matrix = _parameter(rows, columns)
    nn.init.orthogonal_(matrix)
    return matrix


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))


def _list(count: int, rows: int, columns: int) -> nn.ParameterList:
    return nn.ParameterList(_parameter(rows, columns) for _ in range(count))
