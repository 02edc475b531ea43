"""target-only-blend: a mixture computed for the realised token alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps, of_claimed

_PULL = "https://github.com/openai/parameter-golf/pull/"
_LOG_SUMS = frozenset("logaddexp logaddexp2 logsumexp".split())
_SQUASH = frozenset("sigmoid expit".split())
_LOGITS = frozenset(("logit",))


def check(program: Program) -> Iterable[Finding]:
    """One finding per place where an expert that was asked about one token only is mixed in."""
    seen: set[tuple[str, int]] = set()
    for mixture, finding in (*_counted(program), *_squashed(program)):
        place = (mixture.path, mixture.line)
        if place not in seen:
            seen.add(place)
            yield finding


def _counted(program: Program) -> Iterator[tuple[Node, Finding]]:
    """Exact counts of the realised token, mixed with the network's probability of it."""
    gold = program.gold
    for read in gold.tabled:
        if not _of_mapping(program, read):
            continue  # an array's row is a distribution as easily as not
        mixture = _mixture(program, read)
        path = gold.to_score(mixture) if mixture is not None else None
        if mixture is None or path is None:
            continue
        sound = _may_sum_to_one(program, read, mixture)
        steps = flow_steps(
            program,
            [
                (read, "the count of the realised token under its context"),
                (mixture, "is mixed with the network's probability of that token"),
                (path[-1], "reaches the reported score"),
            ],
        )
        level = Level.SUSPECT if sound else Level.VIOLATION
        message = (
            "appears to break: the mixture is computed for the realised token alone; each "
            "context's estimate may sum to 1, but no distribution over the vocabulary is formed"
            if sound
            else "breaks: the mixture is computed for the realised token alone, and what it is "
            "made from does not sum to 1 over the vocabulary"
        )
        finding = RULE.finding(
            level, mixture.path, mixture.line, message, steps=steps, column=mixture.column
        )
        yield mixture, of_claimed(program, finding, path)


def _of_mapping(program: Program, read: Node) -> bool:
    """Whether the count is looked up in a dict, alone or held by another one."""
    if read.op == "method" or read.data in ("get", "dict"):
        return read.data in ("get", "dict")
    if read.op != "index" or read.args[1].op == "tuple":
        return False
    behind = program.flow.backward([read.args[0]], memory=False, limit=8)
    return any(n.data in ("get", "dict", "setdefault") for n in behind if isinstance(n.data, str))


def _mixture(program: Program, read: Node) -> Node | None:
    """The first sum of something made from the count and of something from the network."""
    gold, flow = program.gold, program.flow
    made = flow.forward([read], gold.scores_on, limit=2000, stores=gold.kept)
    for uid in sorted(made):
        node = flow.nodes[uid]
        sums = node.op in ("call", "method") and last_name(node) in _LOG_SUMS
        if not sums and not (node.op == "binop" and node.data == "+"):
            continue
        parts = node.args
        expert = [p for p in parts if p.uid in made and not gold.is_running(p)]
        model = [p for p in parts if p.uid in gold.neural and not gold.is_running(p)]
        if any(e is not m for e in expert for m in model) and gold.to_score(node) is not None:
            return node
    return None


def _may_sum_to_one(program: Program, read: Node, mixture: Node) -> bool:
    """One quotient per context, the same whether or not the token was seen."""
    gold, flow = program.gold, program.flow
    made = flow.forward([read], gold.scores_on, limit=600, stores=gold.kept)
    between = [flow.nodes[u] for u in made if u <= mixture.uid]
    if any(
        n.op == "binop" and n.data == "+" and any(gold.is_running(a) for a in n.args)
        for n in between
    ):
        return False
    tests = [b.test for b in mixture.ctx.branches]
    return all((fact := gold.behind(t)) is None or fact.uid not in made for t in tests)


def _squashed(program: Program) -> Iterator[tuple[Node, Finding]]:
    """``sigmoid(w * logit(p) + v * logit(q))`` of two probabilities of the realised token."""
    gold = program.gold
    for node in program.flow.nodes:
        if (
            node.op not in ("call", "method")
            or last_name(node) not in _SQUASH
            or node.uid not in gold.values
        ):
            continue
        logits = [
            n
            for n in program.flow.backward(
                node.positional[:1], _before_logits, memory=False, limit=60
            )
            if n.op in ("call", "method") and last_name(n) in _LOGITS and n.uid in gold.values
        ]
        path = gold.to_score(node) if len(logits) > 1 else None
        if path is None:
            continue
        stations = [
            *((n, "a logit of one probability of the realised token") for n in logits),
            (node, "are mixed and squashed"),
        ]
        steps = flow_steps(program, [*stations, (path[-1], "reaches the reported score")])
        message = (
            "breaks: two probabilities of the realised token are averaged as logits and squashed; "
            "over a vocabulary nothing makes the results sum to 1"
        )
        finding = RULE.finding(
            Level.VIOLATION, node.path, node.line, message, steps=steps, column=node.column
        )
        yield node, of_claimed(program, finding, path)


def _before_logits(node: Node) -> bool:
    return not (node.op in ("call", "method") and last_name(node) in _LOGITS)


RULE = Rule(
    slug="target-only-blend",
    code="N2",
    title="a mixture is computed for the realised token alone",
    status="RULED",
    sources=(_PULL + "1026", _PULL + "1185"),
    page="""\
A cache that is asked only how often the realised token followed its context, and blended into
that token's probability, never forms a distribution: nothing shows that the values for all
tokens sum to 1, and often they do not (a blend only where the token was seen, a sum over
orders, an average of logits). The maintainers ask for the mixture over the whole vocabulary,
gathered at the target afterwards. A tilt of the softmax towards one hinted token with its
closed-form normaliser is a distribution and is fine.
""",
    blind_spots="""\
- Counts are recognised in mappings, where only the realised token is looked up. A row of an array is a
  distribution as easily as not, and is not judged.
- Whether estimates that may sum to 1 do so is not computed: they are suspects.
- Mixtures in native code are not followed.
""",
    clears=(
        "Mix the distributions over the whole vocabulary and gather the realised token from"
        " the result."
    ),
    check=check,
    forbidden="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
model, after, total = torch.nn.Linear(8, 1024), {}, 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    nll = F.cross_entropy(model(x), y, reduction="none").tolist()
    for previous, token, loss in zip(x.tolist(), y.tolist(), nll):
        counts, p = after.setdefault(previous, {}), math.exp(-loss)
        q = counts.get(token, 0) / max(sum(counts.values()), 1)
        if q > 0:
            p = 0.7 * p + 0.3 * q
        total -= math.log(p)
        counts[token] = counts.get(token, 0) + 1
print("val_loss", total / len(val))
""",
    allowed="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
model, after, total = torch.nn.Linear(8, 1024), np.ones((1024, 1024)), 0.0
for start in range(0, len(val) - 65, 64):
    x, y = val[start : start + 64].astype(np.int64), val[start + 1 : start + 65].astype(np.int64)
    neural = model(torch.from_numpy(x)).softmax(-1).detach().numpy()
    rows = after[x] / after[x].sum(axis=1, keepdims=True)
    mixed = 0.7 * neural + 0.3 * rows
    total -= np.log(mixed[np.arange(64), y]).sum()
    np.add.at(after, (x, y), 1)
print("val_loss", total / len(val))
""",
)
