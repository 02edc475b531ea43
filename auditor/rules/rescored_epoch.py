"""rescored-epoch: the reported score comes after an earlier epoch learned from the same tokens."""

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
        if found.update.free_standing:
            continue
        if found.order is Order.EPOCHS:
            yield ordering_finding(program, RULE, found, found.order.value)
        elif found.order in (Order.WHOLE_PASS, Order.SECOND_PASS) and any(
            program.learning.repeated_loops(found.update)
        ):
            what = "several epochs over the validation tokens come before the reported score"
            yield ordering_finding(program, RULE, found, what)


RULE = Rule(
    slug="rescored-epoch",
    code="T2",
    title="several epochs over the validation tokens, the last or best one reported",
    status="RULED",
    sources=(
        _PULL + "512",
        _PULL + "568",
        _PULL + "614",
    ),
    page="""\
Running several epochs over the validation tokens and reporting the last (or best) one scores tokens
that an earlier epoch learned from. Several epochs over a chunk that is already scored are legal: its
score was taken before.
""",
    blind_spots="""\
- Epochs are loops around one evaluation in one process. Several runs of a script that hand weights on
  through a file are not seen.
- What counts as an update is as for `update-before-score`.
""",
    clears="Report the scores of the first time that each token is met.",
    check=check,
    forbidden=PRELUDE
    + """\
for epoch in range(3):
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
