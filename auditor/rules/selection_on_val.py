"""selection-on-val: weights or settings are chosen by the score of the validation tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from auditor.analysis.flow import rests_on
from auditor.analysis.graph import Event, Node, common_loops
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

_PULL = "https://github.com/openai/parameter-golf/pull/"
_CHOOSERS = frozenset("min max argmin argmax sorted nanargmin nanargmax".split())
_ORDERS = frozenset(("<", "<=", ">", ">="))


def check(program: Program) -> Iterable[Finding]:
    seen: set[tuple[str, int]] = set()
    for choice, scoring in _choices(program):
        place = (choice.path, choice.line)
        if place in seen:
            continue
        finding = _judge(program, choice, scoring)
        if finding is not None:
            seen.add(place)
            yield finding


def _choices(program: Program) -> Iterator[tuple[Node, Scoring]]:
    """Comparisons of finished evaluations, each with a score that it compares."""
    for scoring in program.learning.scorings:
        reached = program.scores.values_from(scoring.at)
        for uid in sorted(reached):
            for node in program.flow.users.get(uid, ()):
                if _chooses(node) and _is_finished(program, scoring, node):
                    yield node, scoring


def _chooses(node: Node) -> bool:
    if node.op == "compare":
        return node.data in _ORDERS and not any(_is_infinite(a) for a in node.args)
    return node.op in ("call", "method") and last_name(node) in _CHOOSERS


def _is_infinite(node: Node) -> bool:
    """Where the best score so far starts: any score is better."""
    return node.op == "const" and isinstance(node.data, float) and math.isinf(node.data)


def _is_finished(program: Program, scoring: Scoring, choice: Node) -> bool:
    """The score runs over the tokens inside; the loops around the choice repeat the same tokens."""
    shared = common_loops(scoring.at, choice)
    if len(shared) == len(scoring.at.ctx.loops):
        return False
    return not any(program.learning.varies(scoring.target, loop) for loop in shared)


def _judge(program: Program, choice: Node, scoring: Scoring) -> Finding | None:
    chosen = _chosen(program, choice)
    if _is_headline(program, chosen):
        return _best_of_several(program, choice, scoring)
    scores = program.scores.values_from(scoring.at)
    others = [n for n in chosen if n.op != "phi" or not any(a.uid in scores for a in n.args)]
    reached = program.flow.forward(others, limit=6000)
    for event in program.tracer.events:
        if (
            event.kind in ("load_state", "save")
            and event.at.uid > choice.uid
            and _takes(event, choice, reached)
        ):
            what = "the weights are chosen by their validation score"
            return _finding(program, choice, scoring, Level.SUSPECT, what)
    values = {uid for node in chosen for uid in program.scores.values_from(node)}
    if any(s.at.uid in values and s.at.uid > choice.uid for s in program.learning.headline):
        what = "a setting of the reported evaluation is chosen by its validation score"
        return _finding(program, choice, scoring, Level.VIOLATION, what)
    return None


def _best_of_several(program: Program, choice: Node, scoring: Scoring) -> Finding | None:
    what = "the reported score is the best of several evaluations"
    behind = {n.uid for n in program.flow.backward([choice], limit=6000)}
    training = any(
        s.at.uid in behind and _while_training(program, s) for s in program.learning.scorings
    )
    if _also_reported(program, choice):
        if training:
            return None  # the best of the validations during training, beside the final one
        gap = "; the single ones are reported beside it"
    elif training and _reported_inside(program, choice):
        gap = " during training; each of them is reported there too"
    else:
        return _finding(program, choice, scoring, Level.VIOLATION, what)
    return _finding(program, choice, scoring, Level.SUSPECT, f"{what}{gap}")


def _also_reported(program: Program, choice: Node) -> bool:
    """Whether the last evaluation is reported at the end without the choice as well."""
    last = program.learning.last_report
    after = max(s.at.uid for s in program.learning.scorings)
    return last is not None and any(
        event.at.uid >= after and event.at.ctx.loops == last.at.ctx.loops
        for event in _reports_beside(program, choice)
    )


def _reported_inside(program: Program, choice: Node) -> bool:
    """Whether each evaluation is reported in the loop that chooses the best one."""
    return any(common_loops(event.at, choice) for event in _reports_beside(program, choice))


def _reports_beside(program: Program, choice: Node) -> Iterator[Event]:
    """Outputs of scores that did not go through the choice."""
    scored = {s.at.uid for s in program.learning.scorings}
    blocked = {choice.uid, *(n.uid for n in _chosen(program, choice))}
    for event in program.tracer.events:
        if event.kind == "output" and any(
            n.uid in scored
            for n in program.flow.backward(event.args, lambda n: n.uid not in blocked, limit=6000)
        ):
            yield event


def _while_training(program: Program, scoring: Scoring) -> bool:
    return any(
        e.kind == "backward" and common_loops(e.at, scoring.at) for e in program.tracer.events
    )


def _takes(event: Event, choice: Node, chosen: dict[int, Node | None]) -> bool:
    """Whether weights are loaded or saved under the choice, or as what was chosen."""
    if any(rests_on(b.test, choice) or b.test.uid in chosen for b in event.at.ctx.branches):
        return True
    return any(
        value.uid in chosen for value in event.args[1 if event.kind == "load_state" else 0 :][:1]
    )


def _chosen(program: Program, choice: Node) -> list[Node]:
    """What the comparison decides between."""
    return program.flow.chosen_by(choice) if choice.op == "compare" else [choice]


def _is_headline(program: Program, chosen: list[Node]) -> bool:
    """Whether all scores in the last report of a score went through the choice."""
    last = program.learning.last_report
    if last is None or not chosen:
        return False
    uids = {node.uid for node in chosen}
    scored = {s.at.uid for s in program.learning.scorings}
    parts = [p for a in last.args for p in (a.args if a.data == "str.join" else (a,))]
    through = False
    for part in parts:
        behind = {
            n.uid for n in program.flow.backward([part], lambda n: n.uid not in uids, limit=6000)
        }
        if behind & scored:
            return False
        through = through or bool(behind & uids)
    return through


def _finding(program: Program, choice: Node, scoring: Scoring, level: Level, what: str) -> Finding:
    steps = flow_steps(
        program,
        [
            (scoring.at, "validation tokens are scored"),
            (choice, "the score decides"),
            (scoring.output, "it is reported"),
        ],
    )
    verb = "breaks" if level is Level.VIOLATION else "appears to break"
    return RULE.finding(
        level, choice.path, choice.line, f"{verb}: {what}", steps=steps, column=choice.column
    )


_SCRIPT = """\
import glob, os
import numpy as np, torch, torch.nn.functional as F

