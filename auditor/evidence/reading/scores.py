"""Lines with validation scores: during training, running over an evaluation, or final."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from auditor.evidence.reading.numbers import NUMBER, durations, number, seconds
from auditor.evidence.runlog import Progress, Score

# On lower-case text, and from their rarest word on: most lines have none of them.
_BPB = re.compile(r"bpb\b[\"']?\s*(?:\([^()\d]{0,20}[^()]{0,12}\)\s*)?[:=]\s*(\d+\.\d+)(?![\d.])")
_BITS = re.compile(r"bits[_ ]per[_ ]byte\b[\"']?\s*[:=]\s*(\d+\.\d+)(?![\d.])")
_KEY = re.compile(r"[a-z][\w./+-]*$")
_RUNNING = re.compile(r"\brb:(\d+\.\d+)")  # beside bb, the batch's own
_LOSS = re.compile(r"\b(?:val_?loss|running_loss|vl|rl|loss|nll)[\"']?\s*[:=]\s*(\d+\.\d+)")
_VAL_LOSS = re.compile(r"\bval_?loss[\"']?\s*[:=]\s*(\d+\.\d+)")
_EXACT = re.compile(r"\bexact\s*[:=]\s*(\d+\.\d{4,})")
_DIFFERENCE = re.compile(
    r"gain|delta|impro|diff|gap\b|degrad|drop|saving|best_(?:val_)?$|worst|target|train_|std"
)
_COUNT = re.compile(r"(?<![\w.])[a-z]?(\d[\d,]*)\s*/\s*(\d[\d,]*)(?![\w.])")
_CHUNK = re.compile(  # "  ttt_chunk [11/1893] bpb=1.15 time=0.5s", the commonest by far
    r"([A-Za-z_]\w*) ?\[(\d{1,9})/(\d{1,9})\] ?(?:run_|running_|val_)?bpb[:=](\d{1,3}\.\d{1,12})"
    r"(?: (?:t|time|elapsed)[:=](\d{1,9}(?:\.\d{1,6})?)(ms|s))?$"
)
_PERCENT = re.compile(rf"({NUMBER})\s*%")
_LABEL = re.compile(r"[A-Za-z][\w+.\-]*(?:[ :/][A-Za-z][\w+.\-]*)*")
_LABEL_ENDS = re.compile(r"[\w./+-]+[\"']?\s*[:=]\s*[-+]?[\d.]|(?<![\w.])[\[\d(]")
_WORD = re.compile(r"[a-z_]+")
_MOST_BPB = 50.0
_LONGEST_KEY = 40  # characters


def scores_of(text: str, low: str, line: int, step: int | None) -> list[Score]:
    """The validation scores on a line; several if it names several."""
    found = [(key, value) for key, value, _ in _values(low)]
    if not found:
        loss = _VAL_LOSS.search(low)
        return [Score(label_of(text), line, None, number(loss[1]), step)] if loss else []
    if len(found) > 1 and step is None:
        label = label_of(text)
        return [Score(f"{label} {key}".strip(), line, number(value)) for key, value in found]
    key, value = found[0]
    exact, loss = _EXACT.search(low), _LOSS.search(low)
    if exact and exact[1].startswith(value[:-1]):
        value = exact[1]
    label = label_of(text) or key
    return [Score(label, line, number(value), number(loss[1]) if loss else None, step)]


def progress_of(text: str, low: str, line: int) -> Progress | None:
    """The running score of an evaluation, if the line counts how far it has come."""
    common = _CHUNK.match(text)
    if common:
        label, done, total, value, took, unit = common.groups()
        share = number(done) / number(total) if number(total) else 2.0
        if share <= 1:
            taken = seconds(took, unit) if took else None
            return Progress(label, line, share, number(value), taken)
    running = _RUNNING.search(low) if "rb:" in low else None
    if running:
        value, end = running[1], running.start()
    else:
        _, value, end = next(_values(low), ("", "", 0))
    done = _share(low, end) if end else None
    if done is None:
        return None
    took = [s for key, s in durations(low) if key in ("t", "time", "elapsed")]
    return Progress(label_of(text), line, done, number(value), took[0] if took else None)


def ordered(progress: Iterable[Progress]) -> Iterator[Progress]:
    """Progress lines with shares that grow: some evaluations count their batches down."""
    series: dict[str, list[Progress]] = defaultdict(list)
    for line in progress:
        series[line.label].append(line)
    for lines in series.values():
        down = sum(b.done < a.done for a, b in pairwise(lines))
        backwards = lines[0].done > lines[-1].done and 2 * down > len(lines) - 1
        yield from (replace(p, done=1 - p.done) for p in lines) if backwards else lines


def label_of(text: str) -> str:
    """The words in front of the first number."""
    end = _LABEL_ENDS.search(text)
    words = _LABEL.search(text[: end.start()] if end else text)
    return words[0].rstrip(" :-") if words else ""


def _values(low: str) -> Iterator[tuple[str, str, int]]:
    """Scores in bits per byte that are no differences: their key, digits and place."""
    for match in _BPB.finditer(low) if "bpb" in low else _BITS.finditer(low):
        before = _KEY.search(low, max(0, match.start() - _LONGEST_KEY), match.start())
        key = before[0] if before else ""
        context = low[max(0, match.start() - len(key) - 12) : match.start()]
        if not _DIFFERENCE.search(context) and 0 < number(match[1]) < _MOST_BPB:
            yield f"{key}{_WORD.match(low, match.start())[0]}", match[1], match.start()  # type: ignore[index]


def _share(low: str, end: int) -> float | None:
    """How much is done, by a counter or a percentage in front of the score."""
    for count in _COUNT.finditer(low, 0, end):
        done, total = number(count[1]), number(count[2])
        if 0 <= done <= total and total > 1:
            return done / total
    percent = _PERCENT.search(low, 0, end)
    share = number(percent[1]) / 100 if percent else 2.0
    return share if share <= 1 else None
