"""two-pass: tokens are scored again with state built from a first pass."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.analysis.order import Order, early_fills, orderings
from auditor.analysis.program import Program
from auditor.report.model import Finding
from auditor.rules.base import Rule
from auditor.rules.order_examples import PRELUDE, SCORE_FIRST
from auditor.rules.order_findings import fill_finding, ordering_finding
from auditor.rules.steps import call_site

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check(program: Program) -> Iterable[Finding]:
    for found in orderings(program):
        if found.order is Order.SECOND_PASS and not found.update.free_standing:
            site = call_site(found.scoring.at, found.update.at)
            yield ordering_finding(program, RULE, found, found.order.value, site)
    for fill in early_fills(program):
        if fill.order is Order.SECOND_PASS:
            yield fill_finding(program, RULE, fill, call_site(fill.read.node, fill.store.at))


RULE = Rule(
    slug="two-pass",
    code="C4",
    title="a second pass rescores tokens with state built from the first",
    status="RULED",
    sources=(
        _PULL + "846",
        _PULL + "853",
        _PULL + "991",
    ),
    page="""\
The score of a token is taken once, left to right. A second pass that scores the same tokens with weights or
tables built in the first has seen each token, and what follows it, before scoring it.
""",
    blind_spots="""\
- A first pass in another script or an earlier run, whose tables or weights come in from a file, is not seen.
- Tables in native code are not followed.
""",
    clears="Report the scores of the first pass.",
    check=check,
    forbidden=PRELUDE
    + """\
first = 0.0
for start in range(0, val.numel() - 65, 64):
    x, y = val[start : start + 64], val[start + 1 : start + 65]
    with torch.no_grad():
        first += model(x, y).item() * 64
    loss = model(x, y)
    loss.backward()
    optimizer.step()
print("first pass", first / val.numel())
second = 0.0
for start in range(0, val.numel() - 65, 64):
    with torch.no_grad():
        second += model(val[start : start + 64], val[start + 1 : start + 65]).item() * 64
print("val_loss", second / val.numel())
""",
    allowed=SCORE_FIRST,
)
