"""eval-time: the evaluation that gives the score took longer than it may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Phase, Score, Stage
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import accused, named, seconds, unclear, unmeasured, worst_note

_SITE = "https://github.com/openai/parameter-golf/"


def check_record(record: Record) -> Iterable[Finding]:
    timed = [(run, own_stage(run)) for run in record.runs]
    yield from worst_note(_judged(record, timed))
    if all(own is None for _, own in timed):
        raise NotChecked("no log states how long the evaluation behind the score took")


def _judged(
    record: Record, timed: list[tuple[Run, Stage | None]]
) -> Iterator[tuple[float, Finding]]:
    """A finding for each run that exceeds the limit, with its seconds."""
    limit = record.limits.eval_seconds
    for run, own in timed:
        stages = _after_training(run)
        total = sum(s.seconds for s in stages)
        if own is not None and own.seconds > limit:
            yield own.seconds, _too_long(record, run, own)
        elif total > limit:
            yield total, _together(run, own, stages)


def own_stage(run: Run) -> Stage | None:
    """The timed stage of the evaluation that gave the headline score.

    Where several lines state the score with a time, the shortest: the others summarise the run.
    """
    if run.headline is None:
        return None
    stages = [s for s in run.log.stages if s.phase is Phase.EVAL]
    own = [s for s in stages if _is_of(s, run.headline, run.log.scores)]
    return min(own, key=lambda s: s.seconds, default=None)


def _is_of(stage: Stage, headline: Score, scores: tuple[Score, ...]) -> bool:
    """Whether a stage's line states the headline score or one that differs by rounding only."""
    if stage.line == headline.line:
        return True
    return any(
        s.line == stage.line
        and s.step is None
        and s.val_bpb is not None
        and headline.val_bpb is not None
        and abs(s.val_bpb - headline.val_bpb) < 1e-4
        for s in scores
    )


def _too_long(record: Record, run: Run, own: Stage) -> Finding:
    limit = record.limits.eval_seconds
    took = (
        f"the evaluation that gives the score of {named(run.log)} took {seconds(own.seconds)}, "
        f"{seconds(own.seconds - limit)} more than {limit:g} s"
    )
    excuse = unmeasured(record, run.log)
    if excuse:
        level, message = Level.NOTE, f"{took}; {excuse}"
    else:
        level, message = accused(took, unclear(run))
    return RULE.finding(level, run.log.path, own.line, message)


def _after_training(run: Run) -> list[Stage]:
    during = {score.line for score in run.log.scores if score.step is not None}
    return [
        s for s in run.log.stages if s.phase is Phase.EVAL and not s.nested and s.line not in during
    ]


def _together(run: Run, own: Stage | None, stages: list[Stage]) -> Finding:
    """All evaluations after training, where only their sum exceeds the limit."""
    total = sum(s.seconds for s in stages)
    alone = f"; the one that gives the score took {seconds(own.seconds)}" if own else ""
    message = f"{named(run.log)} evaluated for {seconds(total)} in all after training, diagnostics included{alone}"
    steps = [Step(run.log.path, s.line, f"{s.label}: {seconds(s.seconds)}") for s in stages]
    at = own or max(stages, key=lambda s: s.seconds)
    return RULE.finding(Level.NOTE, run.log.path, at.line, message, steps=steps[-12:])


RULE = Rule(
    slug="eval-time",
    code="B3",
    title="evaluation took longer than 600 s",
    status="RULED",
    sources=(
        _SITE + "blob/main/README.md",
        _SITE + "pull/529",
        _SITE + "pull/1972",
        _SITE + "pull/2121",
        _SITE + "pull/1868",
    ),
    page="""\
Evaluation has 600 s on 8xH100 SXM of its own, beside the 600 s of training. What counts is the time
that the log states for the evaluation which gives the claimed score, with everything that it needs:
tables that are filled, test-time training.

Compiling on random tokens before the timer starts was accepted (#1868), and so were diagnostics on
the way: where only the sum of all evaluations after training exceeds 600 s, a note says so.

Times on fewer or other GPUs, and of entries that are not for the leaderboard, are stated as notes.
""",
    blind_spots="""\
- The clock is the run's own, as its log prints it: which work lies inside of it, only a run shows.
- The sum of all evaluations after training is a note, because diagnostics are not part of the limit.
""",
    clears="Show logs of 8xH100 SXM runs whose evaluation takes at most 600 s.",
    check_record=check_record,
    forbidden={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
stopping_early: wallclock_cap train_time:600040ms step:6667/20000
final_int8_zlib_roundtrip val_loss:2.0400 val_bpb:1.2100 eval_time:2000ms
final_int8_sliding_window val_loss:2.0300 val_bpb:1.2000 stride:16 eval_time:655000ms
final_int8_sliding_window_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
    allowed={
        "submission.json": '{"val_bpb": 1.2}\n',
        "train_seed1.log": """\
seed:1
world_size:8
stopping_early: wallclock_cap train_time:600040ms step:6667/20000
final_int8_zlib_roundtrip val_loss:2.0400 val_bpb:1.2100 eval_time:2000ms
final_int8_sliding_window val_loss:2.0300 val_bpb:1.2000 stride:64 eval_time:155000ms
final_int8_sliding_window_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
)
