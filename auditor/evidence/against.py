"""The record that a submission is compared with: its score, or the scores of its runs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

from auditor.evidence.record import Record
from auditor.evidence.seed_runs import bpb
from auditor.rulesets import Limits
from auditor.submission.model import SourceFile, Submission

_LARGEST_LOG = 64 * 1024 * 1024


@dataclass(frozen=True)
class Against:
    """``scores`` are in bits per byte, one for each run; a lone one is taken as known exactly."""

    name: str
    scores: tuple[float, ...]


def read(given: Iterable[str], limits: Limits) -> Against:
    """A score, or record folders and log files with the runs of the record to beat.

    ValueError says which of them holds no score.
    """
    names = list(given)
    scores = [score for name in names for score in _scores(name, limits)]
    return Against(
        ", ".join(os.path.basename(name.rstrip("/")) or name for name in names), tuple(scores)
    )


def _scores(given: str, limits: Limits) -> list[float]:
    try:
        value = float(given)
    except ValueError:
        pass
    else:
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{given} is no score in bits per byte")
        return [value]
    if os.path.isdir(given):
        from auditor.submission.load import load

        found = [each for each in load([given]) if isinstance(each, Submission)]
        records = [Record(each, limits) for each in found if not each.auxiliary]
    elif os.path.isfile(given) and os.path.getsize(given) <= _LARGEST_LOG:
        with open(given, encoding="utf-8", errors="replace") as file:
            log = SourceFile(os.path.basename(given), file.read(), "text")
        records = [Record(Submission("", SourceFile("", ""), logs=(log,)), limits)]
    else:
        raise ValueError(f"{given} is neither a score nor a record folder nor a log")
    ends = [bpb(run) for record in records for run in record.runs]
    scores = [end for end in ends if end is not None]
    if not scores:
        raise ValueError(f"no log in {given} shows a final score")
    return scores
