"""Timed stages of a run, and which of them contain others."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from auditor.evidence.reading.numbers import durations
from auditor.evidence.reading.scores import label_of
from auditor.evidence.runlog import Phase, Score, Stage

# What a line's words say of the budget it belongs to; the first that fits decides.
_PHASES = (
    (Phase.WARMUP, re.compile(r"warm(?:ing)?[-_ ]?up|pre-?compil|compil(?:e|ing|ation)\b")),
    (Phase.OTHER, re.compile(r"pre-?quant[-_]?ttt|prefetch|download")),
    (Phase.CALIBRATION, re.compile(r"hessian|calibrat|act_stats|generated \d+ seq|collected")),
    (
        Phase.SERIALISATION,
        re.compile(
            r"quantiz|quantis|quantize|gptq|compress|seriali|brotli|lrzip|zstd|lzma|\bpack|prun"
            r"|dequant|export|artifact|saved|pergroup|\bsave\b|codebook"
        ),
    ),
    (
        Phase.EVAL,
        re.compile(
            r"eval|ttt|slot|sliding|n-?gram|ppm|ttp|score|chunk|cache|roundtrip|window|\bval|mix"
            r"|diag|phrase|two_pass|pass|suffix|lora|hint"
        ),
    ),
    (Phase.TRAIN, re.compile(r"\btrain|stopping_early|^stop\b")),
)
_COUNTER = re.compile(r"\d\s*/\s*\d|%")
_FINISHED = re.compile(r"(?i)\bdone|complet|finish|total")
_PARALLEL = re.compile(r"(?i)\bmax_|_max\b")
_STEM = re.compile(r"[a-z]+(?:_[a-z]+)*")
_BEGINS = re.compile(r"(?i)\bbegin\w*\b.*\btimer|timer (?:started|begins)")
_SLACK = 1.02  # a clock around others may differ from their sum by as much
_MOST_STAGES = 400


@dataclass
class _Open:
    """A stage that may turn out to be part of a later one."""

    stage: Stage
    text: str
    score: float | None


class Stages:
    """Collects the stages of one run in order."""

    def __init__(self) -> None:
        self.found: list[_Open] = []
        self._mark = 0  # stages since the last "beginning … timer"

    def begins(self, text: str) -> bool:
        if "imer" in text and _BEGINS.search(text):
            self._mark = len(self.found)
            return True
        return False

    def take(self, text: str, low: str, line: int, scores: list[Score]) -> bool:
        """Reads the stage that a line times; returns whether there is one."""
        if len(self.found) >= _MOST_STAGES or (
            _COUNTER.search(text) and not _FINISHED.search(text)
        ):
            return False
        timed = list(durations(text))
        if not timed:
            return False
        key, took = max(timed, key=lambda t: ("time" in t[0] or "elapsed" in t[0], t[1]))
        label = label_of(text)[:60]
        phase = Phase.EVAL if scores else phase_of(low, key)
        new = _Open(
            Stage(phase, label or key, took, line), low, scores[0].val_bpb if scores else None
        )
        self._enclose(new, key)
        self.found.append(new)
        return True

    def stages(self) -> tuple[Stage, ...]:
        return tuple(s.stage for s in self.found)

    def _enclose(self, new: _Open, key: str) -> None:
        """Marks the earlier stages that ``new`` contains as nested."""
        took = new.stage.seconds
        if "total" in key or re.search(r"total|wallclock|overall", new.text[:80]):
            inside = self.found[self._mark :]
            if new.stage.phase is Phase.EVAL:
                inside = [s for s in inside if s.stage.phase in (Phase.EVAL, Phase.OTHER)]
            self._nest_what_fits(inside, took)
            return
        same = [s for s in self.found[-6:] if _same_evaluation(s, new)]
        self._nest_what_fits(same, took)
        if not same and _FINISHED.search(new.text):
            stem = _STEM.match(new.text)
            alike = [s for s in self.found if stem and s.text.startswith(stem[0])]
            self._nest_what_fits(alike, took)

    def _nest_what_fits(self, inside: list[_Open], took: float) -> None:
        """From the last one back, as long as the sum stays within ``took``."""
        left = took * _SLACK + 1
        for part in reversed(inside):
            if part.stage.nested:
                continue
            left -= part.stage.seconds
            if left < 0:
                return
            part.stage = replace(part.stage, nested=True)


def _same_evaluation(one: _Open, other: _Open) -> bool:
    if one.score is None or other.score is None:
        return False
    return abs(one.score - other.score) < 1e-4


def phase_of(low: str, key: str) -> Phase:
    """The budget that a timed line without a score belongs to."""
    for phase, words in _PHASES:
        if words.search(low):
            return phase
    if "train" in key:
        return Phase.TRAIN
    return Phase.OTHER
