"""Code as the pages show it: rows in colours, numbered, with the steps of a flow and what is marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup
from rich.cells import cell_len

from auditor.report.frame import Row, excerpt, shown
from auditor.report.highlight import Line as Pieces
from auditor.report.highlight import Piece, highlighted
from auditor.report.links import Links
from auditor.report.listing import Excerpt, Line, Lines

ROOM = 180  # characters of a line of code that are shown


def rows(excerpt: Excerpt, lines_of: Lines, links: Links, anchor: str) -> Markup:
    """The rows of an excerpt: number, steps, code."""
    numbers = (line.row.number for line in excerpt.lines)
    pieces = highlighted(excerpt.path, lines_of(excerpt.path), numbers)
    found = []
    for line in excerpt.lines:
        code = _marked(line.row, excerpt.path, pieces[line.row.number], excerpt.indent)
        found.append(_row(line, code, links.place(excerpt.path, line.row.number), anchor))
    return Markup("").join(found)


def _row(line: Line, code: Markup, href: str, anchor: str) -> Markup:
    row = line.row
    number = Markup('<span class="no">{}</span>').format(row.number)
    if href:
        number = Markup('<a class="no" href="{}">{}</a>').format(href, row.number)
    finding = anchor.rpartition("-")[0]
    steps = Markup("").join(
        Markup('<a class="step" href="#{}-step{}">{}</a>').format(finding, step, step)
        for step in line.steps
    )
    gap = Markup('<span class="gap">&#8943;</span>') if line.gap else Markup("")
    kinds = "row main" if line.main else "row marked" if row.marked else "row"
    return Markup('{}<span class="{}" id="{}-L{}">{}<span class="at">{}</span>{}\n</span>').format(
        gap, kinds, anchor, row.number, number, steps, code
    )


def _marked(row: Row, path: str, pieces: Pieces, indent: int = 0) -> Markup:
    """The row's code in colours, with the place of the finding or step in it marked."""
    known = [Piece(kind, shown(text)) for kind, text in pieces]
    if "".join(piece.text for piece in known).rstrip() != row.code:  # a part of a long line
        known = highlighted(path, [row.code], (1,))[1]
    start, end = _characters(row)
    code, at = Markup(""), 0
    for kind, text in known:
        cuts = sorted(
            {0, len(text), *(min(max(cut - at, 0), len(text)) for cut in (start, end, indent))}
        )
        for first, last in pairwise(cuts):
            if at + first >= indent:
                code += _piece(kind, text[first:last], marked=start <= at + first < end)
        at += len(text)
    return code


def _piece(kind: str, text: str, marked: bool) -> Markup:
    span = Markup('<span class="{}">{}</span>').format(kind, text) if kind else Markup.escape(text)
    return Markup("<mark>{}</mark>").format(span) if marked else span


def _characters(row: Row) -> tuple[int, int]:
    """Where the marked part starts and ends in the row's code, in characters."""
    if row.caret is None:
        return 0, 0
    widths = [cell_len(char) for char in row.code]
    start = _index(widths, row.caret[0])
    return start, _index(widths, sum(row.caret))


def _index(widths: Sequence[int], cells: int) -> int:
    passed = 0
    for at, width in enumerate(widths):
        if passed >= cells:
            return at
        passed += width
    return len(widths)


def one_line(path: str, line: int, column: int, lines_of: Lines) -> Markup:
    code = excerpt(lines_of(path), line, column, ROOM)
    return _marked(Row(line, code), path, []) if code else Markup("")
