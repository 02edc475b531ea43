"""Code by kinds of tokens, a line at a time. Colours are the page's business."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    String,
    _TokenType,
)

LONGEST = 1_000  # characters of a line; one that is longer is data, and left blank

_LEXERS = {
    ".py": "python.PythonLexer",
    ".c": "c_cpp.CLexer",
    ".h": "c_cpp.CppLexer",
    ".cc": "c_cpp.CppLexer",
    ".cpp": "c_cpp.CppLexer",
    ".cu": "c_like.CudaLexer",
    ".cuh": "c_like.CudaLexer",
    ".sh": "shell.BashLexer",
    ".json": "data.JsonLexer",
}
_KINDS = (
    (Comment, "c"),
    (Operator.Word, "k"),
    (Keyword, "k"),
    (String, "s"),
    (Number, "n"),
    (Literal, "s"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Builtin, "b"),
    (Name.Decorator, "b"),
)


class Piece(NamedTuple):
    """A part of a line; ``kind`` is c(omment), k(eyword), s(tring), n(umber), f, b or empty."""

    kind: str
    text: str


Line = list[Piece]


def highlighted(path: str, lines: Sequence[str], numbers: Iterable[int]) -> Mapping[int, Line]:
    """These lines (from 1) in pieces; those before them are read for the strings they leave open."""
    found: dict[int, Line] = {number: [] for number in numbers}
    text = "\n".join(
        line if len(line) <= LONGEST else "" for line in lines[: max(found, default=0)]
    )
    at = 1
    for kind, value in _pieces(path, text):
        first, *others = value.split("\n")
        _add(found, at, kind, first)
        for part in others:
            at += 1
            _add(found, at, kind, part)
    return found


def _add(found: dict[int, Line], at: int, kind: str, text: str) -> None:
    if text and at in found:
        found[at].append(Piece(kind, text))


def _pieces(path: str, text: str) -> Iterator[Piece]:
    lexer = _lexer(path.partition("!")[0])  # a payload is code of its host's language
    if lexer is None:
        yield Piece("", text)
        return
    for _, token, value in lexer.get_tokens_unprocessed(text):
        yield Piece(_kind(token), value)


@cache
def _kind(token: _TokenType) -> str:
    return next((kind for group, kind in _KINDS if _within(token, group)), "")


def _within(token: _TokenType, group: _TokenType) -> bool:
    return token[: len(group)] == group


def _lexer(path: str) -> Lexer | None:
    name = _LEXERS.get("." + path.rpartition(".")[2].lower())
    if name is None:
        return None
    module, _, kind = name.partition(".")
    lexer: Lexer = getattr(importlib.import_module(f"pygments.lexers.{module}"), kind)()
    return lexer
