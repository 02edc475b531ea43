"""One run, put together line by line."""

from __future__ import annotations

import re

from auditor.evidence.reading.machine import Machine
from auditor.evidence.reading.numbers import NUMBER, number
from auditor.evidence.reading.scores import ordered, progress_of, score_of
from auditor.evidence.reading.sizes import Sizes
from auditor.evidence.reading.stages import Stages
from auditor.evidence.reading.steps import Steps
from auditor.evidence.runlog import Figure, Phase, Progress, RunLog, Score, Stage, Words

_FIGURE = re.compile(
    rf"(?i)\b(seed|world_size|(?:model_|total_)?param(?:eter)?s(?: total)?|train_shards|val(?:idation)?[ _]tokens"
    rf"|iterations|gpus)[\"']?\s*[:=]\s*({NUMBER})(?![\d.]|\s*[a-zA-Z]*B\b)"
)
_LOADER_TOKENS = re.compile(r"^val_loader\b.*\btokens:(\d+)")
_SCORED = re.compile(
    rf"(?i)\b(?:tokens_scored|scored_tokens|scored_targets|n_tokens|total_tokens|total_targets|tokens|targets)\s*[:=]\s*({NUMBER})"
)
_SCORED_BYTES = re.compile(
    rf"(?i)\b(?:scored_bytes|n_(?:sidecar_)?bytes|total_bytes|val_bytes|bytes)\s*[:=]\s*({NUMBER})(?!\s*B)"
)
_COVERAGE = re.compile(rf"(?i)\bcoverage\w*\s*[:=]?\s*({NUMBER})\s*(%?)")
_NAMES = {"params": "parameters", "model_params": "parameters", "total_params": "parameters"}
_MOST_UNREAD = 200
_LONGEST_UNREAD = 300  # characters
_MOST_SCORES = 20_000
_NO_TEXT = frozenset("|+=-*─═ ")


