"""What a submission states of itself: in submission.json, in its README and in the pull request's title."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from auditor.submission.model import Submission


@dataclass(frozen=True)
class Stated:
    """A number that the submission states of itself.

    ``what`` is ``val_bpb``, ``val_loss``, ``artifact_bytes``, ``code_bytes``, ``model_bytes``,
    ``train_seconds``, ``eval_seconds`` or ``steps``; ``text`` is the number as written, which
    tells how many digits are claimed; ``kind`` is ``json``, ``readme`` or ``title``.
    """

    what: str
    value: float
    text: str
    kind: str
    path: str
    line: int
    seed: int | None = None  # of one seed; None speaks of the whole (a mean, a maximum)
    headline: bool = False  # the claimed score, not a baseline or an intermediate one


@dataclass(frozen=True)
class Claims:
    stated: tuple[Stated, ...] = ()
    seeds: tuple[int, ...] = ()  # the seeds that are claimed to have been run
    record: bool = True  # whether it is entered for the leaderboard (10 minutes, 16 MB)

    @property
    def score(self) -> Stated | None:
        """The claimed bits per byte: submission.json's, else the title's, else the README's."""
        order = ("json", "title", "readme")
        found = [s for s in self.of("val_bpb") if s.headline and s.seed is None]
        return min(found, key=lambda s: order.index(s.kind), default=None)

    def of(self, what: str, seed: int | None = None) -> list[Stated]:
        """What is stated of one quantity; with ``seed``, of that seed's run only."""
        return [s for s in self.stated if s.what == what and seed in (None, s.seed)]


def claims_of(submission: Submission) -> Claims:
    """Everything stated; nothing is compared here."""
    return Claims(tuple(_from_json(submission)))


def _from_json(submission: Submission) -> Iterator[Stated]:
    data: Any = submission.metadata or {}
    path = submission.metadata_file.path if submission.metadata_file else ""
    value = data.get("val_bpb")
    if isinstance(value, float):
        yield Stated("val_bpb", value, repr(value), "json", path, 1, headline=True)
