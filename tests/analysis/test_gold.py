"""What is known of the realised token: its scores, its counts, and what they decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]

HEAD = """
import glob
import numpy as np, torch, torch.nn.functional as F
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
x, y = val[:-1], val[1:]
logits = network(x)
logp = F.log_softmax(logits, -1)
own = logp.gather(-1, y[:, None])[:, 0]
top = logp.max(-1).values
counts = torch.zeros(1024)
counts.scatter_add_(0, y, torch.ones(9))
is_space = torch.zeros(1024, dtype=torch.bool)
"""


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("own.exp()", True),
        ("own * 2 + 1", True),
        ("counts[y] / 9", True),
        ("top", False),
        ("logp.exp().sum(-1)", False),
        ("x * 2", False),
    ],
)
def test_scores_of_the_realised_token(trace: Trace, value: str, known: bool) -> None:
    traced = trace(HEAD + f"show({value})\n")
    assert traced.program.gold.is_value(traced.shown[0]) is known


@pytest.mark.parametrize(
    ("test", "decides"),
    [
        ("own.mean() > 3", True),
        ("is_space[y[t]]", True),
        ("counts[y[t]] > 2", True),
        ("top.mean() > 3", False),
        ("is_space[x[t]]", False),
        ("y.numel() > 3", False),
        ("guess == y[t]", False),
    ],
)
def test_what_decides_a_branch(trace: Trace, test: str, decides: bool) -> None:
    """A comparison with a guess is how a tilt is scored: it decides nothing beforehand."""
    traced = trace(HEAD + f"for t in range(9):\n    if {test}:\n        show(1)\n")
    (shown,) = traced.shown
    (branch,) = shown.ctx.branches
    assert (traced.program.gold.behind(branch.test) is not None) is decides
