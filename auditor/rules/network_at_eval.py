"""network-at-eval: the evaluation fetches something from a network."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.downloads import Download, Downloads, Scored, certain
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps


def check(program: Program) -> Iterable[Finding]:
    downloads = Downloads.of(program)
    for download in downloads.all:
        if not downloads.in_evaluation(download):
            continue
        at = download.at
        scored = downloads.scored(download)
        if scored is None and not downloads.trained:
            continue
        if scored is None:
            message = f"{download.name} is called after training; what it fetches reaches no score"
            yield RULE.finding(Level.NOTE, at.path, at.line, message, column=at.column)
            continue
        steps = flow_steps(
            program,
            [
                (at, "fetched while the model is evaluated"),
                *((node, "what was fetched") for node in scored.way[1:-1]),
                (scored.loss, "is scored"),
                (scored.output, "the score is reported"),
            ],
        )
        gap = _gap(download, scored)
        level, verb = (Level.SUSPECT, "appears to break") if gap else (Level.VIOLATION, "breaks")
        message = f"{verb}: {download.name} fetches from a network what is then scored{gap}"
        yield RULE.finding(level, at.path, at.line, message, steps=steps, column=at.column)


def _gap(download: Download, scored: Scored) -> str:
    """What keeps the network from being certain."""
    if not certain(download, scored.output):
        return "; the settings do not decide whether it is called"
    return "; an earlier call may have left it on the disk" if download.may_be_cached else ""


RULE = Rule(
    slug="network-at-eval",
    code="B6",
    title="the evaluation fetches something from a network",
    status="RULED",
    sources=("https://github.com/openai/parameter-golf/blob/main/README.md",),
    page="""\
No downloads and no network calls during the evaluation: the artifact and the validation shards are
all it may need. Fetching the data set or a tokenizer before the clock starts is normal, and so is
setting up packages. What counts is the call on the live path and where its result goes, not words
in messages.
""",
    blind_spots="""\
- Known calls that fetch something are looked for. A download inside a package, or by a command that is put
  together at run time, is not seen.
- Whether a file was in the cache already, so that nothing was fetched, only a run shows.
""",
    clears=(
        "Fetch the data set before training starts, and evaluate the local validation shards with "
        "the artifact."
    ),
    check=check,
    forbidden="""\
import math
import torch, torch.nn.functional as F
from datasets import load_dataset

model = torch.nn.Embedding(1024, 1024)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
tokens = torch.load("train.pt")
for start in range(0, 100_000, 512):
    x, y = tokens[start : start + 512], tokens[start + 1 : start + 513]
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
total = count = 0.0
for row in load_dataset("some/texts", split="train", streaming=True).take(50):
    codes = torch.tensor(list(row["text"].encode()))
    total += F.cross_entropy(model(codes[:-1]), codes[1:], reduction="sum").item()
    count += len(codes) - 1
print("val_bpb", total / count / math.log(2))
""",
    allowed="""\
import glob
import numpy as np, torch, torch.nn.functional as F
from huggingface_hub import snapshot_download

folder = snapshot_download("some/shards", repo_type="dataset")
val = torch.from_numpy(np.fromfile(glob.glob(folder + "/fineweb_val_*.bin")[0], dtype=np.uint16))
train = torch.from_numpy(np.fromfile(glob.glob(folder + "/fineweb_train_*.bin")[0], dtype=np.uint16))
model = torch.nn.Embedding(1024, 1024)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for start in range(0, 100_000, 512):
    x, y = train[start : start + 512].long(), train[start + 1 : start + 513].long()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
total = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64].long(), val[start + 1 : start + 65].long()
    total += F.cross_entropy(model(x), y, reduction="sum").item()
print("val_loss", total / val.numel(), "(pip install nothing, curl nothing)")
""",
)
