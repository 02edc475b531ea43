from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from auditor import waivers
from auditor.report.model import Level
from auditor.toml import TomlError

TODAY = date(2026, 5, 20)
RECORD = "records/track_10min_16mb/2026-03-26_Cache"
HEAD = f'[[waiver]]\nsubmission = "{RECORD}"\nrule = "target-in-key"\n'
TAIL = 'reason = "ruled fine on the forum"\nby = "a reviewer"\ndate = 2026-05-02\n'
BY_PATH = f'{HEAD}path = "{RECORD}/train_gpt.py"\n{TAIL}'


@pytest.fixture
def loaded(tmp_path):
    def load(text, audited=()):
        path = tmp_path / "waivers.toml"
        path.write_text(text)
        return waivers.load(str(path), audited, TODAY)

    return load


def waived_rules(report):
    return [finding.rule for finding in report.findings if finding.waived]


def test_a_waived_finding_stays_and_does_not_count(loaded, report):
    decided = loaded(BY_PATH)
    after = decided.apply(report)
    assert len(after.findings) == len(report.findings)
    assert waived_rules(after) == ["target-in-key"]
    assert (report.verdict, after.verdict) == ("violation", "question")
    waiver = after.findings[0].waived
    assert waiver.reason == "ruled fine on the forum" and waiver.at.endswith("waivers.toml:1")
    assert "a reviewer, 2026-05-02" in str(waiver)
    assert after.findings[0].fingerprint == report.findings[0].fingerprint
    assert decided.idle() == ()


def test_a_fingerprint_is_matched_whatever_the_line(loaded, report, finding):
    text = f'{HEAD}fingerprint = "{report.findings[0].fingerprint}"\n{TAIL}'
    moved = replace(report, findings=(finding(line=2, end_line=2), *report.findings[1:]))
    assert waived_rules(loaded(text).apply(moved)) == ["target-in-key"]
    other = replace(report, findings=(finding(steps=()),))
    assert waived_rules(loaded(text).apply(other)) == []


@pytest.mark.parametrize(
    ("text", "given", "applies"),
    [
        (BY_PATH, "checkout", True),
        (BY_PATH.replace(RECORD, f"./{RECORD}/", 1), "checkout", True),
        (BY_PATH.replace(f'submission = "{RECORD}"', 'submission = "checkout"'), "checkout/", True),
        (BY_PATH.replace(f'submission = "{RECORD}"', "pr = 1094"), "#1094", True),
        (BY_PATH.replace(f'submission = "{RECORD}"', "pr = 1094"), "#109", False),
        (BY_PATH.replace(RECORD, "records/another", 1), "checkout", False),
        (BY_PATH.replace("target-in-key", "two-pass"), "checkout", False),
        (BY_PATH.replace("train_gpt.py", "other.py"), "checkout", False),
    ],
)
def test_which_findings_an_entry_is_about(loaded, report, text, given, applies):
    assert bool(waived_rules(loaded(text).apply(replace(report, given=given)))) is applies


@pytest.mark.parametrize(("until", "applies"), [("2026-05-19", False), ("2026-05-20", True)])
def test_an_expired_waiver_does_not_apply_and_is_listed(loaded, report, until, applies):
    decided = loaded(f"{BY_PATH}until = {until}\n")
    assert bool(waived_rules(decided.apply(report))) is applies
    assert [idle.why for idle in decided.idle()] == ([] if applies else [f"expired after {until}"])


def test_what_matches_nothing_is_listed_for_audited_submissions_only(loaded, report):
    absent = BY_PATH.replace(RECORD, "records/another", 1)
    decided = loaded(BY_PATH + BY_PATH.replace("train_gpt.py", "other.py") + absent)
    decided.apply(report)
    (idle,) = decided.idle()
    assert idle.at.endswith(":8") and idle.rule == "target-in-key"
    assert idle.why == "matches no finding"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BY_PATH.replace("ruled fine on the forum", " "), ":5: 'reason' must not be blank"),
        (BY_PATH.replace("reason", "#"), ":1: lacks 'reason', a text"),
        (BY_PATH.replace("a reviewer", ""), ":6: 'by' must not be blank"),
        (BY_PATH.replace("2026-05-02", '"May"'), ":7: 'date' must be a date"),
        (BY_PATH + "line = 4\n", ":8: 'line' is not a key that belongs here"),
        (BY_PATH + 'fingerprint = "0"\n', ":1: needs either 'fingerprint' or 'path'"),
        (BY_PATH + "pr = 7\n", ":1: needs either 'submission' or 'pr'"),
        (f"{HEAD}{TAIL}", ":1: needs either 'fingerprint' or 'path'"),
        ("[waivers]\n", ":1: 'waivers' is not a key"),
        ("waiver = 3\n", ":1: 'waiver' must be an array of tables"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(loaded, text, message):
    with pytest.raises(TomlError) as caught:
        loaded(text)
    assert f"waivers.toml{message}" in str(caught.value)


def test_a_file_inside_an_audited_folder_is_refused(loaded, tmp_path):
    record = tmp_path / "records" / "x"
    record.mkdir(parents=True)
    script = record / "train_gpt.py"
    script.touch()
    loaded(BY_PATH, [str(record), str(script)])
    other = tmp_path / "other.py"
    other.touch()
    for audited in (tmp_path, other):
        with pytest.raises(TomlError, match="lies inside the audited folder"):
            loaded(BY_PATH, [str(record), str(audited)])


def test_links_do_not_hide_where_a_file_lies(loaded, tmp_path):
    record = tmp_path / "record"
    record.mkdir()
    inside, outside = record / "waivers.toml", tmp_path / "outside.toml"
    inside.write_text(BY_PATH)
    outside.symlink_to(inside)
    with pytest.raises(TomlError, match="lies inside"):
        waivers.load(str(outside), [str(record)], TODAY)
    inside.unlink()
    outside.unlink()
    outside.write_text(BY_PATH)
    inside.symlink_to(outside)
    with pytest.raises(TomlError, match="lies inside"):
        waivers.load(str(inside), [str(record)], TODAY)


def test_notes_can_be_waived_too(loaded, report):
    text = BY_PATH.replace("target-in-key", "late-calibration").replace("train_gpt.py", "train.log")
    after = loaded(text).apply(report)
    assert [f.level for f in after.findings if f.waived] == [Level.NOTE]
