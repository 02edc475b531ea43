"""non-causal-model: a position's output depends on later tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.analysis.timeline.states import Leak
from auditor.analysis.timeline.timeline import Timeline, logits
from auditor.report.model import Finding, Level
from auditor.rules.base import NotChecked, Rule
from auditor.rules.steps import call_site, flow_steps

_HOW = {
    "state": "a pass over the sequence begins with the state in which another pass over the same "
    "positions ended, so every position sees all later ones",
    "pool": "a summary of the whole sequence goes into each of its positions",
    "attention": "attention has no causal mask, so every position attends to all later ones",
    "conv": "the convolution is padded on both sides and reaches later positions",
    "shift": "later positions are moved to the left, into earlier ones",
    "flip": "the sequence is turned round",
    "bidirectional": "the recurrence also runs from the end of the sequence",
    "fft": "a Fourier transform over time without padding mixes all positions",
    "matrix": "a full matrix over time mixes all positions",
    "norm": "a normalisation over time mixes all positions",
}
_GAP = "no run with a changed future has shown it"
_MOST = 3
_RANDOM = frozenset("rand rand_like bernoulli bernoulli_ randperm".split())


def check(program: Program) -> Iterable[Finding]:
    headline = program.learning.headline
    if not headline:
        return  # audit says why
    outputs = [o for s in headline for o in logits(program.tokens, s.at)]
    timeline = Timeline(program.flow, program.tokens, program.learning, outputs)
    if timeline.leaks and _denoises(program, timeline):
        raise NotChecked(
            "the model fills in tokens that are masked at random; whether that score is a code "
            "length is not decided here"
        )
    yield from _findings(program, timeline, headline[0])
    if not timeline.leaks and not all(timeline.state(o) for o in outputs):
        raise NotChecked("not every operation between the tokens and the logits was followed")


def _denoises(program: Program, timeline: Timeline) -> bool:
    """Whether the tokens that go in are masked at random, as a diffusion model's are."""
    flow = program.flow
    masks = [s.key for n in timeline.inputs for s in flow.stores(n) if s.key is not None]
    made_from = flow.backward([*timeline.inputs, *masks], keys=True, limit=2000)
    return any(n.op in ("call", "method") and last_name(n) in _RANDOM for n in made_from)


def _findings(program: Program, timeline: Timeline, scoring: Scoring) -> Iterator[Finding]:
    lines: set[tuple[str, int]] = set()
    origins: set[int] = set()
    for leak in timeline.leaks:
        if leak.origin is not None and leak.origin.uid in origins:
            continue  # the same summary, used further on
        path, line = _place(leak)
        if (path, line) in lines or len(lines) >= _MOST:
            continue
        lines.add((path, line))
        if leak.origin is not None:
            origins.add(leak.origin.uid)
        yield _finding(program, leak, path, line, scoring)


def _place(leak: Leak) -> tuple[str, int]:
    """Where the state is handed on, or the operation itself."""
    if leak.kind == "state" and leak.carried is not None:
        return call_site(leak.node, leak.carried)
    return leak.node.path, leak.node.line


def _finding(program: Program, leak: Leak, path: str, line: int, scoring: Scoring) -> Finding:
    stations = [(leak.node, "each position gets it")]
    if leak.origin is not None and leak.origin is not leak.node:
        stations.insert(0, (leak.origin, "all positions are summed up"))
    if leak.kind == "state":
        stations = [
            *([(leak.carried, "the state is carried on")] if leak.carried is not None else []),
            (leak.node, "the next pass begins with it; the state behind the last position returns"),
        ]
    stations += [(scoring.at, "validation tokens are scored with it"), (scoring.output, "reported")]
    message = f"appears to break: {_HOW[leak.kind]}; {_GAP}"
    return RULE.finding(Level.SUSPECT, path, line, message, steps=flow_steps(program, stations))


_SCRIPT = """\
import glob, os
import numpy as np, torch, torch.nn.functional as F
from fla.ops.delta_rule import chunk_delta_rule

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
        self.q, self.k = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)
    def forward(self, ids):
        x, state = self.table(ids), None
        for depth in range(3):
            q, k = self.q(x)[:, :, None], self.k(x)[:, :, None]
            seen, end = chunk_delta_rule(
                q, k, q, torch.ones_like(q[..., 0]), initial_state=state, output_final_state=True
            )
            x = x + seen[:, :, 0]
            CARRY
        return self.head(x)

name = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")[0]
val = torch.from_numpy(np.fromfile(name, dtype=np.uint16).astype(np.int64))
model, total = Net(), 0.0
for start in range(0, val.numel() - 1025, 1024):
    chunk = val[start : start + 1025]
    logits = model(chunk[None, :-1])
    total += F.cross_entropy(logits[0], chunk[1:], reduction="sum").item()
print("val_loss", total)
"""

RULE = Rule(
    slug="non-causal-model",
    code="C1",
    title="the model itself looks ahead",
    status="CONSENSUS",
    sources=("https://github.com/openai/parameter-golf/issues/1017",),
    page="""\
The probability of a token may depend on the tokens before it only. Attention without a causal mask, a
convolution padded on both sides, statistics over the whole sequence or a turned sequence let
positions see what comes after them. So does a recurrence whose last state is where the next layer
or depth loop begins over the same positions: that state knows the whole sequence. A state that is
carried from one chunk of the text to the next holds earlier tokens only, and is fine.

Values are followed from the embedded tokens to the logits of the reported score. Operations that are
not known are not followed, and training losses are not looked at.
""",
    blind_spots="""\
- The finding is at most a suspect: what an operation does with the positions is taken from its name and its
  arguments, and custom kernels are not followed.
- Models that fill in tokens masked at random are not judged.
""",
    clears=(
        "Mask it, pad on the left only, or begin each pass over the sequence with a fresh state; show "
        "that the loss before a position stays the same when the tokens behind it change."
    ),
    check=check,
    forbidden=_SCRIPT.replace("CARRY", "state = end"),
    allowed=_SCRIPT.replace("            CARRY\n", ""),
)
