"""Each implemented rule is whole: ruleset entry, page, document, and fixtures on both sides."""

from __future__ import annotations

import pytest
from shipped import FOLDERS, expected, report, silent

from auditor import rulesets
from auditor.report.model import Level, Outcome
from auditor.rules.base import Rule
from auditor.rules.registry import RULES

RULESET = rulesets.load()
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)


@each_rule
def test_the_ruleset_has_it(rule: Rule) -> None:
    entry = RULESET.rules.get(rule.slug)
    assert entry is not None, f"write [rules.{rule.slug}] in auditor/rulesets"
    assert {"static", "logs"} & set(entry.evidence), "it is decided without a run"


@each_rule
def test_its_page_leaves_nothing_open(rule: Rule) -> None:
    for part in ("title", "page", "clears", "forbidden", "allowed", "sources", "blind_spots"):
        assert getattr(rule, part), f"{rule.slug} lacks {part}"
    assert rule.check or rule.check_record


@each_rule
def test_a_fixture_breaks_it(rule: Rule) -> None:
    strongest = RULESET.rules[rule.slug].strongest.value
    places = [
        (folder, place)
        for folder in FOLDERS
        for place, level in expected(folder).items()
        if place[0] == rule.slug and level == strongest
    ]
    assert places, (
        f"mark a line of a fixture `# expect: {rule.slug} {strongest}`: no finding of that level "
        "is expected anywhere, or the ruleset's `strongest` is not what the rule can say"
    )
    folder, place = places[0]
    found = {(f.rule, f.path, f.line): f.level.value for f in report(folder).findings}
    assert found.get(place) == strongest


@each_rule
def test_a_look_alike_keeps_it_silent(rule: Rule) -> None:
    strongest = RULESET.rules[rule.slug].strongest
    folders = [folder for folder in FOLDERS if rule.slug in silent(folder)]
    assert folders, (
        f"give a look-alike in fixtures/submissions/clean or tricky an expect.toml with "
        f'silent = ["{rule.slug}"]'
    )
    for folder in folders:
        assert folder.parent.name != "violating"
        checked = {check.rule: check for check in report(folder).checks}[rule.slug]
        if rule.check is not None:  # a lone folder leaves open what evidence rules ask of a pull
            assert checked.outcome is not Outcome.NOT_CHECKED, f"{folder.name}: {checked.reason}"
        loud = [
            f
            for f in report(folder).findings
            if f.rule == rule.slug and (f.level is not Level.NOTE or strongest is Level.NOTE)
        ]
        assert not loud, f"{folder.name}: {loud}"


def test_silence_is_asked_of_known_rules() -> None:
    assert {slug for folder in FOLDERS for slug in silent(folder)} <= RULESET.rules.keys()
