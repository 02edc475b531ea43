"""The evidence of one submission, read once for all rules that ask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from auditor.evidence import reader
from auditor.evidence.claims import Claims, claims_of
from auditor.evidence.runlog import RunLog, Score
from auditor.rulesets import Limits
from auditor.submission.model import Claim, SourceFile, Submission

if TYPE_CHECKING:
    from auditor.analysis.program import Program
    from auditor.evidence.against import Against


@dataclass(frozen=True)
class Run:
    """A run that stands for the claimed score, with the score line that is taken as its headline."""

    log: RunLog
    headline: Score | None
    why: str = ""  # how the headline was decided, for the reader
    claimed: bool = False  # whether a claimed score, or a claimed seed, leads to this run

    @property
    def seed(self) -> int | None:
        """The seed that the log states, else the one in its file's name."""
        from auditor.evidence.headline import seed_of

        return seed_of(self.log)


@dataclass(eq=False)
class Record:
    """What a submission hands in beside its code, and the traced code where there is one."""

    submission: Submission
    limits: Limits
    program: Program | None = None  # None: the code could not be traced
    untraced: str = ""  # and why not
    against: Against | None = None  # the record that it has to beat, where one was given

    @cached_property
    def logs(self) -> tuple[RunLog, ...]:
        """Every run in every log, in the order of paths."""
        claims: dict[str, list[Claim]] = {}
        for claim in self.submission.claims:
            if claim.kind == "log":
                claims.setdefault(claim.path, []).append(claim)
        return tuple(
            run
            for log in self.submission.logs
            for run in reader.read(log, claims.get(log.path, ()))
        )

    @cached_property
    def claims(self) -> Claims:
        """What submission.json, README and title claim."""
        return claims_of(self.submission)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs behind the claimed score, side runs and ablations left out."""
        from auditor.evidence.headline import runs_of

        return runs_of(self)

    def source(self, path: str) -> SourceFile | None:
        return self._sources.get(path)

    @cached_property
    def _sources(self) -> dict[str, SourceFile]:
        return self.submission.by_path()
