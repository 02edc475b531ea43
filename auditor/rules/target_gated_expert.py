"""target-gated-expert: an expert is switched or weighted by a property of the realised token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.gate_log import GateCount, gate_counts
from auditor.analysis.graph import Node, Store
from auditor.analysis.kernels import Kernel
from auditor.analysis.native import Gated, MissingParser
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.steps import flow_steps, of_claimed

_PULL = "https://github.com/openai/parameter-golf/pull/"
_BREAKS = (
    "breaks: whether the expert speaks is decided by the realised token, "
    "which a decoder does not know yet"
)
_WEIGHS = "breaks: the weight of the mixture depends on the realised token's own score or count"


def check(program: Program) -> Iterable[Finding]:
    """Gates in Python and in native code; the run's log has the last word on them."""
    counts = gate_counts(program.submission)
    if counts and not any(c.positions for c in counts):
        return
    seen: set[tuple[str, int]] = set()
    for finding in (*_switched(program), *_weighed(program), *_native(program, counts)):
        if (finding.path, finding.line) not in seen:
            seen.add((finding.path, finding.line))
            yield finding
    live = next((c for c in counts if c.positions), None)
    if live is not None and not seen:
        yield _only_logged(live)


def _only_logged(count: GateCount) -> Finding:
    message = (
        f"appears to break: the log counts {count.positions:,} positions at which "
        f"experts gated by the realised "
        "token spoke; the code that gates them was not found"
    )
    return RULE.finding(Level.SUSPECT, count.path, count.line, message)


# -- switched -------------------------------------------------------------------------------------


def _switched(program: Program) -> Iterator[Finding]:
    for place, fact, chosen in (*_joined(program), *_stored(program)):
        path = _way(program, chosen)
        if path is not None:
            stations = [
                (fact, "about the realised token"),
                (place, "decides whether the expert is used"),
            ]
            steps = flow_steps(
                program,
                [
                    *stations,
                    *((n, "goes on") for n in path[1:-1]),
                    (path[-1], "reaches the reported score"),
                ],
            )
            finding = RULE.finding(
                Level.VIOLATION, place.path, place.line, _BREAKS, steps=steps, column=place.column
            )
            yield of_claimed(program, finding, path)


def _joined(program: Program) -> Iterator[tuple[Node, Node, Node]]:
    """``where(fact, a, b)`` and values joined behind ``if fact``."""
    gold = program.gold
    for node in program.flow.nodes:
        if node.op == "call" and last_name(node) == "where" and len(node.positional) == 3:
            test, place = node.positional[0], node
            options = list(node.positional[1:])
        elif node.op == "phi" and isinstance(node.data, Node):
            test, place, options = node.data, node.data, list(node.args)
        else:
            continue
        fact = gold.behind(test)
        if fact is None or gold.compared(test) is not None or not _expert(program, node, options):
            continue
        yield place, fact, node


def _expert(program: Program, node: Node, options: list[Node]) -> bool:
    """Whether the test chooses between scores or hints; a mask that only drops a score does not."""
    if len(options) < 2 or all(o.op == "const" and isinstance(o.data, int) for o in options):
        return False  # a byte more or less is a length, no weight
    if any(_keeps_divisible(program, node, option) for option in options):
        return False
    constant = any(o.op == "const" for o in options)
    return not (constant and program.gold.is_value(node))


def _keeps_divisible(program: Program, choice: Node, option: Node) -> bool:
    """``where(x > 0, y / x, 0)``: the test is there for the division alone."""
    test = choice.args[0] if choice.op == "call" else choice.data
    if option.op != "binop" or option.data != "/" or test.op != "compare":
        return False
    divisor = option.args[1]
    if last_name(divisor) in ("clamp", "clamp_min", "clip", "maximum", "max") and divisor.args:
        divisor = divisor.args[0]
    return program.tokens.key(divisor) == program.tokens.key(test.args[0])


