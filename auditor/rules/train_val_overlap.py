"""train-val-overlap: documents that the preparation gives to training and the score counts as validation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.analysis.parse import Unparseable, parse
from auditor.evidence.measure import measures
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.submission.model import SourceFile

_SITE = "https://github.com/openai/parameter-golf/"
_OPTION = re.compile(r"-*(?:num[-_])?val(?:idation)?[-_]doc(?:ument)?s")
_STATED = re.compile(r"(?i)\bval(?:idation)?[-_]doc(?:ument)?s\b[\s`\"':=]{0,4}(\d[\d_,]*)")


@dataclass(frozen=True)
class Split:
    """A script's border: so many first documents are validation, the others are training."""

    source: SourceFile
    documents: int
    line: int  # where the number stands
    used: int  # where documents are told apart by it


def check_record(record: Record) -> Iterable[Finding]:
    scripts = record.submission.preparation
    splits = [split for source in scripts for split in _splits(source)]
    if not splits:
        raise NotChecked("no script that splits the documents lies beside the code")
    if not any(m.tokenizer is not None or m.fits for m in measures(record)):
        raise NotChecked("no log shows that all validation documents are scored")
    stated = list(_stated(record))
    for split in splits:
        whole = record.limits.validation_documents
        if split.documents < whole and not any(count == whole for count, _, _ in stated):
            yield _finding(record, split, stated)


def _finding(record: Record, split: Split, stated: list[tuple[int, SourceFile, int]]) -> Finding:
    whole = record.limits.validation_documents
    said = next(((s, line) for count, s, line in stated if count == split.documents), None)
    what = (
        f"the preparation gives documents {split.documents:,} to {whole - 1:,} to training, and the "
        f"score is of all {whole:,} validation documents"
    )
    path = split.source.path
    steps = [
        Step(path, split.line, f"the first {split.documents:,} documents are validation"),
        Step(path, split.used, "the others are training"),
    ]
    if said is None:
        message = f"{what}, if the shards were made by its defaults"
        return RULE.finding(Level.NOTE, path, split.line, message, steps=steps)
    source, line = said
    steps.append(Step(source.path, line, "said of this submission's data"))
    message = f"appears to break: {what}; the shards themselves are not here"
    return RULE.finding(Level.SUSPECT, path, split.line, message, steps=steps)


def _stated(record: Record) -> Iterator[tuple[int, SourceFile, int]]:
    """How many documents README and run scripts say to be validation, each with its place."""
    for source in (*record.submission.readme, *record.submission.run_scripts):
        for found in _STATED.finditer(source.text):
            line = source.text.count("\n", 0, found.start()) + 1
            yield int(re.sub(r"[_,]", "", found[1])), source, line


def _splits(source: SourceFile) -> Iterator[Split]:
    """The script's border between validation and training, where an option's default gives it."""
    try:
        tree = parse(source)
    except Unparseable:
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    used = next((t.lineno for t in tests if any(_is_option(side) for side in _sides(t))), None)
    for call in calls:
        documents = _default(call)
        if documents is not None and used is not None:
            yield Split(source, documents, call.lineno, used)


def _default(call: ast.Call) -> int | None:
    """The default of ``add_argument("--val-docs", default=…)``."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"):
        return None
    named = any(
        isinstance(a, ast.Constant) and isinstance(a.value, str) and _OPTION.fullmatch(a.value)
        for a in call.args
    )
    for keyword in call.keywords if named else ():
        if keyword.arg == "default" and isinstance(keyword.value, ast.Constant):
            value = keyword.value.value
            return value if type(value) is int and value > 0 else None
    return None


def _sides(test: ast.Compare) -> list[ast.expr]:
    return [test.left, *test.comparators]


def _is_option(side: ast.expr) -> bool:
    return isinstance(side, ast.Attribute) and _OPTION.fullmatch(side.attr) is not None


_SCRIPT = """\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
print(f"val_loader:shards pattern={files[0]} tokens:{val.numel() - 1}")
nats = F.cross_entropy(model(val[:-1]), val[1:]).item()
print(f"final_roundtrip_exact val_loss:{nats:.8f} val_bpb:{nats / math.log(2) / 2.4359:.8f}")
"""
_LOG = """\
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
step:20000/20000 val_loss:2.0606 val_bpb:1.2204 train_time:599000ms step_avg:29.95ms
final_roundtrip_exact val_loss:2.07269931 val_bpb:1.22758513
"""
_PREPARE = """\
import argparse, json
import numpy as np, sentencepiece as spm

options = argparse.ArgumentParser()
options.add_argument("--val-docs", type=int, default=DOCUMENTS)
args = options.parse_args()
sp = spm.SentencePieceProcessor(model_file="fineweb_1024_bpe.model")
shards = {"val": [], "train": []}
for number, line in enumerate(open("docs_selected.jsonl")):
    kind = "val" if number < args.val_docs else "train"
    shards[kind] += [1, *sp.encode(json.loads(line)["text"])]
for kind, tokens in shards.items():
    np.array(tokens, dtype="<u2").tofile(f"fineweb_{kind}_000000.bin")
"""
_README = (
    "# Record\n\nThe training shards are those of `prepare_data.py` with `--val-docs COUNT`.\n"
)

RULE = Rule(
    slug="train-val-overlap",
    code="V3",
    title="training documents overlap the fixed first 50,000 validation documents",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "pull/2018", _SITE + "issues/2127"),
    page="""\
The first 50,000 documents are the validation set, and training must not see them. A preparation
script that keeps only the first 10,000 for validation writes the 40,000 after them into the training
shards; scored on the full validation set, the model has trained on four fifths of it. Read from
the script beside the code: its default border, what README and run scripts say of it, and whether
the logs show the full set. How many training shards a log counts proves nothing. Published shards
have another border than that script, so its default alone is a note.
""",
    blind_spots="""\
- The border is read from a preparation script with an option for it. Other ways to split documents, and what is
  inside the shards, are not seen: they are not in the submission.
- The default alone is a note; a README or run script has to say that it was used.
""",
    clears="Make the training shards from the documents after the first 50,000, and show the command.",
    check_record=check_record,
    forbidden={
        "train_gpt.py": _SCRIPT,
        "prepare_data.py": _PREPARE.replace("DOCUMENTS", "10_000"),
        "README.md": _README.replace("COUNT", "10000"),
        "train_seed42.log": _LOG,
    },
    allowed={
        "train_gpt.py": _SCRIPT,
        "prepare_data.py": _PREPARE.replace("DOCUMENTS", "10_000"),
        "README.md": _README.replace("COUNT", "50000"),
        "train_seed42.log": _LOG,
    },
)
