"""Shards: what was written is read, and whatever is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_impl import shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@given(st.lists(st.integers(0, 65535), max_size=50))
def test_what_was_written_is_read(folder: Path, tokens: list[int]) -> None:
    shards.write(folder / "a.bin", np.array(tokens, np.int64))
    assert shards.read(folder / "a.bin").tolist() == tokens


@given(st.binary(max_size=1200))
def test_any_bytes_are_read_or_refused(folder: Path, data: bytes) -> None:
    (folder / "b.bin").write_bytes(data)
    with pytest.raises(shards.ShardError, match=r"b\.bin: "):
        shards.read(folder / "b.bin")


def header(magic: int = shards.MAGIC, version: int = 1, tokens: int = 2) -> bytes:
    numbers = np.zeros(256, np.int32)
    numbers[:3] = magic, version, tokens
    return numbers.tobytes()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes, shorter than a shard's header"),
        (header(magic=1) + bytes(4), "begins with 1, not 20240520"),
        (header(version=2) + bytes(4), "version 2"),
        (header(tokens=3) + bytes(4), "states 3 tokens, the file holds 2"),
        (header() + bytes(5), "the file holds 2.5"),
        (header() + b"\0\0\0\4", "token 1024 at 1 lies outside a vocabulary of 1024"),
    ],
)
def test_a_wrong_shard_is_named(folder: Path, data: bytes, says: str) -> None:
    (folder / "c.bin").write_bytes(data)
    with pytest.raises(shards.ShardError, match=rf"c\.bin: .*{says}"):
        shards.read(folder / "c.bin", 1024)


def test_a_missing_shard_is_named(folder: Path) -> None:
    with pytest.raises(shards.ShardError, match=r"missing\.bin: can't be read: No such file"):
        shards.read(folder / "missing.bin")


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"before")

    def interrupted(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards.write_whole(target, b"after")
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]
    assert target.read_bytes() == b"before"
