from __future__ import annotations

import re

import pytest

from auditor.report.model import Level
from auditor.rulesets import load

RULESET = load()
ENTRIES = list(RULESET.rules.values())


def test_limits_are_those_of_the_readme():
    assert RULESET.limits.artifact_bytes == 16_000_000
    assert RULESET.limits.train_seconds == RULESET.limits.eval_seconds == 600
    assert RULESET.limits.world_size == 8


def test_an_unknown_date_is_an_error():
    with pytest.raises(FileNotFoundError):
        load("1999-01")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_every_entry_is_complete(entry):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", entry.slug)
    assert entry.ids and all(re.fullmatch(r"[A-Z]\d", each) for each in entry.ids)
    assert entry.status in {"RULED", "CONSENSUS", "DISPUTED"}
    assert entry.evidence and set(entry.evidence) <= {"static", "logs", "run", "rerun", "human"}
    assert entry.summary[0].islower() and not entry.summary.endswith(".")
    assert entry.ruling.endswith(".")
    assert entry.sources and len(set(entry.sources)) == len(entry.sources)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_only_what_was_ruled_is_called_a_violation(entry):
    assert entry.status == "RULED" or entry.strongest is not Level.VIOLATION


def test_a_contested_word_is_not_cited_as_a_ruling():
    """#1376 was called ruled by participants; no maintainer's word on it was found."""
    assert not any(source.endswith("/1376") for entry in ENTRIES for source in entry.sources)


def test_implemented_rules_agree_with_the_ruleset():
    from auditor.rules.registry import RULES

    for rule in RULES:
        entry = RULESET.rules[rule.slug]
        assert rule.code in entry.ids
        assert rule.status == entry.status
        assert set(rule.sources) <= set(entry.sources), rule.slug
