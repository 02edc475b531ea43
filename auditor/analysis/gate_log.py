"""How often target-gated experts spoke, as the run's own log counts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.evidence.claims import claims_of
from auditor.submission.model import SourceFile, Submission

_COUNTS = re.compile(
    r"\bhints\b[^\n]*?\bwithin_gate\s*[=:]\s*(\d+)[^\n]*?\bword_gate\s*[=:]\s*(\d+)"
)


@dataclass(frozen=True)
class GateCount:
    """Positions at which the within-word and word-start experts spoke, as a line says."""

    path: str
    line: int
    positions: int


def gate_counts(submission: Submission) -> list[GateCount]:
    """The counts of the runs whose logs hold the reported score, or of all if none does."""
    scores = {_digits(v) for v in claims_of(submission).scores}
    backing = [log for log in submission.logs if any(s in log.text for s in scores)]
    counts = [c for log in backing for c in _read(log)]
    return counts or [c for log in submission.logs for c in _read(log)]


def _read(log: SourceFile) -> Iterator[GateCount]:
    for match in _COUNTS.finditer(log.text):
        line = log.text.count("\n", 0, match.start()) + 1
        yield GateCount(log.path, line, int(match[1]) + int(match[2]))


def _digits(score: float) -> str:
    """As many digits as tell two runs apart."""
    return f"{score:.8f}"[:8]
