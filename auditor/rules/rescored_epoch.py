"""rescored-epoch: the reported score comes after an earlier epoch learned from the same tokens."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_findings import ordering_finding

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.update.free_standing:
            continue
        if found.order is Order.EPOCHS:
            yield ordering_finding(program, RULE, found, found.order.value)
        elif found.order in (Order.WHOLE_PASS, Order.SECOND_PASS) and any(
            program.learning.repeated_loops(found.update)
        ):
            what = "several epochs over the validation tokens come before the reported score"
            yield ordering_finding(program, RULE, found, what)


RULE = Rule(
    slug="rescored-epoch",
    code="T2",
    title="several epochs over the validation tokens, the last or best one reported",
    status="RULED",
    sources=(
        _PULL + "512",
        _PULL + "568",
        _PULL + "614",
    ),
    page="""\
Running several epochs over the validation tokens and reporting the last (or best) one scores tokens
that an earlier epoch learned from. Several epochs over a chunk that is already scored are legal: its
score was taken before.
""",
    clears="Report the scores of the first time that each token is met.",
    check=check,
    forbidden="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

def tokens(pattern):
    shard = glob.glob(os.environ["DATA_PATH"] + pattern)[0]
    return torch.from_numpy(np.fromfile(shard, dtype=np.uint16).astype(np.int64))

train, val = tokens("/fineweb_train_*.bin"), tokens("/fineweb_val_*.bin")

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(1024, 1024)
    def forward(self, x, y):
        return F.cross_entropy(self.table(x), y)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(1000):
    model(train[step * 64 : step * 64 + 64], train[step * 64 + 1 : step * 64 + 65]).backward()
    optimizer.step()
for epoch in range(3):
    for start in range(0, val.numel() - 65, 64):
        loss = model(val[start : start + 64], val[start + 1 : start + 65])
        loss.backward()
        optimizer.step()
total = 0.0
for start in range(0, val.numel() - 65, 64):
    with torch.no_grad():
        total += model(val[start : start + 64], val[start + 1 : start + 65]).item() * 64
print("val_loss", total / val.numel())
""",
    allowed="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

def tokens(pattern):
    shard = glob.glob(os.environ["DATA_PATH"] + pattern)[0]
    return torch.from_numpy(np.fromfile(shard, dtype=np.uint16).astype(np.int64))

train, val = tokens("/fineweb_train_*.bin"), tokens("/fineweb_val_*.bin")

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(1024, 1024)
    def forward(self, x, y):
        return F.cross_entropy(self.table(x), y)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(1000):
    model(train[step * 64 : step * 64 + 64], train[step * 64 + 1 : step * 64 + 65]).backward()
    optimizer.step()
total = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    with torch.no_grad():
        total += model(x, y).item() * 64
    for epoch in range(3):
        loss = model(x, y)
        loss.backward()
        optimizer.step()
print("val_loss", total / val.numel())
""",
)
