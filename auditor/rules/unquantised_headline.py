"""unquantised-headline: the reported score comes from other weights than the shipped artifact."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.graph import Event, Instance, Node, alternatives
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import call_site, flow_steps

_SITE = "https://github.com/openai/parameter-golf/"
_FILE_READS = frozenset("load load_file safe_open read read_bytes frombuffer".split())
_ROUNDING = frozenset(
    "round round_ rint int8 quantize_per_tensor quantize_per_channel int4 uint8".split()
)


def check(program: Program) -> Iterable[Finding]:
    headline = program.learning.headline
    if not headline:
        return
    scoring = headline[-1]
    restored = _restored(program)
    if restored:
        if _is_decided(program, scoring, restored[-1]) and not any(
            _uses(program, s, e) for s in headline for e in restored
        ):
            yield _finding(program, scoring, restored[-1].at, "the artifact is read back here")
        return
    saved = [e for e in program.tracer.events if e.kind == "save" and e.at.uid > scoring.at.uid]
    written = [e for e in saved if _is_quantised(program, e)]
    if written and not _overwritten(program) and not _read_back(program, written[0]):
        yield _finding(
            program, scoring, written[-1].at, "the artifact is written here, and never read back"
        )


def _is_decided(program: Program, scoring: Scoring, load: Event) -> bool:
    """Whether the score's model is known, and no later load or evaluation escaped notice."""
    if any(
        e.kind == "load_state" and e.at.uid > load.at.uid and _uses(program, scoring, e)
        for e in program.tracer.events
    ):
        return False
    models = [n.data for n in program.flow.nodes if n.op == "object" and n.data.is_model]
    if not any(program.learning.members(model) & scoring.state for model in models):
        return False
    later = program.flow.nodes[load.at.uid :]
    return scoring.at.uid > load.at.uid or not any(
        _inside_model(n) and any(program.tokens.is_val(a) for a in n.args) for n in later
    )


def _inside_model(node: Node) -> bool:
    call = node.ctx.call
    owner = call.function.owner if call is not None else None
    return owner is not None and owner.is_model


def _restored(program: Program) -> list[Event]:
    """Loads of weights that went through a file or through rounding, and copies of such a model."""
    found: list[Event] = []
    for event in program.tracer.events:
        if event.kind != "load_state" or not _owners(event.args[0]):
            continue
        round_trip = program.learning.from_file(event) or _rounded(
            program, program.learning.loaded(event)
        )
        if round_trip or any(_copies(program, event, earlier) for earlier in found):
            found.append(event)
    return found


def _copies(program: Program, load: Event, earlier: Event) -> bool:
    """Whether the loaded weights are those of the model that ``earlier`` loaded."""
    shipped = {id(owner) for owner in _owners(earlier.args[0])}
    return any(
        node.op == "method"
        and node.data == "state_dict"
        and any(id(o) in shipped for o in _owners(node.args[0]))
        for node in program.flow.backward(program.learning.loaded(load), limit=400)
    )


def _is_quantised(program: Program, save: Event) -> bool:
    return _rounded(program, save.args[:1])


def _rounded(program: Program, values: Iterable[Node]) -> bool:
    return any(
        node.op in ("call", "method") and last_name(node) in _ROUNDING
        for node in program.flow.backward(values, limit=6000)
    )


def _uses(program: Program, scoring: Scoring, load: Event) -> bool:
    """Whether the score is computed with the model that was loaded, after the load."""
    return scoring.at.uid > load.at.uid and any(
        program.learning.members(owner) & scoring.state for owner in _owners(load.args[0])
    )


def _owners(model: Node) -> list[Instance]:
    return [o.data for o in alternatives(model) if o.op == "object" and o.data.is_model]


def _read_back(program: Program, save: Event) -> bool:
    """Whether any file is read after the artifact was written, in whatever way it is used."""
    later = program.flow.nodes[save.at.uid :]
    return any(n.op in ("call", "method") and last_name(n) in _FILE_READS for n in later)


def _overwritten(program: Program) -> bool:
    """Whether rounded weights are also copied in by hand: a round trip without a load."""
    return any(
        store.how in ("copy_", "data") and _rounded(program, (store.value,))
        for stores in program.tracer.stores.values()
        for store in stores
    )


def _finding(program: Program, scoring: Scoring, artifact: Node, text: str) -> Finding:
    path, line = call_site(scoring.at, artifact)
    steps = flow_steps(
        program,
        [
            (artifact, text),
            (scoring.at, "the headline score is computed with other weights"),
            (scoring.output, "and is reported"),
        ],
    )
    message = (
        "appears to break: the headline score comes from weights that are not those of the artifact"
    )
    return RULE.finding(Level.SUSPECT, path, line, message, steps=steps)


RULE = Rule(
    slug="unquantised-headline",
    code="C1",
    title="the headline score comes from weights other than the shipped artifact",
    status="CONSENSUS",
    sources=(_SITE + "issues/1017", _SITE + "blob/main/README.md"),
    page="""\
The compressed model is what is handed in, at most 16,000,000 bytes with its code. The reported
score must be computed with the weights that come out of that file. A score of the weights before
quantisation, or of a model object that the file was never loaded into, is the score of another,
larger model.
""",
    blind_spots="""\
- The finding is at most a suspect.
- Writing, reading back and the score must be in one script. A file that is read in any way after the artifact was
  written, or rounded weights that are copied in by hand, are taken for a round trip.
""",
    clears=(
        "Load the compressed artifact into the model that the reported evaluation runs, as "
        "the last step before it."
    ),
    check=check,
    forbidden="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(1024, 1024)
    def forward(self, x, y):
        return F.cross_entropy(self.table(x), y)

def evaluate(model):
    with torch.no_grad():
        starts = range(0, val.numel() - 65, 64)
        parts = [model(val[i : i + 64], val[i + 1 : i + 65]).item() for i in starts]
    return sum(parts) / len(parts)

model = Net()
torch.save({k: (w * 31).round().to(torch.int8) for k, w in model.state_dict().items()}, "model.pt")
shipped = Net()
shipped.load_state_dict({k: q.float() / 31 for k, q in torch.load("model.pt").items()})
print("final val_loss", evaluate(model))
""",
    allowed="""\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(1024, 1024)
    def forward(self, x, y):
        return F.cross_entropy(self.table(x), y)

def evaluate(model):
    with torch.no_grad():
        starts = range(0, val.numel() - 65, 64)
        parts = [model(val[i : i + 64], val[i + 1 : i + 65]).item() for i in starts]
    return sum(parts) / len(parts)

model = Net()
print("before quantisation", evaluate(model))
torch.save({k: (w * 31).round().to(torch.int8) for k, w in model.state_dict().items()}, "model.pt")
shipped = Net()
shipped.load_state_dict({k: q.float() / 31 for k, q in torch.load("model.pt").items()})
print("final val_loss", evaluate(shipped))
""",
)
