"""Before or after: how updates and scores of the same tokens stand to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.analysis.order import Order, early_fills, orderings

Trace = Callable[..., Any]

HEAD = """
import copy
import glob
import os
import numpy as np
import torch
import torch.nn.functional as F
def stream(pattern):
    return torch.from_numpy(np.fromfile(glob.glob(pattern)[0], dtype=np.uint16).astype(np.int64))
val, train = stream("fineweb_val_*.bin"), stream("fineweb_train_*.bin")
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(1024, 1024)
    def forward(self, x, y):
        return F.cross_entropy(self.table(x), y)
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def learn(x, y):
    optimizer.zero_grad()
    model(x, y).backward()
    optimizer.step()
for step in range(1000):
    at = step * 64
    learn(train[at : at + 64], train[at + 1 : at + 65])
total, n = 0.0, val.numel() - 65
"""
X, Y = "val[at : at + 64]", "val[at + 1 : at + 65]"


def orders(traced: Any) -> list[Order]:
    return [found.order for found in orderings(traced.program)]


SCORE_ONLY = f"""
for at in range(0, n, 64):
    total += model({X}, {Y}).item()
print("val_loss", total / n)
"""
LEARN_ALL = f"""
for at in range(0, n, 64):
    learn({X}, {Y})
"""


def test_training_on_training_tokens_is_no_update(trace: Trace) -> None:
    traced = trace(HEAD + SCORE_ONLY)
    assert traced.program.learning.updates == []
    assert orders(traced) == []


def test_a_whole_pass_before_the_score(trace: Trace) -> None:
    assert orders(trace(HEAD + LEARN_ALL + SCORE_ONLY)) == [Order.WHOLE_PASS]


def test_a_whole_pass_behind_the_score(trace: Trace) -> None:
    traced = trace(HEAD + SCORE_ONLY + LEARN_ALL)
    assert len(traced.program.learning.updates) == 1
    assert orders(traced) == []


def test_a_second_pass(trace: Trace) -> None:
    first = f"""
before = 0.0
for at in range(0, n, 64):
    before += model({X}, {Y}).item()
    learn({X}, {Y})
print("first pass", before / n)
"""
    assert orders(trace(HEAD + first)) == []
    assert orders(trace(HEAD + first + SCORE_ONLY)) == [Order.SECOND_PASS]


STEP = """
for at in range(0, n, 64):
    x, y = {x}, {y}
    {first}
    {second}
print("val_loss", total / n)
"""
ADD = "total += model(x, y).item()"


def test_within_one_step(trace: Trace) -> None:
    learn_first = STEP.format(x=X, y=Y, first="learn(x, y)", second=ADD)
    score_first = STEP.format(x=X, y=Y, first=ADD, second="learn(x, y)")
    assert orders(trace(HEAD + learn_first)) == [Order.SAME_STEP]
    assert orders(trace(HEAD + score_first)) == []


def test_learning_from_the_window_before(trace: Trace) -> None:
    """Score, then learn, in another arrangement: the last window is learned from first."""
    late = STEP.format(
        x=X,
        y=Y,
        first="if at: learn(val[at - 64 : at], val[at - 63 : at + 1])",
        second=ADD,
    )
    assert orders(trace(HEAD + late)) == []


def test_learning_from_rows_carried_to_the_next_window(trace: Trace) -> None:
    carried = f"""
held = None
for at in range(0, n, 64):
    if held is not None:
        learn(held[0], held[1])
    total += model({X}, {Y}).item()
    held = ({X}, {Y})
print("val_loss", total / n)
"""
    assert orders(trace(HEAD + carried)) == []
    early = carried.replace("    if held", f"    held = ({X}, {Y})\n    if held")
    assert orders(trace(HEAD + early)) == [Order.SAME_STEP]


@pytest.mark.parametrize(("reach", "found"), [(65, []), (64, []), (129, [Order.AHEAD])])
def test_learning_beyond_what_is_scored(trace: Trace, reach: int, found: list[Order]) -> None:
    code = STEP.format(
        x=X,
        y=Y,
        first=ADD,
        second=f"learn(val[at : at + {reach - 1}], val[at + 1 : at + {reach}])",
    )
    assert orders(trace(HEAD + code)) == found


EPOCHS = """
for epoch in range({epochs}):
    total = 0.0
    for at in range(0, n, 64):
        x, y = val[at : at + 64], val[at + 1 : at + 65]
        {add}
        learn(x, y)
    {behind}
