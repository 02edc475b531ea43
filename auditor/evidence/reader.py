"""Reads the logs of training and evaluation runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from auditor.evidence.reading.lines import messages
from auditor.evidence.reading.run import Run
from auditor.evidence.runlog import RunLog, Words
from auditor.submission.model import Claim, SourceFile
from auditor.submission.runlog import settings, source_ranges
from auditor.submission.text import split_lines

_HEADER = re.compile(
    r"(?i)seed[:=\s]|world_size|model_params|hyperparameters|running p|=+ ?(?:seed|run)\b|train_loader|val_loader"
)
_SEED = re.compile(r"(?i)\bseed\s*[:=]\s*(\d{1,9})\b")
_MOST_RUNS = 100


def read(log: SourceFile, claims: Sequence[Claim] = ()) -> tuple[RunLog, ...]:
    """The runs of one log file; empty when nothing in it can be read.

    ``claims`` are the log's settings where somebody has read them before.
    """
    if _is_json(log.text):
        return ()
    lines = split_lines(log.text)
    source = source_ranges(lines)
    runs = [run for run in _runs(lines, source) if run.is_run()]
    if len(runs) == 1:
        return (_finished(runs[0], log.path, claims or settings(log), source),)
    found = []
    for run in runs:
        first, last = run.first_line, run.last_line
        own = settings(replace(log, text="\n".join(lines[first - 1 : last])))
        own = [replace(claim, line=claim.line + first - 1) for claim in own]
        printed = [(a, b) for a, b in source if first <= a + 1 <= last]
        found.append(_finished(run, log.path, own, printed))
    return tuple(_without_copies(found))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _runs(lines: list[str], source: list[tuple[int, int]]) -> Iterator[Run]:
    """The runs, one after another: a run ends where training starts again or the seed changes."""
    run = Run(1)
    header: list[tuple[int, str]] = []  # messages since what may be the next run's beginning
    count = 1
    for line, text in messages(lines, source):
        if header or (run.begun and _HEADER.match(text)):
            header.append((line, text))
            step = run.steps.step_of(text.lower())
            if step is None and len(header) < 2000:
                continue
            starts = (
                step is not None and run.steps.steps is not None and step[0] < run.steps.steps.value
            )
            if starts and count < _MOST_RUNS:
                yield run
                run, count = Run(header[0][0]), count + 1
            for number, message in header:
                run.take(message, number)
            header = []
        else:
            run.take(text, line)
    for number, message in header:
        run.take(message, number)
    yield run


def _finished(
    run: Run, path: str, claims: Iterable[Claim], source: Iterable[tuple[int, int]]
) -> RunLog:
    found = run.log(path, {claim.key: Words(claim.value, claim.line) for claim in claims})
    return replace(found, source_lines=tuple((begin + 1, end) for begin, end in source))


def _without_copies(runs: list[RunLog]) -> Iterator[RunLog]:
    """Leaves out runs whose scores all appeared before: a terminal's copy of a log."""
    seen: set[tuple[tuple[float | None, float | None], ...]] = set()
    for run in runs:
        scores = tuple((s.val_bpb, s.val_loss) for s in run.scores)
        if scores not in seen or not scores:
            yield run
        seen.add(scores)
