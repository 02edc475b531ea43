"""boundary-state-leak: documents are kept apart in attention, but a shift takes in the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.analysis.timeline.passes import attends
from auditor.analysis.timeline.states import Shift
from auditor.analysis.timeline.timeline import Timeline, logits
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_BORDERS = ("cu_seqlens", "cu_seqlens_q", "block_mask", "attn_mask", "attn_bias", "cu_seqlens_k")
_EQUAL = frozenset(("eq", "ne"))


def check(program: Program) -> Iterable[Finding]:
    apart = _keeping_apart(program)
    if not apart:
        return  # documents see each other anyway, causally: accepted practice
    done: set[object] = set()
    for timeline, output in _runs(program, apart):
        attention = min((n for n in apart if n.uid in timeline.uids), key=lambda n: n.uid)
        for shift in timeline.shifts:
            call = shift.node.ctx.call
            place = call.function.at if call is not None else shift.node.path
            if place not in done and not _masked(program, timeline, shift):
                done.add(place)
                yield _finding(program, shift, attention, output)


def _keeping_apart(program: Program) -> list[Node]:
    """Attention calls whose borders or mask are made from where documents begin."""
    found = []
    known: dict[int, bool] = {}
    for node in program.flow.nodes:
        if node.op == "call" and node.kw and attends(node):
            for given in (b for k in _BORDERS if (b := node.keyword(k)) is not None):
                if given.uid not in known:
                    known[given.uid] = _from_borders(program, given)
                if known[given.uid]:
                    found.append(node)
                    break
    return found


def _from_borders(program: Program, given: Node) -> bool:
    filled = [store.value for store in program.flow.stores(given)]
    made_from = program.flow.backward([given, *filled], limit=2000)
    return any(_is_border(program, n) for n in made_from)


def _is_border(program: Program, node: Node) -> bool:
    """A comparison of tokens with one token, such as ``tokens == BOS_ID``."""
    compared = (node.op == "compare" and node.data in ("==", "!=")) or (
        node.op in ("call", "method") and last_name(node) in _EQUAL
    )
    return compared and any(program.tokens.of(a) for a in node.args)


def _runs(program: Program, apart: list[Node]) -> Iterator[tuple[Timeline, Node]]:
    """The model's first run with such attention on validation tokens, else on training tokens."""
    calls = {n.uid for n in apart}
    for kind in ("val", "train"):
        for score, target in program.scores.losses:
            if kind not in program.tokens.of(target):
                continue
            for output in logits(program.tokens, score):
                timeline = Timeline(program.flow, program.tokens, program.learning, [output], kind)
                if not calls.isdisjoint(timeline.uids):
                    yield timeline, output
                    return


def _masked(program: Program, timeline: Timeline, shift: Shift) -> bool:
    """Whether the shifted values, or their sum with the rest, are masked by where documents begin."""
    borders = [n for n in timeline.nodes if _is_border(program, n)]

    def into_values(source: Node, user: Node) -> bool:
        """Not into attention, where borders do their work, nor from a model's arguments on."""
        if user.uid not in timeline.uids or attends(user):
            return False
        return user.op != "forward" or user.args[0] is source

    masked = program.flow.forward(borders, into_values)
    later = program.flow.forward([shift.node], into_values)
    return not masked.keys().isdisjoint(later)


def _finding(program: Program, shift: Shift, attention: Node, loss: Node) -> Finding:
    steps = flow_steps(
        program,
        [
            (shift.node, "each position takes in the one before it"),
            (attention, "attention keeps documents apart"),
            (loss, "the model's output"),
        ],
    )
    places = "position" if shift.reach == 1 else f"{shift.reach} positions"
    message = (
        "please show that no document sees the one before it: attention keeps documents apart, but "
        f"here the {places} before are mixed in without a mask where a document begins"
    )
    return RULE.finding(Level.QUESTION, shift.node.path, shift.node.line, message, steps=steps)


_SCRIPT = """\
import glob, os
import numpy as np, torch, torch.nn.functional as F
from flash_attn_interface import flash_attn_varlen_func

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
        self.gate = torch.nn.Linear(64, 1)
    def forward(self, ids, borders, longest):
        x = self.table(ids)
        g = torch.sigmoid(self.gate(x[:, 1:]))MASK
        x = torch.cat([x[:, :1], x[:, 1:] + g * x[:, :-1]], dim=1)
        q = x[0, :, None]
        seen = flash_attn_varlen_func(
            q, q, q, cu_seqlens_q=borders, cu_seqlens_k=borders,
            max_seqlen_q=longest, max_seqlen_k=longest, causal=True,
        )
        return self.head(x + seen[None, :, 0])

name = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")[0]
val = torch.from_numpy(np.fromfile(name, dtype=np.uint16).astype(np.int64))
model, total = Net(), 0.0
for start in range(0, val.numel() - 1025, 1024):
    x, y = val[start : start + 1024], val[start + 1 : start + 1025]
    begins = (x == 1).nonzero(as_tuple=True)[0].tolist()
    borders = torch.tensor([0, *begins, 1024], dtype=torch.int32)
    logits = model(x[None], borders, 1024)
    total += F.cross_entropy(logits[0], y, reduction="sum").item()
print("val_loss", total)
"""

RULE = Rule(
    slug="boundary-state-leak",
    code="D4",
    title="state crosses packed documents",
    status="RULED",
    sources=("https://github.com/openai/parameter-golf/pull/1797",),
    page="""\
Where a submission treats each document as a text of its own, with borders in its attention, nothing of
one document may go into the next one. A gate that mixes each position with the one before it, a
convolution or a token shift does that at the first token of a document, unless it is masked there. It
looks back only, so it is causal, and its effect was measured at about one standard deviation; the
maintainers held a submission back for it until the mask was there.

Where attention itself runs across documents, as in most accepted records, nothing is asked. Nor is it
where each row holds a single document.
""",
    blind_spots="""\
- Borders in attention are known by a comparison of tokens with one token. Where documents are kept apart in
  another way, nothing is asked.
- Whether the mask is right is not computed: one that is made from the borders clears the shift.
- The author is asked; the size of the effect is not measured.
""",
    clears=(
        "Set the gate to zero where the token is the first of a document, or show that every row "
        "that is scored holds one document."
    ),
    check=check,
    forbidden=_SCRIPT.replace("MASK", ""),
    allowed=_SCRIPT.replace("MASK", ".masked_fill((ids[:, 1:] == 1)[..., None], 0.0)"),
)