print("val_loss", total / n)
"""


@pytest.mark.parametrize(
    ("epochs", "found"),
    [
        ("3", [Order.EPOCHS]),
        ("1", []),
        ('int(os.environ.get("EPOCHS", "1"))', []),
        ('int(os.environ.get("EPOCHS", "4"))', [Order.EPOCHS]),
        ("unknown", [Order.EPOCHS]),
    ],
)
def test_epochs_over_the_scored_tokens(trace: Trace, epochs: str, found: list[Order]) -> None:
    assert orders(trace(HEAD + EPOCHS.format(epochs=epochs, add=ADD, behind="pass"))) == found


def test_epochs_of_which_only_the_first_counts(trace: Trace) -> None:
    code = EPOCHS.replace("    total = 0.0\n", "")
    counted = code.format(epochs=3, add="loss = model(x, y)", behind="pass").replace(
        "        learn", "        if epoch == 0:\n            total += loss.item()\n        learn"
    )
    every = counted.replace("epoch == 0", "epoch == epoch")
    assert orders(trace(HEAD + counted)) == []
    assert orders(trace(HEAD + every)) == [Order.EPOCHS]


def test_epochs_that_only_learn(trace: Trace) -> None:
    """Score first, then several epochs of the same window: nothing is scored again."""
    code = STEP.format(x=X, y=Y, first=ADD, second="for e in range(3): learn(x, y)")
    assert orders(trace(HEAD + code)) == []


def test_a_reset_before_the_score(trace: Trace) -> None:
    keep = "kept = copy.deepcopy(model.state_dict())\n"
    back = "model.load_state_dict(kept)\n"
    assert orders(trace(HEAD + keep + LEARN_ALL + back + SCORE_ONLY)) == []
    late = "kept = copy.deepcopy(model.state_dict())\nmodel.load_state_dict(kept)\n"
    assert orders(trace(HEAD + LEARN_ALL + late + SCORE_ONLY)) == [Order.WHOLE_PASS]


def test_a_copy_that_learns_and_is_thrown_away(trace: Trace) -> None:
    learn_copy = f"""
other = copy.deepcopy(model)
tuner = torch.optim.SGD(other.parameters(), lr=0.1)
for at in range(0, n, 64):
    other({X}, {Y}).backward()
    tuner.step()
"""
    assert orders(trace(HEAD + learn_copy + SCORE_ONLY)) == []
    scored = SCORE_ONLY.replace("model(", "other(")
    assert orders(trace(HEAD + learn_copy + scored)) == [Order.WHOLE_PASS]


def test_a_copy_of_what_has_learned(trace: Trace) -> None:
    copied = "other = copy.deepcopy(model)\n"
    scored = SCORE_ONLY.replace("model(", "other(")
    assert orders(trace(HEAD + LEARN_ALL + copied + scored)) == [Order.WHOLE_PASS]
    assert orders(trace(HEAD + copied + LEARN_ALL + scored)) == []


def test_weights_that_travel_in_a_file(trace: Trace) -> None:
    ship = """
torch.save(model.state_dict(), "final.pt")
fresh = Net()
fresh.load_state_dict(torch.load("final.pt"))
"""
    scored = SCORE_ONLY.replace("model(", "fresh(")
    assert orders(trace(HEAD + LEARN_ALL + ship + scored)) == [Order.WHOLE_PASS]
    assert orders(trace(HEAD + ship + LEARN_ALL + scored)) == []


def test_a_dead_update_is_none(trace: Trace) -> None:
    code = HEAD + 'if int(os.environ.get("TTT", "0")):\n' + LEARN_ALL.replace("\n", "\n    ")
    assert orders(trace(code + SCORE_ONLY)) == []
    assert orders(trace(code + SCORE_ONLY, claims={"TTT": "1"})) == [Order.WHOLE_PASS]


# -- tables ----------------------------------------------------------------------------------------

TABLE = """
table, seen = np.zeros(1 << 20), 9
tokens = val.numpy()
def keys(at):
    return (tokens[at : at + 64] * 1024 + tokens[at + 1 : at + 65])
def fill(at):
    np.add.at(table, keys(at), 1)
def score(at):
    logits = network(val[at : at + 64])
    own = F.softmax(logits, -1).gather(-1, val[at + 1 : at + 65][:, None])[:, 0]
    return -np.log(0.5 * own.numpy() + 0.5 * table[keys(at)] / seen).sum()
"""


def fills(traced: Any) -> list[Order]:
    return [found.order for found in early_fills(traced.program)]


@pytest.mark.parametrize(
    ("loops", "found"),
    [
        ("for at in range(0, n, 64):\n    total += score(at)\n    fill(at)\n", []),
        ("for at in range(0, n, 64):\n    fill(at)\n    total += score(at)\n", [Order.SAME_STEP]),
        (
            "for at in range(0, n, 64):\n    fill(at)\n"
            "for at in range(0, n, 64):\n    total += score(at)\n",
            [Order.WHOLE_PASS],
        ),
        (
            "for at in range(0, n, 64):\n    total += score(at)\n"
            "for at in range(0, n, 64):\n    fill(at)\n",
            [],
        ),
    ],
)
def test_tables_and_their_reads(trace: Trace, loops: str, found: list[Order]) -> None:
    traced = trace(HEAD + TABLE + loops + "print('val_loss', total / n)\n")
    assert fills(traced) == found


def test_a_table_of_training_tokens_may_be_full(trace: Trace) -> None:
    code = TABLE + (
        "known = train.numpy()\n"
        "for at in range(0, n, 64):\n"
        "    np.add.at(table, known[at : at + 64] * 1024 + known[at + 1 : at + 65], 1)\n"
        "for at in range(0, n, 64):\n    total += score(at)\nprint('val_loss', total / n)\n"
    )
    assert fills(trace(HEAD + code)) == []
