"""TOML files that people write: read by the kind of value, and every fault named by file and line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

from auditor.report.escape import visible

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Key = tuple[str | int, ...]  # names of tables and keys, and positions in arrays of tables

LONGEST = 2**20  # bytes; a file that a person fills in is far smaller
_SHOWN = 60  # characters of a wrong value that a message quotes

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_SYNTAX_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")


class TomlError(Exception):
    """What is wrong with a file, in one line that starts with ``file:line: `` or ``file: ``."""


class File:
    """The text of a file, where messages find the line of a key."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text

    def place(self, at: Key) -> str:
        """``file:line`` of the key, or of the innermost table around it that has a line of its own."""
        for length in range(len(at), 0, -1):
            if at[:length] in self._lines:
                return f"{self._name}:{self._lines[at[:length]]}"
        return f"{self._name}:1"

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return _lines(self._text)


class Table:
    """One table of a file. What is not asked for by the time of ``close`` is refused."""

    def __init__(self, file: File, data: Mapping[str, Any], at: Key = ()):
        self._file = file
        self._data = data
        self._at = at
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._data

    @property
    def place(self) -> str:
        """``file:line`` of the table."""
        return self._file.place(self._at)

    def text(self, key: str, default: str | None = None) -> str:
        """A string that is not blank."""
        value: str = self._get(key, str, "a text", default)
        if not value.strip() and key in self._data:
            raise self.error("must not be blank", key)
        return value.strip()

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.error(f"is {_quoted(value)}, not one of {', '.join(allowed)}", key)
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """Strings that are not blank."""
        found = self._get(key, list, "a list of texts", default)
        if not all(isinstance(each, str) and each.strip() for each in found):
            raise self.error("must be a list of texts that are not blank", key)
        return tuple(found)

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """An integer of at least ``least``."""
        value: int = self._get(key, int, "a whole number", default)
        if value < least:
            raise self.error(f"must be at least {least}", key)
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        """Positive integers; none where the key is absent."""
        found = self._get(key, list, "a list of whole numbers", ())
        if not all(type(each) is int and each > 0 for each in found):
            raise self.error("must be a list of positive whole numbers", key)
        return tuple(found)

    def number(self, key: str, default: float | None = None) -> float:
        """A positive, finite number."""
        value: float = self._get(key, (int, float), "a number", default)
        if not 0 < value < float("inf"):
            raise self.error("must be a positive number", key)
        return value

    def flag(self, key: str) -> bool:
        value: bool = self._get(key, bool, "true or false", False)
        return value

    def day(self, key: str, default: date | None = None) -> date:
        value: date = self._get(key, date, "a date such as 2026-05-02, without quotes", default)
        if isinstance(value, datetime):
            raise self.error("must be a date such as 2026-05-02, without a time", key)
        return value

    def table(self, key: str) -> Table:
        """A table; an empty one where it is absent."""
        data = self._get(key, dict, "a table", {})
        return Table(self._file, data, (*self._at, key))

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of an array ``[[key]]``."""
        found = self._get(key, list, f"an array of tables, each headed [[{key}]]", ())
        for number, data in enumerate(found):
            if not isinstance(data, dict):
                raise self.error(f"must be an array of tables, each headed [[{key}]]", key)
            yield Table(self._file, data, (*self._at, key, number))

    def names(self) -> list[str]:
        """Every key, in the order of the file; they count as asked for."""
        self._asked.update(self._data)
        return list(self._data)

    def close(self) -> None:
        """Refuses a key that nothing asked for: most often a typing error."""
        for key in self._data:
            if key not in self._asked:
                import difflib

                near = difflib.get_close_matches(key, self._asked, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self.error(f"is not a key that belongs here{hint}", key)

    def error(self, what: str, key: str | None = None) -> TomlError:
        """What is wrong with the table, or with one of its keys."""
        at = self._at if key is None else (*self._at, key)
        subject = "" if key is None else f"{_quoted(key)} "
        return TomlError(f"{self._file.place(at)}: {subject}{what}")

    def _get(self, key: str, kind: Any, words: str, default: Any) -> Any:
        self._asked.add(key)
        if key not in self._data:
            if default is None:
                raise self.error(f"lacks {key!r}, {words}")
            return default
        value = self._data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(f"must be {words}", key)
        return value


def read(path: str | os.PathLike[str]) -> Table:
    """The file's top table; raises TomlError where it can't be read or is no TOML."""
    name = visible(os.fspath(path))
    try:
        with open(path, "rb") as stream:
            data = stream.read(LONGEST + 1)
    except OSError as error:
        raise TomlError(f"{name}: can't be read: {error.strerror}") from error
    if len(data) > LONGEST:
        raise TomlError(f"{name}: is larger than {LONGEST:,} bytes")
    try:
        return parse(data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise TomlError(f"{name}: is not UTF-8") from error


def parse(text: str, file: str) -> Table:
    """The top table of ``text``; ``file`` names it in messages."""
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise TomlError(f"{file}: is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, and dates and numbers that can't be
        what = visible(str(error), 200)
        found = _SYNTAX_PLACE.search(what)
        line = f":{found[1]}" if found else ""
        raise TomlError(f"{file}{line}: is no TOML: {_SYNTAX_PLACE.sub('', what)}") from error
    return Table(File(file, text), data)


def _lines(text: str) -> dict[Key, int]:
    """The line of each header and assignment, as far as they are written one to a line.

    Inline tables and unusual spellings lack an entry, and a message then names what encloses them.
    """
    found: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    prefix: Key = ()
    quote = ""  # of the multi-line text that is open
    for number, line in enumerate(text.split("\n"), start=1):
        if quote:
            if line.count(quote) % 2:
                quote = ""
            continue
        header = _HEADER.match(line)
        if header:
            prefix = _names(header[2])
            if header[1] == "[[":
                index = counts[prefix] = counts.get(prefix, -1) + 1
                prefix = (*prefix, index)
            found.setdefault(prefix, number)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            found.setdefault((*prefix, *_names(assignment[1])), number)
        quote = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return found


def _names(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _quoted(text: str) -> str:
    return f"'{visible(text, _SHOWN)}'"
