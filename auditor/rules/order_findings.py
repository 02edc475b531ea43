"""What the rules of order have in common: the level, and the flow as steps."""

from __future__ import annotations

from auditor.analysis.order import Fill, Ordering, depends_on_rank, depends_on_unknown_setting
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

SETTING_GAP = " (whether this branch runs hangs on a setting that the submission does not show)"


def ordering_finding(
    program: Program, rule: Rule, found: Ordering, what: str, site: tuple[str, int] | None = None
) -> Finding:
    """A finding at the backward pass (or ``site``); suspect when a setting decides and is unknown."""
    update, scoring = found.update, found.scoring
    unknown = depends_on_unknown_setting(program, update.at)
    certain = bool(update.targets) and not unknown
    level = Level.VIOLATION if certain else Level.SUSPECT
    verb = "breaks" if certain else "appears to break"
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
    message = f"{verb}: {what}{SETTING_GAP if unknown else ''}"
    return rule.finding(
        level, path, line, message, steps=steps, column=0 if site else update.at.column
    )


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
