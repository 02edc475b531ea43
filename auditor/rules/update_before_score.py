"""update-before-score: a token is scored by something that has already learned from it."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, early_fills, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_examples import PRELUDE, SCORE_FIRST
from auditor.rules.order_findings import fill_finding, ordering_finding

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.order is not Order.SECOND_PASS and not found.update.free_standing:
            yield ordering_finding(program, RULE, found, f"{found.order.value}")
    for fill in early_fills(program):
        if fill.order is not Order.SECOND_PASS:
            yield fill_finding(program, RULE, fill)


RULE = Rule(
    slug="update-before-score",
    code="T1",
    title="state depends on a token before that token's score is final",
    status="RULED",
    sources=(_PULL + "152", _PULL + "462", _PULL + "581"),
    page="""\
A token may be learned from only after its score is final. Adapting the model (or a table, or any other
state) on validation tokens and then scoring those same tokens measures memory, not prediction. Scoring a
chunk first and then training on it, for any number of epochs, is legal.
""",
    blind_spots="""\
- An update is a backward pass with its step, or a write to a table of counts. State that a forward pass
  changes, weights that are moved by a formula and updates in native code are not seen.
- Only the evaluations that are reported as the score are judged.
- Which parameters are moved, where the scored tokens begin, and settings that nothing shows may stay open:
  the finding is then a suspect and names what is open.
""",
    clears="Score each chunk before the step that learns from it, and report the scores taken before.",
    check=check,
    forbidden=PRELUDE
    + """\
for start in range(0, val.numel() - 65, 64):
    loss = model(val[start : start + 64], val[start + 1 : start + 65])
    loss.backward()
    optimizer.step()
total = 0.0
for start in range(0, val.numel() - 65, 64):
    with torch.no_grad():
        total += model(val[start : start + 64], val[start + 1 : start + 65]).item() * 64
print("val_loss", total / val.numel())
""",
    allowed=SCORE_FIRST,
)
