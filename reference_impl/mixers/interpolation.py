"""The formulas that every path shares, so that they agree to the bit.

Counts are exact: c of the realised token after a context, N of all tokens after it, u of different
ones. Σ_y c = N, so each formula is a distribution over the vocabulary if p_{k-1} is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class NgramSettings:
    """Settings of an n-gram model over token ids below ``vocab``.

    ``order`` is the longest n-gram (a context of ``order`` - 1 tokens). Counts are those of all
    chunks before the current one: a ``chunk`` of 1 counts after each token. Raises ValueError for
    settings that make no model.
    """

    vocab: int
    order: int = 10
    discount: float = 0.9
    chunk: int = 1

    def checked(self, tokens: NDArray[np.integer]) -> NDArray[np.integer]:
        """The tokens, unless one lies outside the vocabulary: then ValueError says which and where."""
        outside = (tokens < 0) | (tokens >= self.vocab)
        if outside.any():
            at = int(np.argmax(outside))
            raise ValueError(
                f"token {tokens[at]} at {at} lies outside a vocabulary of {self.vocab}"
            )
        return tokens

    def __post_init__(self) -> None:
        _within("vocab", self.vocab, 2, 1 << 20)
        _within("order", self.order, 1, 64)
        _within("chunk", self.chunk, 1, 1 << 40)
        if not 0.0 < self.discount < 1.0:
            raise ValueError(f"discount must lie between 0 and 1, not {self.discount}")


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must lie between {least} and {most}, not {value}")


@njit(inline="always")
def discounted(count, distinct, total, discount, lower):
    """Absolute discount: p_k = (max(c - d, 0) + d·u·p_{k-1}) / N. Each seen token gives up d."""
    kept = count - discount if count > 0 else 0.0
    return (kept + (discount * distinct) * lower) / total


@njit(inline="always")
def gated(count, total, gate, lower):
    """Interpolation: p_k = p_{k-1} + g·(c/N - p_{k-1}), with a weight g fixed before the token."""
    return lower + gate * (count / total - lower)
