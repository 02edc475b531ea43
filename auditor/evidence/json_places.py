"""Where the values of a JSON text stand: the parser of the standard library gives no lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

Key = str | int

_TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|NaN|-?Infinity|[][{}:,]', re.ASCII
)
_DEEPEST = 40


@dataclass(frozen=True)
class Leaf:
    """A string or number: the keys and list indices that lead to it, its text, its line (from 1)."""

    keys: tuple[Key, ...]
    text: str  # a string without its quotes, a number as written
    line: int
    quoted: bool


def leaves(text: str) -> Iterator[Leaf]:
    """Every string and number of a JSON text in order. Broken JSON gives what stands before."""
    newlines = [found.start() for found in re.finditer("\n", text)]
    keys: list[Key | None] = []  # one for each open object (its current key) or list (its index)
    previous = ""
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            if len(keys) >= _DEEPEST:
                return
            keys.append(0 if word == "[" else None)
        elif word in "}]":
            if not keys:
                return
            keys.pop()
        elif word == ",":
            if keys:
                at = keys[-1]
                keys[-1] = at + 1 if isinstance(at, int) else None
        elif word == ":":
            if not keys or isinstance(keys[-1], int):
                return
            keys[-1] = _unquoted(previous)
        elif None not in keys and word not in ("true", "false", "null"):
            path = tuple(key for key in keys if key is not None)
            line = bisect_left(newlines, token.start()) + 1
            yield Leaf(path, _unquoted(word), line, word.startswith('"'))
        previous = word


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        return str(json.loads(word))
    except ValueError:
        return word[1:-1]