class Run:
    """Collects what one run's lines say."""

    def __init__(self, first_line: int) -> None:
        self.first_line = self.last_line = first_line
        self.figures: dict[str, Figure] = {}
        self.scores: list[Score] = []
        self.progress: list[Progress] = []
        self.unread: list[Words] = []
        self.steps, self.stages = Steps(), Stages()
        self.sizes, self.machine = Sizes(), Machine()

    @property
    def begun(self) -> bool:
        """Whether more than a header was read."""
        return self.steps.count > 0 or bool(self.scores or self.progress)

    def is_run(self) -> bool:
        """Whether this is the log of a run, and no text about one."""
        context = len(self.figures) + len(self.stages.found) + len(self.progress)
        context += bool(self.machine.hardware) + bool(self.sizes.code or self.sizes.model)
        return self.steps.count > 1 or (bool(self.scores) and context > 0) or context > 3

    def take(self, text: str, line: int) -> None:
        """Reads one message."""
        self.last_line = line
        if text[0] in "|+" and self._table(text, line):
            return
        step = self.steps.step_of(text)
        if step is not None:
            self._step(text, line, step)
        elif not self._other(text, line):
            self._keep(text, line)

    def _keep(self, text: str, line: int) -> None:
        if len(self.unread) < _MOST_UNREAD and not _NO_TEXT.issuperset(text[:20]):
            self.unread.append(Words(text[:_LONGEST_UNREAD], line))

    def _table(self, text: str, line: int) -> bool:
        if self.machine.hardware is None or "Version" in text:
            self.machine.table(text, line)
        return text[-1] in "|+"

    def _step(self, text: str, line: int, step: tuple[int, int | None]) -> None:
        self.steps.take(*step, text, line)
        low = text.lower()
        if ("bpb" in low or "val" in low or "vl:" in low) and len(self.scores) < _MOST_SCORES:
            self.scores += score_of(text, line, step[0])

    def _other(self, text: str, line: int) -> bool:
        low = text.lower()
        scores: list[Score] = []
        read = False
        if "bpb" in low or "val" in low or "rb:" in low or "bits_per_byte" in low:
            progress = progress_of(text, line)
            if progress is not None:
                self.progress.append(progress)
                return True
            scores = score_of(text, line, None)
            self.scores += scores
            read = bool(scores)
        if scores or "token" in low or "target" in low or "coverage" in low:
            read |= self._scored(text, low, line, bool(scores))
        if not any(c.isdigit() for c in text):
            return self.stages.begins(text) or read
        if "bytes" in low or "size" in low or "code" in low or "artifact" in low or "total" in low:
            read |= self.sizes.take(text, line)
        read |= self.steps.stop(text, line)
        read |= self.stages.take(text, low, line, scores)
        read |= self._figures(text, line)
        return self.machine.take(text, line) or read

    def _figures(self, text: str, line: int) -> bool:
        read = False
        for found in _FIGURE.finditer(text):
            name = found[1].lower().replace(" ", "_")
            name = _NAMES.get(name, name)
            self.figures.setdefault(name, Figure(number(found[2]), line))
            read = True
        return read

    def _scored(self, text: str, low: str, line: int, scored: bool) -> bool:
        loader = _LOADER_TOKENS.match(text)
        if loader:
            self.figures.setdefault("val_tokens", Figure(number(loader[1]), line))
        coverage = _COVERAGE.search(text) if "coverage" in low else None
        if coverage:
            share = number(coverage[1]) / (100 if coverage[2] else 1)
            if 0 <= share <= 1:
                self.figures["coverage"] = Figure(share, line)
        if scored or "scored" in low or "done" in low:
            for name, pattern in (("scored_tokens", _SCORED), ("scored_bytes", _SCORED_BYTES)):
                found = pattern.search(text)
                if found and number(found[1]) > 1000:
                    self.figures[name] = Figure(number(found[1]), line)
        return bool(loader or coverage)

    def log(self, path: str, settings: dict[str, Words]) -> RunLog:
        """The finished run."""
        seconds, stages = self._clocked()
        planned = self.steps.planned or self.figures.get("iterations")
        return RunLog(
            path,
            self.first_line,
            self.last_line,
            seed=self._setting("seed", settings),
            world_size=self._setting("world_size", settings) or self.figures.get("gpus"),
            hardware=self.machine.hardware,
            software=self.machine.software,
            settings=settings,
            parameters=self.figures.get("parameters"),
            train_shards=self._setting("train_shards", settings),
            steps=self.steps.steps,
            planned_steps=planned,
            train_seconds=seconds,
            stages=stages,
            code_bytes=self.sizes.code,
            model_bytes=self.sizes.model,
            total_bytes=self.sizes.total,
            val_tokens=self._setting("val_tokens", settings),
            scored_tokens=self.figures.get("scored_tokens"),
            scored_bytes=self.figures.get("scored_bytes"),
            coverage=self.figures.get("coverage"),
            scores=tuple(self.scores),
            progress=tuple(sorted(ordered(self.progress), key=lambda p: p.line)),
            unread=tuple(self.unread),
        )

    def _setting(self, name: str, settings: dict[str, Words]) -> Figure | None:
        found = self.figures.get(name)
        words = settings.get(name)
        if found is None and words is not None and words.text.isdecimal():
            found = Figure(number(words.text), words.line)
        return found

    def _clocked(self) -> tuple[Figure | None, tuple[Stage, ...]]:
        """The training clock, and all stages with it as the first."""
        stages = self.stages.stages()
        seconds = self.steps.seconds
        if seconds is None:
            trained = [s for s in stages if s.phase is Phase.TRAIN]
            return (Figure(trained[-1].seconds, trained[-1].line) if trained else None), stages
        others = tuple(s for s in stages if s.phase is not Phase.TRAIN)
        return seconds, (Stage(Phase.TRAIN, "train_time", seconds.value, seconds.line), *others)
