"""repeated-scoring: tokens that count more than once in the score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node, alternatives
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.analysis.windows import Window, counted_from, is_none, window
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_PULL = "https://github.com/openai/parameter-golf/pull/"
_MASKS = frozenset("where masked_fill masked_fill_ masked_select".split())


def check(program: Program) -> Iterable[Finding]:
    seen: set[tuple[str, int]] = set()
    for scoring in program.learning.headline:
        found = _judge(program, scoring)
        if found is not None and (found.path, found.line) not in seen:
            seen.add((found.path, found.line))
            yield found


def _judge(program: Program, scoring: Scoring) -> Finding | None:
    windows = window(program, scoring)
    if windows is not None and windows.length > windows.stride and _counts_whole(program, scoring):
        return _whole(program, scoring, windows)
    tail = next(_short_tails(program, scoring, windows), None)
    if tail is None:
        return None
    start, repeated = tail
    message = (
        "the windows at the end of the stream are shorter, and each counts the same last tokens: "
        f"about {repeated:,} counts too many"
    )
    return RULE.finding(Level.NOTE, start.path, start.line, message, column=start.column)


def _whole(program: Program, scoring: Scoring, windows: Window) -> Finding:
    steps = flow_steps(
        program,
        [
            (
                scoring.target,
                f"windows of {windows.length} tokens start every {windows.stride} tokens",
            ),
            (scoring.at, "all of a window is scored"),
            (scoring.output, "and counts in the reported score"),
        ],
    )
    message = (
        f"breaks: windows of {windows.length} tokens, {windows.stride} apart, are counted whole; "
        f"a token counts about {windows.length / windows.stride:.3g} times"
    )
    place = _accumulation(program, scoring)
    return RULE.finding(Level.VIOLATION, place.path, place.line, message, steps=steps)


def _accumulation(program: Program, scoring: Scoring) -> Node:
    """Where the score is added up, in the loop over the windows."""
    loops = scoring.at.ctx.loops
    for uid in sorted(program.scores.values_from(scoring.at)):
        node = program.flow.nodes[uid]
        if (
            node.op == "binop"
            and node.data == "+"
            and node.ctx.loops == loops
            and node.ctx.call is not scoring.at.ctx.call
        ):
            return node
    return scoring.at


def _counts_whole(program: Program, scoring: Scoring) -> bool:
    """Whether no slice or mask takes a part of the window's scores on their way to the report."""
    if scoring.at.keyword("ignore_index") is not None or _is_masked(program, scoring.target):
        return False
    reached = program.scores.values_from(scoring.at)
    for uid in reached:
        node = program.flow.nodes[uid]
        if node.op == "index" and node.args[0].uid in reached and not _keeps_all(node.args[1]):
            return False
        if node.op in ("call", "method") and last_name(node) in _MASKS:
            return False
        if (
            node.op == "binop"
            and node.data == "*"
            and any(_is_mask(program, a) for a in node.args if a.uid not in reached)
        ):
            return False
    return True


def _is_masked(program: Program, target: Node) -> bool:
    """Whether a mask picks the tokens that are scored."""
    return any(
        node.op == "index" and any(_is_mask(program, n) for n in _selectors(program, node.args[1]))
        for node in program.flow.backward([target], memory=False, limit=60)
    )


def _selectors(program: Program, key: Node) -> Iterator[Node]:
    """What an advanced index is made from: masks and lists of places, not slices."""
    parts = key.data.items if key.op == "tuple" else [key]
    advanced = [p for p in parts if p.op in ("call", "method", "binop", "unop", "compare", "phi")]
    return program.flow.backward(advanced, memory=False, limit=60)


def _keeps_all(key: Node) -> bool:
    """``[0]``, ``[None]``, ``[:, 0]``: axes beside that of the tokens."""
    parts = key.data.items if key.op == "tuple" else [key]
    return all(
        p.op == "const" or (p.op == "slice" and all(is_none(b) for b in p.args)) for p in parts
    )


def _is_mask(program: Program, node: Node) -> bool:
    return any(n.op == "compare" for n in program.flow.backward([node], limit=60)) or bool(
        program.flow.stores(node)
    )


def _short_tails(
    program: Program, scoring: Scoring, windows: Window | None
) -> Iterator[tuple[Node, int]]:
    """``max(size - stride, 0)`` as the first counted score: short windows count old tokens."""
    if windows is None or windows.length <= windows.stride:
        return
    for start in counted_from(program, scoring):
        for one in alternatives(start):
            if (
                one.op == "call"
                and one.data == "max"
                and any(_leaves(a, windows.stride) for a in one.positional)
            ):
                yield one, windows.length - windows.stride


def _leaves(node: Node, count: int) -> bool:
    """``size - count``."""
    return (
        node.op == "binop"
        and node.data == "-"
        and node.args[1].op == "const"
        and node.args[1].data == count
    )


_SCRIPT = """\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
total = count = 0.0
for start in range(0, val.numel() - 257, 64):
    x, y = val[start : start + 256], val[start + 1 : start + 257]
    nll = F.cross_entropy(model(x), y, reduction="none")
    total += PART.sum().item()
    count += PART.numel()
print("val_loss", total / count)
"""

RULE = Rule(
    slug="repeated-scoring",
    code="C4",
    title="a token counts more than once",
    status="RULED",
    sources=(_PULL + "573", _PULL + "846"),
    page="""\
Sliding windows read their context again, but each token counts once: of a window only the tokens
after the end of the window before it are added to the score. Windows that are counted whole count
most tokens several times. Short windows at the end of the stream that count "their last stride
tokens" count the same tokens up to length/stride times; accepted submissions do this too, with
about 2,000 counts in 62 million, so it is a note.
""",
    blind_spots="""\
- Window length and stride must follow from the code and the settings in force.
- A slice or a mask between the window's scores and their sum is taken for what drops the repeated ones; whether
  it drops the right ones is not computed.
""",
    clears="Add only the scores of tokens that no window before has counted.",
    check=check,
    forbidden=_SCRIPT.replace("PART", "nll"),
    allowed=_SCRIPT.replace("PART", "nll[-64:]"),
)
