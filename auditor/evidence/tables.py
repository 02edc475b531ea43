"""Markdown tables as cells with their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_LONGEST_LINE = 4_000
_DECORATION = re.compile(r"[*`_]{2,}|[`*]|\\(?=_)|<[^>]{0,40}>")


@dataclass(frozen=True)
class Row:
    cells: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Table:
    """``header`` names the columns; ``heading`` is the section heading above."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    heading: str
    line: int


def tables(text: str) -> Iterator[Table]:
    """Every table of a Markdown text, its cells without decoration."""
    if "|" not in text:
        return
    lines = text.splitlines()
    heading, number = "", 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("#"):
            heading = line.lstrip("# ")[:200]
        head = number
        number += 1
        if "|" not in line or number >= len(lines) or not _is_rule(lines[number]):
            continue
        number += 1
        rows = []
        while number < len(lines) and "|" in lines[number]:
            rows.append(Row(_cells(lines[number]), number + 1))
            number += 1
        yield Table(_cells(line), tuple(rows), heading, head + 1)


def _is_rule(line: str) -> bool:
    return "|" in line and len(line) < _LONGEST_LINE and bool(_RULE.fullmatch(line))


def _cells(line: str) -> tuple[str, ...]:
    inner = line[:_LONGEST_LINE].strip().strip("|")
    return tuple(_DECORATION.sub("", cell).strip() for cell in inner.split("|"))
