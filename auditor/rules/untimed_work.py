"""untimed-work: what the run does outside of both clocks, in numbers."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.evidence.record import Record
from auditor.evidence.runlog import Phase, RunLog
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import named, seconds

_PULL = "https://github.com/openai/parameter-golf/pull/"
_WORDS = {
    Phase.WARMUP: "warm-up",
    Phase.CALIBRATION: "calibration",
    Phase.SERIALISATION: "quantising, packing and reading back",
    Phase.OTHER: "other work",
}
_WORTH_SAYING = 10.0  # seconds


def check_record(record: Record) -> Iterable[Finding]:
    logs = [run.log for run in record.runs]
    if not any(log.stages for log in logs):
        raise NotChecked("no log times its stages")
    untimed, log = max(((_untimed(log), log) for log in logs), key=lambda pair: pair[0])
    if untimed >= _WORTH_SAYING:
        yield _finding(log, untimed)


def _untimed(log: RunLog) -> float:
    return log.seconds(*_WORDS)


def _finding(log: RunLog, untimed: float) -> Finding:
    parts = [(word, log.seconds(phase)) for phase, word in _WORDS.items()]
    listed = ", ".join(f"{word} {seconds(took)}" for word, took in parts if took)
    stages = [s for s in log.stages if s.phase in _WORDS and not s.nested]
    longest = max(stages, key=lambda s: s.seconds)
    message = (
        f"{named(log)} logs {seconds(untimed)} of work outside training and evaluation: {listed}"
    )
    steps = [Step(log.path, s.line, f"{s.label}: {seconds(s.seconds)}") for s in stages[:12]]
    return RULE.finding(Level.NOTE, log.path, longest.line, message, steps=steps)


RULE = Rule(
    slug="untimed-work",
    code="B4",
    title="work outside of both clocks",
    status="RULED",
    sources=(_PULL + "609", _PULL + "1868"),
    page="""\
Every step that makes the artifact belongs to the time of training or of evaluation, as was ruled on
#609. It was not enforced since: a merged record (#1868) logs more than a thousand seconds. So what
the log of a run times outside of both, such as compiling, calibrating, quantising and packing, is
added up and stated, no more.
""",
    blind_spots="""\
- Only the stages that the log times are added up; less than ten seconds are not worth a note.
""",
    clears="Nothing has to be cleared: the numbers are for the reader.",
    check_record=check_record,
    forbidden={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
stopping_early: wallclock_cap train_time:600040ms step:6667/20000
Serialize: per-group compression done in 97.8s
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
    allowed={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
stopping_early: wallclock_cap train_time:600040ms step:6667/20000
Serialize: per-group compression done in 1.8s
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
)
