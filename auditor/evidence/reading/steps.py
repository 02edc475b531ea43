"""The training loop's lines, in lower case: how far it came, and its clock."""

from __future__ import annotations

import re

from auditor.evidence.reading.numbers import NUMBER, UNIT, number, seconds
from auditor.evidence.runlog import Figure

_STEP = re.compile(
    r"\W{0,4}(?:(?:(?:step|iter|iteration|it|s)\b\s*[:=#]?\s*|step_?)(?P<step>\d[\d,]*)(?:\s*/\s*(?P<of>\d[\d,]*))?"
    r"|(?P<bare>\d+)/(?P<bare_of>\d+) )(?![\d.])"
)
_LOSS = re.compile(r"loss|bpb|\btl:|\bvl:|train_time|\btt:|ppl")
_CLOCK = re.compile(
    r"\b(train_time(?:_ms)?|tt|train(?:ing)?[ _]time|elapsed(?:_ms)?|wall(?:clock)?|time|t)"
    rf"\s*[:=]\s*({NUMBER})\s*({UNIT})?"
)
_BARE_CLOCK = re.compile(rf"[|,(]\s*({NUMBER})\s?({UNIT})")
_STOP = re.compile(
    r"stopping_early|^stop\b|stopping early|wall-?clock (?:limit|cap)|time (?:limit|cap|budget) reached"
)
_STOPS = ("stop", "reached", "limit")
_STOP_STEP = re.compile(r"\b(?:step|s|iter)\b\s*[:=#]?\s*(\d[\d,]*)(?:\s*/\s*(\d[\d,]*))?")


class Steps:
    """Collects the training loop of one run."""

    def __init__(self) -> None:
        self.steps: Figure | None = None
        self.planned: Figure | None = None
        self.first = -1  # the first step seen
        self.count = 0  # lines
        self._timed: tuple[str, int] | None = None  # the last line of a step, read when it is over
        self.stopped: Figure | None = None  # the clock on the line that says why

    def step_of(self, low: str) -> tuple[int, int | None] | None:
        """The step and the planned number of steps of a line of the training loop."""
        found = _STEP.match(low)
        if found is None or not _LOSS.search(low):
            return None
        step, of = found["step"] or found["bare"], found["of"] or found["bare_of"]
        value, total = number(step), number(of) if of else None
        if value > 1e8 or (total is not None and (total > 1e8 or value > total)):
            return None
        return int(value), int(total) if total is not None else None

    def take(self, step: int, planned: int | None, low: str, line: int) -> None:
        if self.first < 0:
            self.first = step
        self.count += 1
        if self.steps is None or step >= self.steps.value:
            self.steps = Figure(float(step), line)
            self._timed = (low, line)
        if planned is not None and (self.planned is None or planned != self.planned.value):
            self.planned = Figure(float(planned), line)

    def stop(self, low: str, line: int) -> bool:
        """Reads a line that says why training stopped."""
        if not any(word in low for word in _STOPS) or not _STOP.search(low):
            return False
        clock, step = _clock(low), _STOP_STEP.search(low)
        if clock is not None:
            self.stopped = Figure(clock, line)
        if (
            step
            and number(step[1]) < 1e8
            and (self.steps is None or number(step[1]) >= self.steps.value)
        ):
            self.steps = Figure(number(step[1]), line)
            if step[2] and self.planned is None:
                self.planned = Figure(number(step[2]), line)
        return clock is not None or step is not None

    @property
    def seconds(self) -> Figure | None:
        """The training clock when it stopped."""
        clock = _clock(self._timed[0]) if self._timed else None
        last = Figure(clock, self._timed[1]) if self._timed and clock is not None else None
        if last and self.stopped and self.stopped.value < last.value:
            return last  # some print a clock that was reset before
        return self.stopped or last


def _clock(low: str) -> float | None:
    found = list(_CLOCK.finditer(low))
    named = [m for m in found if m[1].lower() not in ("time", "t")] or found
    if named:
        key, value, unit = named[0][1], named[0][2], named[0][3]
        return seconds(value, unit or ("ms" if key.endswith("_ms") else "s"))
    bare = _BARE_CLOCK.findall(low)
    return seconds(*bare[-1]) if bare else None
