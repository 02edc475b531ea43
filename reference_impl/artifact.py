"""The file that a trained model is shipped in, and how many bytes a submission has with it.

A header (magic, version, compressor, the payload's length, SHA-256 of the rest), then the payload,
compressed: settings as JSON, and the tensors in the order of the model's state, all of whose shapes
follow from the settings. Integers of a grid take a byte each: their entropy is below their bits,
and a compressor finds that in bytes, not in packed bits. fp16 is split in planes of low and high
bytes.

A file is checked whole before a model is made of it, and nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import struct
from collections.abc import Iterable
from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray
from torch import Tensor

from reference_impl.model import GPT, ModelConfig
from reference_impl.quantise.grid import Quantised, limit
from reference_impl.quantise.model import QuantisedModel, empty
from reference_impl.quantise.plan import HALF, Plan, role
from reference_impl.shards import write_whole

CAP = 16_000_000  # bytes of a whole submission
VERSION = 1
Compressor = Literal["zstd", "lzma"]

_MAGIC = b"PGMODEL\n"
_HEADER = struct.Struct("<8sHHI32s")  # magic, version, compressor, payload's length, SHA-256
_COMPRESSORS: tuple[Compressor, ...] = ("zstd", "lzma")
_LONGEST_PAYLOAD = 256 << 20
_LONGEST_SETTINGS = 16 << 10
_WINDOW = 128 << 20  # the memory that a decompressor may take
_LARGEST_NUMBER = 1 << 24  # of the settings
_MOST_LAYERS = 256


class ArtifactError(ValueError):
    """A file that can't be written, read or shipped; the message names it and what is wrong."""


def save(path: str | os.PathLike[str], model: QuantisedModel, by: Compressor = "zstd") -> int:
    """Writes the file, whole or not at all, and returns its length. Raises ArtifactError."""
    data = pack(model, by)
    try:
        write_whole(path, data)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be written: {error.strerror or error}") from None
    return len(data)


def load(path: str | os.PathLike[str]) -> GPT:
    """The model, ready to score, from the file alone. Raises ArtifactError."""
    return read(path).build()


def read(path: str | os.PathLike[str]) -> QuantisedModel:
    """What ``save`` was given. Raises ArtifactError for any other file."""
    try:
        with open(path, "rb") as file:
            data = file.read(CAP + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read: {error.strerror or error}") from None
    try:
        return unpack(data)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None


def size(paths: Iterable[str | os.PathLike[str]], model_file: str | os.PathLike[str]) -> int:
    """The bytes of a submission: its model and all its code, each file once.

    ``paths`` are the code: files, and folders, which count with all that they hold, so that no
    helper module is left out. Raises ArtifactError above 16,000,000, or for a path that is absent.
    """
    total = 0
    for path in {
        found.resolve() for given in (*paths, model_file) for found in _files(Path(given))
    }:
        try:
            total += path.stat().st_size
        except OSError as error:
            raise ArtifactError(f"{path}: can't be counted: {error.strerror or error}") from None
    if total > CAP:
        raise ArtifactError(f"code and model take {total:,} bytes; {CAP:,} are allowed")
    return total


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return (path,)
    held = (p for p in path.rglob("*") if "__pycache__" not in p.relative_to(path).parts)
    return (p for p in held if p.is_file())


# ---- the file ----


def pack(model: QuantisedModel, by: Compressor = "zstd") -> bytes:
    """The file's bytes. Raises ArtifactError for a model that no file can hold."""
    settings = json.dumps({"model": asdict(model.config), "plan": asdict(model.plan)}).encode()
    tensors = [part for held in model.tensors.values() for part in _bytes_of(held)]
    payload = b"".join([struct.pack("<I", len(settings)), settings, *tensors])
    try:
        _model_of(payload)  # what is written can be read
    except ArtifactError as error:
        raise ArtifactError(f"the model can't be packed: {error}") from None
    rest = _COMPRESSORS.index(by), len(payload), _compressed(payload, by)
    return _HEADER.pack(_MAGIC, VERSION, *rest[:2], _digest(*rest)) + rest[2]


def unpack(data: bytes) -> QuantisedModel:
    """The model of a file's bytes, which may be anything. Raises ArtifactError."""
    if len(data) > CAP:
        raise ArtifactError(f"longer than the {CAP:,} bytes that a submission may have")
    if not data.startswith(_MAGIC):
        raise ArtifactError("no model file: it begins with other bytes")
    if len(data) < _HEADER.size:
        raise ArtifactError(f"{len(data)} bytes, shorter than its header")
    _, version, by, length, digest = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ArtifactError(f"version {version}; version {VERSION} is read")
    body = data[_HEADER.size :]
    if digest != _digest(by, length, body):
        raise ArtifactError("damaged or cut short: its SHA-256 is another")
    if by >= len(_COMPRESSORS):
        raise ArtifactError(f"compressor {by} is unknown")
    if length > _LONGEST_PAYLOAD:
        raise ArtifactError(f"its header states {length:,} bytes, too many for any model")
    return _model_of(_decompressed(body, _COMPRESSORS[by], length))


def _digest(by: int, length: int, body: bytes) -> bytes:
    return hashlib.sha256(struct.pack("<HI", by, length) + body).digest()


def _compressed(payload: bytes, by: Compressor) -> bytes:
    if by == "zstd":
        return zstandard.ZstdCompressor(level=22).compress(payload)
    return lzma.compress(payload, check=lzma.CHECK_NONE, preset=9 | lzma.PRESET_EXTREME)


def _decompressed(body: bytes, by: Compressor, length: int) -> bytes:
    try:
        if by == "zstd":
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(body)
            payload = reader.read(length + 1)
        else:
            expand = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW)
            payload = expand.decompress(body, max_length=length + 1)
    except (zstandard.ZstdError, lzma.LZMAError, EOFError) as error:
        raise ArtifactError(f"can't be decompressed: {error}") from None
    if len(payload) != length:
        raise ArtifactError(f"does not hold the {length:,} bytes that its header states")
    return payload


