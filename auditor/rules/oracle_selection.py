"""oracle-selection: the better of two scores, chosen after the token was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import VIEWS, Node, alternatives, common_loops
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps, of_claimed

_PULL = "https://github.com/openai/parameter-golf/pull/"
_EXTREMES = frozenset("min max minimum maximum fmin fmax amin amax".split())
_REDUCTIONS = frozenset("min max amin amax nanmin nanmax".split())
_STATISTICS = frozenset(
    "quantile nanquantile percentile median nanmedian kthvalue mean nanmean std var".split()
)
_PILES = frozenset("stack cat concatenate vstack hstack array tensor".split())


def check(program: Program) -> Iterable[Finding]:
    """One finding per place where scores of the same token are compared and one is kept."""
    seen: set[tuple[str, int]] = set()
    for place, kept in (*_extremes(program), *_choices(program), *_replaced(program)):
        output = program.gold.accumulates(kept)
        if output is None or (place.path, place.line) in seen:
            continue
        if _of_whole_passes(program, place, kept):
            continue
        seen.add((place.path, place.line))
        stations = [
            (place, "two scores of the realised token are compared, the better one is kept")
        ]
        steps = flow_steps(
            program, [*stations, (kept, "the kept score"), (output, "reaches the reported score")]
        )
        message = (
            "breaks: the better of two scores is chosen after seeing the realised token; "
            "the best of several distributions, picked per token, sums to more than 1"
        )
        finding = RULE.finding(
            Level.VIOLATION, place.path, place.line, message, steps=steps, column=place.column
        )
        yield of_claimed(program, finding, [kept, output])


def _of_whole_passes(program: Program, place: Node, kept: Node) -> bool:
    """Whether totals of whole evaluations are compared: that picks a run, no expert for a token."""
    losses = {node.uid: target for node, target in program.scores.val_losses}
    behind = program.flow.backward([kept], lambda n: not program.gold.sums(n), limit=3000)
    if any(node.uid in losses for node in behind):
        return False
    whole = program.flow.backward([kept], lambda n: n.uid not in losses, limit=3000)
    targets = [losses[node.uid] for node in whole if node.uid in losses]
    loops = {loop for total in program.gold.totals(kept) for loop in common_loops(place, total)}
    return not any(program.learning.varies(t, loop) for t in targets for loop in loops)


def _extremes(program: Program) -> Iterator[tuple[Node, Node]]:
    """``minimum(a, b)`` of two scores, or the extreme of a stack of them."""
    values = program.gold.values
    for node in program.flow.nodes:
        if (
            node.op not in ("call", "method")
            or last_name(node) not in _EXTREMES
            or node.uid not in values
        ):
            continue
        scores = [a for a in node.positional if program.gold.is_value(a)]
        pairwise = len(scores) > 1 and len(scores) == len(node.positional)
        pairwise = pairwise and not any(_is_statistic(s) for s in scores)
        over_experts = last_name(node) in _REDUCTIONS and scores and _piled(program, scores[0])
        if (pairwise or over_experts) and not _is_log_sum(program, node, scores):
            yield node, node


def _is_statistic(node: Node) -> bool:
    """A figure of many positions, by which their scores are clipped: no score of one token."""
    if node.op in ("call", "method") and last_name(node) in _STATISTICS:
        return True
    views = node.op in ("attr", "proj") or (node.op == "method" and node.data in VIEWS)
    return views and bool(node.args) and _is_statistic(node.args[0])


def _piled(program: Program, node: Node) -> bool:
    """Whether the value is a stack of scores, one row for each expert."""
    inner = node
    for _ in range(4):
        if inner.op in ("call", "method") and last_name(inner) in _PILES and inner.args:
            rows = alternatives(inner.args[0], 4)
            return any(r.op in ("list", "tuple") and r.uid in program.gold.values for r in rows)
        if inner.op not in ("method", "index", "phi") or not inner.args:
            return False
        inner = inner.args[0]
    return False


def _is_log_sum(program: Program, extreme: Node, scores: list[Node]) -> bool:
    """``max(a, b) + log(… a … b …)``: the extreme only keeps a sum of probabilities in range."""
    for name in (extreme, *_joins(program, extreme)):
        for user in program.flow.users.get(name.uid, ()):
            if user.op == "binop" and user.data == "-" and user.args[1] is name:
                return True
            if user.op == "binop" and user.data == "+":
                other = user.args[1] if user.args[0] is name else user.args[0]
                if _made_from(program, other, scores):
                    return True
    return False


def _joins(program: Program, node: Node) -> Iterator[Node]:
    """The names under which a value lives on behind a loop or a branch."""
    joined = program.flow.forward([node], lambda _, user: user.op == "phi", limit=8)
    yield from (program.flow.nodes[uid] for uid in joined if uid != node.uid)


def _made_from(program: Program, node: Node, scores: list[Node]) -> bool:
    """Whether all of ``scores`` go into ``node``."""
    ends = {score.uid for score in scores}
    made = program.flow.backward([node], lambda n: n.uid not in ends, memory=False, limit=200)
    return ends <= {n.uid for n in made}


def _choices(program: Program) -> Iterator[tuple[Node, Node]]:
    """``where(a < b, a, b)`` and its spelling with ``if``."""
    gold = program.gold
    for node in program.flow.nodes:
        if node.uid not in gold.values:
            continue
        test: Node | None = None
        if node.op == "call" and last_name(node) == "where" and len(node.positional) == 3:
            test, options = node.positional[0], node.positional[1:]
        elif node.op == "phi" and isinstance(node.data, Node):
            test, options = node.data, tuple(node.args)
        if test is None or sum(gold.is_value(o) for o in options) < 2:
            continue
        compared = gold.compared(test)
        if compared is not None:
            yield (node if node.op == "call" else compared), node


def _replaced(program: Program) -> Iterator[tuple[Node, Node]]:
    """``if new < old: scores[i] = new`` and ``scores[better] = new[better]``."""
    gold = program.gold
    for stores in program.tracer.stores.values():
        for store in stores:
            if store.value.uid not in gold.values or store.how not in ("=", "copy_", "fill"):
                continue
            tests = [b.test for b in store.at.ctx.branches[-2:]]
            tests += _masks(store.key)
            compared = next((c for t in tests if (c := gold.compared(t)) is not None), None)
            if compared is not None and _compares(program, compared, store.value):
                yield compared, store.value


def _masks(key: Node | None) -> list[Node]:
    """What picks the places of an update: ``scores[better]`` and ``scores[places[better]]``."""
    masks: list[Node] = []
    while key is not None and key.op == "index":
        masks.append(key.args[1])
        key = key.args[0]
    return [m for m in (*masks, key) if m is not None and m.op in ("compare", "bool", "binop")]


def _compares(program: Program, compared: Node, value: Node) -> bool:
    """Whether the stored score is one of the compared ones, so that the better one stays."""
    near = {n.uid for n in program.flow.backward([value], memory=False, limit=12)}
    return any(
        n.uid in near
        for score in compared.args
        for n in program.flow.backward([score], memory=False, limit=12)
    )


RULE = Rule(
    slug="oracle-selection",
    code="N3",
    title="the better of two scores is chosen after seeing the token",
    status="RULED",
    sources=(_PULL + "659", _PULL + "573", _PULL + "611", _PULL + "614"),
    page="""\
