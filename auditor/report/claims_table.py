"""Claims against what the logs show, as cells of text for every format for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from auditor.evidence.summary import KINDS, Evidence, Row, Told, comparison
from auditor.report.escape import visible

COLUMNS = {"json": "submission.json", "readme": "README", "title": "title"}
LABELS = {
    "val_bpb": "bits per byte",
    "val_loss": "loss, nats per token",
    "artifact_bytes": "artifact, bytes",
    "model_bytes": "model, bytes",
    "code_bytes": "code, bytes",
    "train_seconds": "training, seconds",
    "eval_seconds": "evaluation, seconds",
    "steps": "steps",
}
ALWAYS = frozenset(("val_bpb", "artifact_bytes", "train_seconds", "eval_seconds"))
NOT_STATED, NO_LOG = "not stated", "no log"
AGREES, DIFFERS, UNKNOWN = "agrees", "differs", ""
_SCORES = ("val_bpb", "val_loss")
STATEMENTS = 4  # of one kind that are shown in a cell


@dataclass(frozen=True)
class Cell:
    """``mark`` is AGREES, DIFFERS or UNKNOWN; ``note`` says with what, or by how much."""

    text: str
    mark: str = UNKNOWN
    note: str = ""
    path: str = ""
    line: int = 0

    @property
    def missing(self) -> bool:
        return self.text in (NOT_STATED, NO_LOG)


@dataclass(frozen=True)
class ClaimRow:
    label: str
    whose: str  # "all runs" or a seed
    shown: Cell
    told: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)  # by kind; never empty


def claim_rows(evidence: Evidence) -> list[ClaimRow]:
    """A row for each quantity of ALWAYS and what is stated, and one for each seed of which it is."""
    return list(_rows(evidence))


def amount(what: str, value: float) -> str:
    """The number with the digits that its quantity has."""
    if not math.isfinite(value):
        return "no number"
    if what in _SCORES:
        return f"{value:.8f}".rstrip("0")
    if what.endswith(("_seconds", "%", ", s")):
        return f"{value:,.1f}"
    return f"{value:,.0f}"


def _rows(evidence: Evidence) -> Iterator[ClaimRow]:
    rows = comparison(evidence)
    kinds = [kind for kind in KINDS if kind != "title" or _titled(rows)]
    stated = {row.what for row in rows if row.told}
    by_run = {row.what for row in rows if row.run and row.told}
    whole = {row.what for row in rows if not row.run}
    for row in rows:
        if row.what not in stated | ALWAYS or (row.run and row.what in whole - by_run):
            continue
        told = {kind: _stated(row, row.told.get(kind, ())) for kind in kinds}
        whose = row.run or ("all runs" if len(evidence.runs) > 1 else "the submission")
        yield ClaimRow(LABELS[row.what], whose, _shown(row), told)


def _titled(rows: Iterable[Row]) -> bool:
    """Whether the title says anything; mostly it isn't known."""
    return any("title" in row.told for row in rows)


def _shown(row: Row) -> Cell:
    if row.shown is None:
        return Cell(NO_LOG)
    note = "" if row.run else row.shown.which
    return Cell(amount(row.what, row.shown.value), UNKNOWN, note, row.shown.path, row.shown.line)


def _stated(row: Row, told: tuple[Told, ...]) -> tuple[Cell, ...]:
    if not told:
        return (Cell(NOT_STATED),)
    cells = [_one(row, each) for each in told[:STATEMENTS]]
    if len(told) > STATEMENTS:
        cells.append(Cell(f"and {len(told) - STATEMENTS} more"))
    return tuple(cells)


def _one(row: Row, told: Told) -> Cell:
    stated = told.stated
    text = amount(row.what, stated.value)
    if row.what in _SCORES:
        text = visible(stated.text, 24)  # the digits that are claimed
    text = f"~{text}" if stated.about else text
    if row.shown is None:
        return Cell(text, UNKNOWN, NO_LOG, stated.path, stated.line)
    if told.agrees_with:
        note = "" if told.agrees_with == row.run else told.agrees_with
        return Cell(text, AGREES, note, stated.path, stated.line)
    return Cell(text, DIFFERS, _by(row, stated.value), stated.path, stated.line)


def _by(row: Row, value: float) -> str:
    """How far the statement is from what the logs show."""
    away = value - row.shown.value if row.shown else 0.0
    sign = "more" if away > 0 else "less"
    digits = 5 if row.what in _SCORES else 1 if row.what.endswith("_seconds") else 0
    return f"{abs(away):,.{digits}f} {sign}"
