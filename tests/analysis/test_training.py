"""The loop that a clock ends, and what reads training data after it."""

from __future__ import annotations

import pytest

from auditor.analysis.program import Program
from auditor.analysis.training import Training
from auditor.submission.model import SourceFile, Submission

SCRIPT = """\
import glob, os, time
import numpy as np, torch, torch.nn.functional as F

def read(kind):
    name = glob.glob(os.environ["DATA_PATH"] + f"/fineweb_{kind}_*.bin")[0]
    return torch.from_numpy(np.fromfile(name, dtype=np.uint16).astype(np.int64))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
    def hidden(self, x):
        return self.table(x)
    def forward(self, x, y):
        return F.cross_entropy(self.head(self.hidden(x)), y)

model, train, val = Net(), read("train"), read("val")
optimizer = torch.optim.AdamW(model.parameters())
cap_ms = 1000.0 * float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0)) - RESERVE
for step in range(20):
    model(train[step : step + 64], train[step + 1 : step + 65]).backward()
    optimizer.step()
started = time.perf_counter()
for step in range(20000):
    at = step * 64
    model(train[at : at + 64], train[at + 1 : at + 65]).backward()
    optimizer.step()
    if 1000.0 * (time.perf_counter() - started) >= cap_ms:
        break
AFTER
total = 0.0
for start in range(0, val.numel() - 65, 64):
    total += model(val[start : start + 64], val[start + 1 : start + 65]).item()
print("val_loss", total)
"""
LOOP = 24


def traced(after: str = "", reserve: str = "0.0") -> Training:
    text = SCRIPT.replace("AFTER", after).replace("RESERVE", reserve)
    return Program.build(Submission("", SourceFile("train_gpt.py", text))).training


def test_the_loop_is_the_one_that_reads_the_clock() -> None:
    loop = traced().loop
    assert loop is not None
    assert getattr(loop.at, "lineno", 0) == LOOP


@pytest.mark.parametrize(("reserve", "whole"), [("0.0", True), ("14000.0", False)])
def test_a_reserve_shortens_the_loop(reserve: str, whole: bool) -> None:
    assert traced(reserve=reserve).runs_until(600) is whole


@pytest.mark.parametrize(
    ("after", "late"),
    [
        ("size = model.hidden(train[:64]).abs().mean(0)", True),
        ("size = model.hidden(read('train')[:64]).abs().mean(0)", True),
        ("size = model.hidden(torch.randint(0, 1024, (64,))).abs().mean(0)", False),
        ("size = train[:64].float().mean()", False),  # looked at, no model runs on it
        ("", False),
    ],
)
def test_what_runs_on_training_data_afterwards(after: str, late: bool) -> None:
    assert bool(traced(after).late) is late


def test_a_script_that_only_evaluates_has_no_such_loop() -> None:
    text = SCRIPT.partition("for step in range(20):")[0].replace("RESERVE", "0")
    training = Program.build(Submission("", SourceFile("train_gpt.py", text))).training
    assert training.loop is None
    assert not training.late
