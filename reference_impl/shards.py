"""The challenge's shard format: int32[256] header (magic, version, tokens), then uint16 tokens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION, HEADER = 20240520, 1, 256
_HEADER_BYTES = 4 * HEADER


class ShardError(ValueError):
    """A shard that can't be used; the message names the file and what is wrong with it."""


def read(path: str | os.PathLike[str], vocab: int | None = None) -> NDArray[np.uint16]:
    """The tokens of a shard, all of them below ``vocab`` if that is given. Raises ShardError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ShardError(f"{path}: can't be read: {error.strerror or error}") from None
    if len(data) < _HEADER_BYTES:
        raise ShardError(f"{path}: {len(data)} bytes, shorter than a shard's header")
    magic, version, stated = np.frombuffer(data, np.int32, 3).tolist()
    if magic != MAGIC:
        raise ShardError(f"{path}: no shard of the challenge: it begins with {magic}, not {MAGIC}")
    if version != VERSION:
        raise ShardError(f"{path}: version {version}; version {VERSION} is read")
    held = (len(data) - _HEADER_BYTES) / 2
    if held != stated:
        raise ShardError(f"{path}: its header states {stated:,} tokens, the file holds {held:,g}")
    tokens = np.frombuffer(data, np.uint16, offset=_HEADER_BYTES)
    if vocab is not None and stated and int(tokens.max()) >= vocab:
        at = int(np.argmax(tokens >= vocab))
        raise ShardError(
            f"{path}: token {tokens[at]} at {at} lies outside a vocabulary of {vocab}; "
            "is it of another tokenizer?"
        )
    return tokens


def write(path: str | os.PathLike[str], tokens: NDArray[np.integer]) -> None:
    """A shard of these tokens; the file appears whole or not at all."""
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < 1 << 16:
        raise ShardError(f"{path}: tokens must lie between 0 and 65,535")
    header = np.zeros(HEADER, np.int32)
    header[:3] = MAGIC, VERSION, len(tokens)
    write_whole(path, header.tobytes() + tokens.astype(np.uint16).tobytes())


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes beside ``path`` and moves it there, so that an interrupted run leaves no half file."""
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