# ---- settings ----


def _model_of(payload: bytes) -> QuantisedModel:
    stream = io.BytesIO(payload)
    (length,) = struct.unpack("<I", _take(stream, 4))
    if length > _LONGEST_SETTINGS:
        raise ArtifactError(f"settings of {length:,} bytes")
    try:
        settings = json.loads(_take(stream, length))
        config = ModelConfig(**_checked(settings["model"], ModelConfig()))
        plan = Plan(**_checked(settings["plan"], Plan()))
        _hold_in(config, len(payload))
    except ArtifactError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ArtifactError(f"settings that no model has: {error}") from None
    shapes = {name: held.shape for name, held in empty(config).state_dict().items()}
    tensors = {name: _tensor(stream, shape, name, plan) for name, shape in shapes.items()}
    if stream.read(1):
        raise ArtifactError("holds more than its model")
    return QuantisedModel(config, plan, tensors)


def _checked(given: Any, known: Any) -> dict[str, Any]:
    """Settings of the kinds that a dataclass has, each number bounded. Raises ValueError."""
    defaults = {field.name: getattr(known, field.name) for field in fields(known)}
    if not isinstance(given, dict) or given.keys() != defaults.keys():
        raise ValueError("their names are others")
    return {name: _setting(name, value, defaults[name]) for name, value in given.items()}


def _setting(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_setting(name, one, 0) for one in value)
    if value is None and name == "rope_length":
        return None
    number = isinstance(default, float) and type(value) in (int, float)
    if not number and type(value) is not type(default):
        raise ValueError(f"{name} is of another kind")
    if not isinstance(value, str) and not (isfinite(value) and abs(value) <= _LARGEST_NUMBER):
        raise ValueError(f"{name} is out of range")
    return value


def _hold_in(config: ModelConfig, length: int) -> None:
    """Refuses, before anything of it is made, a model too large for that many bytes."""
    c = config
    attention = 2 * c.dim * (c.dim + c.kv_dim)
    weights = c.layers * (attention + 2 * c.dim * c.mlp_dim) + c.vocab * c.dim
    weights += c.bigram_buckets and (c.bigram_buckets + c.dim) * c.bigram_dim
    if c.value_embedding_layers:
        weights += (c.vocab + c.kv_dim) * c.value_embedding_dim
    if c.layers > _MOST_LAYERS or c.mtp_heads or weights > length:
        raise ArtifactError("its settings are those of a larger model")


# ---- tensors ----


def _bytes_of(held: Quantised | Tensor) -> list[bytes]:
    if isinstance(held, Quantised):
        return [held.values.numpy().tobytes(), _planes(held.scales)]
    return [_planes(held)]


def _tensor(stream: io.BytesIO, shape: torch.Size, name: str, plan: Plan) -> Quantised | Tensor:
    bits = plan.bits(role(name))
    if bits == HALF:
        return _half(stream, shape, name)
    values = np.frombuffer(_take(stream, shape.numel()), np.int8)
    if values.size and max(-int(values.min()), int(values.max())) > limit(bits):
        raise ArtifactError(f"{name} has an integer outside of {bits} bits")
    scales = _half(stream, shape[:-1], name)
    return Quantised(torch.from_numpy(values.copy()).view(shape), scales)


def _planes(half: Tensor) -> bytes:
    """fp16 as all low bytes, then all high bytes."""
    halves: NDArray[np.float16] = half.flatten().numpy().astype("<f2")
    planes: NDArray[np.uint8] = halves.view(np.uint8).reshape(-1, 2).T
    return planes.tobytes()


def _half(stream: io.BytesIO, shape: torch.Size, name: str) -> Tensor:
    planes = np.frombuffer(_take(stream, 2 * shape.numel()), np.uint8).reshape(2, -1)
    half = np.ascontiguousarray(planes.T).view("<f2").astype(np.float16)
    if not np.isfinite(half).all():
        raise ArtifactError(f"{name} has a value that is no finite number")
    return torch.from_numpy(half).view(shape)


def _take(stream: io.BytesIO, count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise ArtifactError("holds less than its model")
    return found
