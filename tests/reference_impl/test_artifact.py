"""The model's file: it gives the same logits back, and no damage to it goes unnoticed."""

from __future__ import annotations

import errno
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl import artifact, presets
from reference_impl.artifact import ArtifactError
from reference_impl.model import GPT
from reference_impl.quantise import Plan, Quantised, QuantisedModel

HEADER = struct.Struct("<8sHHI32s")


@cache
def quantised(name: str = "parallel_muon_mtp", plan: Plan | None = None) -> QuantisedModel:
    torch.manual_seed(0)
    config = presets.tiny(presets.load(name).model)
    model = GPT(replace(config, vocab=256))
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return QuantisedModel.of(model, plan or Plan(attention=6, mlp=5, embedding=8))


@cache
def packed() -> bytes:
    return artifact.pack(quantised())


def signed(payload: bytes, length: int | None = None, by: int = 0) -> bytes:
    """A file of that payload whose checksum is right, as whoever means harm would make it."""
    length = len(payload) if length is None else length
    body = zstandard.ZstdCompressor().compress(payload)
    digest = hashlib.sha256(struct.pack("<HI", by, length) + body).digest()
    return HEADER.pack(b"PGMODEL\n", 1, by, length, digest) + body


@cache
def payload() -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed()[HEADER.size :])


def with_settings(change: Callable[[dict[str, Any]], object]) -> bytes:
    (length,) = struct.unpack_from("<I", payload())
    settings = json.loads(payload()[4 : 4 + length])
    change(settings)
    text = json.dumps(settings).encode()
    return signed(struct.pack("<I", len(text)) + text + payload()[4 + length :])


# ---- there and back ----


@pytest.mark.parametrize("by", ["zstd", "lzma"])
@pytest.mark.parametrize("name", presets.names())
def test_logits_come_back_to_the_bit(tmp_path: Path, name: str, by: artifact.Compressor) -> None:
    model = quantised(name)
    length = artifact.save(tmp_path / "model.bin", model, by)
    assert (tmp_path / "model.bin").stat().st_size == length
    loaded = artifact.load(tmp_path / "model.bin")
    tokens = torch.randint(256, (2, 16))
    with torch.inference_mode():
        assert torch.equal(loaded(tokens), model.build()(tokens))
    assert not loaded.training
    assert loaded.config.mtp_heads == 0


@given(st.integers(0, 2**32), st.sampled_from((5, 6, 7, 8)))
@settings(max_examples=8, deadline=None)
def test_integers_and_scales_come_back_exactly(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    like = quantised(plan=Plan(bits, bits, bits))
    largest = 2 ** (bits - 1) - 1
    tensors: dict[str, Any] = {}
    for name, held in like.tensors.items():
        if isinstance(held, Quantised):
            values = rng.integers(-largest, largest + 1, held.values.shape, np.int8)
            scales = rng.normal(size=held.scales.shape).astype(np.float16)
            tensors[name] = Quantised(torch.from_numpy(values), torch.from_numpy(scales))
        else:
            tensors[name] = torch.tensor(rng.normal(size=held.shape), dtype=torch.float16)
    model = QuantisedModel(like.config, like.plan, tensors)
    again = artifact.unpack(artifact.pack(model))
    assert (again.config, again.plan) == (model.config, model.plan)
    assert list(again.tensors) == list(tensors)
    for name, held in tensors.items():
        back = again.tensors[name]
        pairs = zip(held, back, strict=True) if isinstance(held, Quantised) else [(held, back)]
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert artifact.pack(quantised()) == packed()


def test_a_grid_takes_less_than_its_bits() -> None:
    held = quantised(plan=Plan(6, 6, 6))
    integers = sum(t.values.numel() for t in held.tensors.values() if isinstance(t, Quantised))
    others = sum(
        2 * (t.scales if isinstance(t, Quantised) else t).numel() for t in held.tensors.values()
    )
    assert len(artifact.pack(held, "lzma")) < integers * 6 / 8 + others


# ---- what is counted ----


def test_every_helper_counts(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner" / "__pycache__").mkdir(parents=True)
    (tmp_path / "train.py").write_bytes(b"x" * 100)
    (package / "helper.py").write_bytes(b"x" * 20)
    (package / "inner" / "kernel.cu").write_bytes(b"x" * 3)
    (package / "inner" / "__pycache__" / "helper.pyc").write_bytes(b"x" * 999)
    (tmp_path / "model.bin").write_bytes(b"x" * 5000)
    code = [tmp_path / "train.py", package, package / "helper.py"]
    assert artifact.size(code, tmp_path / "model.bin") == 5123


@pytest.mark.parametrize(("over", "allowed"), [(0, True), (1, False)])
def test_the_cap_is_the_last_byte_allowed(tmp_path: Path, over: int, allowed: bool) -> None:
    (tmp_path / "train.py").write_bytes(b"x" * (1000 + over))
    with open(tmp_path / "model.bin", "wb") as file:
        file.truncate(16_000_000 - 1000)
    if allowed:
        assert artifact.size([tmp_path / "train.py"], tmp_path / "model.bin") == 16_000_000
    else:
        with pytest.raises(ArtifactError, match="take 16,000,001 bytes; 16,000,000 are allowed"):
            artifact.size([tmp_path / "train.py"], tmp_path / "model.bin")


def test_code_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"absent\.py: can't be counted: No such file"):
        artifact.size([tmp_path / "absent.py"], tmp_path)


# ---- writing that fails ----


def test_a_full_disk_is_one_error_and_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"before")

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ArtifactError, match=r"model\.bin: can't be written: No space left"):
        artifact.save(target, quantised())
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]
    assert target.read_bytes() == b"before"


