"""target-in-key: a count table looked up with the realised token in a hashed key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from auditor.analysis.graph import Node
from auditor.analysis.program import Program
from auditor.analysis.scores import as_value, last_name
from auditor.analysis.tables import KeyToken, Read
from auditor.analysis.tokens import Position, behind, joined
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    """One finding per place where a table is read under a hash of the realised token."""
    seen: set[tuple[str, int]] = set()
    for read in program.tables.reads:
        place = (read.node.path, read.node.line)
        if place in seen:
            continue
        finding = _judge(program, read) or _unnormalised(program, read)
        if finding is not None:
            seen.add(place)
            yield finding


def _judge(program: Program, read: Read) -> Finding | None:
    hashed = [k for k in read.tokens if k.lossy and program.tokens.is_val(k.node)]
    if not hashed:
        return None
    path = program.scores.path_to_score(read.node)
    if path is None:
        return None
    target = next(_realised(program, hashed, path), None)
    key_token = target or _newest(program, hashed, read)
    if key_token is None:
        return None
    target = target or next(_realised(program, [key_token], path), None)
    steps = flow_steps(
        program,
        [
            (key_token.node, "the realised token"),
            *((n, "goes into the key") for n in reversed(key_token.steps[:-1])),
            (read.node, "the count under that key is read"),
            *((n, "becomes part of the probability") for n in path[1:-1]),
            (path[-1], "reaches the reported score"),
        ],
    )
    claimed = not program.learning.is_unclaimed(read.node)
    level = Level.VIOLATION if target and claimed else Level.SUSPECT
    gap = "" if claimed else "; but the claimed score is printed without it"
    message = (
        f"{'breaks' if claimed else 'appears to break'}: the realised token is part of the hashed key, and only its "
        f"own count is read; colliding counts make the probabilities of all tokens sum to far more than 1{gap}"
        if target
        else "appears to break: the newest token of the hashed key seems to be the realised token; "
        "its position could not be matched with the scored one"
    )
    return RULE.finding(
        level, read.node.path, read.node.line, message, steps=steps, column=read.node.column
    )


def _unnormalised(program: Program, read: Read) -> Finding | None:
    """All candidates are looked up, but what is read is never divided by its own sum."""
    if program.tables.candidates(read.key) is None or _normalised(program, read.node):
        return None
    path = program.scores.path_to_score(read.node)
    picked = [
        n for n in path or () if n.op in ("call", "method", "index") and _at_target(program, n)
    ]
    if path is None or not picked:
        return None
    steps = flow_steps(
        program,
        [
            (read.node, "the counts of all candidates are read"),
            (picked[0], "the realised token's count is picked"),
            (path[-1], "reaches the reported score"),
        ],
    )
    message = (
        "appears to break: every candidate is looked up under a hashed key, but the counts are not divided by "
        "their own sum, so the probabilities need not sum to 1"
    )
    return RULE.finding(
        Level.SUSPECT, read.node.path, read.node.line, message, steps=steps, column=read.node.column
    )


def _normalised(program: Program, counts: Node) -> bool:
    """Whether a sum over what was read comes back as a divisor."""
    nodes = program.flow.nodes
    made = program.flow.forward([counts], limit=600)
    if any(
        last_name(nodes[u]) in ("softmax", "log_softmax", "logsumexp", "normalize") for u in made
    ):
        return True
    sums = [nodes[u] for u in made if last_name(nodes[u]) in ("sum", "cumsum", "nansum")]
    divisors = program.flow.forward(sums, limit=600) if sums else {}
    return any(
        node.op == "binop" and node.data == "/" and node.args[1].uid in divisors
        for node in (nodes[u] for u in divisors)
    )


def _at_target(program: Program, node: Node) -> bool:
    return any(program.tokens.is_val(a) for a in node.args[1:])


def _realised(program: Program, tokens: list[KeyToken], path: list[Node]) -> Iterator[KeyToken]:
    """Key tokens that are what the model's output is compared with, by identity or by position."""
    for token in tokens:
        if token.node.uid in program.scores.target_values:
            yield token
    scored = program.scores.scored_positions
    for token in tokens:
        if any(position.key() in scored for position in _positions(program, token, path)):
            yield token


