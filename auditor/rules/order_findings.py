"""What the rules of order have in common: the level, and the flow as steps."""

from __future__ import annotations

from auditor.analysis.order import Ordering, depends_on_unknown_setting
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps

SETTING_GAP = " (whether this branch runs hangs on a setting that the submission does not show)"


def ordering_finding(program: Program, rule: Rule, found: Ordering, what: str) -> Finding:
    """A finding at the backward pass; suspect when no target is compared or a setting is unknown."""
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
    return rule.finding(
        level,
        update.at.path,
        update.at.line,
        f"{verb}: {what}{SETTING_GAP if unknown else ''}",
        steps=steps,
        column=update.at.column,
    )