def _stored(program: Program) -> Iterator[tuple[Node, Node, Node]]:
    """``if fact: hint[i] = ...``: the buffer that the hint is written to."""
    gold = program.gold
    for stores in program.tracer.stores.values():
        for store in stores:
            if (
                store.how not in ("=", "copy_")
                or not _is_buffer(store.root)
                or not gold.kept(store)
            ):
                continue
            for branch in store.at.ctx.branches:
                fact = gold.behind(branch.test)
                fact = fact or _counted_after(program, store, branch.test)
                if fact is None or any(r is store.root for r in program.flow.roots(fact)):
                    continue  # whether the place was filled already is no property of the token
                if gold.compared(branch.test) is None:
                    yield branch.test, fact, store.root


def _is_buffer(root: Node) -> bool:
    """An array or a list, as hints for a whole span are kept in; no mapping."""
    return root.op == "list" or (
        root.op == "call" and str(root.data).startswith(("numpy.", "torch."))
    )


def _counted_after(program: Program, store: Store, test: Node) -> Node | None:
    """A property of the token that the tables count after the hint was written: its own target."""
    gold = program.gold
    later = [
        update
        for updates in program.tracer.stores.values()
        for update in updates
        if update.root.op in ("dict", "object")
        and update.at.uid > store.at.uid
        and update.at.ctx.loops == store.at.ctx.loops
    ]
    for token, fact in gold.properties(test) if later else ():
        if any(gold.made_from(update, token) for update in later):
            return fact
    return None


def _way(program: Program, chosen: Node) -> list[Node] | None:
    """How the chosen value reaches the score: as a score that is added up, or through a log."""
    if program.gold.is_value(chosen):
        output = program.gold.accumulates(chosen)
        if output is not None:
            return [chosen, output]
    return program.gold.to_score(chosen)


# -- weighted -------------------------------------------------------------------------------------


def _weighed(program: Program) -> Iterator[Finding]:
    """``(1 - w) * p + w * q`` where w is made from the realised token's score or count."""
    gold = program.gold
    for node in program.flow.nodes:
        weight = _convex_weight(program, node)
        if weight is None:
            continue
        fact = gold.behind(weight)
        path = gold.to_score(node) if fact is not None else None
        if fact is None or path is None:
            continue
        stations = [
            (fact, "about the realised token"),
            (weight, "becomes the weight"),
            (node, "of the mixture"),
        ]
        steps = flow_steps(program, [*stations, (path[-1], "reaches the reported score")])
        finding = RULE.finding(
            Level.VIOLATION, weight.path, weight.line, _WEIGHS, steps=steps, column=weight.column
        )
        yield of_claimed(program, finding, path)


def _convex_weight(program: Program, node: Node) -> Node | None:
    """The w of ``(1 - w) * p + w * q``."""
    if (
        node.op != "binop"
        or node.data != "+"
        or any(a.op != "binop" or a.data != "*" for a in node.args)
    ):
        return None
    for one, other in (node.args, node.args[::-1]):
        for factor in one.args:
            if factor.op == "binop" and factor.data == "-" and factor.args[0].op == "const":
                weight = factor.args[1]
                if any(program.tokens.key(f) == program.tokens.key(weight) for f in other.args):
                    return weight if weight.op != "const" else None
    return None


# -- native code ----------------------------------------------------------------------------------


def _native(program: Program, counts: list[GateCount]) -> Iterator[Finding]:
    kernels = program.kernels
    try:
        found = [(k, g) for k in kernels.sources for g in k.code.gates()]
    except MissingParser as missing:
        raise NotChecked(str(missing)) from None
    for kernel, gate in found:
        for call in kernels.calls(gate.function)[:1]:
            filled = list(_filled(program, kernel, gate, call))
            if not _unreachable(program, filled):
                yield _native_finding(program, kernel, gate, call, filled, counts)


def _filled(program: Program, kernel: Kernel, gate: Gated, call: Node) -> Iterator[Node]:
    """The arrays that the call hands over for the outputs that this token's property decides."""
    outputs = {
        g.output for g in kernel.code.gates() if (g.function, g.read) == (gate.function, gate.read)
    }
    names = kernel.code.parameters(gate.function)
    arguments = program.kernels.arguments(call)
    for name, argument in zip(names, arguments, strict=False):
        if name in outputs:
            roots = program.flow.roots(program.kernels.array(argument))
            yield from (root for root in roots if root.op == "call")


