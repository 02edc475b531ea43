"""Lines with validation scores: during training, running over an evaluation, or final."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from auditor.evidence.reading.numbers import durations, number
from auditor.evidence.runlog import Progress, Score

_BPB = re.compile(
    r"(?P<key>[A-Za-z][\w./+-]*)?(?<![A-Za-z])(?:(?:[\w./+-]*_)?bpb|bits_per_byte)\b[\"']?\s*"
    r"(?:\([^()\d]{0,20}[^()]{0,12}\)\s*)?[:=]\s*(?P<value>\d+\.\d+)(?![\d.])",
    re.IGNORECASE,
)
_RUNNING_BPB = re.compile(r"\brb:(?P<value>\d+\.\d+)")  # beside bb, the batch's own
_LOSS = re.compile(
    r"\b(?:val_?loss|running_loss|vl|rl|loss|nll)[\"']?\s*[:=]\s*(\d+\.\d+)", re.IGNORECASE
)
_VAL_LOSS = re.compile(r"\bval_?loss[\"']?\s*[:=]\s*(\d+\.\d+)", re.IGNORECASE)
_EXACT = re.compile(r"\bexact\s*[:=]\s*(\d+\.\d{4,})")
_DIFFERENCE = re.compile(
    r"(?i)gain|delta|impro|diff|gap\b|degrad|drop|saving|best_(?:val_)?bpb|worst|target|train_|std"
)
_RATIO = re.compile(r"(?<![\w.])[a-z]?(\d[\d,]*)\s*/\s*(\d[\d,]*)(?![\w.])")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_LABEL = re.compile(r"[A-Za-z][\w+.\-]*(?:[ :/][A-Za-z][\w+.\-]*)*")
_PAIR = re.compile(r"[\w./+-]+[\"']?\s*[:=]\s*[-+]?[\d.]|(?<![\w.])[\[\d(]")  # where the label ends
_MOST_BPB = 50.0
_MOST_PROGRESS = 20_000  # lines


def score_of(text: str, line: int, step: int | None) -> list[Score]:
    """The validation scores on a line; several if it names several."""
    found = [m for m in _BPB.finditer(text) if not _DIFFERENCE.search(m[0])]
    found = [m for m in found if 0 < number(m["value"]) < _MOST_BPB]
    losses = list(_LOSS.finditer(text))
    if not found:
        alone = _VAL_LOSS.search(text)
        return [Score(label_of(text), line, None, number(alone[1]), step)] if alone else []
    if len(found) == 1 or step is not None:
        value, loss = found[0]["value"], losses[0][1] if losses else None
        exact = _EXACT.search(text)
        if exact and exact[1].startswith(value[:-1]):
            value = exact[1]
        label = label_of(text) or _LABEL.match(found[0][0])[0]  # type: ignore[index]
        return [Score(label, line, number(value), number(loss) if loss else None, step)]
    label = label_of(text)
    return [Score(f"{label} {_named(m[0])}".strip(), line, number(m["value"])) for m in found]


def progress_of(text: str, line: int) -> Progress | None:
    """The running score of an evaluation, if the line counts how far it has come."""
    running = _RUNNING_BPB.search(text)
    found = running or next((m for m in _BPB.finditer(text) if not _DIFFERENCE.search(m[0])), None)
    if found is None:
        return None
    done = _share(text, found.start())
    if done is None:
        return None
    took = [s for key, s in durations(text) if key in ("t", "time", "elapsed")]
    return Progress(label_of(text), line, done, number(found["value"]), took[0] if took else None)


def ordered(progress: Iterable[Progress]) -> Iterator[Progress]:
    """Progress lines with shares that grow: some evaluations count their batches down."""
    series: dict[str, list[Progress]] = defaultdict(list)
    for line in progress:
        series[line.label].append(line)
    for lines in series.values():
        down = sum(b.done < a.done for a, b in pairwise(lines))
        backwards = lines[0].done > lines[-1].done and 2 * down > len(lines) - 1
        yield from (replace(p, done=1 - p.done) for p in lines) if backwards else lines


def _share(text: str, end: int) -> float | None:
    """How much is done, by a counter or a percentage in front of the score."""
    for ratio in _RATIO.finditer(text, 0, end):
        done, total = number(ratio[1]), number(ratio[2])
        if 0 <= done <= total and total > 1:
            return done / total
    percent = _PERCENT.search(text, 0, end)
    if percent and number(percent[1]) <= 100:
        return number(percent[1]) / 100
    return None


def label_of(text: str) -> str:
    """The words in front of the first number."""
    end = _PAIR.search(text)
    words = _LABEL.match(text[: end.start()] if end else text, _opening(text))
    return words[0].rstrip(" :-") if words else ""


def _opening(text: str) -> int:
    return len(text) - len(text.lstrip(" \t\"'*[=>-|#"))


def _named(match: str) -> str:
    return re.split(r"[\"']?\s*[:=(]", match)[0]
