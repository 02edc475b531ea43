"""Causal attention and what the presets add to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from reference_impl.model.config import ModelConfig
from reference_impl.model.matrices import Matrices, linear

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each [T, 1, rope_dims / 2]


class Attention(nn.Module):
    """Self-attention of one layer; heads share keys and values in groups (GQA)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads
        self.q_gain = nn.Parameter(torch.full((config.heads,), config.q_gain))
        self.value_residual = ValueResidual(config, layer)
        self.gate = HeadGate(config.dim, config.heads) if config.gated_attention else None
        self.exclude: Callable[[Tensor, Tensor], Tensor] | None = None
        if layer >= config.layers - config.xsa_last:
            scaled = config.xsa_subtracts_scaled_value
            self.exclude = without_scaled_value if scaled else without_own_value

    def forward(
        self,
        x: Tensor,
        matrices: Matrices,
        rotation: Rotation,
        value_embedding: Tensor | None,
        first_values: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """[B, T, dim] to the same, and the layer's own values [B, T, kv_heads, head_dim].

        ``value_embedding`` [B, T, kv_dim] is added to the values, then ``first_values``, the own
        values of the first layer, are mixed in.
        """
        q = rotate(rms_norm(_split(linear(x, matrices.q), self.heads)), rotation)
        k = rotate(rms_norm(_split(linear(x, matrices.k), self.kv_heads)), rotation)
        own = v = linear(x, matrices.v)
        if value_embedding is not None:
            v = v + value_embedding.type_as(v)
        own, v = _split(own, self.kv_heads), _split(v, self.kv_heads)
        if first_values is not None:
            v = self.value_residual(v, first_values)
        y = attend(q * self.q_gain.type_as(q)[:, None], k, v)
        if self.exclude is not None:
            y = self.exclude(y, v)
        if self.gate is not None:
            y = y * self.gate(x)[..., None]
        return linear(y.flatten(2), matrices.out), own


class ValueResidual(nn.Module):
    """Mixes the values of the first layer into those of a later one."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.kind = config.value_residual
        if self.kind == "learned":
            # The first layer has nothing to mix: its pair is held, as in #864, and never trained.
            self.weights = nn.Parameter(torch.full((2,), 0.5), requires_grad=layer > 0)
        elif self.kind == "added" and layer > 0:
            self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, v: Tensor, first: Tensor) -> Tensor:
        """Two of [B, T, kv_heads, head_dim] to one."""
        if self.kind == "mean":
            return 0.5 * (v + first)
        if self.kind == "learned":
            weights = self.weights.type_as(v)
            return weights[0] * first + weights[1] * v
        if self.kind == "added":
            return v + self.scale.type_as(v) * first
        return v


class HeadGate(nn.Module):
    """A share of each head's output that depends on the layer's input; nearly open at the start."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads, dim))
        self.bias = nn.Parameter(torch.full((heads,), 4.0))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] to [B, T, heads], between 0 and 1."""
        return torch.sigmoid(linear(x, self.weight) + self.bias.type_as(x))


def rms_norm(x: Tensor) -> Tensor:
    """Scales the last dimension to a root mean square of 1."""
    return nn.functional.rms_norm(x, (x.size(-1),))


def without_own_value(y: Tensor, v: Tensor) -> Tensor:
    """XSA: what attention gives, less its part in the direction of the position's own value.

    ``y`` is [B, T, heads, head_dim], ``v`` [B, T, kv_heads, head_dim].
    """
    grouped = _by_values(y, v)
    direction = normalize(v, dim=-1)[:, :, :, None]
    part = (grouped * direction).sum(-1, keepdim=True) * direction
    return (grouped - part).flatten(2, 3)


def without_scaled_value(y: Tensor, v: Tensor) -> Tensor:
    """What #871 does instead: less the own value divided by the length of the sequence."""
    return (_by_values(y, v) - v[:, :, :, None] / v.size(1)).flatten(2, 3)


# ---- position ----


def rotation(length: int, config: ModelConfig, like: Tensor) -> Rotation:
    """The angles of rotary position embedding, on the device and in the precision of ``like``."""
    base, dims = config.rope_base, config.rope_dims
    if config.rope_length is not None and length > config.rope_length:
        base *= (length / config.rope_length) ** (dims / (dims - 2))
    steps = torch.arange(0, dims, 2, device=like.device, dtype=torch.float32) / dims
    places = torch.arange(length, device=like.device, dtype=torch.float32)
    angles = torch.outer(places, 1.0 / base**steps)[:, None]
    return angles.cos().type_as(like), angles.sin().type_as(like)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turns the first dimensions of each head by their position: [B, T, heads, head_dim]."""
    cos, sin = rotation
    half = cos.size(-1)
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos + b * sin, b * cos - a * sin, rest], -1)


# ---- the product ----


def _installed_flash_attention() -> Callable[..., Any] | None:
    for module in ("flash_attn_interface", "flash_attn"):
        try:
            return importlib.import_module(module).flash_attn_func  # type: ignore[no-any-return]
        except (ImportError, AttributeError):
            continue
    return None


_flash_attention = _installed_flash_attention()


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention: q [B, T, heads, head_dim], k and v [B, T, kv_heads, head_dim]; as q.

    By flash-attn for bf16 on Hopper or later, where it is installed, else by torch.
    """
    if _flash_attention is not None and q.dtype == torch.bfloat16 and _is_hopper(q):
        y: Tensor | tuple[Tensor, ...] = _flash_attention(q, k, v, causal=True)
        return y[0] if isinstance(y, tuple) else y  # some versions give the normaliser as well
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    shared = q.size(1) != k.size(1)
    return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared).transpose(1, 2)


def _is_hopper(x: Tensor) -> bool:
    return x.is_cuda and torch.cuda.get_device_capability(x.device) >= (9, 0)


def _split(x: Tensor, heads: int) -> Tensor:
    """[B, T, heads * head_dim] to [B, T, heads, head_dim]."""
    return x.view(*x.shape[:2], heads, -1)


def _by_values(y: Tensor, v: Tensor) -> Tensor:
    """[B, T, heads, head_dim] to [B, T, kv_heads, heads that share them, head_dim]."""
    return y.reshape(*v.shape[:3], -1, v.size(3))