def _positions(program: Program, token: KeyToken, path: list[Node]) -> Iterator[Position]:
    """Where the token lies when it is read, then after each part taken of the key and of the counts."""
    position = program.tokens.position(token.node)
    parts = [n for n in (*reversed(token.steps[:-1]), *path[1:]) if n.op == "index" and not n.data]
    while position is not None:
        yield position
        if not parts:
            return
        position = program.tokens.part(position, parts.pop(0))


def _newest(program: Program, tokens: list[KeyToken], read: Read) -> KeyToken | None:
    """The token that a second key lacks: c(context, token) beside c(context)."""
    others = [
        r
        for r in program.tables.reads
        if r.node.ctx.call is read.node.ctx.call and r.key is not read.key
    ]
    own = {p.uid: replace(t, node=p) for t in tokens for p in joined(t.node)}
    for other in others:
        shared = [{n.uid for n in behind(t.node)} & own.keys() for t in other.tokens]
        extra = own.keys() - set().union(*shared)
        if all(shared) and extra and _divided(program, read.node, other.node):
            return own[min(extra)]
    return None


def _divided(program: Program, numerator: Node, denominator: Node) -> bool:
    """Whether the one count is divided by the other."""
    above = program.flow.forward([numerator], as_value, limit=400)
    below = program.flow.forward([denominator], as_value, limit=400)
    quotients = (n for u in above if (n := program.flow.nodes[u]).op == "binop" and n.data == "/")
    return any(
        q.args[0].uid in above and q.args[1].uid in below and q.args[1].uid not in above
        for q in quotients
    )


RULE = Rule(
    slug="target-in-key",
    code="N1",
    title="the realised token is part of a count table's lookup key",
    status="RULED",
    sources=(_PULL + "779", _PULL + "993"),
    page="""\
A hashed n-gram cache that is looked up with hash(context, realised token) reads one number: how often that
bucket was hit. The other tokens of the vocabulary are never looked up, and colliding counts belong to
them as well, so the values for all tokens sum to far more than 1 (up to hundreds). The score is then
no code length: a decoder that does not know the token could not use the model.
""",
    blind_spots="""\
- Tables kept in C, C++ or CUDA are not followed, nor are keys that are made there.
- Whether the key's token is the scored one is decided by identity or by index arithmetic. Where neither
  shows it, the finding is a suspect.
- A key that gives each pair of tokens a cell of its own is no hash: `target-only-blend` asks about it.
""",
    clears="Look up every token of the vocabulary under the same context and divide by the sum of what was read.",
    check=check,
    forbidden="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

val = np.fromfile(sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))[0], dtype=np.uint16)
model = torch.nn.Linear(8, 1024)
ctx_table, pair_table = np.zeros(4096), np.zeros(4096)
total = 0.0
for start in range(0, len(val) - 65, 64):
    x, y = val[start : start + 64].astype(np.int64), val[start + 1 : start + 65].astype(np.int64)
    nll = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y), reduction="none").numpy()
    ctx_key = (x * 36313) & 4095
    pair_key = ((x * 36313) ^ (y * 27191)) & 4095
    p = pair_table[pair_key] / np.maximum(ctx_table[ctx_key], 1)
    total -= np.log(0.5 * np.exp(-nll) + 0.5 * p).sum()
    np.add.at(ctx_table, ctx_key, 1)
    np.add.at(pair_table, pair_key, 1)
print("val_loss", total / len(val))
""",
    allowed="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

val = np.fromfile(sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))[0], dtype=np.uint16)
model = torch.nn.Linear(8, 1024)
table = np.ones((4096, 1024))
total = 0.0
for start in range(0, len(val) - 65, 64):
    x, y = val[start : start + 64].astype(np.int64), val[start + 1 : start + 65].astype(np.int64)
    nll = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y), reduction="none").numpy()
    rows = table[(x * 36313) & 4095]
    p = (rows / rows.sum(axis=1, keepdims=True))[np.arange(64), y]
    total -= np.log(0.5 * np.exp(-nll) + 0.5 * p).sum()
    np.add.at(table, ((x * 36313) & 4095, y), 1)
print("val_loss", total / len(val))
""",
)
