"""Mixtures of a neural model with n-gram statistics whose weights are fixed before the token.

Each is computed for the realised token alone only because it is known to be a distribution: both
parts sum to 1 over the vocabulary, and the weight does not depend on the token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from reference_impl.mixers.batched import NONE, Matches

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neural:
    """A neural model's view of each position, from the tokens before it; shape [n] each."""

    gold: Floats  # the probability of the realised token
    entropy: Floats  # of its whole distribution, in nats

    @classmethod
    def of_row(cls, row: Floats) -> Neural:
        """One position for every candidate of the vocabulary: ``row`` [vocab] sums to 1."""
        entropy = -float(np.sum(row * np.log(np.maximum(row, 1e-300))))
        return cls(row, np.full(len(row), entropy))


class Weight(Protocol):
    """How much an n-gram is trusted: in [0, 1], from the model's entropy and the match's order."""

    def __call__(self, entropy: Floats, order: NDArray[np.int8]) -> Floats: ...


@dataclass(frozen=True)
class EntropyWeight:
    """α = m_k·(base + span·σ(slope·(H - c_k))), at most ``cap``; 0 where nothing matched.

    ``centres`` and ``multipliers`` are by order k, with ``centre`` and 1 for those not named.
    """

    base: float
    span: float
    centre: float
    slope: float = 2.0
    centres: Mapping[int, float] = field(default_factory=dict)
    multipliers: Mapping[int, float] = field(default_factory=dict)
    cap: float = 1.0

    def __call__(self, entropy: Floats, order: NDArray[np.int8]) -> Floats:
        longest = int(order.max(initial=0)) + 1
        centres = np.array([self.centres.get(k, self.centre) for k in range(longest)])
        multipliers = np.array([self.multipliers.get(k, 1.0) for k in range(longest)])
        sigmoid = 1.0 / (1.0 + np.exp(-self.slope * (entropy - centres[order])))
        weight = np.minimum(multipliers[order] * (self.base + self.span * sigmoid), self.cap)
        return np.where(order > 0, np.clip(weight, 0.0, 1.0), 0.0)


def blend(neural: Neural, found: Matches, weight: Weight) -> Floats:
    """(1 - α)·p_neural + α·c/N with the longest match's exact counts, shape [n].

    Σ_y c(y) = N, so the n-gram part sums to 1 wherever α is above 0.
    """
    alpha = weight(neural.entropy, found.order)
    share = found.hits / np.maximum(found.total, 1)
    mixed: Floats = (1.0 - alpha) * neural.gold + alpha * share
    return mixed


def tilt(gold: Floats, hint: Floats, hit: NDArray[np.bool_], beta: float) -> Floats:
    """One token is made e^β times as likely: p'(a) = p(a)·e^(β·[a = h]) / Z, shape [n].

    ``hint`` is p(h) of the hinted token, ``hit`` whether the scored token is that one. Z is the sum
    over the vocabulary in closed form: 1 + p(h)·(e^β - 1). Where nothing is hinted, p(h) is 0.
    """
    gain = math.exp(beta)
    tilted: Floats = np.where(hit, gain, 1.0) * gold / (1.0 + hint * (gain - 1.0))
    return tilted


def hints(found: Matches, order: int) -> NDArray[np.int32]:
    """The likeliest token of each match of ``order`` or more, NONE where there is none."""
    return np.where(found.order >= order, found.best, NONE)


class FixedShare:
    """A mixture of experts with weights learned online: Hedge with a fixed share (Herbster, 1998).

    A token's weights come from the tokens before it. Against any one expert the mixture loses at
    most ln(experts) nats in all and -ln(1 - share) a token.
    """

    def __init__(self, experts: int, share: float = 1e-5) -> None:
        if experts < 1 or not 0.0 <= share < 1.0:
            raise ValueError(f"{experts} experts and a share of {share} make no mixture")
        self.weights: Floats = np.full(experts, 1.0 / experts)
        self.share = share

    def prob(self, experts: Floats) -> Floats:
        """From the experts' probabilities of the realised tokens [n, experts] the mixture's [n]."""
        p: Floats = _fixed_share(np.ascontiguousarray(experts), self.weights, self.share)
        return p

    def distribution(self, experts: Floats) -> Floats:
        """From the experts' distributions [experts, vocab] that of the next token, [vocab]."""
        mixed: Floats = self.weights @ experts
        return mixed


@njit(cache=True)
def _fixed_share(experts, weights, share):
    n, size = experts.shape
    p = np.empty(n)
    for t in range(n):
        total = 0.0
        for j in range(size):
            total += weights[j] * experts[t, j]
        p[t] = total
        for j in range(size):
            posterior = weights[j] * experts[t, j] / total if total > 0.0 else weights[j]
            weights[j] = (1.0 - share) * posterior + share / size
    return p
