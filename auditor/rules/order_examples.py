"""The scripts that the rules of order show: one model, trained on training data, then evaluated."""

from __future__ import annotations

PRELUDE = """\
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
"""

SCORE_FIRST = (
    PRELUDE
    + """\
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
"""
)
"""Legal: each chunk is scored before the model learns from it, for any number of epochs."""
