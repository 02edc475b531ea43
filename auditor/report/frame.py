"""Code frames: the lines around a finding, numbered, with the place marked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rich.cells import cell_len, set_cell_size

from auditor.report.escape import visible
from auditor.submission.text import split_lines

BEFORE, AFTER = 2, 1  # lines of context
LONGEST = 6  # lines of a marked range that are shown

_CUT = "..."
_TAB = "    "
_STATEMENT = re.compile(r"[^;#\s][^;#]*")  # roughly: up to a semicolon or comment


@dataclass(frozen=True)
class Row:
    """One line of a frame; ``caret`` is the offset and length of the marked part, in cells."""

    number: int
    code: str
    marked: bool = False
    caret: tuple[int, int] | None = None


def source_lines(sources: Mapping[str, str]) -> Callable[[str], list[str]]:
    """The lines of each of these texts, split when first asked for; none of a text that is missing."""
    return cache(lambda path: split_lines(sources[path]) if path in sources else [])


def frame(lines: Sequence[str], line: int, end_line: int, column: int, room: int) -> Iterator[Row]:
    """The rows around ``line``..``end_line`` (from 1), each at most ``room`` cells wide.

    ``column`` (characters, from 0) is where the finding starts; of a line longer than ``room`` the
    part around it is shown. Nothing is yielded for a line that isn't there.
    """
    if not 1 <= line <= len(lines):
        return
    last = max(line, min(end_line, line + LONGEST - 1, len(lines)))
    for number in range(max(1, line - BEFORE), min(len(lines), last + AFTER) + 1):
        raw = lines[number - 1]
        if number == line == last:
            yield _pointed(number, raw, min(column, len(raw)), room)
        else:
            yield Row(number, _clipped(raw, room), marked=line <= number <= last)


def excerpt(lines: Sequence[str], line: int, column: int, room: int) -> str:
    """The code at a place without its indentation, at most ``room`` cells; "" if it isn't there."""
    if not 1 <= line <= len(lines):
        return ""
    raw = lines[line - 1]
    start = _start(raw, column, room)
    return _clipped(raw[start:].lstrip(), room, _CUT if start else "")


def _pointed(number: int, raw: str, column: int, room: int) -> Row:
    """The one marked line, with a caret under the statement at ``column``."""
    start = _start(raw, column, room)
    head = _CUT if start else ""
    code = _clipped(raw[start:], room, head)
    found = _STATEMENT.search(raw, column, start + room)
    if found is None:
        return Row(number, code, marked=True)
    offset = cell_len(head + shown(raw[start : found.start()]))
    length = min(cell_len(shown(found.group().rstrip())), cell_len(code) - offset)
    return Row(number, code, marked=True, caret=(offset, length) if length > 0 else None)


def _start(raw: str, column: int, room: int) -> int:
    """Where the shown part of a line starts, so that ``column`` has code on both sides."""
    return max(0, min(column, len(raw)) - room // 3) if len(raw) > room else 0


def _clipped(raw: str, room: int, head: str = "") -> str:
    code = head + shown(raw[:room])
    if len(raw) <= room and cell_len(code) <= room:
        return code.rstrip()
    return set_cell_size(code, room - len(_CUT)).rstrip() + _CUT


def shown(text: str) -> str:
    """Code as rows show it."""
    return visible(text.replace("\t", _TAB))
