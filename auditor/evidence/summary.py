"""What a report shows of the evidence: runs, claims, and claims against what the logs show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean

from auditor.evidence.claims import Claims, Stated
from auditor.evidence.headline import seed_of
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Phase, Progress, Stage
from auditor.rulesets import Limits

POINTS = 160  # of a running score that are kept, per run
KINDS = ("json", "readme", "title")  # where something is stated, most binding first


@dataclass(frozen=True)
class Evidence:
    """Numbers with their places, no verdicts. Logs come without settings and unread lines."""

    runs: tuple[Run, ...]
    claims: Claims
    limits: Limits


@dataclass(frozen=True)
class Shown:
    """What the logs show of a quantity: of one run, or of all as their mean or extreme."""

    value: float
    which: str  # "seed 42", "mean of 3", "largest of 3"
    path: str = ""  # of one run: the log and the line that state it
    line: int = 0


@dataclass(frozen=True)
class Told:
    """A statement and what it agrees with: ``which`` of something shown, empty if with nothing."""

    stated: Stated
    agrees_with: str = ""


@dataclass(frozen=True)
class Row:
    """One quantity of one run, or of the whole submission: what the logs show, what is stated."""

    what: str
    seed: int | None
    run: str  # its seed or its log; empty for the whole submission
    shown: Shown | None
    told: Mapping[str, tuple[Told, ...]] = field(default_factory=dict)  # by kind, those stated


def evidence(record: Record) -> Evidence:
    """The evidence without what no report shows."""
    return Evidence(tuple(map(_thin, record.runs)), record.claims, record.limits)


def comparison(evidence: Evidence) -> tuple[Row, ...]:
    """A row for each quantity and seed that is stated or shown, the whole before its seeds."""
    return tuple(row for what in QUANTITIES for row in _rows(what, evidence))


Reading = Callable[[Run], "tuple[float, int] | None"]  # a run's value and the line that states it


def figure(name: str, factor: float = 1) -> Reading:
    """Reads a figure of the log."""

    def reading(run: Run) -> tuple[float, int] | None:
        found = getattr(run.log, name)
        return (found.value * factor, found.line) if found else None

    return reading


def total_bytes(run: Run) -> tuple[float, int] | None:
    """Code and model: the log's own sum, else made from its parts."""
    log = run.log
    if log.total_bytes is None and log.code_bytes and log.model_bytes:
        return log.code_bytes.value + log.model_bytes.value, log.model_bytes.line
    return figure("total_bytes")(run)


def _score(run: Run, name: str) -> tuple[float, int] | None:
    value = getattr(run.headline, name, None)
    return (value, run.headline.line) if run.headline and value is not None else None


def _eval_stages(run: Run) -> list[Stage]:
    return [s for s in run.log.stages if s.phase is Phase.EVAL and not s.nested]


def _eval(run: Run) -> tuple[float, int] | None:
    stages = _eval_stages(run)
    return (run.log.seconds(Phase.EVAL), stages[-1].line) if stages else None


QUANTITIES: Mapping[str, Reading] = {
    "val_bpb": lambda run: _score(run, "val_bpb"),
    "val_loss": lambda run: _score(run, "val_loss"),
    "artifact_bytes": total_bytes,
    "model_bytes": figure("model_bytes"),
    "code_bytes": figure("code_bytes"),
    "train_seconds": figure("train_seconds"),
    "eval_seconds": _eval,
    "steps": figure("steps"),
}


def name_of(run: Run) -> str:
    """The run for the reader: its seed, or its log where none is told."""
    seed = seed_of(run.log)
    return run.log.path.rpartition("/")[2] if seed is None else f"seed {seed}"


def _rows(what: str, evidence: Evidence) -> Iterator[Row]:
    each = list(_shown(what, evidence.runs))
    parts = list(_parts(what, evidence.runs))
    stated = [s for s in evidence.claims.of(what) if _final(s)]
    overall = [s for s in stated if s.seed is None]
    if overall or len(each) > 1:
        shown = _overall(what, [shown for _, shown in each])
        candidates = [*shown, *(found for _, found in (*each, *parts))]
        yield Row(what, None, "", shown[0] if shown else None, _told(overall, candidates))
    for seed, found in each:
        if len(each) > 1 or not overall or any(s.seed == seed for s in stated if seed):
            own = [s for s in stated if seed is not None and s.seed == seed]
            candidates = [found, *(part for whose, part in parts if whose == seed)]
            yield Row(what, seed, found.which, found, _told(own, candidates))
    seen = {seed for seed, _ in each}
    for seed in dict.fromkeys(s.seed for s in stated):
        if seed is not None and seed not in seen:
            unseen = _told((s for s in stated if s.seed == seed), [])
            yield Row(what, seed, f"seed {seed}", None, unseen)


def _final(stated: Stated) -> bool:
    """Whether it speaks of a run's end, not of a baseline, an intermediate state or a spread."""
    if stated.what == "val_bpb":
        return stated.headline
    return stated.role == "final" and stated.of != "std"


def _shown(what: str, runs: Iterable[Run]) -> Iterator[tuple[int | None, Shown]]:
    for run in runs:
        found = QUANTITIES[what](run)
        if found is not None:
            yield seed_of(run.log), Shown(found[0], name_of(run), run.log.path, found[1])


def _parts(what: str, runs: Iterable[Run]) -> Iterator[tuple[int | None, Shown]]:
    """The stages of an evaluation: a statement may speak of one of them."""
    for run in runs if what == "eval_seconds" else ():
        for stage in _eval_stages(run):
            which = f"{stage.label} of {name_of(run)}"
            yield seed_of(run.log), Shown(stage.seconds, which, run.log.path, stage.line)


def _overall(what: str, each: list[Shown]) -> list[Shown]:
    """Mean and largest value over the runs; first the one that submissions usually state."""
    if len(each) < 2:
        return each
    values = [shown.value for shown in each]
    mean = Shown(fmean(values), f"mean of {len(each)}")
    largest = Shown(max(values), f"largest of {len(each)}")
    return [largest, mean] if what.endswith("_bytes") else [mean, largest]


def _told(stated: Iterable[Stated], shown: list[Shown]) -> dict[str, tuple[Told, ...]]:
    """The statements by kind, each value once, with what it agrees with."""
    found: dict[str, dict[float, Told]] = {}
    for each in stated:
        fits = next((s.which for s in shown if each.agrees(s.value)), "")
        found.setdefault(each.kind, {}).setdefault(each.value, Told(each, fits))
    return {kind: tuple(found[kind].values()) for kind in KINDS if kind in found}


def _thin(run: Run) -> Run:
    log = replace(
        run.log,
        settings={},
        unread=(),
        source_lines=(),
        scores=(),
        progress=_sampled(run.log.progress),
    )
    return replace(run, log=log)


def _sampled(points: tuple[Progress, ...]) -> tuple[Progress, ...]:
    """At most POINTS of them, evenly spread, the first and last among them."""
    if len(points) <= POINTS:
        return points
    last = len(points) - 1
    return tuple(points[round(n * last / (POINTS - 1))] for n in range(POINTS))
