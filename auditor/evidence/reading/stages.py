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
_OVERALL = re.compile(  # clocks around several phases
    r"artifact_production|phase:total|phase_timings|breakdown|with_compile|^total\b(?!.*(?:eval|ttt|gptq|quant))"
    r"|total_(?:elapsed|wall)|(?:real_|final_|^)wall-?clock|integrated|stage_b_timers"
)
_NO_STAGE = re.compile(
    r"budget|reached|approaching|max steps|mode\b|smoke|activated|enabled|starting|:start\b|limit"
)
_COUNTER = re.compile(r"\d\s*/\s*\d|\[\s*[\d.]+\s*%|:\s*\d+%\|")
_FINISHED = re.compile(r"\bdone|complet|finish|total")
_TOTAL = re.compile(r"total|wall-?clock|overall")
_WORD = re.compile(r"[a-z]+")
_COMMON_WORDS = frozenset("final done total exact val loss eval time in int for".split())
_BEGINS = re.compile(r"\bbegin\w*\b.*\btimer|timer (?:started|begins)")
_SLACK = 1.02  # a clock around others may differ from their sum by as much
_TICK = 1.0  # and by so many seconds
_MOST_STAGES = 400
_AT_ONCE = 12  # earlier stages that are looked at
_ONE_SCORE = 1e-4  # bits per byte


@dataclass
class _Open:
    """A stage that may turn out to be part of a later one."""

    stage: Stage
    words: frozenset[str]
    score: float | None


class Stages:
    """Collects the stages of one run in order."""

    def __init__(self) -> None:
        self.found: list[_Open] = []
        self._mark = 0  # stages before the last "beginning … timer"

    def begins(self, low: str) -> bool:
        """Whether the line says that a timer starts."""
        if "timer" in low and _BEGINS.search(low):
            self._mark = len(self.found)
            return True
        return False

    def take(self, text: str, low: str, line: int, scores: list[Score]) -> bool:
        """Reads the stage that a line times; returns whether there is one."""
        timed = list(durations(low)) if len(self.found) < _MOST_STAGES else []
        if not timed or (_COUNTER.search(low) and not _FINISHED.search(low)):
            return False
        if not scores and _NO_STAGE.search(low):
            return False
        key, took = max(timed, key=lambda t: ("time" in t[0] or "elapsed" in t[0], t[1]))
        label = label_of(text)[:60] or key
        overall = not scores and bool(_OVERALL.search(low))
        phase = Phase.EVAL if scores else Phase.OTHER if overall else phase_of(low, key)
        words = frozenset(_WORD.findall(label.lower())) - _COMMON_WORDS
        new = _Open(Stage(phase, label, took, line), words, scores[0].val_bpb if scores else None)
        if not overall:
            self._enclose(new, total=bool(_TOTAL.search(low[:80])))
        self.found.append(new)
        return True

    def stages(self) -> tuple[Stage, ...]:
        return tuple(s.stage for s in self.found)

    def _enclose(self, new: _Open, total: bool) -> None:
        """Marks the earlier stages that lie within ``new``, from the last one back.

        These are all that fit, for a total; else those of the same evaluation, and those whose
        words it shares and no score of their own is told.
        """
        left = new.stage.seconds * _SLACK + _TICK
        for part in reversed(
            self.found[max(self._mark if total else 0, len(self.found) - _AT_ONCE) :]
        ):
            if part.stage.within is not None:
                continue
            left -= part.stage.seconds
            if left < 0 or not (_shares_budget(part, new) if total else _belongs(part, new)):
                return
            part.stage = replace(part.stage, within=new.stage.phase)


def _shares_budget(part: _Open, whole: _Open) -> bool:
    phases = {part.stage.phase, whole.stage.phase}
    return len(phases) == 1 or phases == {Phase.CALIBRATION, Phase.SERIALISATION}


def _belongs(part: _Open, whole: _Open) -> bool:
    if part.score is not None and whole.score is not None:
        return abs(part.score - whole.score) < _ONE_SCORE
    if not _shares_budget(part, whole):
        return False
    if part.stage.phase is not whole.stage.phase:  # "gptq:generated …", then "gptq:done in …"
        return bool(whole.words) and whole.words <= part.words
    if part.score is None and part.words & whole.words:
        return True
    alike = whole.stage.seconds <= part.stage.seconds * _SLACK + _TICK
    return whole.score is None and alike  # a clock around the evaluation just before


def phase_of(low: str, key: str) -> Phase:
    """The budget that a timed line without a score belongs to."""
    if key.startswith("train"):
        return Phase.TRAIN
    return next((phase for phase, words in _PHASES if words.search(low)), Phase.OTHER)
