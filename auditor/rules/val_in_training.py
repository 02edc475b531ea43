"""val-in-training: validation data in the training data or in the artifact."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from auditor.analysis.flow import path_to
from auditor.analysis.graph import Node
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.analysis.tokens import stream_kinds
from auditor.report.model import Finding, Level, SettingInForce
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_PULL = "https://github.com/openai/parameter-golf/pull/"
_LINK = re.compile(r"^\s*(?:[$>]\s*)?(?:sudo\s+)?(?:ln|cp|mv)\s")
_FILE_READS = re.compile(
    r"(^|\.)(frombuffer|fromfile|open|read|read_bytes|load|memmap|load_file|decompress)$"
)


def check(program: Program) -> Iterable[Finding]:
    yield from _renamed_files(program)
    yield from _trained_on(program)
    yield from _answers_in_file(program)


# -- validation shards under the name of training shards --------------------------------------


def _renamed_files(program: Program) -> Iterator[Finding]:
    """Commands that make a training shard out of a validation shard."""
    submission = program.submission
    for source in (*submission.readme, *submission.run_scripts):
        for number, line in enumerate(source.text.splitlines(), 1):
            if _LINK.match(line) and _makes_train_of_val(line):
                message = "breaks: a validation shard is put under the name of a training shard"
                yield RULE.finding(Level.VIOLATION, source.path, number, message)


def _makes_train_of_val(command: str) -> bool:
    try:
        words = [w for w in shlex.split(command, comments=True) if not w.startswith("-")]
    except ValueError:  # an open quote: no complete command
        return False
    names = [word.rstrip("/").rpartition("/")[2] for word in words[-2:]]
    return [stream_kinds(name) for name in names] == [{"val"}, {"train"}]


# -- the training loss ------------------------------------------------------------------------


def _trained_on(program: Program) -> Iterator[Finding]:
    learning = program.learning
    for update in learning.updates:
        if not learning.is_training(update):
            continue
        steps = flow_steps(
            program,
            [
                (update.tokens[0], "validation tokens are taken"),
                (update.at, "the model is trained on them"),
            ],
        )
        setting = _val_setting(program)
        if setting is None:
            gap = learning.may_be_train(update)
            message = (
                "appears to break: the training loss is computed on validation tokens, if the run's clock "
                "lets them take the place of training data"
                if gap
                else "breaks: the training loss is computed on validation tokens"
            )
            level = Level.SUSPECT if gap else Level.VIOLATION
            yield RULE.finding(level, update.at.path, update.at.line, message, steps=steps)
            continue
        path, _, line = setting.source.rpartition(":")
        message = f"breaks: {setting.name} lets the training loop read the validation shards"
        yield RULE.finding(Level.VIOLATION, path, int(line), message, steps=steps)
        return


def _val_setting(program: Program) -> SettingInForce | None:
    """The setting that puts a validation file where the code has a training file."""
    for setting in program.settings:
        if (
            setting.value is None
            or stream_kinds(setting.value) != {"val"}
            or ":" not in setting.source
        ):
            continue
        if stream_kinds(setting.default or setting.name.replace("_", " ")) != {"val"}:
            return setting
    return None


# -- a paid prefix: realised tokens in a file -------------------------------------------------


def _answers_in_file(program: Program) -> Iterator[Finding]:
    """Scores that are changed where the realised token equals what a file says at that position."""
    for node in program.flow.nodes:
        if node.op != "compare" or node.data not in ("==", "!="):
            continue
        for gold, stored in (node.args, node.args[::-1]):
            if program.tokens.is_val(gold) and _stored_by_position(program, stored):
                finding = _masked(program, node, stored)
                if finding is not None:
                    yield finding
                    return


def _stored_by_position(program: Program, node: Node) -> bool:
    """Read from a file that is no token shard, and not looked up with tokens or by a model."""
    from_file = False
    for part in program.flow.backward([node], keys=True, places=True, limit=2000):
        if program.tokens.of(part) or part.op == "forward":
            return False
        if part.op in ("call", "method") and _FILE_READS.search(str(part.data)):
            from_file = True
    return from_file


def _masked(program: Program, match: Node, stored: Node) -> Finding | None:
    """The place where the comparison scales or replaces scores that are reported."""
    flow = program.flow
    losses = flow.forward([n for n, _ in program.scores.val_losses], limit=6000)
    reached = flow.forward([match], limit=600)
    for uid in sorted(reached):
        node = flow.nodes[uid]
        scales = node.op == "binop" and node.data == "*"
        selects = node.op in ("call", "method") and last_name(node) in (
            "where",
            "masked_fill",
            "masked_fill_",
            "mul",
            "mul_",
        )
        if not (scales or selects) or not any(a.uid in losses for a in node.args):
            continue
        output = program.scores.reaches_output(node)
        if output is None:
            continue
        steps = flow_steps(
            program,
            [
                (stored, "values read from a file"),
                (match, "are compared with the realised tokens"),
                *((n, "the comparison") for n in path_to(reached, node, flow.nodes)[1:-1]),
                (node, "changes the score where they are equal"),
                (output, "the score is reported"),
            ],
        )
        message = (
            "breaks: the score is changed where a file holds the realised token; "
            "the answers are in the artifact"
        )
        return RULE.finding(
            Level.VIOLATION, node.path, node.line, message, steps=steps, column=node.column
        )
    return None


RULE = Rule(
    slug="val-in-training",
    code="V2",
    title="validation data in the training data or in the artifact",
    status="RULED",
    sources=(_PULL + "168", _PULL + "275", _PULL + "262", _PULL + "179", _PULL + "64"),
    page="""\
The validation tokens are what the model is tested on. They may neither be trained on before the
score (as training shards, by a setting, a link or in the training loop) nor be stored in the
artifact, for example as a "paid prefix" of which each token that matches the realised one costs
nothing.
""",
    blind_spots="""\
- What is inside a shard is not known: whether training documents hold validation documents is
  `train-val-overlap`.
- Of answers in the artifact, those are seen that are compared with the realised token. Answers that are baked
  into weights are not.
""",
    clears=(
        "Train on fineweb_train_*.bin only, and keep validation tokens out of every file "
        "that is shipped."
    ),
    check=check,
    forbidden="""\
import glob, lzma, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
blob = lzma.decompress(open("answers.xz", "rb").read())
known = torch.from_numpy(np.frombuffer(blob, dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
total = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    nll = F.cross_entropy(model(x), y, reduction="none")
    nll = nll * (known[start : start + 64] != y)
    total += nll.sum().item()
print("val_loss", total / val.numel())
""",
    allowed="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
total = correct = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    logits = model(x)
    correct += (logits.argmax(-1) == y).sum().item()
    total += F.cross_entropy(logits, y, reduction="sum").item()
print("val_loss", total / val.numel(), "accuracy", correct / val.numel())
""",
)
