"""One listing for a finding: its own lines and those of its flow, in the order of each file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from auditor.report.frame import Row, frame
from auditor.report.model import Finding

Lines = Callable[[str], list[str]]


@dataclass(frozen=True)
class Line:
    """A row, the steps (from 1) of the flow that lie on it, and whether lines before it are missing."""

    row: Row
    steps: tuple[int, ...] = ()
    main: bool = False  # the finding's own
    gap: bool = False


@dataclass(frozen=True)
class Excerpt:
    path: str
    lines: tuple[Line, ...]

    @property
    def indent(self) -> int:
        """Spaces with which all of its lines begin."""
        codes = [line.row.code for line in self.lines if line.row.code.strip()]
        return min((len(code) - len(code.lstrip(" ")) for code in codes), default=0)


def listing(finding: Finding, lines_of: Lines, room: int) -> list[Excerpt]:
    """The excerpts of each file, the finding's first; none of a file whose text isn't there."""
    found: dict[str, dict[int, Line]] = {}
    ends = {finding.path: (finding.line, finding.end_line)}
    places = [(finding.path, finding.line, finding.end_line, finding.column)]
    places += [(step.path, step.line, step.line, step.column) for step in finding.steps]
    for path, first, last, column in places:
        rows = found.setdefault(path, {})
        lines = lines_of(path)
        for row in frame(lines, first, last, column, room):
            if row.number == len(lines) and not row.code:
                continue  # what follows a file's last newline
            known = rows.get(row.number)
            if known is None or (row.marked and not known.row.marked):
                rows[row.number] = Line(row)
    for number, step in enumerate(finding.steps, start=1):
        line = found[step.path].get(step.line)
        if line:
            found[step.path][step.line] = replace(line, steps=(*line.steps, number))
    return [
        Excerpt(path, tuple(_ordered(list(rows.values()), ends.get(path, (0, 0)))))
        for path, rows in found.items()
        if rows
    ]


def _ordered(lines: Sequence[Line], own: tuple[int, int]) -> list[Line]:
    ordered = sorted(lines, key=lambda line: line.row.number)
    before = [None, *(line.row.number for line in ordered)]
    return [
        replace(
            line,
            main=own[0] <= line.row.number <= own[1],
            gap=previous is not None and line.row.number > previous + 1,
        )
        for line, previous in zip(ordered, before, strict=False)
    ]
