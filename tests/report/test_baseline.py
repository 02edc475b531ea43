from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import rulesets, waivers
from auditor.report.baseline import render
from auditor.report.model import Finding, Level, Report, SubmissionReport
from auditor.toml import TomlError, parse

RULESET = rulesets.load()
TODAY = date(2026, 5, 20)


def written(tmp_path, text):
    path = tmp_path / "waivers.toml"
    path.write_text(text, encoding="utf-8")
    return waivers.load(str(path), (), TODAY)


def test_a_baseline_is_refused_until_it_has_reasons(report, tmp_path):
    text = render(Report((report,)), RULESET)
    with pytest.raises(TomlError, match=r"waivers.toml:9: 'reason' must not be blank"):
        written(tmp_path, text)


@pytest.mark.parametrize("given", ["checkout", "#1094"])
def test_a_baseline_with_reasons_waives_what_was_found(report, tmp_path, given):
    found = replace(report, given=given)
    text = render(Report((found,)), RULESET)
    assert "late-calibration" not in text, "notes need no decision"
    text = text.replace('reason = ""', 'reason = "known"').replace('by = ""', 'by = "a reviewer"')
    decided = written(tmp_path, text)
    after = decided.apply(found)
    assert after.verdict == "no-findings" and decided.idle() == ()
    again = render(Report((after,)), RULESET)
    assert again.count('reason = "known"') == 2, "what was decided is kept"
    assert written(tmp_path, again).apply(found).verdict == "no-findings"


def test_nothing_found_is_an_empty_file(tmp_path):
    assert written(tmp_path, render(Report(()), RULESET)).idle() == ()


@given(text=st.text())
def test_any_text_makes_a_file_that_can_be_read(text):
    found = Finding(text, "N1", Level.SUSPECT, "RULED", text, 1, 1, text)
    each = SubmissionReport(text, "x", (found,), (), given=text)
    (entry,) = parse(render(Report((each,)), RULESET), "f").tables("waiver")
    if text.strip():
        assert entry.text("submission", "") == text.strip()
