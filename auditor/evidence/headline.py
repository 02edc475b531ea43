"""Which runs stand for the claimed score, and which line of each is its headline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.evidence.record import Record, Run


def runs_of(record: Record) -> tuple[Run, ...]:
    """One run per log; the headline is the last score of all."""
    from auditor.evidence.record import Run

    return tuple(
        Run(log, log.final_scores[-1] if log.final_scores else None, "the last score printed")
        for log in record.logs
    )