files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)

def evaluate(heat):
    total = 0.0
    for start in range(0, val.numel() - 65, 64):
        logits = model(val[start : start + 64]) / heat
        total += F.cross_entropy(logits, val[start + 1 : start + 65], reduction="sum").item()
    return total / val.numel()
"""

RULE = Rule(
    slug="selection-on-val",
    code="B8",
    title="weights, epochs or settings chosen by validation score",
    status="RULED",
    sources=(_PULL + "1991", _PULL + "2098"),
    page="""\
The validation score may not decide what is scored: neither which weights are exported (raw or
averaged, this epoch or that one), nor a temperature or another setting of the reported
evaluation, nor which of several runs is reported. The best of k scores is lower than what any of
the k predicts of new text.
""",
    blind_spots="""\
- Choices made by hand, in another script or over several runs leave nothing in the code.
- A choice of weights is at most a suspect. A schedule or an early stop that follows the validation score is not
  recognised, unless it compares finished evaluations.
""",
    clears=(
        "Choose on held-out training tokens, or fix the choice before the validation tokens "
        "are read."
    ),
    check=check,
    forbidden=_SCRIPT
    + """
scores = {heat: evaluate(heat) for heat in (0.9, 1.0, 1.1)}
best = min(scores, key=scores.get)
print("val_loss", evaluate(best))
""",
    allowed=_SCRIPT
    + """
for heat in (0.9, 1.0, 1.1):
    print("diagnostic", heat, evaluate(heat))
print("val_loss", evaluate(1.0))
""",
)
