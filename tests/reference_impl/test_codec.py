"""The codec: the tokens come back from the file alone, which is as long as the score says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the codec needs pgcheck[reference]")

from reference_impl import codec, shards

VOCAB, ORDER = 64, 6


def stream(n: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    phrases = rng.integers(0, VOCAB, (40, 5))
    return phrases[rng.integers(0, 40, n // 5 + 1)].reshape(-1)[:n]


def test_tokens_come_back_and_the_file_is_as_long_as_the_score() -> None:
    tokens = stream(20_000)
    data, bits = codec.compress(tokens, VOCAB, ORDER)
    assert np.array_equal(codec.decompress(data), tokens)
    header = 17
    assert bits <= 8 * (len(data) - header) <= 1.001 * bits + 32
    assert len(data) < 20_000 * 6 / 8  # six bits a token would need no model


@settings(max_examples=30)
@given(st.lists(st.integers(0, VOCAB - 1), max_size=30))
def test_any_tokens_come_back(tokens: list[int]) -> None:
    data, _ = codec.compress(np.array(tokens, np.int64), VOCAB, ORDER)
    assert codec.decompress(data).tolist() == tokens


@settings(max_examples=50)
@given(st.binary(max_size=60), st.booleans())
def test_other_bytes_are_refused(data: bytes, marked: bool) -> None:
    with pytest.raises(codec.CodecError):
        codec.decompress(codec.MAGIC * marked + data[:20])


def test_damage_is_noticed() -> None:
    data, _ = codec.compress(stream(500), VOCAB, ORDER)
    damaged = bytearray(data)
    damaged[-9] ^= 1
    with pytest.raises(codec.CodecError, match="damaged"):
        codec.decompress(bytes(damaged))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, packed, back = tmp_path / "a.bin", tmp_path / "a.pgc", tmp_path / "b.bin"
    shards.write(source, stream(300))
    assert codec.main(["compress", str(source), str(packed), "--tokens", "200"]) == 0
    assert "200 tokens: " in capsys.readouterr().out
    assert codec.main(["decompress", str(packed), str(back)]) == 0
    assert np.array_equal(shards.read(back), stream(300)[:200])


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = tmp_path / "a.bin"
    shards.write(shard, stream(10))
    for wrong in (
        ["compress", str(tmp_path / "none"), str(tmp_path / "x")],
        ["compress", str(shard), str(tmp_path / "x"), "--vocab", "4"],
        ["decompress", str(shard), str(tmp_path / "x")],
    ):
        assert codec.main(wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("reference_impl.codec: ") and error.count("\n") == 1
    assert not (tmp_path / "x").exists()
