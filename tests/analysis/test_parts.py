"""Cuts, draws and clocks that leave validation tokens out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.analysis.parts import clock_stops, cuts, draws

Trace = Callable[..., Any]

HEAD = """
import glob, os, random, time
import numpy as np, torch, torch.nn.functional as F
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
limit = int(os.environ.get("LIMIT", "500000"))
"""
LOOP = """
total = 0.0
for at in range(0, val.numel() - 1, 512):
    total += F.cross_entropy(network(val[at : at + 512]), val[at + 1 : at + 513]).item()
print(total)
"""


def scorings(traced: Any) -> list[Any]:
    return list(traced.program.learning.headline)


def kept(traced: Any) -> list[int]:
    return [cut.kept for s in scorings(traced) for cut in cuts(traced.program, s)]


@pytest.mark.parametrize(
    "cut, wanted",
    [
        ("val = val[:500_001]", {500_001}),
        ("val = val[: limit + 1]", {500_001}),
        ("val = val[0 : min(limit, val.numel())]", {500_000}),
        ("val = val[: (val.numel() - 1) // 512 * 512 + 1]", set()),
        ("val = val[:62_021_633]", set()),
        ("val = val[: limit if limit > 1_000_000 else val.numel()]", set()),
    ],
)
def test_constant_cuts_of_the_stream(trace: Trace, cut: str, wanted: set[int]) -> None:
    assert set(kept(trace(HEAD + cut + LOOP))) == wanted


def test_a_cut_of_each_batch_is_none_of_the_stream(trace: Trace) -> None:
    loop = LOOP.replace("total +=", "chunk = val[0:65536]\n    total +=")
    assert kept(trace(HEAD + loop)) == []


def test_random_starts_choose_the_tokens(trace: Trace) -> None:
    body = LOOP.replace(
        "for at in range(0, val.numel() - 1, 512):",
        "for _ in range(20):\n    at = random.randint(0, 9999)",
    )
    traced = trace(HEAD + body)
    assert [n.line for s in scorings(traced) for n in draws(traced.program, s)]


def test_tokens_hidden_at_random_are_no_draw(trace: Trace) -> None:
    """A model that fills in what a mask hides is scored on what is hidden."""
    loop = """
total = 0.0
for at in range(0, val.numel() - 1, 512):
    batch = val[at : at + 512]
    hidden = torch.rand(512) < 0.5
    total += F.cross_entropy(network(batch.masked_fill(hidden, 0))[hidden], batch[hidden]).item()
print(total)
"""
    traced = trace(HEAD + loop)
    assert scorings(traced)
    assert not [n for s in scorings(traced) for n in draws(traced.program, s)]


def test_a_shuffled_order_is_no_draw(trace: Trace) -> None:
    body = LOOP.replace(
        "for at in range(0, val.numel() - 1, 512):",
        "starts = list(range(0, val.numel() - 1, 512))\nrandom.shuffle(starts)\nfor at in starts:",
    )
    traced = trace(HEAD + body)
    assert not [n for s in scorings(traced) for n in draws(traced.program, s)]


@pytest.mark.parametrize(
    "leave, wanted",
    [
        (
            "if time.time() - began > 570:\n        print('out of time')\n        break",
            ["out of time"],
        ),
        ("spent = time.time() - began\n    if spent > 570:\n        break", []),
        ("if at > 10**9:\n        break", None),
    ],
)
def test_exits_by_the_clock(trace: Trace, leave: str, wanted: list[str] | None) -> None:
    body = "began = time.time()" + LOOP.replace("    total +=", f"    {leave}\n    total +=")
    traced = trace(HEAD + body)
    found = [stop for s in scorings(traced) for stop in clock_stops(traced.program, s)]
    assert [list(stop.texts) for stop in found] == ([] if wanted is None else [wanted])
