"""What the evaluator of packed code computes with: plain constants, and stand-ins for the rest."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from auditor.submission.model import Party

ROOT = PurePosixPath("/submission")  # where the evaluated code believes to lie
MAX_VALUE = 32 * 1024 * 1024  # bytes or characters of one value
MAX_ITEMS = 200_000  # elements of one container


@dataclass(frozen=True)
class Opaque:
    """A value that only a run would know. ``reason`` is empty for ordinary run-time values."""

    reason: str = ""
    party: Party = Party.TOOL


UNKNOWN = Opaque()


@dataclass(frozen=True)
class Name:
    """Something known by its dotted name only, such as ``lzma.decompress``."""

    dotted: str


class FileText(str):
    """The unchanged text of a file, remembering which."""

    path: str


class FileBytes(bytes):
    """The unchanged bytes of a file, remembering which."""

    path: str


@dataclass(frozen=True)
class Code:
    """What ``compile`` returns: the source, not compiled."""

    source: Any


@dataclass
class Handle:
    """An open file, real or written by the evaluated code itself."""

    path: str
    data: Any  # bytes, str or Opaque
    writing: bool = False
    position: int = 0


@dataclass(frozen=True)
class Spec:
    """``spec_from_file_location`` and what comes of it: something that runs ``path``."""

    path: Any


@dataclass(frozen=True)
class Module:
    """``types.ModuleType(name)``, and its ``__dict__``: where bundled modules are executed."""

    name: str


@dataclass(frozen=True)
class Stream:
    """A decompressor object of the standard library or of a codec package."""

    dotted: str  # of the function in DECODERS that does the same in one step
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Call:
    """A call with its evaluated arguments."""

    node: ast.Call
    args: list[Any]
    named: dict[str, Any]

    @property
    def line(self) -> int:
        return self.node.lineno

    def argument(self, position: int, name: str, default: Any) -> Any:
        """The argument at ``position`` or of this ``name``."""
        return self.args[position] if len(self.args) > position else self.named.get(name, default)

    def is_known(self) -> bool:
        return is_known(self.args) and is_known(list(self.named.values()))

    def reason(self) -> Opaque:
        return first_reason(self.args, list(self.named.values()))


@dataclass
class Function:
    """A function of the evaluated code."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope


@dataclass
class Scope:
    """Names of one function call or module; ``parent`` is where lookups go on."""

    names: dict[str, Any] = field(default_factory=dict)
    parent: Scope | None = None

    def get(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return Name(name)


class TooLarge(Exception):
    """A value would pass the limits."""


def checked_size(size: int) -> int:
    if size > MAX_VALUE:
        raise TooLarge(f"a value of {size:,} bytes")
    return size


def checked_items(count: int) -> int:
    if count > MAX_ITEMS:
        raise TooLarge(f"a list of {count:,} items")
    return count


def is_known(value: Any) -> bool:
    """Whether ``value`` is a constant, through and through."""
    if isinstance(value, (list, tuple)):
        return all(is_known(item) for item in value)
    if isinstance(value, dict):
        return all(is_known(item) for pair in value.items() for item in pair)
    return value is None or isinstance(
        value, (str, bytes, bytearray, int, float, PurePosixPath, range)
    )


def first_reason(*values: Any) -> Opaque:
    """The most telling of the opaque values among ``values``."""
    flat: list[Any] = []
    for value in values:
        flat.extend(value if isinstance(value, (list, tuple)) else [value])
    opaque = [value for value in flat if isinstance(value, Opaque)]
    return next((value for value in opaque if value.reason), UNKNOWN)


# ---- methods of constants that may be called, with a bound on what each can build ----


def _join(separator: Any, items: Any) -> Any:
    items = list(items)
    checked_items(len(items))
    checked_size(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> Any:
    checked_size(len(value) + (value.count(old) + 1) * len(new))
    return value.replace(old, new, count)


def _split(value: Any, separator: Any = None, maxsplit: int = -1) -> Any:
    checked_items(value.count(separator) if separator else len(value) // 2)
    return value.split(separator, maxsplit)


def _splitlines(value: Any, keepends: bool = False) -> Any:
    checked_items(len(value) // 16)
    return value.splitlines(keepends)


def _to_bytes(
    value: int, length: int = 1, byteorder: str = "big", *, signed: bool = False
) -> bytes:
    checked_size(length)
    return value.to_bytes(length, byteorder, signed=signed)  # type: ignore[arg-type]


def _translate(value: Any, table: Any, delete: bytes = b"") -> Any:
    if isinstance(value, bytes):
        return value.translate(table, delete)
    longest = max((len(v) for v in table.values() if isinstance(v, str)), default=1)
    checked_size(len(value) * max(longest, 1))
    return value.translate(table)


def _decode(value: bytes, encoding: str = "utf-8", errors: str = "strict") -> Any:
    from auditor.submission.decoders import text

    decoded = text(value, encoding, errors)
    if isinstance(value, FileBytes):
        return with_path(FileText(decoded), value.path)
    return decoded


def _encode(value: str, encoding: str = "utf-8", errors: str = "strict") -> bytes:
    if encoding.lower().replace("-", "").replace("_", "") not in (
        "utf8",
        "ascii",
        "latin1",
        "iso88591",
    ):
        raise ValueError(f"the codec {encoding!r} is not known here")
    return value.encode(encoding, errors)


def with_path(value: Any, path: str) -> Any:
    value.path = path
    return value


_PLAIN_TEXT = (
    "strip lstrip rstrip partition rpartition startswith endswith find rfind index rindex count "
    "lower upper swapcase removeprefix removesuffix isdigit"
).split()
_PLAIN: dict[type, tuple[str, ...]] = {
    str: (*_PLAIN_TEXT, "maketrans"),
    bytes: (*_PLAIN_TEXT, "hex"),
    bytearray: ("append", "reverse", "hex"),
    list: ("append", "reverse", "pop", "index", "copy", "count"),
    tuple: ("index", "count"),
    dict: ("get", "items", "keys", "values", "setdefault", "pop", "copy"),
    int: ("bit_length",),
    PurePosixPath: (
        "with_suffix",
        "with_name",
        "with_stem",
        "as_posix",
        "is_absolute",
        "relative_to",
    ),
}
_BOUNDED: dict[type, dict[str, Callable[..., Any]]] = {
    str: {
        "join": _join,
        "replace": _replace,
        "split": _split,
        "splitlines": _splitlines,
        "encode": _encode,
        "translate": _translate,
    },
    bytes: {
        "join": _join,
        "replace": _replace,
        "split": _split,
        "splitlines": _splitlines,
        "decode": _decode,
        "translate": _translate,
    },
    bytearray: {"decode": lambda value, *rest: _decode(bytes(value), *rest)},
    int: {"to_bytes": _to_bytes},
    PurePosixPath: {"joinpath": lambda path, *parts: path.joinpath(*parts)},
}


def method(value: Any, name: str) -> Callable[..., Any] | None:
    """The bound method ``name`` of a constant, if it is one that may be called."""
    for kind in (str, bytes, bytearray, list, tuple, dict, int, PurePosixPath):
        if isinstance(value, kind):
            bounded = _BOUNDED.get(kind, {}).get(name)
            if bounded is not None:
                return lambda *a, **k: bounded(value, *a, **k)
            return getattr(value, name) if name in _PLAIN[kind] else None
    return None
