"""The public queue, where a clone of it is at hand: the known breaches, and accepted entries."""

from __future__ import annotations

import os

import pytest

from auditor import rulesets
from auditor.audit import audit
from auditor.report.model import Finding, Level
from auditor.submission.load import load
from auditor.submission.model import Submission

CLONE = os.environ.get("PG_CLONE")
pytestmark = pytest.mark.skipif(
    not CLONE, reason="PG_CLONE names no clone of openai/parameter-golf"
)


def findings(number: int) -> list[Finding]:
    """What stands above a note in the entry of a pull request."""
    loaded = [s for s in load([], repo=CLONE, prs=[number]) if isinstance(s, Submission)]
    reports = [audit(s, rulesets.load()) for s in loaded if not s.auxiliary]
    assert reports
    return [f for r in reports for f in r.findings if f.level is not Level.NOTE]


@pytest.mark.parametrize(
    ("number", "file", "first", "last"),
    [
        (1094, "swarm_agents.py", 118, 127),
        (825, "train_gpt.py", 119, 125),
        (864, "train_gpt.py", 376, 414),
        (871, "train_gpt.py", 1011, 1026),
        (803, "train_gpt.py", 197, 205),
    ],
)
def test_the_realised_token_in_a_key(number: int, file: str, first: int, last: int) -> None:
    found = [f for f in findings(number) if f.rule == "target-in-key"]
    assert {f.path.rpartition("/")[2] for f in found} == {file}
    assert any(first <= f.line <= last for f in found)


@pytest.mark.parametrize("number", [549, 1413, 1868])
def test_accepted_entries_are_asked_at_most(number: int) -> None:
    assert [f for f in findings(number) if f.level.rank < Level.QUESTION.rank] == []
