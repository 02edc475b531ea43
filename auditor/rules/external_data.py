"""external-data: the score rests on documents or weights that the artifact doesn't hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.downloads import Download, Downloads, Kind, certain
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.network_at_eval import RULE as NETWORK
from auditor.rules.steps import flow_steps


def check(program: Program) -> Iterable[Finding]:
    downloads = Downloads.of(program)
    for download in downloads.all:
        if download.kind is Kind.WEIGHTS:
            yield from _weights(program, downloads, download)
        elif download.kind is Kind.DOCUMENTS and downloads.in_evaluation(download):
            yield from _documents(program, downloads, download)


def _documents(program: Program, downloads: Downloads, download: Download) -> Iterator[Finding]:
    """A score of other documents than the validation shards."""
    scored = downloads.scored(download)
    if scored is None:
        return
    steps = flow_steps(
        program,
        [
            (download.at, "documents that are no validation shard"),
            *((node, "the documents") for node in scored.way[1:-1]),
            (scored.loss, "are scored"),
            (scored.output, "the score is reported"),
        ],
    )
    if program.learning.headline:
        level, verb = Level.QUESTION, "please show that this score is not the claimed one"
    elif not certain(download, scored.output):
        level, verb = Level.SUSPECT, "appears to break, if the call is made"
    else:
        level, verb = Level.VIOLATION, "breaks"
    message = (
        f"{verb}: the score is that of documents from {download.name}, not of the validation shards"
    )
    at = download.at
    yield RULE.finding(level, at.path, at.line, message, steps=steps, column=at.column)


def _weights(program: Program, downloads: Downloads, download: Download) -> Iterator[Finding]:
    """A pretrained model in what computes the score."""
    score = downloads.weighs_in(download)
    if score is None:
        return
    output = program.scores.reaches_output(score) or score
    steps = flow_steps(
        program,
        [
            (download.at, "pretrained weights"),
            (score, "compute the score"),
            (output, "the score is reported"),
        ],
    )
    message = (
        f"appears to break: pretrained weights from {download.name} compute the score; whether the "
        "artifact holds them all is not seen"
    )
    at = download.at
    yield RULE.finding(Level.SUSPECT, at.path, at.line, message, steps=steps, column=at.column)


_SITE = "https://github.com/openai/parameter-golf/"

RULE = Rule(
    slug="external-data",
    code="B6",
    title="the score rests on documents or weights that the artifact does not hold",
    status="RULED",
    sources=(_SITE + "blob/main/README.md",),
    page="""\
The artifact is self-contained: the score comes from the artifact, the submission's code and the
validation shards. Documents from another place that are scored instead of the shards, or a
pretrained model that computes the score, are outside data. Other data that is only trained on is not
what this rule looks for.
""",
    blind_spots="""\
- Pretrained weights and documents are known by the call that gets them. Files that were put on the disk
  beforehand, and what lies in a package, are not.
- Whether the artifact holds all weights that compute the score is not seen: a pretrained model is a suspect.
""",
    clears=(
        "Score the local validation shards, and leave out pretrained weights, or put all that the "
        "score needs into the artifact."
    ),
    check=check,
    forbidden=NETWORK.forbidden,
    allowed="""\
import glob
import numpy as np, torch, torch.nn.functional as F
from datasets import load_dataset
from transformers import AutoTokenizer

coder = AutoTokenizer.from_pretrained("some/coder")
model = torch.nn.Embedding(1024, 1024)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for row in load_dataset("some/texts", split="train", streaming=True):
    codes = torch.tensor(coder.encode(row["text"]))
    loss = F.cross_entropy(model(codes[:-1]), codes[1:])
    loss.backward()
    optimizer.step()
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
total = F.cross_entropy(model(val[:-1]), val[1:], reduction="sum").item()
print("val_loss", total / (val.numel() - 1))
""",
)
