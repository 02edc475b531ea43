"""The settings of a model. The defaults are what the presets have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ValueResidualKind = Literal["none", "mean", "learned", "added"]


@dataclass(frozen=True)
class ModelConfig:
    """What a GPT is made of. Raises ValueError, in one line, for a shape that can't be built."""

    vocab: int = 1024
    dim: int = 512
    layers: int = 11
    mlp_mult: float = 3.0
    leaky_slope: float = 0.5
    banked: bool = False  # the layers' matrices in four parameters, see model/matrices.py

    heads: int = 8
    kv_heads: int = 4  # as many as heads: MHA; fewer: GQA
    q_gain: float = 1.5  # of each head's normalised queries, at the start
    rope_dims: int = 16  # of each head's dimensions, the first; the others carry no position
    rope_base: float = 10_000.0
    rope_length: int | None = 1024  # above it the base grows (NTK); None: never
    gated_attention: bool = False
    xsa_last: int = 4  # layers, counted from the end, whose attention leaves out the own value
    # The defect of #871, to reproduce its logits: "XSA" that takes away the own value divided by
    # the length of the sequence, which is next to nothing.
    xsa_subtracts_scaled_value: bool = False

    bigram_buckets: int = 2048  # 0: no BigramHash embedding
    bigram_dim: int = 128
    smear: bool = True
    value_embedding_layers: tuple[int, ...] = ()
    value_embedding_dim: int = 128
    value_residual: ValueResidualKind = "none"

    ln_scale: bool = True  # what enters layer l is scaled by 1/sqrt(l + 1)
    logit_softcap: float = 30.0
    embedding_std: float = 0.005
    mtp_heads: int = 0  # head k predicts the token after the next k + 1; training only
    mtp_weight: float = 0.1

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def kv_dim(self) -> int:
        return self.kv_heads * self.head_dim

    @property
    def mlp_dim(self) -> int:
        return int(self.mlp_mult * self.dim)

    @property
    def encoder_layers(self) -> int:
        """Layers of the U-Net's first half, whose outputs the second half adds in reverse."""
        return self.layers // 2

    def __post_init__(self) -> None:
        for wrong in self._problems():
            raise ValueError(wrong)

    def _problems(self) -> Iterator[str]:
        at_least_one = ("vocab", "dim", "layers", "heads", "kv_heads", "bigram_dim")
        for name in (*at_least_one, "value_embedding_dim"):
            if getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}; at least 1 is needed"
        for name in ("rope_base", "logit_softcap", "embedding_std", "q_gain"):
            if not (0 < getattr(self, name) < math.inf):
                yield f"{name} is {getattr(self, name)}; a positive number is needed"
        for name in ("leaky_slope", "mtp_weight"):
            if not (0 <= getattr(self, name) < math.inf):
                yield f"{name} is {getattr(self, name)}; a number that is not negative is needed"
        if self.dim % self.heads:
            yield f"dim {self.dim} is no multiple of the {self.heads} heads"
        if self.heads % self.kv_heads:
            yield f"{self.heads} heads can't share {self.kv_heads} kv_heads evenly"
        if not math.isfinite(self.mlp_mult) or self.mlp_dim < 1:
            yield f"mlp_mult {self.mlp_mult} leaves an MLP of dim {self.dim} no hidden unit"
        if self.rope_dims % 2 or not 2 < self.rope_dims <= self.head_dim:
            yield (
                f"rope_dims is {self.rope_dims}; an even number from 4 to "
                f"the {self.head_dim} dimensions of a head is needed"
            )
        if self.rope_length is not None and self.rope_length < 1:
            yield f"rope_length is {self.rope_length}; at least 1 is needed, or None"
        if not 0 <= self.xsa_last <= self.layers:
            yield f"xsa_last is {self.xsa_last}; there are {self.layers} layers"
        if self.bigram_buckets < 0 or self.bigram_buckets == 1:
            yield f"bigram_buckets is {self.bigram_buckets}; 2 or more are needed, or 0 for none"
        if self.mtp_heads < 0:
            yield f"mtp_heads is {self.mtp_heads}; it can't be negative"
        outside = [i for i in self.value_embedding_layers if not 0 <= i < self.layers]
        if outside:
            yield f"value_embedding_layers names {outside[0]}; the {self.layers} layers start at 0"
        if len(set(self.value_embedding_layers)) < len(self.value_embedding_layers):
            yield "value_embedding_layers names a layer twice"
        if self.value_residual not in ("none", "mean", "learned", "added"):
            yield f"value_residual is {self.value_residual!r}; none, mean, learned or added is known"
