"""update-before-score: a token is scored by something that has already learned from it."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, early_fills, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_findings import fill_finding, ordering_finding

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.order is not Order.SECOND_PASS and not found.update.free_standing:
            yield ordering_finding(program, RULE, found, f"{found.order.value}")
    for fill in early_fills(program):
        if fill.order is not Order.SECOND_PASS:
            yield fill_finding(program, RULE, fill)


RULE = Rule(
    slug="update-before-score",
    code="T1",
    title="state depends on a token before that token's score is final",
    status="RULED",
    sources=(_PULL + "152", _PULL + "462", _PULL + "581"),
    page="""\
A token may be learned from only after its score is final. Adapting the model (or a table, or any other
state) on validation tokens and then scoring those same tokens measures memory, not prediction. Scoring a
chunk first and then training on it, for any number of epochs, is legal.
""",
    clears="Score each chunk before the step that learns from it, and report the scores taken before.",
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
