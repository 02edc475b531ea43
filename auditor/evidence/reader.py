"""Reads the logs of training and evaluation runs."""

from __future__ import annotations

import re

from auditor.evidence.runlog import Figure, RunLog, Score
from auditor.submission.model import SourceFile

_SCORE = re.compile(r"^(\S+).*?val_loss[:=]\s*([\d.]+)\s+val_bpb[:=]\s*([\d.]+)")
_STEP = re.compile(r"^step:(\d+)/")


def read(log: SourceFile) -> tuple[RunLog, ...]:
    """The runs of one log file; empty when nothing in it can be read."""
    scores = []
    figures: dict[str, Figure] = {}
    for number, line in enumerate(log.text.split("\n"), 1):
        score, step = _SCORE.match(line), _STEP.match(line)
        if score:
            scores.append(
                Score(
                    score[1],
                    number,
                    float(score[3]),
                    float(score[2]),
                    int(step[1]) if step else None,
                )
            )
        for name, pattern in _FIGURES.items():
            found = re.search(pattern, line)
            if found:
                figures[name] = Figure(float(found[1]), number)
    train = figures.pop("train_ms", None)
    return (
        RunLog(
            log.path,
            scores=tuple(scores),
            train_seconds=Figure(train.value / 1000, train.line) if train else None,
            **figures,  # type: ignore[arg-type]
        ),
    )


_FIGURES = {
    "seed": r"^seed:(\d+)$",
    "world_size": r"^world_size:(\d+)",
    "train_ms": r"train_time:(\d+)ms",
    "val_tokens": r"^val_loader:.*tokens:(\d+)",
    "code_bytes": r"^Code size: (\d+) bytes",
    "total_bytes": r"^Total submission size .*?: (\d+) bytes",
}
