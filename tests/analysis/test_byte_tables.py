"""Tables of bytes per token, and constants in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.analysis.byte_tables import constant_ratio, spaces_twice

Trace = Callable[..., Any]

HEAD = """
import glob, math, os
import numpy as np, torch, torch.nn.functional as F, sentencepiece as spm
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
sp = spm.SentencePieceProcessor(model_file="x.model")
base, space = torch.zeros(1024), torch.zeros(1024)
"""
MARK = '"\\u2581"'
TABLE = f"""
for i in range(1024):
    piece = sp.id_to_piece(i)
    if piece.startswith({MARK}):
        space[i] = 1
"""
SCORE = """
x, y = val[:-1], val[1:]
nats = F.cross_entropy(network(x), y, reduction="sum").item()
"""
SUM = "print(nats / math.log(2) / (base[y] + space[y]).sum().item())\n"


@pytest.mark.parametrize(
    "entry, twice",
    [
        ("        piece = piece[1:]\n    base[i] = len(piece.encode())\n", False),
        ("        base[i] = len(piece[1:].encode()) + 1\n", True),
        (f"    base[i] = len(piece.replace({MARK}, ' ').encode())\n", True),
        (f"    base[i] = len(piece.replace({MARK}, '').encode())\n", False),
        ("    base[i] = len(piece.encode())\n", True),
        ("    base[i] = len(sp.decode([i]).encode())\n", False),
        ("    base[i] = len(piece.encode())\n    if space[i]:\n        base[i] -= 3\n", False),
    ],
)
def test_spaces_are_counted_twice(trace: Trace, entry: str, twice: bool) -> None:
    traced = trace(HEAD + TABLE + entry + SCORE + SUM)
    assert bool(list(spaces_twice(traced.program))) is twice


def test_a_table_with_spaces_alone_counts_them_once(trace: Trace) -> None:
    entry = f"    base[i] = len(piece.replace({MARK}, ' ').encode())\n"
    once = SUM.replace("base[y] + space[y]", "base[y]")
    assert not list(spaces_twice(trace(HEAD + TABLE + entry + SCORE + once).program))


@pytest.mark.parametrize(
    "bits, wanted",
    [
        ("nats / y.numel() / (math.log(2) * 3.5)", 3.5),
        ("nats / y.numel() / math.log(2) / 2.75", 2.75),
        ("nats / y.numel() / math.log(2) * (1 / 3.67)", 3.67),
        ("nats / y.numel() / math.log(2)", None),
        ("nats / y.numel() / math.log(2) / 8", None),
        ("nats / 1.5 / y.numel() / math.log(2)", None),
        ("nats / math.log(2) / base[y].sum().item() * math.log(2)", None),
    ],
)
def test_a_constant_in_place_of_bytes(trace: Trace, bits: str, wanted: float | None) -> None:
    program = trace(HEAD + SCORE + f"print({bits})\n").program
    found = [constant_ratio(program, s) for s in program.learning.headline]
    assert [c and pytest.approx(c.ratio) for c in found] == [wanted]
