"""What tokens turn into before the first layer, and what they add to the values of some layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_impl.model.matrices import Transformed, linear, orthogonal


class BigramHash(Transformed):
    """An embedding of each token with the one before it, by a hash of the pair.

    The table starts at zero, so its projection does not: else neither would ever get a gradient.
    """

    def __init__(self, buckets: int, dim: int, out: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Parameter(torch.zeros(buckets, dim))
        self.projection = orthogonal(out, dim)
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 [B, T] to [B, T, out]."""
        found = self.used(self.table, "table")[self.bucket(tokens)]
        return self.scale * linear(found, self.used(self.projection, "projection"))

    def bucket(self, tokens: Tensor) -> Tensor:
        """int64 [B, T]: the bucket of each pair; the last one where no token comes before."""
        pairs = (36313 * tokens[:, 1:] ^ 27191 * tokens[:, :-1]) % (self.buckets - 1)
        first = pairs.new_full((len(tokens), 1), self.buckets - 1)
        return torch.cat([first, pairs], 1)


class ValueEmbedding(Transformed):
    """One embedding of the tokens that several layers add to their values, each with its scale."""

    def __init__(self, vocab: int, dim: int, kv_dim: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers
        self.table = nn.Parameter(0.01 * torch.randn(vocab, dim))
        self.projection = orthogonal(kv_dim, dim)
        self.scale = nn.Parameter(torch.tensor(0.1))
        self.layer_scales = nn.ParameterList(nn.Parameter(torch.ones(1)) for _ in layers)

    def forward(self, tokens: Tensor) -> dict[int, Tensor]:
        """int64 [B, T] to what each of its layers adds, [B, T, kv_dim]."""
        found = self.used(self.table, "table")[tokens]
        shared = self.scale * linear(found, self.used(self.projection, "projection"))
        return {i: shared * s for i, s in zip(self.layers, self.layer_scales, strict=True)}


class SmearGate(nn.Module):
    """Blends each position with the one before it, with a learned share for each dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] to the same; before the first position there is zero."""
        share = torch.sigmoid(self.gate.type_as(x))
        before = nn.functional.pad(x[:, :-1], (0, 0, 1, 0))
        return (1 - share) * x + share * before