A scorer that computes two losses of the realised token and charges the smaller one uses the
answer to choose its expert. A decoder can't do that, and the larger of two probabilities, taken
for each token, sums to more than 1. Choosing by what is known before the token (entropy, how
often the context was seen) is fine, and so is ``logaddexp``, which adds probabilities and
selects nothing.
""",
    blind_spots="""\
- A choice by `argmin` and an index, by sorting or in native code is not seen.
- The best of several runs is `selection-on-val`, a weight that depends on the realised token's score is
  `target-gated-expert`.
""",
    clears=(
        "Choose or weigh the experts by what is known before the token, or charge for the choice."
    ),
    check=check,
    forbidden="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
raw, smooth = torch.nn.Linear(8, 1024), torch.nn.Linear(8, 1024)
total = 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    first = F.cross_entropy(raw(x), y, reduction="none")
    second = F.cross_entropy(smooth(x), y, reduction="none")
    total += torch.minimum(first, second).sum().item()
print("val_loss", total / len(val))
""",
    allowed="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
raw, smooth = torch.nn.Linear(8, 1024), torch.nn.Linear(8, 1024)
total = 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    first, second = raw(x).log_softmax(-1), smooth(x).log_softmax(-1)
    unsure = -(first.exp() * first).sum(-1, keepdim=True) > 4.0
    total -= torch.where(unsure, second, first).gather(1, y[:, None]).sum().item()
print("val_loss", total / len(val))
""",
)
