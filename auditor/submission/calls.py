"""What the evaluator may call, by name: harmless functions of Python and its standard library."""

from __future__ import annotations

import lzma
import posixpath
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from auditor.submission import decoders
from auditor.submission.values import (
    ROOT,
    UNKNOWN,
    Call,
    Code,
    Handle,
    Module,
    Name,
    Opaque,
    Scope,
    Spec,
    Stream,
    TooLarge,
    checked_items,
    checked_size,
    first_reason,
)

if TYPE_CHECKING:
    from auditor.submission.evaluate import Evaluator

TEMPORARY = "/tmp/line-"  # temporary files and folders, by the line that makes them


def _bytes(value: Any = b"", *rest: Any) -> bytes:
    if isinstance(value, int):
        return bytes(checked_size(value))
    if isinstance(value, str):
        return value.encode(*rest)
    return bytes(value)


def _int(value: Any = 0, *base: int) -> int:
    if isinstance(value, (str, bytes)) and len(value) > 4000:
        raise TooLarge(f"an integer of {len(value):,} digits")
    return int(value, *base)


def _str(value: Any = "", *encoding: str) -> str:
    if isinstance(value, bytes):
        return decoders.text(value, *encoding)
    if isinstance(value, (list, tuple, dict)):
        raise TooLarge("the text of a container")
    return value if isinstance(value, str) else str(value)


