"""Labelled pull requests: one row per pull request, file and rule, read from JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from urllib.parse import quote

REPOSITORY = "https://github.com/openai/parameter-golf"
NEAR = 12  # a clean row in a file with violations speaks of this many lines either way
SOURCE_SUFFIXES = frozenset({".py", ".c", ".cc", ".cpp", ".cu", ".h"})


class Expect(str, Enum):
    """What a reader of the code found; see ``VIOLATION`` .. ``DISPUTED`` in the labels' README."""

    VIOLATION = "violation"
    CLEAN = "clean"  # looks alike and is not it
    INACTIVE = "inactive"  # there, but off under the settings in force
    ACCEPTED = "accepted"  # accepted by the maintainers, not proven clean
    DISPUTED = "disputed"


class LabelError(ValueError):
    """A row that can't be read: says which line and what is wrong with it."""


@dataclass(frozen=True)
class Row:
    """One label. ``line`` is 1-based, in decoded source where the file is packed."""

    pr: int
    sha: str
    path: str
    rule: str
    expect: Expect
    line: int | None
    confidence: str  # high | medium | low
    note: str = ""

    @property
    def link(self) -> str:
        return link(self.sha, self.path, self.line)

    @property
    def names_code(self) -> bool:
        """Whether the row points at a line of code; else any file of the submission will do."""
        return self.line is not None and PurePosixPath(self.path).suffix in SOURCE_SUFFIXES


def link(sha: str, path: str, line: int | None = None) -> str:
    """The address of a line on GitHub; for a decoded payload that of its host file."""
    host, payload, _ = path.partition("!")
    fragment = f"#L{line}" if line is not None and not payload else ""
    return f"{REPOSITORY}/blob/{sha}/{quote(host)}{fragment}"


def read(lines: Iterable[str]) -> list[Row]:
    """The rows of a labels file; raises LabelError at the first that is no label."""
    return [_row(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _row(number: int, line: str) -> Row:
    try:
        data = json.loads(line)
        row = Row(
            pr=int(data["pr"]),
            sha=str(data["sha"]),
            path=str(data["path"]),
            rule=str(data["rule"]),
            expect=Expect(data["expect"]),
            line=None if data.get("line") is None else int(data["line"]),
            confidence=str(data.get("confidence", "low")),
            note=str(data.get("note", "")),
        )
    except KeyError as error:
        raise LabelError(f"line {number} has no {error}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise LabelError(f"line {number} is no label: {error}") from None
    return row
