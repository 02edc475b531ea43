"""What a submission states of itself: in submission.json, in its README and in the pull request's title.

Nothing is compared with the logs here. Of several scores that are stated the headline is the one
without words of a baseline or of a stage on the way; in a table or an object with several scores for
each seed it is the column that the claimed score is the mean, or a member, of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from statistics import fmean

from auditor.evidence import stated_json, stated_text, track
from auditor.evidence.stated import Stated as Stated
from auditor.submission.model import Submission

_ORDER = ("json", "title", "readme")
_MOST = 64  # ways to take one score for each seed


@dataclass(frozen=True)
class Claims:
    stated: tuple[Stated, ...] = ()
    seeds: tuple[int, ...] = ()  # the seeds that are claimed to have been run
    record: bool = True  # whether it is entered for the leaderboard (10 minutes, 16 MB)

    @property
    def score(self) -> Stated | None:
        """The claimed bits per byte: submission.json's, else the title's, else the README's."""
        found = [s for s in self.of("val_bpb") if s.headline and s.seed is None]
        return min(found, key=lambda s: _ORDER.index(s.kind), default=None)

    def of(self, what: str, seed: int | None = None) -> list[Stated]:
        """What is stated of one quantity; with ``seed``, of that seed's run only."""
        return [s for s in self.stated if s.what == what and seed in (None, s.seed)]

    def score_of(self, seed: int) -> Stated | None:
        """The score that is claimed for one seed.

        Of several, such as a run's and its rerun's, the one that makes the mean the claimed score.
        """
        return self._of_each_seed.get(seed)

    @cached_property
    def _of_each_seed(self) -> dict[int, Stated]:
        choices: dict[int, list[Stated]] = {}
        scores = [s for s in self.of("val_bpb") if s.headline]
        for each in sorted(scores, key=lambda s: _ORDER.index(s.kind)):
            if each.seed is not None:
                own = choices.setdefault(each.seed, [])
                if not own or (own[0].kind, own[0].label) == (each.kind, each.label):
                    own.append(each)
        first = {seed: own[0] for seed, own in choices.items()}
        claimed, seeds = self.score, [seed for seed in self.seeds if seed in choices]
        ways = [choices[seed] for seed in seeds]
        if claimed is None or not 1 < prod(map(len, ways)) <= _MOST:
            return first
        for members in product(*ways):
            if claimed.agrees(fmean(s.value for s in members), max(s.unit for s in members)):
                return first | dict(zip(seeds, members, strict=True))
        return first

    @property
    def scores(self) -> tuple[float, ...]:
        """The claimed bits per byte of the first source that states any, the whole's before the seeds'."""
        stated = [s for s in self.of("val_bpb") if s.headline]
        first = min((_ORDER.index(s.kind) for s in stated), default=0)
        found = [s for s in stated if s.kind == _ORDER[first]]
        found.sort(key=lambda s: s.seed is not None)
        return tuple(s.value for s in found)


def claims_of(submission: Submission) -> Claims:
    """Everything stated; nothing is compared here."""
    stated = [*stated_json.read(submission), *stated_text.read(submission)]
    stated = [*_with_headlines(stated)]
    return Claims(
        tuple(stated),
        seeds=_seeds(submission, stated),
        record=track.is_record(submission),
    )


def _seeds(submission: Submission, stated: Iterable[Stated]) -> tuple[int, ...]:
    """The seeds listed in submission.json, else those that a score is stated of."""
    listed = stated_json.seeds(submission)
    of_scores = (s.seed for s in stated if s.headline and s.seed is not None)
    return tuple(dict.fromkeys(listed or of_scores))


def _with_headlines(stated: list[Stated]) -> Iterator[Stated]:
    """Marks the seeds' headline scores: one label of each source, kind by kind."""
    whole = [s for s in stated if s.headline]
    chosen = {kind: _column([s for s in stated if s.kind == kind], whole) for kind in _ORDER}
    for each in stated:
        if each.what == "val_bpb" and not each.headline and each.label in chosen[each.kind]:
            each = replace(each, headline=each.of in ("", "mean") and each.role != "aside")
        yield each


def _column(stated: list[Stated], whole: list[Stated]) -> set[str]:
    """The labels under which the seeds' final scores stand."""
    by_label: dict[str, list[Stated]] = {}
    for each in stated:
        if each.what == "val_bpb" and each.seed is not None and each.role != "aside":
            by_label.setdefault(each.label, []).append(each)
    fitting = {label for label, column in by_label.items() if _fits(column, whole)}
    if fitting:
        return fitting
    plain = {label for label, column in by_label.items() if column[0].role == "final"}
    return plain if len(plain) == 1 else set()


def _fits(column: list[Stated], whole: list[Stated]) -> bool:
    """Whether a claimed score is the mean of the column, or one of it."""
    values = {s.seed: s.value for s in column}
    unit = max(s.unit for s in column)
    candidates = [sum(values.values()) / len(values), *values.values()]
    return any(claimed.agrees(value, unit) for claimed in whole for value in candidates)
