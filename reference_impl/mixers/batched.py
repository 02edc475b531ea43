"""The whole stream at once: positions are sorted into groups that share a context, in time order.

Inside a group the counts that a position may see are those of the group's earlier members, so the
result is that of the streaming definition, to the bit. No context is hashed: a group of length k is
split by the token before it into groups of length k + 1. A group of one has seen nothing, and is
dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from reference_impl.mixers.interpolation import NgramSettings, discounted

NONE = -1


class Matches(NamedTuple):
    """What the longest context with enough counts says, for each position; shape [n] each."""

    order: NDArray[np.int8]  # tokens of that context plus one; 0 where no context has enough
    hits: NDArray[np.int32]  # c of the realised token
    total: NDArray[np.int32]  # N
    best: NDArray[np.int32]  # the token counted most often, the first to get there; NONE without

    @classmethod
    def empty(cls, n: int) -> Matches:
        """No match at any of ``n`` positions."""
        numbers = np.zeros((2, n), np.int32)
        return cls(np.zeros(n, np.int8), numbers[0], numbers[1], np.full(n, NONE, np.int32))


def probabilities(
    tokens: NDArray[np.integer], settings: NgramSettings, root: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """p(tokens[t] | tokens[:t]) for each t with an absolute discount, shape [n].

    ``root`` [n] is the probability of each realised token at order 0, from the tokens before it;
    without it that is uniform.
    """
    p = np.full(len(tokens), 1.0 / settings.vocab) if root is None else root.astype(np.float64)
    _descend(settings.checked(tokens), *_shape(settings), _interpolate, (p, settings.discount))
    return p


def matches(tokens: NDArray[np.integer], settings: NgramSettings, min_count: int = 1) -> Matches:
    """The longest context of each position that was seen ``min_count`` times or more."""
    found = Matches.empty(len(tokens))
    _descend(settings.checked(tokens), *_shape(settings), _match, (*found, min_count))
    return found


def _shape(settings: NgramSettings) -> tuple[int, int, int]:
    return settings.vocab, settings.order, settings.chunk


@njit(inline="always")
def _interpolate(state, t, k, count, distinct, total, best):
    p, discount = state
    p[t] = discounted(count, distinct, total, discount, p[t])


@njit(inline="always")
def _match(state, t, k, count, distinct, total, best):
    orders, counts, totals, bests, min_count = state
    if total >= min_count:
        orders[t] = k + 1
        counts[t] = count
        totals[t] = total
        bests[t] = best


@njit
def _descend(tokens, vocab, order, chunk, visit, state):
    """Calls ``visit`` for each position and each of its contexts that was seen, shortest first."""
    n = len(tokens)
    members = np.arange(n).astype(np.int32)
    before, sorted_ = np.empty(n, np.int32), np.empty(n, np.int32)
    mark, table = np.zeros(vocab, np.int64), np.zeros(vocab, np.int64)
    place, touched = np.empty(vocab, np.int64), np.empty(vocab, np.int64)
    waiting = np.empty((order * vocab + 1, 3), np.int64)  # groups: first, last, context length
    waiting[0] = (0, n, 0)
    left = 1
    stamp = 0
    while left:
        left -= 1
        first, last, k = waiting[left]
        stamp += 1
        if chunk == 1:
            _count_each(tokens, members, first, last, k, mark, table, stamp, visit, state)
        else:
            _count_chunks(tokens, members, first, last, k, chunk, mark, table, stamp, visit, state)
        if k + 1 == order:
            continue
        stamp += 1
        left = _split(
            tokens,
            members,
            first,
            last,
            k,
            before,
            sorted_,
            mark,
            table,
            place,
            touched,
            stamp,
            waiting,
            left,
        )


@njit
def _split(
    tokens, members, first, last, k, before, sorted_, mark, table, place, touched, stamp,
    waiting, left,
):  # fmt: skip
    """Sorts a group by the token before its context; new groups of two or more go on ``waiting``."""
    found = 0
    for i in range(first, last):
        at = members[i] - k - 1
        if at < 0:
            before[i] = NONE
            continue
        x = tokens[at]
        before[i] = x
        if mark[x] != stamp:
            mark[x] = stamp
            table[x] = 0
            touched[found] = x
            found += 1
        table[x] += 1
    end = first
    for j in range(found):
        x = touched[j]
        if table[x] > 1:
            place[x] = end
            waiting[left] = (end, end + table[x], k + 1)
            left += 1
            end += table[x]
    for i in range(first, last):
        x = before[i]
        if x >= 0 and table[x] > 1:
            sorted_[place[x]] = members[i]
            place[x] += 1
    members[first:end] = sorted_[first:end]
    return left


@njit(inline="always")
def _count_each(tokens, members, first, last, k, mark, table, stamp, visit, state):
    """Visits a group in time order, counting each member after its visit."""
    distinct = 0
    best = NONE
    most = 0
    for i in range(first, last):
        y = tokens[members[i]]
        if mark[y] != stamp:
            mark[y] = stamp
            table[y] = 0
        count = table[y]
        if i > first:
            visit(state, members[i], k, count, distinct, i - first, best)
        if count == 0:
            distinct += 1
        table[y] = count + 1
        if count >= most:
            most = count + 1
            best = y


@njit(inline="always")
def _count_chunks(tokens, members, first, last, k, chunk, mark, table, stamp, visit, state):
    """The same, where what lies in a position's own chunk is not counted yet."""
    distinct = 0
    best = NONE
    most = 0
    counted = first
    for i in range(first, last):
        t = members[i]
        start = t - t % chunk
        while members[counted] < start:
            y = tokens[members[counted]]
            if mark[y] != stamp:
                mark[y] = stamp
                table[y] = 0
                distinct += 1
            table[y] += 1
            if table[y] > most:
                most = table[y]
                best = y
            counted += 1
        if counted > first:
            y = tokens[t]
            count = table[y] if mark[y] == stamp else 0
            visit(state, t, k, count, distinct, counted - first, best)
