"""Where realised tokens meet a model's output, and which of these scores are reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]

HEAD = """
import glob
import math
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
train = torch.from_numpy(np.fromfile(glob.glob("fineweb_train_*.bin")[0], dtype=np.uint16)).long()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(1024, 1024)
    def forward(self, x):
        return self.table(x)
model = Net()
x, y = val[:-1], val[1:]
logits = model(x)
"""


def targets(traced: Any) -> list[int]:
    """Lines of the scores of validation tokens."""
    return [node.line for node, _ in traced.program.scores.val_losses]


@pytest.mark.parametrize(
    "score",
    [
        "F.cross_entropy(logits, y)",
        "F.cross_entropy(logits.view(-1, 1024), target=y.view(-1), reduction='none')",
        "F.nll_loss(F.log_softmax(logits, -1), y)",
        "nn.CrossEntropyLoss()(logits, y)",
        "F.log_softmax(logits, -1).gather(-1, y.unsqueeze(-1))",
        "torch.gather(logits, 1, index=y[:, None])",
        "np.take_along_axis(logits.numpy(), y.numpy(), -1)",
        "logits.log_softmax(-1)[torch.arange(8), y]",
        "linear_cross_entropy(hidden, weight, y)",
        "F.cross_entropy(logits, buffer)",
        "F.cross_entropy(logits, buffer.reshape(-1))",
    ],
)
def test_scores_of_validation_tokens(trace: Trace, score: str) -> None:
    setup = "buffer = torch.zeros(64)\nfor i in range(n):\n    buffer[i, :8] = val[i : i + 8]\n"
    traced = trace(HEAD + setup + f"s = {score}\n")
    assert len(targets(traced)) == 1


@pytest.mark.parametrize(
    "score",
    [
        "F.cross_entropy(logits, train[1:])",
        "F.cross_entropy(logits, labels)",
        "F.mse_loss(logits, teacher)",
        "val.gather(0, y)",
        "val[y]",
        "logits[rows, 0]",
        "torch.gather(logits, 1, logits.argmax(-1))",
        "F.cross_entropy(logits, torch.zeros(8))",
    ],
)
def test_other_scores(trace: Trace, score: str) -> None:
    assert targets(trace(HEAD + f"s = {score}\n")) == []


def test_training_losses_are_losses_of_training_tokens(trace: Trace) -> None:
    traced = trace(HEAD + "a = F.cross_entropy(model(train), train[1:])\nb = model(train)[r, y]\n")
    assert len(traced.program.scores.losses) == 2
    assert len(targets(traced)) == 1


@pytest.mark.parametrize(
    "output",
    [
        "print(total / n)",
        "print(f'val_loss:{total / n:.4f}')",
        "log = open('log', 'a')\nlog.write(str(total))",
        "import logging\nlogging.getLogger().info('%f', total)",
        "import torch.distributed as dist\ndist.all_reduce(total)",
        "import json\njson.dump({'bpb': total / math.log(2)}, handle)",
        "def report(v):\n    print('val', v)\nreport(total.item())",
        "results = []\nresults.append(total)\nprint(sum(results))",
        "out = torch.zeros(2)\nout[0] = total\nprint(out)",
    ],
)
def test_what_reaches_the_output(trace: Trace, output: str) -> None:
    traced = trace(HEAD + f"total = F.cross_entropy(logits, y)\nprint('begin')\n{output}\n")
    (scoring,) = traced.program.learning.scorings
    assert scoring.at.data.endswith("cross_entropy")
    assert traced.program.scores.path_to_output(scoring.at)[0] is scoring.at


@pytest.mark.parametrize(
    "use",
    [
        "print('done')",
        "unused = total / 2",
        "if total > 3:\n    print('bad')",
        "print(items[total.argmax()])",
        "print(torch.zeros_like(total))",
        "print(list(range(total)))",
    ],
)
def test_what_does_not(trace: Trace, use: str) -> None:
    """A choice that a score makes is not its value."""
    traced = trace(HEAD + f"total = F.cross_entropy(logits, y)\n{use}\n")
    assert traced.program.learning.scorings == []
    assert len(targets(traced)) == 1


def test_a_path_through_a_log(trace: Trace) -> None:
    traced = trace(
        HEAD
        + "p = model(x)[rows, y]\nprint(p.mean())\nq = model(x)[rows, y]\nprint((-q.log()).mean())\n"
    )
    scores = traced.program.scores
    assert [scores.path_to_score(node) is not None for node, _ in scores.val_losses] == [
        False,
        True,
    ]


def test_the_headline_is_the_last_score(trace: Trace) -> None:
    traced = trace(
        HEAD
        + """
first = F.cross_entropy(model(x), y)
print("step", first)
last = F.cross_entropy(model(x), y)
print("final", last)
"""
    )
    learning = traced.program.learning
    lines = [s.at.line for s in learning.scorings]
    assert len(lines) == 2
    assert [s.at.line for s in learning.headline] == [max(lines)]


def test_the_realised_tokens_under_every_name(trace: Trace) -> None:
    traced = trace(
        HEAD
        + """
loss = F.cross_entropy(logits, y)
gold = y.cpu().numpy()
def look(tokens):
    show(tokens, tokens.astype(np.uint64), tokens * 3, x)
look(gold)
"""
    )
    known = traced.program.scores.target_values
    assert [n.uid in known for n in traced.shown] == [True, True, False, False]
