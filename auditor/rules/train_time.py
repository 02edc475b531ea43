"""train-time: training took longer than it may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure, Phase, RunLog
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import (
    accused,
    calibration_steps,
    late_training_data,
    named,
    seconds,
    timed_runs,
    unclear,
    unmeasured,
    worst_note,
)

_SITE = "https://github.com/openai/parameter-golf/"
_LET_PASS = 1.0  # seconds over, beyond one step: stop flags are exchanged and clocks read late


def check_record(record: Record) -> Iterable[Finding]:
    runs = timed_runs(record)
    if not runs:
        raise NotChecked("no log states how long training took")
    over = [(run, clock) for run, clock in runs if clock.value > record.limits.train_seconds]
    yield from worst_note((clock.value, _overrun(record, run, clock)) for run, clock in over)
    yield from _untimed(record, runs)


def _overrun(record: Record, run: Run, clock: Figure) -> Finding:
    """A training clock beyond the limit: by how much, and what is to be said for it."""
    log, limit = run.log, record.limits.train_seconds
    over = clock.value - limit
    took = f"{named(log)} trained for {seconds(clock.value)}, {seconds(over)} more than {limit:g} s"
    step = clock.value / log.steps.value if log.steps and log.steps.value else 0.0
    excuse = unmeasured(record, log)
    if excuse:
        level, message = Level.NOTE, f"{took}; {excuse}"
    elif over <= step:
        level, message = Level.NOTE, f"{took}: less than one step of {seconds(step)}"
    elif over <= _LET_PASS:
        level, message = Level.NOTE, f"{took}; overruns within a second were let pass"
    elif clock.value <= record.limits.accepted_train_seconds:
        level, message = accused(took, _accepted(record))
    else:
        level, message = accused(took, unclear(run))
    return RULE.finding(level, log.path, clock.line, message, steps=_cap(log, clock, limit))


def _accepted(record: Record) -> str:
    most = record.limits.accepted_train_seconds
    return f"a record of {seconds(most)}, with calibration, was accepted (#2135)"


def _cap(log: RunLog, clock: Figure, limit: float) -> Iterator[Step]:
    """The run's own setting of the limit, where it is another."""
    own = log.settings.get("max_wallclock_seconds")
    try:
        if own is not None and float(own.text) > limit:
            yield Step(log.path, own.line, f"the run sets its own limit to {float(own.text):g} s")
            yield Step(log.path, clock.line, "and trains as long")
    except ValueError:
        return


def _untimed(record: Record, runs: list[tuple[Run, Figure]]) -> Iterator[Finding]:
    """Training data that is read after the clock, for longer than was ever accepted."""
    most = record.limits.accepted_train_seconds
    long = [
        (clock.value + after, run.log, clock)
        for run, clock in runs
        if (after := run.log.seconds(Phase.CALIBRATION))
        and clock.value <= most < clock.value + after
        if not unmeasured(record, run.log)
    ]
    late = late_training_data(record) if long else None
    if not late:
        return
    total, log, clock = max(long, key=lambda one: one[0])
    level, message = accused(
        f"training data is read after the clock: {named(log)} trained and calibrated for {seconds(total)}",
        f"{_accepted(record)}, none longer",
    )
    steps = [*late[0].steps, *calibration_steps(log, clock)]
    yield RULE.finding(level, late[0].path, late[0].line, message, steps=steps)


RULE = Rule(
    slug="train-time",
    code="B2",
    title="training took longer than 600 s",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "pull/1028"),
    page="""\
A leaderboard entry trains for at most 600 s on 8xH100 SXM. What counts is the training clock as the
run's log states it when it stops, not the limit that was set.

The clock is read between steps, so one step more is a note, and so is an overrun within a second. Up
to the longest time that was accepted with calibration included, an overrun is a suspect. Warm-up
before the clock starts is accepted. Training data that is read after the clock is for the rule
late-calibration, and a suspect here too once both together exceed what was ever accepted.

Times on fewer or other GPUs, and of entries that are not for the leaderboard, are stated as notes.
""",
    blind_spots="""\
- The clock is the run's own, as its log prints it. What the script leaves out of it is not seen here.
- A run on other hardware than the challenge's is a note.
""",
    clears="Show logs of 8xH100 SXM runs whose training clock stops within 600 s.",
    check_record=check_record,
    forbidden={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
step:7000/20000 train_loss:2.0400 train_time:630000ms step_avg:90.00ms
stopping_early: wallclock_cap train_time:630010ms step:7001/20000
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
    allowed={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
step:6666/20000 train_loss:2.0400 train_time:599950ms step_avg:90.00ms
stopping_early: wallclock_cap train_time:600040ms step:6667/20000
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
)
