"""What the rules of order have in common: the level, and the flow as steps."""

from __future__ import annotations

from auditor.analysis.order import (
    Fill,
    Order,
    Ordering,
    depends_on_rank,
    depends_on_unknown_setting,
    starts_beside,
)
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps


def ordering_finding(
    program: Program, rule: Rule, found: Ordering, what: str, site: tuple[str, int] | None = None
) -> Finding:
    """A finding at the backward pass (or ``site``); suspect when something was left undecided."""
    update, scoring = found.update, found.scoring
    gap = _gap(program, found)
    level = Level.SUSPECT if gap else Level.VIOLATION
    verb = "appears to break" if gap else "breaks"
    learned = (update.targets or update.tokens)[0]
    steps = flow_steps(
        program,
        [
            (learned, "validation tokens are taken"),
            (update.at, "the model learns from them"),
            (scoring.target, "they are the tokens to predict"),
            (scoring.at, "they are scored with what was learned"),
            (scoring.output, "the score is reported"),
        ],
    )
    path, line = site or (update.at.path, update.at.line)
    message = f"{verb}: {what}{gap}"
    return rule.finding(
        level, path, line, message, steps=steps, column=0 if site else update.at.column
    )


def _gap(program: Program, found: Ordering) -> str:
    """What stands between the flow and a proof; empty if nothing does."""
    update, learning = found.update, program.learning
    if not update.targets:
        return "; what the loss compares the validation tokens with was not followed"
    if update.assumed:
        return "; which parameters the optimiser moves was not followed"
    if learning.may_be_train(update):
        return "; training data goes the same way, and the clock of the run decides which of the two it is"
    if any(depends_on_unknown_setting(program, n) for n in (update.at, found.scoring.at)):
        return "; whether this branch runs hangs on a setting that the submission does not show"
    if starts_beside(program, found):
        return "; but where the scored tokens begin is computed beside the updates"
    if learning.claimed_report is None:
        if learning.contradicted:
            return "; but the claimed score is none of those in the logs"
        if found.order is Order.SECOND_PASS:
            return ", if the last reported score is the headline: the first pass is reported too"
    return ""


def fill_finding(
    program: Program, rule: Rule, fill: Fill, site: tuple[str, int] | None = None
) -> Finding:
    """A finding for a table that is filled too early; suspect when ranks fill different parts."""
    partial = depends_on_rank(program, fill.store)
    level = Level.SUSPECT if partial else Level.VIOLATION
    verb = "appears to break" if partial else "breaks"
    gap = "; which part each rank fills was not followed" if partial else ""
    score = program.scores.path_to_score(fill.read.node) or [fill.read.node]
    steps = flow_steps(
        program,
        [
            (fill.store.at, "the table counts validation tokens"),
            (fill.read.node, "the table is read to score them"),
            (score[-1], "reaches the reported score"),
        ],
    )
    path, line = site or (fill.store.at.path, fill.store.at.line)
    return rule.finding(level, path, line, f"{verb}: {fill.order.value}{gap}", steps=steps)
