"""The numbers of submission.json, whatever shape it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from auditor.evidence.json_places import Key, Leaf, leaves
from auditor.evidence.quantities import Quantity, number, quantity, role_of, words_of
from auditor.evidence.stated import Stated
from auditor.submission.model import Submission

_SEED_KEY = re.compile(r"(?:^|_)(?:s|seed_?)(\d{1,9})$|^(\d{1,9})(?:$|_)", re.IGNORECASE)
_STATISTIC = re.compile(r"mean|avg|average|std|min|max|value|median")
_HEADLINE_WORDS = frozenset(
    "val bpb mean avg average final three seed 3 score exact submission test seeds leaderboard".split()
)
_NEUTRAL = re.compile(
    r"results?|metrics?|summary|final|scores?|performance|mean|evaluation|submission"
)
_MOST = 4_000  # leaves; more is a data file


def read(submission: Submission) -> Iterator[Stated]:
    """Every quantity that a key of submission.json names."""
    if submission.metadata_file is None:
        return
    path = submission.metadata_file.path
    found = _leaves(submission)
    seeds = _seeds_of_objects(found)
    lists = _parallel_seeds(found)
    candidates = []
    for leaf in found:
        named = _named(leaf)
        if named is None:
            continue
        label, meaning = named
        amount = number(leaf.text, meaning.what, meaning.unit)
        if amount is None or (leaf.quoted and not re.match(r"[~≈\s]*\d", leaf.text)):
            continue
        stated = Stated(
            meaning.what,
            amount.value,
            amount.text,
            "json",
            path,
            leaf.line,
            seed=_seed(leaf.keys, seeds, lists),
            label=label,
            of=meaning.of,
            role=meaning.role,
            scale=amount.scale,
            about=amount.about,
        )
        candidates.append((_rank(leaf, stated), stated))
    best = min((rank for rank, _ in candidates), default=9)
    for rank, stated in candidates:
        yield replace(stated, headline=True) if rank <= max(best, 1) < 9 else stated


def seeds(submission: Submission) -> list[int]:
    """The seeds that submission.json lists."""
    found = _leaves(submission)
    listed = [
        int(leaf.text)
        for leaf in found
        if leaf.keys[0] in ("seeds", "seed", "seed_list")
        and len(leaf.keys) <= 2
        and isinstance(leaf.keys[-1], int | str)
        and (len(leaf.keys) == 1 or isinstance(leaf.keys[1], int))
        and re.fullmatch(r"\d{1,9}", leaf.text)
    ]
    return list(dict.fromkeys(listed))


def _leaves(submission: Submission) -> list[Leaf]:
    if submission.metadata_file is None:
        return []
    found = []
    for leaf in leaves(submission.metadata_file.text):
        if leaf.keys:
            found.append(leaf)
        if len(found) > _MOST:
            break
    return found


def _rank(leaf: Leaf, stated: Stated) -> int:
    """How surely a score is the submission's own: 0 for ``val_bpb``, 9 for none."""
    if stated.what != "val_bpb" or stated.seed is not None or stated.of in ("std", "max", "min"):
        return 9
    *above, last = [str(key).lower() for key in leaf.keys]
    if (
        stated.role == "aside"
        or len(above) > 2
        or not all(_NEUTRAL.fullmatch(k) or k == "val_bpb" for k in above)
    ):
        return 9
    if last == "val_bpb" and not above:
        return 0
    if (
        not words_of(f"{last} {' '.join(above)}")
        - _HEADLINE_WORDS
        - {"results", "result", "metrics", "value"}
    ):
        return 1 if stated.of == "mean" else 2
    return 9


def _named(leaf: Leaf) -> tuple[str, Quantity] | None:
    """The name under which a value stands, without seeds, and what it means."""
    names = [str(key) for key in leaf.keys if isinstance(key, str)]
    kept = [_without_seed(name) for name in names]
    kept = [name for name in kept if name]
    if not kept:
        return None
    meaning = quantity(kept[-1])
    if meaning is None and len(kept) > 1 and (_STATISTIC.fullmatch(kept[-1])):
        meaning = quantity(f"{kept[-2]} {kept[-1]}")
    if meaning is None and kept[-1] in ("seed_results", "seeds", "results", "per_seed"):
        meaning = Quantity("val_bpb") if re.fullmatch(r"[0-3]\.\d{3,}", leaf.text) else None
    if meaning is None:
        return None
    above = set().union(*(words_of(name) for name in kept[:-1]))
    role = role_of(above - {"other"})
    if role == "aside" or (role == "stage" and meaning.role == "final"):
        meaning = Quantity(meaning.what, meaning.of, role, meaning.unit)
    return ".".join(kept), meaning


def _without_seed(name: str) -> str:
    found = _SEED_KEY.search(name)
    return (name[: found.start()] + name[found.end() :] if found[1] else "") if found else name


def _seed(
    keys: tuple[Key, ...],
    seeds: dict[tuple[Key, ...], int],
    lists: dict[tuple[Key, ...], list[int]],
) -> int | None:
    """The seed whose run a value is of."""
    for depth in range(len(keys), 0, -1):
        key = keys[depth - 1]
        if keys[:depth] in seeds:
            return seeds[keys[:depth]]
        if isinstance(key, str):
            found = _SEED_KEY.search(key)
            if found and "mean" not in key:
                return int(found[1] or found[2])
        elif depth == len(keys) and key < len(named := lists.get(keys[: depth - 2], [])):
            return named[key]
    return None


def _seeds_of_objects(found: list[Leaf]) -> dict[tuple[Key, ...], int]:
    """The objects in lists that name their seed: ``{"seed": 42, "val_bpb": …}``."""
    return {
        leaf.keys[:-1]: int(leaf.text)
        for leaf in found
        if leaf.keys[-1] == "seed" and len(leaf.keys) > 1 and re.fullmatch(r"\d{1,9}", leaf.text)
    }


def _parallel_seeds(found: list[Leaf]) -> dict[tuple[Key, ...], list[int]]:
    """The lists ``seeds`` by the object that holds them: lists beside them go by the same order."""
    lists: dict[tuple[Key, ...], list[int]] = {}
    for leaf in found:
        if len(leaf.keys) > 1 and leaf.keys[-2] == "seeds" and re.fullmatch(r"\d{1,9}", leaf.text):
            lists.setdefault(leaf.keys[:-2], []).append(int(leaf.text))
    return lists
