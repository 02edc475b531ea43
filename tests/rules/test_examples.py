"""Each rule's own examples: the forbidden one must be reported, the allowed one must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor import rulesets
from auditor.audit import audit
from auditor.report.model import Level
from auditor.rules.base import Example, Rule
from auditor.rules.registry import RULES
from auditor.submission.load import load
from auditor.submission.model import SourceFile, Submission


def levels(rule: Rule, example: Example, folder: Path) -> list[Level]:
    report = audit(submission(example, folder), rulesets.load(), rules=[rule])
    return [finding.level for finding in report.findings]


def submission(example: Example, folder: Path) -> Submission:
    if isinstance(example, str):
        return Submission("", SourceFile("train_gpt.py", example))
    scripts = any(name.endswith(".py") for name in example)
    for name, text in {**({} if scripts else {"train_gpt.py": ""}), **example}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (found,) = load([folder])
    assert isinstance(found, Submission)
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_forbidden_example_is_reported(rule: Rule, tmp_path: Path) -> None:
    strongest = rulesets.load().rules[rule.slug].strongest
    found = levels(rule, rule.forbidden, tmp_path)
    assert any(level is not Level.NOTE or strongest is Level.NOTE for level in found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_allowed_example_is_silent(rule: Rule, tmp_path: Path) -> None:
    assert all(level is Level.NOTE for level in levels(rule, rule.allowed, tmp_path))
