"""slot: parameters of one window, fitted on the tokens that the window then scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node, common_loops
from auditor.analysis.learning import Scoring, Update, shared_loops
from auditor.analysis.program import Program
from auditor.analysis.windows import bounds, counted_from, is_none, views
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_SITE = "https://github.com/openai/parameter-golf/"


def check(program: Program) -> Iterable[Finding]:
    for update in program.learning.updates:
        if not update.free_standing:
            continue
        scoring = next(_fitted(program, update), None)
        if scoring is not None:
            yield _ask(program, update, scoring)


def _fitted(program: Program, update: Update) -> Iterator[Scoring]:
    """Scores that are computed with the fitted tensors after the fit, in the same window."""
    for scoring in program.learning.scorings:
        if scoring.at.uid < update.at.uid or not program.learning.sees(scoring, update):
            continue
        if shared_loops(update, scoring) and not _on_context_only(program, update, scoring):
            yield scoring


def _ask(program: Program, update: Update, scoring: Scoring) -> Finding:
    leaf = update.leaves[-1]
    steps = flow_steps(
        program,
        [
            (leaf, "a tensor outside the model is made"),
            (update.at, "it is fitted to the window's tokens"),
            (scoring.at, "the window is scored with it"),
            (scoring.output, "the score is reported"),
        ],
    )
    message = (
        "please show: that no score uses parameters which were fitted on the token it scores "
        "(disputed: no maintainer has ruled on fitting parameters per window)"
    )
    return RULE.finding(
        Level.QUESTION,
        update.at.path,
        update.at.line,
        message,
        steps=steps,
        column=update.at.column,
    )


def _on_context_only(program: Program, update: Update, scoring: Scoring) -> bool:
    """Whether the fit provably ends where the scored part of the same row begins."""
    ends = _ends(program, update)
    starts = counted_from(program, scoring)
    if not ends or not starts:
        return False
    in_rows = any(rows for _, rows in ends)
    if in_rows and not all(_has_row_axis(leaf) for leaf in update.leaves):
        return False  # one tensor for all rows: another row's context holds what this row scores
    return all(any(_not_after(program, end, start) for start in starts) for end, _ in ends)


def _not_after(program: Program, end: Node, start: Node) -> bool:
    if program.tokens.key(end) == program.tokens.key(start):
        return True
    high, low = program.tokens.form(end), program.tokens.form(start)
    if high is None or low is None:
        return False
    gap = (low + high.times(-1)).constant
    return gap is not None and gap >= 0


def _ends(program: Program, update: Update) -> list[tuple[Node, bool]]:
    """Where slices and masks end what the loss counts of a window, and whether by row."""
    compared = {node.uid for node, _ in program.scores.losses}
    parts: list[Node] = []
    for node in program.flow.backward(
        [update.loss],
        lambda n: n.uid not in compared and not program.tokens.of(n),
        memory=False,
        limit=200,
    ):
        if node.op == "index":
            parts.append(node.args[1])
            parts.extend(_mask_keys(program, node.args[1]))
        elif node.op == "binop" and node.data == "*":
            for factor in node.args:
                parts.extend(_mask_keys(program, factor))
    for target in update.targets:
        cuts = [n for n in views(target) if n.op == "index" and common_loops(n, update.at)]
        parts.extend(n.args[1] for n in cuts)
    ends = []
    for part in parts:
        limits = bounds(part)
        if limits is not None and is_none(limits[0]) and not is_none(limits[1]):
            ends.append((limits[1], part.op == "tuple" and part.data.items[0].op != "const"))
    return ends


def _mask_keys(program: Program, mask: Node) -> list[Node]:
    """Where a mask was set."""
    return [s.key for s in program.flow.stores(mask) if s.key is not None]


def _has_row_axis(leaf: Node) -> bool:
    shape = leaf.positional[1:] if leaf.op == "method" else leaf.positional
    if shape and shape[0].op in ("tuple", "list"):
        shape = tuple(shape[0].data.items)
    return len(shape) > 1 and not (shape[0].op == "const" and shape[0].data == 1)


RULE = Rule(
    slug="slot",
    code="C1",
    title="per-window parameters optimised on the tokens that the window then scores",
    status="DISPUTED",
    sources=(_SITE + "issues/1336",),
    page="""\
A vector or bias outside the model is made for a window, fitted to the window's own targets for
some steps, and then used to score those targets. The question in #1336 has no answer by a
maintainer, for this form or for the one that fits on already scored context only; no accepted row
uses either. A vector that is shared by a batch of overlapping windows learns, from one row's
context, tokens that another row scores.
""",
    blind_spots="""\
- Only tensors outside the model that a backward pass moves are seen. A fit in closed form, or without
  gradients, is not.
- Whether the fit ends before the scored part is decided by index arithmetic; where it does not decide, the
  author is asked.
""",
    clears=(
        "Fit on tokens before the scored part only, with parameters of its own for each row, "
        "or leave it out."
    ),
    check=check,
    forbidden="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
embed, head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
total = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    hidden = embed(x).detach()
    delta = torch.zeros(1, 64, requires_grad=True)
    optimizer = torch.optim.AdamW([delta], lr=0.01)
    for _ in range(8):
        loss = F.cross_entropy(head(hidden + delta), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    total += F.cross_entropy(head(hidden + delta.detach()), y, reduction="sum").item()
print("val_loss", total / val.numel())
""",
    allowed="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
embed, head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
delta = torch.zeros(1, 64, requires_grad=True)
optimizer = torch.optim.AdamW([delta], lr=0.01)
total = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    hidden = embed(x).detach()
    total += F.cross_entropy(head(hidden + delta.detach()), y, reduction="sum").item()
    loss = F.cross_entropy(head(hidden + delta), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("val_loss", total / val.numel())
""",
)
