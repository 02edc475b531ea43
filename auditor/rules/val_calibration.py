"""val-calibration: the quantiser is calibrated on validation tokens that are not scored yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.flow import path_to
from auditor.analysis.graph import Call, Event, Node
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import call_site, flow_steps

_PULL = "https://github.com/openai/parameter-golf/pull/"
_ROUNDING = frozenset("round round_ rint quantize_per_tensor quantize_per_channel".split())


def check(program: Program) -> Iterable[Finding]:
    found = next(_watched(program), None) or next(_measured(program), None)
    if found is not None:
        yield found


def _watched(program: Program) -> Iterator[Finding]:
    """Statistics that forward hooks collect while the model runs on validation tokens."""
    for hook in program.tracer.events:
        if hook.kind != "hook":
            continue
        run = _next_run(program, hook)
        if run is None or not program.tokens.is_val(_tokens_of(program, run)):
            continue
        finding = _judge(program, run, list(hook.args[1:]), hook.at)
        if finding is not None:
            yield finding


def _next_run(program: Program, hook: Event) -> Node | None:
    """The first tokens that the model is given once the hook is in place."""
    for node in program.flow.nodes[hook.at.uid :]:
        if _reads_tokens(program, node) and _within(node.ctx.call, hook.at.ctx.call):
            return node
    return None


def _within(call: Call | None, outer: Call | None) -> bool:
    while call is not None and call is not outer:
        call = call.parent
    return call is outer


def _reads_tokens(program: Program, node: Node) -> bool:
    """Whether a model's layer turns tokens into vectors here."""
    return node.op == "forward" and any(program.tokens.of(a) for a in node.args[1:])


def _tokens_of(program: Program, node: Node) -> Node:
    given: list[Node] = [a for a in node.args[1:] if program.tokens.of(a)]
    return given[0]


def _measured(program: Program) -> Iterator[Finding]:
    """Statistics of what the model makes of validation tokens.

    Its loss is none: what is trained or chosen by it is for other rules.
    """
    scored = {n.uid for n, _ in program.scores.losses}
    for node in program.flow.nodes:
        if _reads_tokens(program, node) and program.tokens.is_val(_tokens_of(program, node)):
            made_from = program.flow.backward(node.args[:1], memory=False, limit=400)
            if any(n.uid in scored for n in made_from):
                continue
            finding = _judge(program, node, [node], node)
            if finding is not None:
                yield finding


def _judge(program: Program, run: Node, measured: list[Node], beside: Node) -> Finding | None:
    """A finding if what is measured reaches the rounding of weights before the headline score."""
    flow = program.flow
    scored = {n.uid for n, _ in program.scores.losses}
    reached = flow.forward(
        measured, lambda s, u: u.uid not in scored and not program.tokens.of(u), limit=8000
    )
    headline = max((s.at.uid for s in program.learning.headline), default=-1)
    for uid in sorted(reached):
        node = flow.nodes[uid]
        if uid > headline:
            break
        if _is_outside(node, run) and (_rounds(node) or _picks_rounding(program, node)):
            return _finding(
                program, run, path_to(reached, node, flow.nodes)[1:-1][:4], node, beside
            )
    return None


def _rounds(node: Node) -> bool:
    return node.op in ("call", "method") and last_name(node) in _ROUNDING


def _picks_rounding(program: Program, test: Node) -> bool:
    """Whether the comparison chooses between roundings: the clip with the least error."""
    if test.op != "compare":
        return False
    return any(_rounds(n) for n in program.flow.backward(program.flow.chosen_by(test), limit=400))


def _is_outside(node: Node, run: Node) -> bool:
    """After the loop over the tokens, or in other code: not the model's or a hook's own."""
    if node.uid < run.uid:
        return False
    if run.ctx.loops:
        return run.ctx.loops[-1] not in node.ctx.loops
    return not _within(node.ctx.call, run.ctx.call)


def _finding(program: Program, run: Node, way: list[Node], rounding: Node, beside: Node) -> Finding:
    path, line = call_site(run, beside)
    steps = flow_steps(
        program,
        [
            (_tokens_of(program, run), "validation tokens are taken"),
            (run, "the model runs on them"),
            *((n, "what it makes of them is measured") for n in way),
            (rounding, "the measure goes into the rounding of the weights"),
        ],
    )
    message = "breaks: the quantiser is calibrated on validation tokens before they are scored"
    return RULE.finding(Level.VIOLATION, path, line, message, steps=steps)


_SCRIPT = """\
import glob, os
import numpy as np, torch, torch.nn.functional as F

def read(kind):
    name = glob.glob(os.environ["DATA_PATH"] + f"/fineweb_{kind}_*.bin")[0]
    return torch.from_numpy(np.fromfile(name, dtype=np.uint16).astype(np.int64))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
    def hidden(self, x):
        return self.table(x)
    def forward(self, x, y):
        return F.cross_entropy(self.head(self.hidden(x)), y)

model, shipped, val = Net(), Net(), read("val")
tokens = read("KIND")
size = torch.zeros(64)
for start in range(0, 4096, 64):
    size += model.hidden(tokens[start : start + 64]).abs().mean(0)
scale = 31 * size.sqrt()
torch.save({k: (w * scale).round() / scale for k, w in model.state_dict().items()}, "model.pt")
shipped.load_state_dict(torch.load("model.pt"))
total = 0.0
for start in range(0, val.numel() - 65, 64):
    total += shipped(val[start : start + 64], val[start + 1 : start + 65]).item()
print("val_loss", total)
"""

RULE = Rule(
    slug="val-calibration",
    code="V1",
    title="quantiser calibration on unscored validation tokens",
    status="RULED",
    sources=(_PULL + "728",),
    page="""\
Hessians, activation ranges and other statistics that decide how weights are rounded are learned
from the text that they are collected on. Collected on validation tokens before these are scored,
they carry later tokens into the score of earlier ones. Text that the model generates itself, or
training text, may be used.
""",
    blind_spots="""\
- Statistics are followed from forward hooks, and from what the model's layers make of validation tokens, to the
  rounding of weights. Those that go through a file, or into a package that quantises by itself, are not.
- Rounding is recognised by the call that rounds; rounding in native code is not.
""",
    clears="Calibrate on training tokens (within the 600 s) or on text that the model generates.",
    check=check,
    forbidden=_SCRIPT.replace("KIND", "val"),
    allowed=_SCRIPT.replace("KIND", "train"),
)
