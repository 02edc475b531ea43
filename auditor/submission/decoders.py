"""Decoders for packed code: pure functions from bytes to bytes, each with a limit on its output."""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

MAX_OUTPUT = 32 * 1024 * 1024  # bytes that one decoding step may yield
MAX_RATIO = 500  # times its input; source code packs about 4 to 1, at most 20 to 1
RATIO_FREE = 1024 * 1024  # bytes below which the ratio is not looked at
MAX_DICTIONARY = 128 * 1024 * 1024  # bytes of window that a packed stream may ask for


class DecodeError(Exception):
    """Packed data that can't be decoded; the message says why."""


class MissingPackage(DecodeError):
    """The decoder is known but not installed here."""


class LimitReached(DecodeError):
    """Decoding would go beyond a limit."""


def limit_for(data: bytes) -> int:
    """The most bytes that ``data`` may expand to."""
    return min(MAX_OUTPUT, max(RATIO_FREE, len(data) * MAX_RATIO))


def _checked(out: bytes, data: bytes) -> bytes:
    limit = limit_for(data)
    if len(out) > limit:
        raise LimitReached(f"{len(data):,} packed bytes expand beyond the limit of {limit:,} bytes")
    return out


def _stream(make: Callable[[], Any], data: bytes, name: str) -> bytes:
    """All members of a compressed stream, up to the limit."""
    limit, out, rest = limit_for(data), b"", data
    while rest:
        member = make()
        out += member.decompress(rest, limit + 1 - len(out))
        _checked(out, data)
        if not member.eof:
            raise DecodeError(f"the {name} data end too early")
        rest = member.unused_data.lstrip(b"\0")
    return out


def unlzma(
    data: bytes,
    format: int = lzma.FORMAT_AUTO,
    memlimit: int | None = None,
    filters: list[dict[str, Any]] | None = None,
) -> bytes:
    """xz, lzma and raw streams, as ``lzma.decompress``."""
    for item in filters or ():
        if int(item.get("dict_size", 0)) > MAX_DICTIONARY:
            raise LimitReached(f"an LZMA dictionary above {MAX_DICTIONARY:,} bytes")
    if format == lzma.FORMAT_RAW:
        raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        out = _checked(raw.decompress(data, limit_for(data) + 1), data)
        if not raw.eof:
            raise DecodeError("the lzma data end too early")
        return out
    return _stream(lambda: lzma.LZMADecompressor(format, memlimit=MAX_DICTIONARY * 2), data, "lzma")


def unzlib(data: bytes, wbits: int = zlib.MAX_WBITS, bufsize: int = 0) -> bytes:
    """zlib, raw deflate and gzip streams, as ``zlib.decompress``."""
    stream = zlib.decompressobj(wbits)
    out = _checked(stream.decompress(data, limit_for(data) + 1), data)
    if not stream.eof:
        raise DecodeError("the zlib data end too early")
    return out


def ungzip(data: bytes) -> bytes:
    """All members of a gzip file."""
    out, rest, limit = b"", data, limit_for(data)
    while rest:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        out = _checked(out + stream.decompress(rest, limit + 1 - len(out)), data)
        if not stream.eof:
            raise DecodeError("the gzip data end too early")
        rest = stream.unused_data.lstrip(b"\0")
    return out


def unbz2(data: bytes) -> bytes:
    return _stream(bz2.BZ2Decompressor, data, "bz2")


def unbrotli(data: bytes) -> bytes:
    brotli = _optional("brotli")
    stream, limit = brotli.Decompressor(), limit_for(data)
    try:
        try:
            out = stream.process(data, output_buffer_limit=limit + 1)
        except TypeError:  # before brotli 1.2: no limit on output, so small steps of input
            out = b""
            for start in range(0, len(data), 4096):
                out = _checked(out + stream.process(data[start : start + 4096]), data)
    except brotli.error as error:
        raise DecodeError(f"not brotli data: {error}") from None
    _checked(out, data)
    if not stream.is_finished():
        raise DecodeError("the brotli data end too early")
    return bytes(out)


def unzstd(data: bytes, max_output_size: int = 0) -> bytes:
    zstandard = _optional("zstandard")
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_DICTIONARY).stream_reader(
            data, read_across_frames=True
        )
        return _checked(reader.read(limit_for(data) + 1), data)
    except zstandard.ZstdError as error:
        raise DecodeError(f"not zstd data: {error}") from None


def _optional(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingPackage(f"the package {name} is missing here") from None


def _codec(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """``codecs.decode`` for the codecs that packers use."""
    name = encoding.lower().replace("_codec", "").replace("-", "").replace("_", "")
    binary: dict[str, Callable[[bytes], bytes]] = {
        "hex": binascii.unhexlify,
        "base64": base64.b64decode,
        "zlib": unzlib,
        "zip": unzlib,
        "bz2": unbz2,
    }
    if name in binary:
        return binary[name](data)
    if name == "rot13" and isinstance(data, str):
        import codecs

        return codecs.decode(data, "rot13")
    if isinstance(data, bytes):
        return text(data, encoding, errors)
    raise DecodeError(f"the codec {encoding!r} is not known here")


def text(data: bytes, encoding: str = "utf-8", errors: str = "strict") -> str:
    """``bytes.decode`` for character sets."""
    known = (
        "utf8",
        "utf16",
        "utf32",
        "ascii",
        "latin1",
        "iso88591",
        "cp1252",
        "cp437",
        "unicodeescape",
    )
    if encoding.lower().replace("-", "").replace("_", "") not in known:
        raise DecodeError(f"the codec {encoding!r} is not known here")
    return data.decode(encoding, errors)


# Under the names that code calls them by. Nothing else is ever called.
DECODERS: Mapping[str, Callable[..., Any]] = {
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.standard_b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "base64.decodebytes": base64.decodebytes,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.a2b_hex,
    "binascii.a2b_base64": binascii.a2b_base64,
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "codecs.decode": _codec,
    "lzma.decompress": unlzma,
    "zlib.decompress": unzlib,
    "bz2.decompress": unbz2,
    "gzip.decompress": ungzip,
    "brotli.decompress": unbrotli,
    "brotlicffi.decompress": unbrotli,
    "zstandard.decompress": unzstd,
    "zstd.decompress": unzstd,
    "pyzstd.decompress": unzstd,
    "compression.zstd.decompress": unzstd,
}

# Forms of code that are no source text; a reader has to look at them.
UNDECODABLE: Mapping[str, str] = {
    "marshal.loads": "marshal holds bytecode, not source",
    "marshal.load": "marshal holds bytecode, not source",
    "pickle.loads": "a pickle runs code while it loads, so it is not opened",
    "pickle.load": "a pickle runs code while it loads, so it is not opened",
    "dill.loads": "a pickle runs code while it loads, so it is not opened",
    "cloudpickle.loads": "a pickle runs code while it loads, so it is not opened",
}

ERRORS = (
    DecodeError,
    lzma.LZMAError,
    zlib.error,
    binascii.Error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)
