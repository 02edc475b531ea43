"""The counts of all contexts seen so far, exact and without hashing of contexts.

A node is a context: the root the empty one, its child by token x the context with x before it. Nodes
and counts lie in two open-addressing tables under exact keys (node, token); only the place in the
table is hashed. A node that was visited once keeps just the position of that visit and grows when
it is visited again, so that text that never repeats costs one node, not one for each length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROOT = 0
FREE = 0  # what a key is in a free slot: keys are stored plus one, so that fresh memory is free
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing


# Columns of ``nodes``. LAST is the position of the only visit, and after a second one the token that
# was counted most often (MOST times).
VISITS, DISTINCT, MOST, LAST = 0, 1, 2, 3
KEY, VALUE = 0, 1  # columns of ``children`` and ``counts``
COUNT, TYPES, TOTAL, BEST = 0, 1, 2, 3  # columns of what ``levels`` fills


class Trie(NamedTuple):
    """The arrays. A key is node * vocab + token + 1; ``used`` holds the number of nodes and counts."""

    nodes: NDArray[np.int32]  # [capacity, 4]
    children: NDArray[np.int64]  # [slots, 2] key -> node
    counts: NDArray[np.int64]  # [slots, 2] key -> c
    used: NDArray[np.int64]  # [2]


def empty(nodes: int = 1 << 10, slots: int = 1 << 11) -> Trie:
    """A trie that has seen nothing."""
    return Trie(np.zeros((nodes, 4), np.int32), _table(slots), _table(slots), np.array([1, 0]))


def _table(slots: int) -> NDArray[np.int64]:
    return np.zeros((slots, 2), np.int64)  # by numpy, which asks for huge pages


@njit(inline="always")
def _slot(table, key):
    """Where ``key`` is, or the free slot where it belongs."""
    mask = np.uint64(len(table) - 1)
    at = ((np.uint64(key) * _SPREAD) >> np.uint64(24)) & mask
    while table[at, KEY] != key and table[at, KEY] != FREE:
        at = (at + np.uint64(1)) & mask
    return at


def with_room(trie: Trie, more: int) -> Trie:
    """The trie, in larger arrays if ``more`` nodes and counts would crowd it."""
    nodes, children, counts, used = trie
    if used[0] + more > len(nodes):
        nodes = np.zeros((2 * (used[0] + more), 4), np.int32)
        nodes[: len(trie.nodes)] = trie.nodes
    return Trie(
        nodes, _with_slots(children, used[0] + more), _with_slots(counts, used[1] + more), used
    )


def _with_slots(table: NDArray[np.int64], keys: int) -> NDArray[np.int64]:
    if 2 * keys <= len(table):
        return table
    larger = _table(1 << (2 * int(keys) - 1).bit_length())
    _copy(table, larger)
    return larger


@njit(cache=True)
def _copy(table, larger):
    for i in range(len(table)):
        if table[i, KEY] != FREE:
            larger[_slot(larger, table[i, KEY])] = table[i]


@njit(inline="always")
def _add_child(trie, key, position):
    """A new node, visited once at ``position``."""
    new = trie.used[0]
    trie.used[0] += 1
    trie.nodes[new, VISITS] = 1
    trie.nodes[new, LAST] = position
    at = _slot(trie.children, key)
    trie.children[at, KEY] = key
    trie.children[at, VALUE] = new


@njit(inline="always")
def _add_count(trie, node, key, vocab):
    """Counts one more; returns what was counted before."""
    at = _slot(trie.counts, key)
    before = trie.counts[at, VALUE]
    if before == 0:
        trie.counts[at, KEY] = key
        trie.nodes[node, DISTINCT] += 1
        trie.used[1] += 1
    trie.counts[at, VALUE] = before + 1
    if before >= trie.nodes[node, MOST]:
        trie.nodes[node, MOST] = before + 1
        trie.nodes[node, LAST] = key - node * vocab - 1
    return before


@njit
def update(trie, tokens, t, vocab, order):
    """Counts tokens[t] after each of its contexts."""
    _update_from(trie, tokens, t, vocab, order, np.int64(ROOT), 0)


@njit
def _update_from(trie, tokens, t, vocab, order, node, k):
    while True:
        visits = trie.nodes[node, VISITS]
        trie.nodes[node, VISITS] = visits + 1
        if visits == 0:  # the root, at the first token
            trie.nodes[node, LAST] = t
            return
        if visits == 1:
            then = trie.nodes[node, LAST]
            _add_count(trie, node, node * vocab + tokens[then] + 1, vocab)
            if k + 1 < order and then > k:
                _add_child(trie, node * vocab + tokens[then - k - 1] + 1, then)
        _add_count(trie, node, node * vocab + tokens[t] + 1, vocab)
        if k + 1 == order or t <= k:
            return
        key = node * vocab + tokens[t - k - 1] + 1
        at = _slot(trie.children, key)
        if trie.children[at, KEY] == FREE:
            _add_child(trie, key, t)
            return
        node = trie.children[at, VALUE]
        k += 1


@njit
def levels(trie, tokens, t, y, vocab, order, seen):
    """What was counted after each context of position ``t``: a row c(y), u, N, likeliest token.

    Fills ``seen`` [order, 4], the shortest context first; returns how many were seen.
    """
    node, k = np.int64(ROOT), 0
    while trie.nodes[node, VISITS] > 1:
        seen[k, COUNT] = trie.counts[_slot(trie.counts, node * vocab + y + 1), VALUE]
        _describe(trie, node, seen, k)
        k += 1
        if k == order or t < k:
            return k
        at = _slot(trie.children, node * vocab + tokens[t - k] + 1)
        if trie.children[at, KEY] == FREE:
            return k
        node = trie.children[at, VALUE]
    return _single(trie, tokens, t, y, order, node, k, seen)


@njit
def levels_then_update(trie, tokens, t, vocab, order, seen):
    """``levels`` of tokens[t] and then its ``update``, in one walk."""
    node, k = np.int64(ROOT), 0
    y = tokens[t]
    while trie.nodes[node, VISITS] > 1:
        _describe(trie, node, seen, k)
        seen[k, COUNT] = _add_count(trie, node, node * vocab + y + 1, vocab)
        trie.nodes[node, VISITS] += 1
        k += 1
        if k == order or t < k:
            return k
        key = node * vocab + tokens[t - k] + 1
        at = _slot(trie.children, key)
        if trie.children[at, KEY] == FREE:
            _add_child(trie, key, t)
            return k
        node = trie.children[at, VALUE]
    found = _single(trie, tokens, t, y, order, node, k, seen)
    _update_from(trie, tokens, t, vocab, order, node, k)
    return found


@njit(inline="always")
def _describe(trie, node, seen, k):
    seen[k, TYPES] = trie.nodes[node, DISTINCT]
    seen[k, TOTAL] = trie.nodes[node, VISITS]
    seen[k, BEST] = trie.nodes[node, LAST]


@njit(inline="always")
def _single(trie, tokens, t, y, order, node, k, seen):
    """``levels`` from a node on that was visited once, or never."""
    if trie.nodes[node, VISITS] == 0:
        return k
    then = trie.nodes[node, LAST]  # longer contexts were seen once too, as long as they agree
    while True:
        seen[k, COUNT] = 1 if tokens[then] == y else 0
        seen[k, TYPES] = 1
        seen[k, TOTAL] = 1
        seen[k, BEST] = tokens[then]
        k += 1
        if k == order or t < k or then < k or tokens[then - k] != tokens[t - k]:
            return k
