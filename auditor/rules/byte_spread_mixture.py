"""byte-spread-mixture: a token's probability shared out over its bytes, then mixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node, inputs
from auditor.analysis.native import MissingParser
from auditor.analysis.program import Program
from auditor.analysis.scores import as_value, last_name
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.steps import flow_steps, of_claimed

_PULL = "https://github.com/openai/parameter-golf/pull/"
_EXPS = frozenset(("exp", "exp2", "exp_"))
_LOGS = frozenset("log log2 log10 log1p log_".split())
_LOG_SUMS = frozenset("logaddexp logaddexp2 logsumexp".split())
_DIVISIONS = frozenset("div divide true_divide".split())
_ROOTS = frozenset("pow power float_power".split())
MESSAGE = (
    "breaks: the token's probability is spread evenly over its bytes and mixed with a byte model; "
    "the spread values are no distribution over bytes, so the mixture is none over tokens"
)


def check(program: Program) -> Iterable[Finding]:
    """One finding per place where a share of the token's score enters a mixture."""
    yield from _python(program)
    yield from _native(program)


def _python(program: Program) -> Iterator[Finding]:
    seen: set[tuple[str, int]] = set()
    for share in _shares(program):
        place = (share.path, share.line)
        if place in seen:
            continue
        mixture = _mixture(program, share)
        output = program.scores.reaches_output(mixture) if mixture is not None else None
        if mixture is None or output is None:
            continue
        seen.add(place)
        steps = flow_steps(
            program,
            [
                (share, "the token's score is divided by its length in bytes"),
                (
                    mixture,
                    "the share is added to another model's probability, and the log is taken",
                ),
                (output, "reaches the reported score"),
            ],
        )
        finding = RULE.finding(
            Level.VIOLATION, share.path, share.line, MESSAGE, steps=steps, column=share.column
        )
        yield of_claimed(program, finding, [mixture, output])


def _native(program: Program) -> Iterator[Finding]:
    """The same in C: an array of scores divided by an array of lengths, and mixed there."""
    kernels = program.kernels
    try:
        sources = kernels.sources
    except MissingParser as missing:
        raise NotChecked(str(missing)) from None
    for kernel in sources:
        for spread in kernel.code.spreads():
            calls = kernels.calls(spread.function)
            if calls:
                yield _native_finding(program, kernel.path, kernel.line(spread.line), calls)


def _native_finding(program: Program, path: str, line: int, calls: list[Node]) -> Finding:
    """A violation where the scores were followed into the call, else a suspicion."""
    kernels, gold = program.kernels, program.gold
    given = [
        (a, c) for c in calls for a in map(kernels.array, kernels.arguments(c)) if gold.is_value(a)
    ]
    divided = Step(path, line, "native code divides it by a length and mixes the shares")
    if given:
        score, call = given[0]
        steps = flow_steps(
            program, [(score, "scores of the tokens"), (call, "are handed to native code")]
        )
        return RULE.finding(Level.VIOLATION, path, line, MESSAGE, steps=(*steps, divided))
    steps = flow_steps(program, [(calls[0], "arrays are handed to native code")])
    message = (
        "appears to break: native code spreads a value over bytes and mixes the shares "
        "with a byte model; "
        "where that value comes from could not be followed"
    )
    return RULE.finding(Level.SUSPECT, path, line, message, steps=(*steps, divided))


def _shares(program: Program) -> Iterator[Node]:
    """``log p / n`` and ``p ** (1 / n)`` with n the length of the token in bytes."""
    for node in program.flow.nodes:
        parts = _quotient(node)
        if parts is None or not program.gold.is_scored(parts[0]):
            continue
        if not program.gold.is_value(parts[1]) and _is_length(program, parts[1]):
            yield node


def _quotient(node: Node) -> tuple[Node, Node] | None:
    """(score, what divides it or its exponent)."""
    name = (
        last_name(node)
        if node.op in ("call", "method")
        else node.data
        if node.op == "binop"
        else ""
    )
    args = node.positional if node.op in ("call", "method") else node.args
    if len(args) < 2:
        return None
    if name == "/" or name in _DIVISIONS:
        return args[0], args[1]
    if name == "**" or name in _ROOTS:
        return (args[0], args[1]) if args[1].op != "const" else None
    return None


