"""The messages of a log: its lines without printed source, time stamps, colours and other ranks."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_LINE = 4000  # characters; what follows is not read
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STAMP = (
    r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"|\[?\d\d:\d\d:\d\d[\d.,]*\]?"
    r"|\d{10}\.\d{1,6}"
)
_PREFIX = re.compile(
    rf"\s*(?:(?:{_STAMP}|\[(?:rank|default|gpu|proc)?[ _:]?(?P<rank>\d{{1,2}})\]:?|\[?INFO\]?)[\s:|-]*){{1,4}}"
    r"(?=\S)"
)
_FIRST = frozenset("[0123456789I \t")
_RANK = re.compile(r"\brank[ :=_]?(\d{1,3})\b|^\W*r([1-9]\d?)\b")
_SEEN_AGAIN = 12  # characters of a line's beginning; found a second time, two ranks wrote at once


def messages(
    lines: list[str], source: list[tuple[int, int]], start: int = 0
) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and messages, of the first rank only where lines tell their rank.

    ``source`` are half-open ranges of indices that hold printed code.
    """
    skip = iter([*source, (len(lines), len(lines))])
    begin, end = next(skip)
    previous = ""
    index = start
    while index < len(lines):
        if index >= begin:
            index = max(index, end)
            begin, end = next(skip, (len(lines), len(lines)))
            continue
        line = lines[index]
        index += 1
        if not line or line == previous:  # a copy: written by several ranks, or to log and terminal
            continue
        previous = line
        text = message(line)
        if text:
            yield index, text


def message(line: str) -> str:
    """The line without what stands around it; empty for a rank other than the first."""
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE]
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    if line[:1] in _FIRST:
        prefix = _PREFIX.match(line)
        if prefix:
            if prefix["rank"] and int(prefix["rank"]) > 0:
                return ""
            line = line[prefix.end() :]
    if "rank" in line:
        rank = _RANK.search(line)
        if rank and int(rank[1] or rank[2]) > 0:
            return ""
    line = line.strip()
    again = line.find(line[:_SEEN_AGAIN], 1) if len(line) > 2 * _SEEN_AGAIN else -1
    return line[:again] if again >= _SEEN_AGAIN else line
