"""prequant-ttt: the weights that are evaluated were fine-tuned on the validation tokens."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_examples import PRELUDE, SCORE_FIRST
from auditor.rules.order_findings import ordering_finding

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.order is Order.WHOLE_PASS and not found.update.free_standing:
            what = "the weights of the headline evaluation were fine-tuned on the validation tokens before it"
            yield ordering_finding(program, RULE, found, what)


RULE = Rule(
    slug="prequant-ttt",
    code="T4",
    title="fine-tuning on validation tokens before the headline evaluation",
    status="RULED",
    sources=(
        _PULL + "1972",
        _PULL + "1902",
    ),
    page="""\
Fine-tuning on the validation tokens before the weights are quantised, or in any other way before the
headline evaluation begins, puts the validation set into the evaluated weights.
""",
    blind_spots="""\
- Fine-tuning in another script or an earlier run, whose weights come in from a file, is not seen.
- Rows whose way from a validation shard could not be followed are not taken for validation tokens.
""",
    clears="Leave the validation tokens out of everything that happens before the headline evaluation.",
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