# ---- files that are something else ----


def refused(data: bytes, says: str | None = None) -> None:
    with pytest.raises(ArtifactError, match=says) as error:
        artifact.unpack(data)
    assert "\n" not in str(error.value)


def test_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"another file")
    with pytest.raises(ArtifactError, match=r"a\.bin: no model file"):
        artifact.load(tmp_path / "a.bin")
    with pytest.raises(ArtifactError, match=r"b\.bin: can't be read: No such file"):
        artifact.load(tmp_path / "b.bin")


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_refused(data: bytes, with_magic: bool) -> None:
    refused(b"PGMODEL\n" * with_magic + data)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_cut_or_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    whole = packed()
    at = data.draw(st.one_of(st.integers(0, 60), st.integers(0, len(whole) - 1)))
    refused(whole[:at])
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    refused(bytes(changed))
    refused(whole + b"\0")


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_changed_payload_with_a_right_checksum_does_no_harm(data: st.DataObject) -> None:
    changed = bytearray(payload())
    at = data.draw(st.one_of(st.integers(0, 1000), st.integers(0, len(changed) - 1)))
    changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        artifact.unpack(signed(bytes(changed)))
    except ArtifactError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"PGMODEL\n" + bytes(5), "13 bytes, shorter than its header"),
        (lambda: b"PGMODEL\n\2" + packed()[9:], "version 2; version 1 is read"),
        (lambda: signed(payload(), by=7), "compressor 7"),
        (lambda: signed(payload(), by=1), "can't be decompressed"),
        (lambda: signed(payload(), length=2**32 - 1), "too many for any model"),
        (lambda: signed(payload(), length=10), "does not hold the 10 bytes"),
        (lambda: signed(payload()[:-1]), "holds less than its model"),
        (lambda: signed(payload() + b"\0"), "holds more than its model"),
        (lambda: signed(b"\xff" * 100), "settings of"),
        (lambda: signed(b"\x04\0\0\0{}{}"), "settings that no model has"),
        (lambda: signed(struct.pack("<I", 9000) + b"[" * 9000), "settings that no model has"),
        (lambda: bytes(16_000_001), "longer than the 16,000,000"),
    ],
)
def test_what_is_wrong_is_said(data: Callable[[], bytes], says: str) -> None:
    refused(data(), says)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("layers", 10**9, "out of range"),
        ("layers", 10**6, "larger model"),
        ("dim", 2**20, "larger model"),
        ("vocab", 2**24, "larger model"),
        ("mlp_mult", 1e6, "larger model"),
        ("mlp_mult", float("inf"), "out of range"),
        ("bigram_buckets", 2**24, "larger model"),
        ("mtp_heads", 10**7, "larger model"),
        ("heads", 0, "heads is 0"),
        ("heads", True, "of another kind"),
        ("layers", 4.0, "of another kind"),
        ("value_residual", "mean; import os", "is known"),
        ("value_embedding_layers", [[1]], "of another kind"),
        ("dim", 72, "less than its model|larger model"),
        ("dim", 32, "more than its model|integer outside|no finite number"),
    ],
)
def test_settings_are_checked_before_a_model_is_made(name: str, value: object, says: str) -> None:
    refused(with_settings(lambda s: s["model"].update({name: value})), says)


def test_a_setting_more_or_less_is_refused() -> None:
    refused(with_settings(lambda s: s["model"].pop("dim")), "their names are others")
    refused(with_settings(lambda s: s["plan"].update(more=1)), "their names are others")
    refused(with_settings(lambda s: s["plan"].update(mlp=3)), "mlp has 3 bits")


def test_integers_outside_of_their_grid_are_refused() -> None:
    refused(with_settings(lambda s: s["plan"].update(embedding=5)), "integer outside of 5 bits")
