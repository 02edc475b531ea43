"""The definition: each token is scored with the counts of what came before, then counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from reference_impl.mixers import trie as tries
from reference_impl.mixers.batched import Matches
from reference_impl.mixers.interpolation import NgramSettings, discounted, gated
from reference_impl.mixers.trie import BEST, COUNT, TOTAL, TYPES

_PIECE = 1024  # tokens between which the tables may grow


class History:
    """An unbounded stream of tokens and the exact counts of its n-grams."""

    def __init__(self, settings: NgramSettings, expected: int = 0) -> None:
        """``expected`` tokens are made room for at once; more may come."""
        self.settings = settings
        self.length = 0
        self._trie = tries.with_room(tries.empty(), 3 * expected // 2)
        self._tokens = np.empty(max(_PIECE, expected), np.int32)
        self._counted = 0

    def score(self, tokens: NDArray[np.integer], rule: Callable[..., None], state: Any) -> None:
        """Calls rule(state, i, y, seen, levels, learn) for each of the next tokens, then counts it."""
        s = self.settings
        start = self.length
        self._append(s.checked(tokens))
        for at in range(start, self.length, _PIECE):
            end = min(at + _PIECE, self.length)
            self._make_room(end)
            self._counted = _score(
                self._trie, self._tokens, at, end, self._counted, at - start,
                s.vocab, s.order, s.chunk, rule, state,
            )  # fmt: skip

    def spread(self, rule: Callable[..., None], state: Any) -> None:
        """Calls the rule for every token of the vocabulary as the next one, and learns nothing."""
        s = self.settings
        complete = self.length - self.length % s.chunk
        self._make_room(complete)
        self._counted = _count(self._trie, self._tokens, self._counted, complete, s.vocab, s.order)
        _spread(self._trie, self._tokens, self.length, s.vocab, s.order, rule, state)

    def _append(self, tokens: NDArray[np.integer]) -> None:
        end = self.length + len(tokens)
        if end > len(self._tokens):
            longer = np.empty(max(end, 2 * len(self._tokens)), np.int32)
            longer[: self.length] = self._tokens[: self.length]
            self._tokens = longer
        self._tokens[self.length : end] = tokens
        self.length = end

    def _make_room(self, end: int) -> None:
        more = 2 * self.settings.order * max(0, end - self._counted)
        self._trie = tries.with_room(self._trie, more)


class StreamingNgram:
    """Interpolation with an absolute discount."""

    def __init__(self, settings: NgramSettings, expected: int = 0) -> None:
        self.settings = settings
        self._history = History(settings, expected)

    def prob(
        self, tokens: NDArray[np.integer], root: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The probability of each of the next ``tokens``, given all before it, shape [n].

        ``root`` [n] is their probability at order 0; without it that is uniform.
        """
        p = _root(root, len(tokens), self.settings.vocab)
        self._history.score(tokens, _discount_rule, (p, self.settings.discount))
        return p

    def distribution(self, root: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The probability of every token of the vocabulary as the next one, shape [vocab]."""
        p = _root(root, self.settings.vocab, self.settings.vocab)
        self._history.spread(_discount_rule, (p, self.settings.discount))
        return p


class LearnedNgram:
    """Interpolation with weights that are learned online, after each score.

    The weight of an order depends on how often its context was seen and with how many different
    tokens, never on the token that is scored: logits by (order, N, u), moved along the gradient of
    that order's log probability with step sizes of AdaGrad.
    """

    def __init__(self, settings: NgramSettings, rate: float = 0.6, expected: int = 0) -> None:
        self.settings = settings
        self.rate = rate
        self._history = History(settings, expected)
        shape = (settings.order, _BUCKETS, _BUCKETS)
        self._logits, self._squares = np.zeros(shape), np.ones(shape)

    def prob(
        self, tokens: NDArray[np.integer], root: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """As ``StreamingNgram.prob``."""
        p = _root(root, len(tokens), self.settings.vocab)
        self._history.score(tokens, _learned_rule, (p, self._logits, self._squares, self.rate))
        return p

    def distribution(self, root: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """As ``StreamingNgram.distribution``."""
        p = _root(root, self.settings.vocab, self.settings.vocab)
        self._history.spread(_learned_rule, (p, self._logits, self._squares, self.rate))
        return p


class Matcher:
    """The longest context that was seen ``min_count`` times or more."""

    def __init__(self, settings: NgramSettings, min_count: int = 1, expected: int = 0) -> None:
        self.settings = settings
        self.min_count = min_count
        self._history = History(settings, expected)

    def match(self, tokens: NDArray[np.integer]) -> Matches:
        """What it says of each of the next ``tokens``, which are counted afterwards."""
        found = Matches.empty(len(tokens))
        self._history.score(tokens, _match_rule, (*found, self.min_count))
        return found

    def candidates(self) -> Matches:
        """What it says of every token of the vocabulary as the next one."""
        found = Matches.empty(self.settings.vocab)
        self._history.spread(_match_rule, (*found, self.min_count))
        return found


def _root(root: NDArray[np.float64] | None, n: int, vocab: int) -> NDArray[np.float64]:
    if root is None:
        return np.full(n, 1.0 / vocab)
    if root.shape != (n,):
        raise ValueError(f"root has shape {root.shape}, where ({n},) is expected")
    return root.astype(np.float64)


@njit(inline="always")
def _discount_rule(state, i, seen, levels, learn):
    p, discount = state
    q = p[i]
    for k in range(levels):
        q = discounted(seen[k, COUNT], seen[k, TYPES], seen[k, TOTAL], discount, q)
    p[i] = q


@njit(inline="always")
def _match_rule(state, i, seen, levels, learn):
    orders, counts, totals, bests, min_count = state
    for k in range(levels):
        if seen[k, TOTAL] >= min_count:
            orders[i] = k + 1
            counts[i] = seen[k, COUNT]
            totals[i] = seen[k, TOTAL]
            bests[i] = seen[k, BEST]


@njit(inline="always")
def _learned_rule(state, i, seen, levels, learn):
    p, logits, squares, rate = state
    q = p[i]
    for k in range(levels):
        a, b = _bucket(seen[k, TOTAL]), _bucket(seen[k, TYPES])
        gate = 1.0 / (1.0 + np.exp(-logits[k, a, b]))
        own = seen[k, COUNT] / seen[k, TOTAL]
        lower, q = q, gated(seen[k, COUNT], seen[k, TOTAL], gate, q)
        if learn:
            gradient = (own - lower) / q * gate * (1.0 - gate)
            squares[k, a, b] += gradient * gradient
            logits[k, a, b] += rate * gradient / np.sqrt(squares[k, a, b])
    p[i] = q


_BUCKETS = 28


@njit(inline="always")
def _bucket(count):
    """1, 2, 3, 4, then two buckets an octave."""
    if count <= 4:
        return count
    octave = 0
    while count >= 8:
        count >>= 1
        octave += 1
    return min(2 * octave + (6 if count >= 6 else 5), _BUCKETS - 1)


@njit
def _count(trie, tokens, counted, end, vocab, order):
    for t in range(counted, end):
        tries.update(trie, tokens, t, vocab, order)
    return max(counted, end)


@njit
def _score(trie, tokens, start, end, counted, offset, vocab, order, chunk, rule, state):
    seen = np.zeros((order, 4), np.int64)
    for t in range(start, end):
        if chunk == 1:
            levels = tries.levels_then_update(trie, tokens, t, vocab, order, seen)
        else:
            if t % chunk == 0:
                counted = _count(trie, tokens, counted, t, vocab, order)
            levels = tries.levels(trie, tokens, t, tokens[t], vocab, order, seen)
        rule(state, t - start + offset, seen, levels, True)
    return end if chunk == 1 else counted


@njit
def _spread(trie, tokens, t, vocab, order, rule, state):
    seen = np.zeros((order, 4), np.int64)
    for y in range(vocab):
        levels = tries.levels(trie, tokens, t, y, vocab, order, seen)
        rule(state, y, seen, levels, False)
