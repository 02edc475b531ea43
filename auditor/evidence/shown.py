"""What the logs show of a stated score, in any line that they have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from statistics import fmean, median

from auditor.evidence.headline import seed_of
from auditor.evidence.record import Record, Run
from auditor.evidence.seed_runs import bpb, run_of_each_seed
from auditor.evidence.stated import Stated

_DECIMAL = re.compile(r"(?<![\d.])\d\.\d{3,}(?![\d.]*\d)")
_MOST_RUNS = 8  # of which every selection is averaged


class Shown:
    """The scores of a record's logs: lines, means over runs, and numbers in the text."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def score(self, stated: Stated) -> bool:
        """Whether a score follows from the logs; that of a seed from the logs of that seed."""
        logs = [log for log in self.record.logs if seed_of(log) in (stated.seed, None)]
        own = logs if stated.seed is not None and logs else self.record.logs
        lines = (s.val_bpb for log in own for s in log.scores if s.val_bpb is not None)
        if any(stated.agrees(value, _unit(value)) for value in lines):
            return True
        if stated.seed is None and any(stated.agrees(value, 1e-4) for value in self._averages):
            return True
        return any(self._in_text(stated, path) for path in {log.path for log in own})

    @cached_property
    def finals(self) -> list[float]:
        """The headline scores of the runs behind the claim."""
        return [value for run in self.record.runs if (value := bpb(run)) is not None]

    @cached_property
    def _averages(self) -> list[float]:
        """Means and medians over the runs, and over selections of a few of them, line by line."""
        runs = list(run_of_each_seed(self.record).values())
        labels = dict.fromkeys(s.label for run in runs[:1] for s in run.log.final_scores)
        columns: list[Sequence[float | None]] = [self.finals]
        columns += [[_last(run, label) for run in runs] for label in labels]
        claimed = self.record.claims.of("val_bpb")
        stated = [s.value for s in claimed if s.headline and s.seed is not None]
        columns.append(list(dict.fromkeys(stated))[:_MOST_RUNS])
        return [
            average
            for column in columns
            for average in _of_selections([value for value in column if value is not None])
        ]

    def _in_text(self, stated: Stated, path: str) -> bool:
        """Whether the number stands in a log's text, in a form that was not read as a score."""
        return any(stated.agrees(value, unit) for value, unit in self._numbers.get(path, ()))

    @cached_property
    def _numbers(self) -> dict[str, list[tuple[float, float]]]:
        """By log, the decimals in its text, each with what one unit of its last digit is worth."""
        return {
            log.path: [
                (float(text), 10.0 ** -len(text.partition(".")[2]))
                for text in set(_DECIMAL.findall(log.text))
            ]
            for log in self.record.submission.logs
        }


def _of_selections(values: list[float]) -> Iterator[float]:
    if len(values) > 1:
        yield fmean(values)
        yield median(values)
    for count in range(2, len(values)) if len(values) <= _MOST_RUNS else ():
        yield from (fmean(some) for some in combinations(values, count))


def _last(run: Run, label: str) -> float | None:
    found = [s.val_bpb for s in run.log.final_scores if s.label == label]
    return found[-1] if found else None


def _unit(value: float) -> float:
    return 10.0 ** -min(8, max(3, len(repr(value).partition(".")[2])))