def _is_length(program: Program, node: Node) -> bool:
    """Whether a value is made from the lengths of byte strings, token by token."""
    todo: list[Node] = [node]
    seen: set[int] = set()
    while todo and len(seen) < 300:
        source = todo.pop()
        if source.uid in seen:
            continue
        seen.add(source.uid)
        if source.op == "call" and source.data == "len":
            return True
        if source.op == "index":
            if source.data is None and program.tokens.of(source.args[1]):
                return not program.gold.learns(source)  # a table of counts holds no lengths
            todo.append(source.args[0])
        elif source.op not in ("forward", "loopvar", "compare", "attr") and source.data not in (
            "get",
            "setdefault",
        ):
            todo.extend(inputs(source))
        todo.extend(store.value for store in program.tracer.stores.get(source.uid, ()))
    return False


def _mixture(program: Program, share: Node) -> Node | None:
    """The log of a sum of the share, as a probability, with something else."""
    flow = program.flow
    shares = flow.forward([share], as_value, limit=3000)
    powers = [share] if _is_root(share) else []
    powers += [
        n for u in shares if last_name(n := flow.nodes[u]) in _EXPS and n.op in ("call", "method")
    ]
    sums = [
        n
        for u in shares
        if last_name(n := flow.nodes[u]) in _LOG_SUMS and n.op in ("call", "method")
    ]
    for node in sums:
        if _meets(program, node.args, shares):
            return node
    for power in powers:
        for uid in flow.forward([power], as_value, limit=600):
            node = flow.nodes[uid]
            if node.op == "binop" and node.data == "+" and _meets(program, node.args, shares):
                log = _log_of(program, node)
                if log is not None:
                    return log
            if node.op in ("call", "method") and last_name(node) == "log1p":
                return node
    return None


def _is_root(node: Node) -> bool:
    return node.data == "**" or (node.op in ("call", "method") and last_name(node) in _ROOTS)


def _meets(program: Program, parts: Iterable[Node], shares: dict[int, Node | None]) -> bool:
    """Whether the share is one addend and a value that is no constant the other."""
    mine = [p for p in parts if p.uid in shares]
    others = [
        p for p in parts if p.op not in ("const", "env") and not any(p is m for m in mine[:1])
    ]
    return bool(mine) and bool(others)


def _log_of(program: Program, node: Node) -> Node | None:
    for uid in program.flow.forward([node], _soon, limit=200):
        log = program.flow.nodes[uid]
        if log.op in ("call", "method") and last_name(log) in _LOGS:
            return log
    return None


def _soon(source: Node, user: Node) -> bool:
    """Clipping, products and joins may come between a sum and its log; another sum may not."""
    return as_value(source, user) and user.uid > source.uid


RULE = Rule(
    slug="byte-spread-mixture",
    code="N5",
    title="a token's probability is spread over its bytes and mixed with a byte model",
    status="RULED",
    sources=(_PULL + "1835", _PULL + "1902", _PULL + "1991"),
    page="""\
A byte-level model gives each byte a probability; a token model gives each token one. Dividing a
token's log probability by its number of bytes (or taking the n-th root) gives numbers that are
no distribution over the next byte, because the other tokens that begin with the same bytes are
left out. Mixed with a byte model they form no next-token distribution. Dividing by bytes to
report bits per byte is what the challenge asks for and is not meant here.
""",
    blind_spots="""\
- Shares are recognised in the forms log p / n and p ** (1/n) with n the token's length in bytes. Unequal
  shares are not.
- Native code is judged where it divides and mixes in functions that the script calls.
""",
    clears=(
        "Marginalise the softmax over the tokens that continue the bytes so far, and mix "
        "these distributions."
    ),
    check=check,
    forbidden="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
pieces = [bytes([65 + t % 26]) * (1 + t % 3) for t in range(1024)]
model, seen = torch.nn.Linear(8, 1024), np.ones(256)
total, size = 0.0, 0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    nll = F.cross_entropy(model(x), y, reduction="none").tolist()
    for token, loss in zip(y.tolist(), nll):
        share = -loss / len(pieces[token])
        for byte in pieces[token]:
            total -= math.log(0.5 * math.exp(share) + 0.5 * seen[byte] / seen.sum())
            seen[byte] += 1
            size += 1
print("val_bpb", total / size / math.log(2))
""",
    allowed="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
pieces = [bytes([65 + t % 26]) * (1 + t % 3) for t in range(1024)]
model = torch.nn.Linear(8, 1024)
total, size, longest = 0.0, 0, 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    nll = F.cross_entropy(model(x), y, reduction="none").tolist()
    for token, loss in zip(y.tolist(), nll):
        longest = max(longest, loss / len(pieces[token]))
        total += loss
        size += len(pieces[token])
print("val_bpb", total / size / math.log(2), "worst byte", longest)
""",
)
