"""two-pass: tokens are scored again with state built from a first pass."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, early_fills, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_findings import fill_finding, ordering_finding
from auditor.rules.steps import call_site

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.order is Order.SECOND_PASS and not found.update.free_standing:
            site = call_site(found.scoring.at, found.update.at)
            yield ordering_finding(program, RULE, found, found.order.value, site)
    for fill in early_fills(program):
        if fill.order is Order.SECOND_PASS:
            yield fill_finding(program, RULE, fill, call_site(fill.read.node, fill.store.at))


RULE = Rule(
    slug="two-pass",
    code="C4",
    title="a second pass rescores tokens with state built from the first",
    status="RULED",
    sources=(
        _PULL + "846",
        _PULL + "853",
        _PULL + "991",
    ),
    page="""\
The score of a token is taken once, left to right. A second pass that scores the same tokens with weights or
tables built in the first has seen each token, and what follows it, before scoring it.
""",
    clears="Report the scores of the first pass.",
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
first = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    with torch.no_grad():
        first += model(x, y).item() * 64
    loss = model(x, y)
    loss.backward()
    optimizer.step()
print("first pass", first / val.numel())
second = 0.0
for start in range(0, val.numel() - 65, 64):
    with torch.no_grad():
        second += model(val[start : start + 64], val[start + 1 : start + 65]).item() * 64
print("val_loss", second / val.numel())
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
