from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from auditor import rulesets
from auditor.report.page import MEASURES, documents, page, pages
from auditor.rules.registry import RULES

DOCS = Path(__file__).parents[2] / "docs" / "rules"
RULESET = rulesets.load()
WRITE = "python -m auditor.report.page docs/rules"


def test_the_docs_are_up_to_date():
    found = {path.name: path.read_text(encoding="utf-8") for path in DOCS.iterdir()}
    assert found == documents(RULESET, RULES), f"run: {WRITE}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_a_page_has_every_part(rule):
    text = pages(RULESET, RULES)[rule.slug]
    headings = [
        token.content
        for before, token in zip(tokens(text), tokens(text)[1:], strict=False)
        if before.type == "heading_open"
    ]
    run = ["What a run would show"] if RULESET.rules[rule.slug].probes else []
    wanted = [*run, "Allowed", "Forbidden", "Limits", "What clears it", "Ruling"]
    assert headings[0] == f"{rule.slug} ({', '.join(RULESET.rules[rule.slug].ids)})"
    assert [each for each in headings[1:] if each != "Limits"] == [
        w for w in wanted if w != "Limits"
    ]
    assert all(source in text for source in RULESET.rules[rule.slug].sources)


def tokens(text):
    return MarkdownIt().parse(text)


def test_every_limit_has_its_words():
    assert set(MEASURES) == set(rulesets.LIMITS)
    entry = replace(RULESET.rules["slot"], limits=rulesets.LIMITS)
    text = page(entry, None, RULESET.limits, "not built yet")
    assert "at most 16,000,000 bytes" in text and "sp1024 62,021,632" in text
    assert "not in this version: not built yet" in text


def test_an_example_can_not_leave_its_fence():
    rule = replace(RULES[0], allowed={"a.md": "```\nfenced\n```", "b.log": "x"}, forbidden="````")
    text = page(RULESET.rules[rule.slug], rule, RULESET.limits)
    fences = [token for token in tokens(text) if token.type == "fence"]
    assert [(f.info, f.content) for f in fences] == [
        ("markdown", "```\nfenced\n```\n"),
        ("text", "x\n"),
        ("python", "````\n"),
    ]


def test_blind_spots_are_limits():
    rule = replace(RULES[0], blind_spots="It does not see *this*.")
    text = page(replace(RULESET.rules[rule.slug], limits=()), rule, RULESET.limits)
    assert "## Limits\n\nIt does not see *this*.\n" in text