def _unreachable(program: Program, filled: list[Node]) -> bool:
    """Whether an output is only used above a threshold that no probability reaches."""
    own = {node.uid for node in filled}
    for node in program.flow.nodes:
        if node.op != "compare" or node.data not in (">", ">=") or node.args[1].op != "const":
            continue
        limit = node.args[1].data
        if not isinstance(limit, (int, float)) or limit <= 1:
            continue
        if any(root.uid in own for root in program.flow.roots(node.args[0])):
            return True
    return False


def _native_finding(
    program: Program,
    kernel: Kernel,
    gate: Gated,
    call: Node,
    filled: list[Node],
    counts: list[GateCount],
) -> Finding:
    live = next((c for c in counts if c.positions), None)
    path = next((p for p in map(program.gold.to_score, filled) if p is not None), None)
    steps = [
        Step(kernel.path, kernel.line(gate.read), "a property of the token is looked up"),
        Step(kernel.path, kernel.line(gate.decision), "and decides"),
        Step(
            kernel.path,
            kernel.line(gate.written),
            f"what is written to {gate.output}, before the token is counted",
        ),
        Step(call.path, call.line, "called from here", call.column),
    ]
    if live is not None:
        steps.append(
            Step(live.path, live.line, f"the log counts {live.positions:,} such positions")
        )
    elif path is not None:
        steps.append(Step(path[-1].path, path[-1].line, "reaches the reported score"))
    line = kernel.line(gate.decision)
    if live is not None or path is not None:
        return RULE.finding(Level.VIOLATION, kernel.path, line, _BREAKS, steps=steps)
    message = (
        f"appears to break: {gate.output} is written under a property of the token that "
        f"it is meant to predict; "
        "the way from there to the score could not be followed"
    )
    return RULE.finding(Level.SUSPECT, kernel.path, line, message, steps=steps)


RULE = Rule(
    slug="target-gated-expert",
    code="N4",
    title="an expert is switched on by a property of the realised token",
    status="RULED",
    sources=(_PULL + "1967", _PULL + "2041", _PULL + "2118"),
    page="""\
An expert that speaks only where the token to be scored starts a word (or continues one, or has
been seen in this context, or surprised the network) tells the mixture something about that
token before it is known. Every single mixture may be normalised; which of them is used depends
on the answer, so the whole is not. A gate on the token before, on entropy or on how often the
context was seen is fine. A run whose log counts no gated position is cleared.
""",
    blind_spots="""\
- Weights are recognised in `(1 - w) * p + w * q`; other forms of weighting are not.
- Native code is followed in C, C++ and CUDA sources that the script calls with its arrays. Where the way
  from there to the score is lost, the finding is a suspect.
- A log that counts gated positions is believed: where it counts none, nothing is reported.
""",
    clears=(
        "Gate by what precedes the token, or switch the gated experts off and show it in "
        "the log (within_gate=0 word_gate=0)."
    ),
    check=check,
    forbidden="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
starts_word = torch.arange(1024) % 3 == 0
model, total = torch.nn.Linear(8, 1024), 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    logits = model(x)
    plain, sharp = (F.cross_entropy(z, y, reduction="none") for z in (logits, 1.2 * logits))
    total += torch.where(starts_word[y], sharp, plain).sum().item()
print("val_loss", total / len(val))
""",
    allowed="""\
import glob, math, os
import numpy as np, torch, torch.nn.functional as F

files = sorted(glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin"))
val = np.fromfile(files[0], dtype=np.uint16)
starts_word = torch.arange(1024) % 3 == 0
model, total = torch.nn.Linear(8, 1024), 0.0
for start in range(0, len(val) - 65, 64):
    x = torch.from_numpy(val[start : start + 64].astype(np.int64))
    y = torch.from_numpy(val[start + 1 : start + 65].astype(np.int64))
    logits = model(x)
    plain, sharp = (F.cross_entropy(z, y, reduction="none") for z in (logits, 1.2 * logits))
    total += torch.where(starts_word[x], sharp, plain).sum().item()
print("val_loss", total / len(val))
""",
)
