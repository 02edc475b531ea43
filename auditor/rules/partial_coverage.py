"""partial-coverage: a score of a part of the validation set, or of another set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor.analysis.graph import Node, walk
from auditor.analysis.learning import Scoring
from auditor.analysis.parts import Cut, Stop, clock_stops, cuts, draws
from auditor.analysis.program import Program
from auditor.evidence.measure import FITS, Measure, measures, megabytes
from auditor.evidence.reader import read
from auditor.evidence.record import Record
from auditor.evidence.runlog import RunLog
from auditor.evidence.track import is_record
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.steps import flow_steps, step

_SITE = "https://github.com/openai/parameter-golf/"
_LEAST_SHARE = 0.97  # what no custom of cutting tails or batches explains any more
_SURELY_PART = 15_000_000  # tokens; 151 MB would need ten bytes per token


@dataclass(frozen=True)
class Gap:
    """What a log shows to be missing: the line that shows it, and how sure it is."""

    measure: Measure
    line: int
    message: str
    level: Level
    kind: str


def check(program: Program) -> Iterable[Finding]:
    seen: set[tuple[str, int]] = set()
    for scoring in program.learning.headline:
        for finding in _left_out(program, scoring):
            if (finding.path, finding.line) not in seen:
                seen.add((finding.path, finding.line))
                yield finding


def _left_out(program: Program, scoring: Scoring) -> Iterator[Finding]:
    for cut in cuts(program, scoring):
        if program.learning.reaches_claimed(scoring.at) and not _contradicted(program, cut):
            yield _cut(program, scoring, cut)
    for drawn in draws(program, scoring):
        level, lead = _level(program)
        message = "random numbers choose the validation tokens that are scored"
        if level is Level.VIOLATION and not set(drawn.ctx.loops) & set(scoring.at.ctx.loops):
            level, lead = Level.SUSPECT, "appears to break: "
            message += "; they are drawn once, and how many tokens follow was not found"
        message = lead + message
        steps = flow_steps(program, [(drawn, "drawn at random"), *_scored(scoring)])
        yield RULE.finding(level, drawn.path, drawn.line, message, steps=steps, column=drawn.column)
    for stop in clock_stops(program, scoring):
        yield _stop(program, scoring, stop)


def _contradicted(program: Program, cut: Cut) -> bool:
    """Whether a log counts more validation tokens than the cut would leave."""
    if not program.tokens.is_val(cut.at):
        return False
    runs = (run for log in program.submission.logs for run in read(log))
    return any(r.val_tokens is not None and r.val_tokens.value > 1.1 * cut.kept for r in runs)


def _cut(program: Program, scoring: Scoring, cut: Cut) -> Finding:
    level, lead = _level(program)
    gap = ""
    unshown = _unshown(program, cut)
    if unshown and level is Level.VIOLATION:
        level, lead = Level.SUSPECT, "appears to break: "
        gap = f"; no command or log shows the value of {unshown}"
    message = f"{lead}no more than {cut.kept:,} validation tokens count in the score{gap}"
    stations = [(cut.at, f"the first {cut.kept:,} are kept"), *_scored(scoring)]
    steps = flow_steps(program, sorted(stations, key=lambda s: s[0].uid))
    at = cut.at
    return RULE.finding(level, at.path, at.line, message, steps=steps, column=at.column)


def _unshown(program: Program, cut: Cut) -> str:
    """A setting that the cut hangs on and of which only the code's default is known."""
    names = {node.data for node in walk([cut.at.args[1]]) if node.op == "env"}
    unknown = (s.name for s in program.settings if s.name in names and s.source == "code default")
    return next(unknown, "")


def _scored(scoring: Scoring) -> list[tuple[Node, str]]:
    return [(scoring.at, "scored"), (scoring.output, "and reported")]


def _level(program: Program) -> tuple[Level, str]:
    """How firm, and how the message begins: who claims no record may validate on a part."""
    if is_record(program.submission):
        return Level.VIOLATION, "breaks: "
    return Level.QUESTION, "please show the score of the whole set: "


def _stop(program: Program, scoring: Scoring, stop: Stop) -> Finding:
    """An exit by the clock is a fault in the run that took it, as the log of that run shows."""
    taken = next(_logged(program, stop), None)
    steps = [Step(stop.path, stop.line, "the clock ends the evaluation", stop.column)]
    level, lead = Level.NOTE, ""
    if taken is not None:
        level, lead = Level.SUSPECT, "appears to break: "
        steps.append(taken)
    message = f"{lead}the evaluation's loop ends when its time is up, and what was scored by then is reported"
    if taken is None:
        message += "; no log shows that it did"
    else:
        message += "; what comes after the loop was not followed"
    steps.append(step(program, scoring.output, "and reported"))
    return RULE.finding(level, stop.path, stop.line, message, steps=steps, column=stop.column)


def _logged(program: Program, stop: Stop) -> Iterator[Step]:
    """The log lines that only this exit prints."""
    for log in program.submission.logs:
        for text in stop.texts:
            for number, line in enumerate(log.text.split("\n") if text in log.text else (), 1):
                if line.strip().startswith(text):
                    yield Step(log.path, number, "the run took this exit")


def check_record(record: Record) -> Iterable[Finding]:
    told = list(measures(record))
    if not told:
        raise NotChecked("no log behind the score states how many validation tokens there are")
    gaps = [gap for measure in told for gap in _gaps(measure)]
    for kind in dict.fromkeys(gap.kind for gap in gaps):
        yield _finding(record, [gap for gap in gaps if gap.kind == kind])


