"""Count tables: what fills them, how their keys are made, and where they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]

HEAD = """
import glob
from collections import defaultdict
import numpy as np
import torch
val = np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16).astype(np.int64)
context, target = val[:-1], val[1:]
"""
HASHED = "((context * 36313) ^ (target * 27191)) & 0xFFFF"
FLAT = "context * 1024 + target"


def reads(traced: Any) -> list[Any]:
    return list(traced.program.tables.reads)


FILLS = [
    "table = np.zeros(65536)\nnp.add.at(table, key, 1)",
    "table = np.zeros(65536)\ntable[key] += 1",
    "table = np.zeros(65536)\ntable += np.bincount(key, minlength=65536)",
    "table = np.bincount(key, minlength=65536)",
    "table = np.bincount(key, minlength=65536).astype(np.float32)",
    "table = torch.zeros(65536)\ntable.scatter_add_(0, key, ones)",
    "table = torch.zeros(65536)\ntable.index_add_(0, key, ones)",
    "table = torch.zeros(65536)\nindex, n = torch.unique(key, return_counts=True)\ntable[index] += n",
    "table = torch.zeros(65536)\nindex, n = torch.unique(key, return_counts=True)\n"
    "table[index] = table[index] + n",
    "table = defaultdict(int)\nfor k in key:\n    table[k] += 1",
    "table = {}\nfor k in key:\n    table[k] = table.get(k, 0) + 1",
]


@pytest.mark.parametrize("fill", FILLS)
def test_tables_that_count(trace: Trace, fill: str) -> None:
    traced = trace(HEAD + f"key = {HASHED}\n{fill}\nother = {HASHED}\nfound = table[other]\n")
    last = max(n.line for n in traced.program.tracer.nodes)
    assert last in {r.node.line for r in reads(traced)}


@pytest.mark.parametrize(
    "fill",
    [
        "table = np.zeros(65536)\ntable[3] += 1",
        "table = np.zeros(65536)\ntable[unknown] += 1",
        "table = np.zeros(65536)",
        "table = np.zeros(65536)\ntable[key] = 1",
        "table = np.bincount(unknown, minlength=65536)",
    ],
)
def test_arrays_that_do_not(trace: Trace, fill: str) -> None:
    traced = trace(HEAD + f"key = {HASHED}\n{fill}\nfound = table[key]\n")
    assert traced.program.tables.counting == {}
    assert reads(traced) == []


@pytest.mark.parametrize(
    ("key", "lossy"),
    [
        (HASHED, True),
        ("(context * 31 + target) % 65536", True),
        ("np.bitwise_xor(context * 31, target)", True),
        ("[hash((int(c), int(t))) for c, t in zip(context, target)][0]", True),
        (FLAT, False),
        ("context", False),
    ],
)
def test_hashed_and_exact_keys(trace: Trace, key: str, lossy: bool) -> None:
    fill = "table = np.zeros(65536)\nnp.add.at(table, key, 1)\n"
    traced = trace(HEAD + f"key = {key}\n{fill}found = table[{key}]\n")
    (read,) = reads(traced)
    assert {t.lossy for t in read.tokens} == {lossy}


def test_a_hash_built_step_by_step(trace: Trace) -> None:
    traced = trace(
        HEAD
        + """
def keys(tokens, order):
    h = np.zeros(len(tokens))
    for k in range(order):
        h ^= np.roll(tokens, k) * PRIMES[k]
    return h & MASK
table = np.zeros(65536)
np.add.at(table, keys(val, 3), 1)
found = table[keys(val, 3)]
"""
    )
    assert any(t.lossy for read in reads(traced) for t in read.tokens)


def test_the_axes_of_a_key_are_apart(trace: Trace) -> None:
    """``table[context, target]`` is a row of its own per context: nothing is mixed."""
    traced = trace(
        HEAD
        + "table = np.zeros((1024, 1024))\nnp.add.at(table, (context, target), 1)\n"
        + "found = table[context, target]\n"
    )
    assert len(reads(traced)) == 2
    assert not any(t.lossy for read in reads(traced) for t in read.tokens)


def test_the_steps_lead_from_the_key_to_the_token(trace: Trace) -> None:
    traced = trace(
        HEAD
        + f"table = np.zeros(65536)\nkey = {HASHED}\nnp.add.at(table, key, 1)\nf = table[key]\n"
    )
    (read,) = reads(traced)
    for token in read.tokens:
        assert token.steps[0] is read.key
        assert token.steps[-1] is token.node
        assert all(b.uid < a.uid for a, b in zip(token.steps, token.steps[1:], strict=False))


def test_candidates(trace: Trace) -> None:
    fill = f"table = np.zeros(65536)\nnp.add.at(table, {HASHED}, 1)\n"
    every = "((context[:, None] * 36313) ^ (np.arange(1024) * 27191)) & 0xFFFF"
    traced = trace(HEAD + fill + f"a = table[{every}]\nb = table[{HASHED}]\n")
    tables = traced.program.tables
    assert [tables.candidates(r.key) is not None for r in reads(traced)] == [True, False]


@pytest.mark.parametrize("source", ["np.load('model.npz')['counts']", "torch.load('counts.pt')"])
def test_tables_out_of_the_artifact(trace: Trace, source: str) -> None:
    traced = trace(
        HEAD + f"table = {source}\nfound = table[{HASHED}]\nnone = np.ones(9)[{HASHED}]\n"
    )
    (read,) = reads(traced)
    assert read.node.line == len(HEAD.splitlines()) + 2


def test_learned_embeddings_are_no_count_tables(trace: Trace) -> None:
    traced = trace(
        HEAD
        + f"""
class Bigram(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.zeros(65536, 64))
    def forward(self, key):
        return self.rows[key]
found = Bigram()({HASHED})
"""
    )
    assert reads(traced) == []