def _listed(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> list[Any]:
        for argument in arguments:
            if hasattr(argument, "__len__"):
                checked_items(len(argument))
        return list(function(*arguments))

    return call


def _json(value: Any) -> Any:
    import json

    return json.loads(value)


def _getattr(evaluator: Evaluator, call: Call) -> Any:
    name = call.argument(1, "name", UNKNOWN)
    return evaluator.attribute(call.args[0], name) if isinstance(name, str) else UNKNOWN


def _import(evaluator: Evaluator, call: Call) -> Any:
    name = call.argument(0, "name", UNKNOWN)
    return Name(name) if isinstance(name, str) else UNKNOWN


def _compile(evaluator: Evaluator, call: Call) -> Any:
    source = call.argument(0, "source", UNKNOWN)
    return source if isinstance(source, (Opaque, Name)) else Code(source)


def _open(evaluator: Evaluator, call: Call) -> Any:
    return evaluator.open(call.argument(0, "file", UNKNOWN), call.argument(1, "mode", "r"))


def _open_packed(dotted: str) -> Callable[..., Any]:
    def opened(evaluator: Evaluator, call: Call) -> Any:
        handle = evaluator.open(call.argument(0, "filename", UNKNOWN), "rb")
        if not isinstance(handle, Handle) or isinstance(handle.data, Opaque):
            return handle
        unpacked = evaluator.call(Call(call.node, [handle.data], {}), Name(dotted), Scope())
        is_text = "t" in str(call.argument(1, "mode", "rb"))
        if isinstance(unpacked, bytes) and is_text:
            unpacked = decoders.text(unpacked)
        return Handle(handle.path, unpacked)

    return opened


def _memory_file(evaluator: Evaluator, call: Call) -> Any:
    return Handle("<memory>", call.argument(0, "initial_bytes", b""), writing=True)


def _map(evaluator: Evaluator, call: Call) -> Any:
    items = evaluator.items(call.args[1]) if len(call.args) == 2 else None
    if items is None:
        return call.reason()
    out = []
    for item in items:
        out.append(evaluator.call(Call(call.node, [item], {}), call.args[0], Scope()))
        checked_items(len(out))
    return out


def _path(evaluator: Evaluator, call: Call) -> Any:
    if not all(isinstance(part, (str, PurePosixPath)) for part in call.args):
        return call.reason()
    return PurePosixPath(*call.args)


def _spec(evaluator: Evaluator, call: Call) -> Any:
    path = call.argument(1, "location", UNKNOWN)
    return Spec(path if isinstance(path, (str, PurePosixPath)) else first_reason(path))


def _same(evaluator: Evaluator, call: Call) -> Any:
    return call.args[0] if call.args and isinstance(call.args[0], Spec) else UNKNOWN


def _temporary(evaluator: Evaluator, call: Call) -> str:
    suffix = call.argument(0, "suffix", "")
    return f"{TEMPORARY}{call.line}{suffix if isinstance(suffix, str) else ''}"


def _temporary_file(evaluator: Evaluator, call: Call) -> Any:
    mode = call.argument(0, "mode", "w+b")
    suffix = call.named.get("suffix", "")
    path = f"{TEMPORARY}{call.line}{suffix if isinstance(suffix, str) else ''}"
    return Handle(path, b"" if "b" in str(mode) else "", writing=True)


def _module(evaluator: Evaluator, call: Call) -> Any:
    name = call.argument(0, "name", UNKNOWN)
    return Module(name) if isinstance(name, str) else UNKNOWN


def _stream(dotted: str, *names: str) -> Callable[..., Any]:
    def made(evaluator: Evaluator, call: Call) -> Any:
        given = dict(zip(names, call.args, strict=False))
        given.update({k: v for k, v in call.named.items() if k in names})
        return Stream(dotted, tuple(given.items())) if call.is_known() else UNKNOWN

    return made


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "str": _str,
    "bytes": _bytes,
    "bytearray": lambda *arguments: bytearray(_bytes(*arguments)),
    "memoryview": bytes,
    "int": _int,
    "int.from_bytes": lambda data, order="big", **k: int.from_bytes(data[:4096], order, **k),
    "len": len,
    "ord": ord,
    "chr": chr,
    "bool": bool,
    "min": min,
    "max": max,
    "range": range,
    "list": _listed(lambda items=(): items),
    "tuple": lambda items=(): tuple(_listed(lambda i: i)(items)),
    "dict": lambda items=(), **names: {**dict(items), **names},
    "zip": _listed(zip),
    "enumerate": _listed(enumerate),
    "reversed": _listed(reversed),
    "sorted": _listed(sorted),
    "repr": lambda value: repr(value) if isinstance(value, (str, bytes, int)) else UNKNOWN,
    "json.loads": _json,
    "str.maketrans": str.maketrans,
    "bytes.maketrans": bytes.maketrans,
    "textwrap.dedent": lambda value: __import__("textwrap").dedent(value),
    "os.fspath": str,
    "os.path.join": posixpath.join,
    "os.path.dirname": posixpath.dirname,
    "os.path.basename": posixpath.basename,
    "os.path.splitext": posixpath.splitext,
    "os.path.normpath": posixpath.normpath,
    "os.path.abspath": lambda path: posixpath.normpath(posixpath.join(str(ROOT), path)),
    "os.path.realpath": lambda path: posixpath.normpath(posixpath.join(str(ROOT), path)),
    "os.path.expanduser": str,
    "os.getcwd": lambda: str(ROOT),
    "tempfile.gettempdir": lambda: "/tmp",
}
SPECIAL: dict[str, Callable[..., Any]] = {
    "getattr": _getattr,
    "__import__": _import,
    "importlib.import_module": _import,
    "compile": _compile,
    "open": _open,
    "io.open": _open,
    "lzma.open": _open_packed("lzma.decompress"),
    "gzip.open": _open_packed("gzip.decompress"),
    "bz2.open": _open_packed("bz2.decompress"),
    "io.BytesIO": _memory_file,
    "io.StringIO": _memory_file,
    "map": _map,
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "pathlib.PosixPath": _path,
    "importlib.util.spec_from_file_location": _spec,
    "importlib.util.module_from_spec": _same,
    "importlib.machinery.SourceFileLoader": _spec,
    "tempfile.mkdtemp": _temporary,
    "tempfile.mktemp": _temporary,
    "tempfile.TemporaryDirectory": _temporary,
    "tempfile.mkstemp": lambda *a: (UNKNOWN, _temporary(*a)),
    "tempfile.NamedTemporaryFile": _temporary_file,
    "types.ModuleType": _module,
    "zstandard.ZstdDecompressor": _stream("zstandard.decompress"),
    "lzma.LZMADecompressor": _stream("lzma.decompress", "format", "memlimit", "filters"),
    "bz2.BZ2Decompressor": _stream("bz2.decompress"),
    "zlib.decompressobj": _stream("zlib.decompress", "wbits"),
    "brotli.Decompressor": _stream("brotli.decompress"),
}


def _lzma_constants() -> dict[str, Any]:
    names = [
        n
        for n in dir(lzma)
        if n.startswith(("FORMAT_", "FILTER_", "PRESET_", "CHECK_", "MF_", "MODE_"))
    ]
    found: dict[str, Any] = {f"lzma.{n}": getattr(lzma, n) for n in names}
    return {**found, "zlib.MAX_WBITS": zlib.MAX_WBITS, "os.sep": "/", "os.linesep": "\n"}


CONSTANTS = _lzma_constants()
