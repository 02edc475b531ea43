"""The score is real: a file of that many bits, from which the tokens come back.

    python -m reference_impl.codec compress SHARD FILE [--tokens N]
    python -m reference_impl.codec decompress FILE SHARD

The mixer's distribution of each next token drives an entropy coder. The decoder has the file alone:
it makes the same distribution from the tokens that it has decoded so far.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reference_impl import shards
from reference_impl.mixers import LearnedNgram, NgramSettings

MAGIC = b"PGC1"
_HEAD = struct.Struct("<4sIBII")  # magic, vocab, order, tokens, CRC-32 of the tokens


_MOST = 1 << 14  # tokens in one byte: a range coder spends at least 2^-24 bits or so on each


class CodecError(ValueError):
    """A file that can't be decoded; the message says why."""


def compress(tokens: NDArray[np.integer], vocab: int, order: int) -> tuple[bytes, float]:
    """The file's content, and the information content of the tokens in bits."""
    encoder = constriction.stream.queue.RangeEncoder()
    model = LearnedNgram(NgramSettings(vocab, order))
    bits = 0.0
    for token, row in _rows(model, tokens):
        encoder.encode(token, _coding(row))
        bits -= float(np.log2(row[token]))
    head = _HEAD.pack(MAGIC, vocab, order, len(tokens), _checksum(tokens))
    return head + encoder.get_compressed().astype("<u4").tobytes(), bits


def decompress(data: bytes) -> NDArray[np.uint16]:
    """The tokens that were compressed. Raises CodecError for anything else."""
    settings, length, checksum = _parsed(data)
    words = np.frombuffer(data, "<u4", offset=_HEAD.size).astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    model = LearnedNgram(settings)
    tokens = np.zeros(length, np.uint16)
    for at in track(range(length), "decompress", console=_console()):
        tokens[at] = decoder.decode(_coding(model.distribution()))
        model.prob(tokens[at : at + 1])
    if _checksum(tokens) != checksum:
        raise CodecError("damaged: the decoded tokens are not those that were compressed")
    return tokens


def _parsed(data: bytes) -> tuple[NgramSettings, int, int]:
    """Settings, number of tokens and their checksum."""
    if not data.startswith(MAGIC):
        raise CodecError("not made by this codec")
    if len(data) < _HEAD.size or (len(data) - _HEAD.size) % 4:
        raise CodecError("cut short")
    _, vocab, order, length, checksum = _HEAD.unpack_from(data)
    try:
        settings = NgramSettings(vocab, order)
    except ValueError as error:
        raise CodecError(f"damaged: {error}") from None
    if vocab > 1 << 16 or length > _MOST * max(1, len(data)):
        raise CodecError("damaged: its header states what it can't hold")
    return settings, length, checksum


def _rows(
    model: LearnedNgram, tokens: NDArray[np.integer]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for at in track(range(len(tokens)), "compress", console=_console()):
        yield int(tokens[at]), model.distribution()
        model.prob(tokens[at : at + 1])


def _coding(row: NDArray[np.float64]) -> Any:
    return constriction.stream.model.Categorical(row, perfect=False)


def _checksum(tokens: NDArray[np.integer]) -> int:
    return zlib.crc32(tokens.astype("<u2").tobytes())


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, quiet=not sys.stderr.isatty())


def main(argv: list[str] | None = None) -> int:
    """Runs the command; bad input gives one line and the exit code 2."""
    parser = argparse.ArgumentParser(prog="reference_impl.codec", description="Compress tokens.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("compress", help="a shard of tokens to a file")
    other = commands.add_parser("decompress", help="that file to a shard of tokens")
    for command in (one, other):
        command.add_argument("source", type=Path)
        command.add_argument("target", type=Path)
    one.add_argument("--tokens", type=int, help="only the first N tokens")
    one.add_argument("--vocab", type=int, default=1024)
    one.add_argument("--order", type=int, default=10)
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "compress":
            _compress_file(arguments)
        else:
            _decompress_file(arguments)
    except (shards.ShardError, CodecError, ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _compress_file(arguments: argparse.Namespace) -> None:
    tokens = shards.read(arguments.source, arguments.vocab)[: arguments.tokens]
    data, bits = compress(tokens, arguments.vocab, arguments.order)
    shards.write_whole(arguments.target, data)
    overhead = 8 * len(data) / bits - 1 if bits else 0.0
    print(
        f"{len(tokens):,} tokens: {bits / 8:,.1f} bytes by their probabilities, "
        f"{len(data):,} in the file ({overhead:+.3%})"
    )


def _decompress_file(arguments: argparse.Namespace) -> None:
    try:
        tokens = decompress(arguments.source.read_bytes())
    except CodecError as error:
        raise CodecError(f"{arguments.source}: {error}") from None
    shards.write(arguments.target, tokens)
    print(f"{len(tokens):,} tokens")


if __name__ == "__main__":
    sys.exit(main())
