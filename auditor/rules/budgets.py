"""What the rules on time and bytes share: whose run it is, and whether its clock counts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure, Phase, RunLog
from auditor.report.model import Finding, Level, Step
from auditor.rules.steps import call_site

UNCLAIMED = "the claimed score is on no line of this log"


def named(log: RunLog) -> str:
    """The run as a reader knows it."""
    if log.seed is not None:
        return f"the run of seed {log.seed.value:.0f}"
    return f"the run in {posixpath.basename(log.path)}"


def unmeasured(record: Record, log: RunLog) -> str:
    """Why the run's times are not held against the limits, empty if they are.

    The limits are for leaderboard entries on 8xH100 SXM; on fewer or other accelerators the same
    work takes another time.
    """
    if not record.claims.record:
        return "it is not entered for the leaderboard"
    wanted = record.limits.world_size
    if log.world_size is not None and log.world_size.value != wanted:
        return f"it ran on {log.world_size.value:.0f} GPU{'s' * (log.world_size.value != 1)}, not on {wanted}"
    for stack, maker in (("mlx", "Apple"), ("rocm", "AMD")):
        if stack in log.software:
            return f"it ran on accelerators of {maker}, not on H100 SXM"
    if log.hardware is not None and not _is_h100_sxm(log.hardware.text):
        return f"it ran on {log.hardware.text}, not on H100 SXM"
    return ""


def _is_h100_sxm(name: str) -> bool:
    upper = name.upper()
    return "H100" in upper and "PCIE" not in upper and "NVL" not in upper


def seconds(value: float) -> str:
    """A duration for a sentence: to the millisecond where that decides."""
    return f"{value:,.3f}".rstrip("0").rstrip(".") + " s"


def worst_note(found: Iterable[tuple[float, Finding]]) -> Iterator[Finding]:
    """Every finding above note, and of the notes the one with the largest figure."""
    figures = list(found)
    yield from (finding for _, finding in figures if finding.level is not Level.NOTE)
    notes = [pair for pair in figures if pair[1].level is Level.NOTE]
    if notes:
        yield max(notes, key=lambda pair: pair[0])[1]


def timed_runs(record: Record) -> list[tuple[Run, Figure]]:
    """The runs behind the score that state their training clock; else any run that does."""
    behind = [run for run in record.runs if run.log.train_seconds is not None]
    runs = behind or [Run(log, None) for log in record.logs]
    return [(run, run.log.train_seconds) for run in runs if run.log.train_seconds is not None]


def accused(text: str, gap: str = "") -> tuple[Level, str]:
    """The level of a proven excess and its sentence, weaker where ``gap`` says what is missing."""
    if gap:
        return Level.SUSPECT, f"appears to break: {text}; {gap}"
    return Level.VIOLATION, f"breaks: {text}"


def unclear(run: Run) -> str:
    """What the log leaves open about whose times these are, empty if nothing."""
    if not run.claimed:
        return UNCLAIMED
    return "" if run.log.world_size is not None else "the log doesn't say on how many GPUs"


@dataclass(frozen=True)
class Late:
    """Where a model runs on training data after the training loop: the line that calls for it."""

    path: str
    line: int
    steps: tuple[Step, ...]


def late_training_data(record: Record) -> list[Late] | None:
    """The places where training data is read after the clock; None if the code can't tell."""
    training = record.program.training if record.program is not None else None
    if training is None or training.loop is None or training.end is None:
        return None
    loop = training.loop
    found: dict[tuple[str, int], Late] = {}
    for node in training.late:
        path, line = call_site(node, training.end)
        steps = (
            Step(loop.path, getattr(loop.at, "lineno", 1), "the clock stops with this loop"),
            Step(path, line, "training data is asked for afterwards"),
            Step(node.path, node.line, "and the model runs on it", node.column),
        )
        found.setdefault((path, line), Late(path, line, steps))
    return list(found.values())


def calibration_steps(log: RunLog, clock: Figure) -> Iterator[Step]:
    """The lines of the log that time training and what is calibrated after it."""
    yield Step(log.path, clock.line, f"the clock stops at {seconds(clock.value)}")
    for stage in log.stages:
        if stage.phase is Phase.CALIBRATION and not stage.nested:
            yield Step(log.path, stage.line, f"calibration takes {seconds(stage.seconds)}")
