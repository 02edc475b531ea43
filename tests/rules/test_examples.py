"""Each rule's own examples: the forbidden script must be reported, the allowed one must not."""

from __future__ import annotations

import pytest

from auditor.analysis.program import Program
from auditor.report.model import Level
from auditor.rules.base import Rule
from auditor.rules.registry import RULES
from auditor.submission.model import SourceFile, Submission


def levels(rule: Rule, script: str) -> list[Level]:
    program = Program.build(Submission("", SourceFile("train_gpt.py", script)))
    return [finding.level for finding in rule.check(program)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_forbidden_example_is_reported(rule: Rule) -> None:
    assert any(level is not Level.NOTE for level in levels(rule, rule.forbidden))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_allowed_example_is_silent(rule: Rule) -> None:
    assert all(level is Level.NOTE for level in levels(rule, rule.allowed))
