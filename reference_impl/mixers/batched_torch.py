"""The batched path in torch, for a GPU: the same groups and the same numbers by sorts and scans."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_impl.mixers.interpolation import NgramSettings


def probabilities(tokens: Tensor, settings: NgramSettings, root: Tensor | None = None) -> Tensor:
    """p(tokens[t] | tokens[:t]) for each t, float64 [n] on the tokens' device.

    ``tokens`` are integers [n] below ``settings.vocab``, ``root`` [n] as in ``batched``.
    """
    s = settings
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < s.vocab:
        raise ValueError(f"a token lies outside a vocabulary of {s.vocab}")
    tokens = tokens.long()
    if root is None:
        p = torch.full(tokens.shape, 1.0 / s.vocab, dtype=torch.float64, device=tokens.device)
    else:
        p = root.double().clone()
    members = torch.arange(tokens.numel(), device=tokens.device)
    group = torch.zeros_like(members)
    for k in range(s.order):
        if members.numel() == 0:
            break
        _score(p, tokens[members], members, group, s)
        if k + 1 < s.order:
            members, group = _split(tokens, members, group, k, s.vocab)
    return p


def _score(p: Tensor, y: Tensor, members: Tensor, group: Tensor, s: NgramSettings) -> None:
    """One context length. Members are sorted by group, then by time."""
    chunk = members // s.chunk
    at = torch.arange(members.numel(), device=members.device)
    first = _run_starts(group)  # of the group
    known = _run_starts(group, chunk)  # the place up to which the group is counted
    by_token = torch.sort(group * s.vocab + y, stable=True)
    order = by_token.indices
    start = _run_starts(by_token.values)
    before = _run_starts(by_token.values, chunk[order])
    count = torch.empty_like(at)
    count[order] = before - start
    new = torch.empty_like(at)
    new[order] = (at == start).long()
    types = torch.cumsum(new, 0) - new  # different tokens before each place, over all groups
    total, distinct = (known - first).double(), (types[known] - types[first]).double()
    seen = total > 0
    lower = p[members]
    kept = torch.where(count > 0, count.double() - s.discount, 0.0)
    here = (kept + (s.discount * distinct) * lower) / total
    p[members] = torch.where(seen, here, lower)


def _split(
    tokens: Tensor, members: Tensor, group: Tensor, k: int, vocab: int
) -> tuple[Tensor, Tensor]:
    """The members of each longer context that occurs twice or more, and its number."""
    long_enough = members > k
    members, group = members[long_enough], group[long_enough]
    key = torch.sort(group * vocab + tokens[members - k - 1], stable=True)
    members = members[key.indices]
    _, number, size = torch.unique_consecutive(key.values, return_inverse=True, return_counts=True)
    repeated = size[number] > 1
    dense = torch.cumsum(size > 1, 0) - 1
    return members[repeated], dense[number][repeated]


def _run_starts(*keys: Tensor) -> Tensor:
    """For each place the first place of the run of equal keys that it lies in, [n]."""
    at = torch.arange(keys[0].numel(), device=keys[0].device)
    change = torch.zeros_like(at, dtype=torch.bool)
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return torch.cummax(torch.where(change, at, 0), 0).values