def _gaps(measure: Measure) -> Iterator[Gap]:
    yield from _unscored(measure)
    yield from _other_set(measure)


def _unscored(measure: Measure) -> Iterator[Gap]:
    """Fewer tokens, or bytes of text, were scored than the set has, by the headline's own count."""
    log, limits = measure.log, measure.limits
    counted = (
        (log.scored_tokens, measure.tokens, "validation tokens"),
        (log.scored_bytes, limits.validation_bytes, "bytes of the validation documents"),
        (log.coverage, 1, "of the validation set"),
    )
    for figure, whole, what in counted:
        if figure is None or not measure.beside(figure) or _of_one_rank(figure.value / whole, log):
            continue
        if log.total_bytes is not None and figure.value == log.total_bytes.value:
            continue  # of the artifact
        if figure is log.scored_bytes and figure.value == measure.tokens:
            continue  # tokens under a wrong name
        share = figure.value / whole
        if 0 < share < _LEAST_SHARE:
            count = f"{figure.value:,.0f} of {whole:,} {what}" if whole > 1 else what
            message = f"the score counts {count} ({share:.1%})"
            yield Gap(measure, figure.line, message, Level.VIOLATION, "unscored")
            return


def _of_one_rank(share: float, log: RunLog) -> bool:
    """Whether a count may be what one of the ranks scored, before the sum over ranks."""
    ranks = {int(log.world_size.value)} if log.world_size is not None else {2, 4, 8}
    return any(n > 1 and abs(share * n - 1) < 1 - _LEAST_SHARE for n in ranks)


def _other_set(measure: Measure) -> Iterator[Gap]:
    """The set is not that of the fixed documents."""
    tokens = measure.log.val_tokens
    if tokens is None or measure.tokenizer is not None:
        return
    basis = measure.plain or measure.ratio
    known = basis is not None and measure.per_token
    share = 1 + measure.excess(basis)
    whole = megabytes(measure.limits.validation_bytes)
    if known and share < 1 - FITS:
        text = f"{megabytes(share * measure.limits.validation_bytes)} of {whole} ({share:.1%})"
        message = f"the score is of {measure.tokens:,} validation tokens, {text}"
        level = Level.VIOLATION if share < _LEAST_SHARE else Level.QUESTION
        yield Gap(measure, tokens.line, message, level, "part")
    elif known and share > 1 + FITS and measure.other_set:
        text = f"{megabytes(share * measure.limits.validation_bytes)}, the fixed documents have {whole}"
        message = f"the score is of {measure.tokens:,} tokens of {text}"
        yield Gap(measure, tokens.line, message, Level.QUESTION, "other")
    elif not known and measure.tokens < _SURELY_PART:
        message = f"the score is of {measure.tokens:,} validation tokens, a part of the set"
        yield Gap(measure, tokens.line, message, Level.VIOLATION, "part")


def _finding(record: Record, gaps: Sequence[Gap]) -> Finding:
    """One finding for the same gap in all runs; a question where no record is claimed."""
    level = min((gap.level for gap in gaps), key=lambda found: found.rank)
    if not record.claims.record or not any(gap.measure.backs(record.claims) for gap in gaps):
        level = max(level, Level.QUESTION, key=lambda found: found.rank)
    lead = "breaks: " if level is Level.VIOLATION else "please show the score of the whole set: "
    steps = [step for gap in gaps for step in _steps(gap)]
    first = gaps[0]
    return RULE.finding(
        level, first.measure.log.path, first.line, lead + first.message, steps=steps
    )


def _steps(gap: Gap) -> Iterator[Step]:
    path = gap.measure.log.path
    yield Step(path, gap.line, gap.message)
    yield Step(path, gap.measure.score.line, "the headline score")


_SCRIPT = """\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
print(f"val_loader:shards pattern={files[0]} tokens:{val.numel() - 1}")
nats = F.cross_entropy(model(val[:-1]), val[1:]).item()
print(f"final_roundtrip_exact val_loss:{nats:.8f} val_bpb:{nats / math.log(2) / 2.4359:.8f}")
"""
_LOG = """\
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:COUNT
step:20000/20000 val_loss:2.0606 val_bpb:1.2204 train_time:599000ms step_avg:29.95ms
final_roundtrip_exact val_loss:2.07269931 val_bpb:1.22758513
"""

RULE = Rule(
    slug="partial-coverage",
    code="V4",
    title="not every validation token is scored exactly once",
    status="RULED",
    sources=tuple(f"{_SITE}pull/{number}" for number in (50, 1835, 2009)),
    page="""\
The score is that of the whole validation set: the first 50,000 documents, 151.08 MB. Validating on
a part of it while developing is fine, reporting such a score as the result is not. Read from the logs:
how many tokens the set has and how many were scored, and by the bytes per token how much text that
is. The last tokens, which fill no sequence, are left out by the challenge's own script.
""",
    blind_spots="""\
- The number of tokens is what the log states of the validation set and of the score. A log that states neither
  is not checked.
- Whether each token is scored once is computed for slices and loops that the code shows, not for lists of
  windows that come from data.
- An exit by the clock is a suspect where the log shows that it was taken, else a note.
""",
    clears="Score every token of the whole validation set, and print how many were scored.",
    check=check,
    check_record=check_record,
    forbidden={
        "train_gpt.py": _SCRIPT,
        "train_seed42.log": _LOG.replace("COUNT", "9662464"),
    },
    allowed={
        "train_gpt.py": _SCRIPT,
        "train_seed42.log": _LOG.replace("COUNT", "62021632"),
    },
)
