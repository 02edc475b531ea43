"""One layer: attention, then an MLP, each added to the residual stream."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from reference_impl.model.attention import Attention, Rotation, rms_norm
from reference_impl.model.config import ModelConfig
from reference_impl.model.matrices import Matrices, linear


def mlp(x: Tensor, up: Tensor, down: Tensor, slope: float) -> Tensor:
    """[B, T, dim] to the same through LeakyReLU(slope), squared."""
    return linear(leaky_relu(linear(x, up), slope).square(), down)


class Block(nn.Module):
    """One layer without its matrices, which are given at each call."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.slope = config.leaky_slope
        self.input_scale = 1.0 / math.sqrt(layer + 1) if config.ln_scale else 1.0
        self.attention = Attention(config, layer)
        self.attention_scale = nn.Parameter(torch.ones(config.dim))
        self.mlp_scale = nn.Parameter(torch.ones(config.dim))
        # The shares of the residual stream and of the embeddings, at the start all and nothing.
        self.residual_mix = nn.Parameter(
            torch.stack([torch.ones(config.dim), torch.zeros(config.dim)])
        )

    def forward(
        self,
        x: Tensor,
        start: Tensor,
        matrices: Matrices,
        rotation: Rotation,
        value_embedding: Tensor | None,
        first_values: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The residual stream after the layer, [B, T, dim], and the layer's own values.

        ``x`` is the stream before it and ``start`` what the stream began with.
        """
        of_stream, of_start = self.residual_mix.type_as(x)
        x = of_stream * x + of_start * start
        heard, own = self.attention(
            rms_norm(x) * self.input_scale, matrices, rotation, value_embedding, first_values
        )
        x = x + self.attention_scale.type_as(x) * heard
        thought = mlp(rms_norm(x) * self.input_scale, matrices.up, matrices.down, self.slope)
        return x + self.mlp_scale.type_as(x) * thought, own
