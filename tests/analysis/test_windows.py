"""Sliding windows: their length and stride, as far as numbers give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.analysis.windows import Window, window

Trace = Callable[..., Any]

HEAD = """
import glob, os
import numpy as np, torch, torch.nn.functional as F
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
length, stride = 2048, int(os.environ.get("STRIDE", "64"))
n = val.numel() - 1
total = 0.0
"""
SCORE = """
    logits = network(chunk[:-1])
    total += F.cross_entropy(logits, chunk[1:]).item()
print(total / n)
"""


def windows(traced: Any) -> list[Window | None]:
    return [window(traced.program, s) for s in traced.program.learning.headline]


@pytest.mark.parametrize(
    "loop",
    [
        "for at in range(0, n, stride):\n    chunk = val[at : at + length + 1]",
        "for at in range(0, n, stride):\n    chunk = val[at : min(at + length, n) + 1].to('cuda')",
        "at = 0\nwhile at < n:\n    chunk = val[at : at + length + 1]\n    at += stride",
        "starts = [at for at in range(0, n, stride)]\n"
        "for at in starts:\n    chunk = val[at : at + length + 1]",
        "for i in range(n // stride):\n    at = i * stride\n    chunk = val[at : at + length + 1]",
    ],
)
def test_known_windows(trace: Trace, loop: str) -> None:
    assert windows(trace(HEAD + loop + SCORE)) == [Window(2048, 64)]
    assert windows(trace(HEAD + loop + SCORE, claims={"STRIDE": "128"})) == [Window(2048, 128)]


@pytest.mark.parametrize(
    "loop",
    [
        "for at in range(0, n, step()):\n    chunk = val[at : at + length + 1]",
        "for at in range(0, n, stride):\n    chunk = val[at : at + size() + 1]",
        "for at in range(0, n, stride):\n    chunk = val[at:]",
        "for at in range(0, n, stride):\n    chunk = val[places(at)]",
    ],
)
def test_unknown_windows(trace: Trace, loop: str) -> None:
    assert windows(trace(HEAD + loop + SCORE)) == [None]
