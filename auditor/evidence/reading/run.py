"""One run, put together line by line."""

from __future__ import annotations

from collections import Counter

from auditor.evidence.reading.figures import Figures
from auditor.evidence.reading.machine import Machine
from auditor.evidence.reading.numbers import number
from auditor.evidence.reading.scores import ordered, progress_of, scores_of
from auditor.evidence.reading.sizes import Sizes
from auditor.evidence.reading.stages import Stages
from auditor.evidence.reading.steps import Steps
from auditor.evidence.runlog import Figure, Phase, Progress, RunLog, Score, Stage, Words

_MOST_SCORES = 20_000  # lines, and as many of progress
_MOST_UNREAD = 200
_LONGEST_UNREAD = 300  # characters
_OPENING, _IDLE = 24, 40  # so many lines that begin alike, and nothing was read from any
_NO_DIGITS = str.maketrans("", "", "0123456789")
_NO_TEXT = frozenset("|+=-*─═ ")


class Run:
    """Collects what one run's lines say."""

    def __init__(self, first_line: int) -> None:
        self.first_line = self.last_line = first_line
        self.scores: list[Score] = []
        self.progress: list[Progress] = []
        self.unread: list[Words] = []
        self.steps, self.stages = Steps(), Stages()
        self.sizes, self.machine, self.figures = Sizes(), Machine(), Figures()
        self._idle: Counter[str] = Counter()

    @property
    def begun(self) -> bool:
        """Whether more than a header was read."""
        return self.steps.count > 0 or bool(self.scores or self.progress)

    def is_run(self) -> bool:
        """Whether this is the log of a run, and no text about one."""
        context = len(self.figures.found) + len(self.stages.found) + len(self.progress)
        context += bool(self.machine.hardware) + bool(self.sizes.code or self.sizes.model)
        return self.steps.count > 1 or (bool(self.scores) and context > 0) or context > 3

    def take(self, text: str, line: int) -> None:
        """Reads one message."""
        self.last_line = line
        if text[0] in "|+" and self._table(text, line):
            return
        opening = text[:_OPENING].translate(_NO_DIGITS)
        if self._idle[opening] > _IDLE:
            return
        low = text.lower()
        step = self.steps.step_of(low)
        if step is not None:
            self.steps.take(*step, low, line)
            if ("val" in low or "bpb" in low or "vl:" in low) and len(self.scores) < _MOST_SCORES:
                self.scores += scores_of(text, low, line, step[0])
        elif not self._message(text, low, line):
            self._idle[opening] += 1
            if len(self.unread) < _MOST_UNREAD and not _NO_TEXT.issuperset(text[:20]):
                self.unread.append(Words(text[:_LONGEST_UNREAD], line))

    def _table(self, text: str, line: int) -> bool:
        if self.machine.hardware is None or "Version" in text:
            self.machine.table(text, line)
        return text[-1] in "|+"

    def _message(self, text: str, low: str, line: int) -> bool:
        """Asks each reader; whether one of them found something."""
        scores: list[Score] = []
        if "bpb" in low or "val" in low or "rb:" in low or "per byte" in low or "per_byte" in low:
            progress = progress_of(text, low, line)
            if progress is not None and len(self.progress) < _MOST_SCORES:
                self.progress.append(progress)
            if progress is not None:
                return True
            scores = scores_of(text, low, line, None)
            self.scores += scores[: _MOST_SCORES - len(self.scores)]
        found = [
            bool(scores),
            self.stages.begins(low),
            self.figures.take(low, line, bool(scores)),
            self.sizes.take(low, line),
            self.steps.stop(low, line),
            self.stages.take(text, low, line, scores),
            self.machine.take(text, low, line),
        ]
        return any(found)

    def log(self, path: str, settings: dict[str, Words]) -> RunLog:
        """The finished run."""
        seconds, stages = self._clocked()
        model, total = self.sizes.settled()
        told = {words.line for words in settings.values()}
        figures = {**_figures_among(settings), **self.figures.found}
        return RunLog(
            path,
            self.first_line,
            self.last_line,
            seed=figures.get("seed"),
            world_size=figures.get("world_size"),
            hardware=self.machine.hardware,
            software=self.machine.software,
            settings=settings,
            parameters=figures.get("parameters"),
            train_shards=figures.get("train_shards"),
            steps=self.steps.steps,
            planned_steps=self.steps.planned or figures.get("iterations"),
            train_seconds=seconds,
            stages=stages,
            code_bytes=self.sizes.code,
            model_bytes=model,
            total_bytes=total,
            variants=tuple(self.sizes.totals),
            val_tokens=figures.get("val_tokens"),
            scored_tokens=figures.get("scored_tokens"),
            scored_bytes=figures.get("scored_bytes"),
            coverage=figures.get("coverage"),
            scores=tuple(self.scores),
            progress=tuple(sorted(ordered(self.progress), key=lambda p: p.line)),
            unread=tuple(w for w in self.unread if w.line not in told),
        )

    def _clocked(self) -> tuple[Figure | None, tuple[Stage, ...]]:
        """The training clock, and all stages with it as the first."""
        stages = self.stages.stages()
        seconds = self.steps.seconds
        said = [s for s in stages if s.phase is Phase.TRAIN]
        if seconds is None:
            return (Figure(said[-1].seconds, said[-1].line) if said else None), stages
        if not self.steps.stopped and said and _close(said[-1].seconds, seconds.value):
            seconds = Figure(said[-1].seconds, said[-1].line)  # step lines may round to minutes
        others = tuple(s for s in stages if s.phase is not Phase.TRAIN)
        return seconds, (Stage(Phase.TRAIN, "train_time", seconds.value, seconds.line), *others)


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 0.01 * other


def _figures_among(settings: dict[str, Words]) -> dict[str, Figure]:
    """What the log prints as a setting, in a form that no line of figures has."""
    names = ("seed", "world_size", "train_shards", "val_tokens", "iterations")
    return {
        name: Figure(number(settings[name].text), settings[name].line)
        for name in names
        if name in settings and settings[name].text.isascii() and settings[name].text.isdecimal()
    }
