from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.analysis.program import AnalysisLimit
from auditor.analysis.unlogged import Print
from auditor.audit import audit, is_tool_fault, why_unbuilt
from auditor.report.model import Level, Outcome, SettingInForce
from auditor.rules.base import NotChecked, Rule
from auditor.rulesets import load
from auditor.submission.model import Party, Problem, Pull, SourceFile

RULESET = load()
SETTING = SettingInForce("A", "0", "1", "code default", "train_gpt.py:1")
PROBLEM = Problem("payload-1 can't be decoded", "train_gpt.py", Party.SUBMISSION, "show it")


class FakeProgram:
    """What `audit` uses of a Program."""

    def __init__(self, submission):
        self.submission = submission
        self.problems = (PROBLEM, PROBLEM)
        self.settings = (SETTING,)
        self.blind = None

    def unlogged(self, path, line):
        return None


class BlindProgram(FakeProgram):
    def __init__(self, submission):
        super().__init__(submission)
        self.blind = "no score was found"


def rule(slug, check):
    entry = RULESET.rules[slug]
    return Rule(
        slug, entry.ids[0], slug, entry.status, entry.sources, page="", clears="", check=check
    )


def run(submission, *rules, build=FakeProgram):
    return audit(submission, RULESET, rules=rules, build=build)


def check_of(report, slug):
    return next(check for check in report.checks if check.rule == slug)


def test_findings_come_with_their_source_and_settings(submission, finding):
    report = run(submission, rule("target-in-key", lambda program: [finding()]))
    assert [f.rule for f in report.findings] == ["target-in-key"]
    assert report.sources == {submission.entry.path: submission.entry.text}
    assert report.settings == (SETTING,)
    assert report.problems == (PROBLEM,)
    assert report.revision == submission.revision
    assert report.verdict == "violation"


def test_code_that_the_logs_contradict_breaks_nothing_for_sure(submission, finding):
    class Unlogged(FakeProgram):
        def unlogged(self, path, line):
            return Print("log", "adapting the weights", 3)

    report = run(submission, rule("target-in-key", lambda program: [finding()]), build=Unlogged)
    (told,) = report.findings
    assert told.level is Level.SUSPECT and "adapting the weights" in told.message


def test_every_rule_of_the_ruleset_is_accounted_for(submission):
    report = run(submission, rule("slot", lambda program: ()))
    assert [check.rule for check in report.checks] == list(RULESET.rules)
    assert check_of(report, "slot").outcome is Outcome.RAN
    assert check_of(report, "target-in-key").reason == "not built yet"
    assert report.verdict == "no-findings"


def test_what_only_a_run_can_settle_names_its_probes(submission):
    report = run(submission, rule("slot", lambda program: ()))
    assert check_of(report, "slot").probes == ("changed future", "incompressible data")
    assert check_of(report, "target-in-key").probes == RULESET.rules["target-in-key"].probes
    assert check_of(report, "seeds").probes == ()
    unbuilt = replace(RULESET.rules["slot"], evidence=("run",))
    assert why_unbuilt(unbuilt) == "needs a run: changed future, incompressible data"


def test_a_proven_violation_waits_for_no_run(submission, finding):
    report = run(submission, rule("target-in-key", lambda program: [finding()]))
    assert check_of(report, "target-in-key").probes == ()


def test_silence_about_what_was_not_seen_is_not_a_result(submission, finding):
    silent, speaking = (
        rule("slot", lambda program: ()),
        rule("two-pass", lambda program: [finding()]),
    )
    report = run(submission, silent, speaking, build=BlindProgram)
    assert check_of(report, "slot").outcome is Outcome.NOT_CHECKED
    assert check_of(report, "slot").reason == "no score was found"
    assert check_of(report, "two-pass").outcome is Outcome.RAN
    assert run(submission, silent, build=BlindProgram).verdict == "inconclusive"


def test_a_script_beside_the_entry_is_a_suspect_at_most(submission, finding):
    speaking = rule("two-pass", lambda program: [replace(finding(), level=Level.VIOLATION)])
    (kept,) = run(replace(submission, auxiliary=True), speaking).findings
    assert kept.level is Level.SUSPECT
    assert "beside the entry" in kept.message


@pytest.mark.parametrize(
    ("added", "level"),
    [
        ("records/other/submission.json", Level.SUSPECT),
        ("records/other/README.md", Level.VIOLATION),
    ],
)
def test_a_script_whose_pull_claims_something_else(submission, finding, added, level):
    speaking = rule("two-pass", lambda program: [replace(finding(), level=Level.VIOLATION)])
    bare = replace(submission, readme=(), logs=(), metadata_file=None, pull=Pull(added=(added,)))
    (kept,) = run(bare, speaking).findings
    assert kept.level is level
    own = SourceFile("README.md", "a record", "text")
    (kept,) = run(replace(bare, readme=(own,)), speaking).findings
    assert kept.level is Level.VIOLATION


def test_a_rule_that_cannot_decide_says_why_and_keeps_what_it_found(submission, finding):
    def check(program):
        yield finding()
        raise NotChecked("no evaluation loop was found")

    report = run(submission, rule("target-in-key", check))
    assert len(report.findings) == 1
    assert check_of(report, "target-in-key").outcome is Outcome.NOT_CHECKED
    assert check_of(report, "target-in-key").reason == "no evaluation loop was found"


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep"), MemoryError()])
def test_a_defect_of_ours_stays_ours_and_stays_alone(submission, finding, error):
    def broken(program):
        raise error

    report = run(
        submission, rule("slot", broken), rule("target-in-key", lambda program: [finding()])
    )
    check = check_of(report, "slot")
    assert is_tool_fault(check)
    assert type(error).__name__ in check.reason and "please report it" in check.reason
    assert "test_audit.py:" in check.reason
    assert check_of(report, "target-in-key").outcome is Outcome.RAN


@pytest.mark.parametrize(
    ("error", "ours"), [(AnalysisLimit("nested too deeply"), False), (ValueError("x"), True)]
)
def test_a_program_that_cannot_be_built_is_inconclusive(submission, error, ours):
    def build(submission):
        raise error

    report = run(submission, rule("slot", lambda program: ()), build=build)
    assert report.verdict == "inconclusive"
    assert is_tool_fault(check_of(report, "slot")) is ours
    assert str(error) in check_of(report, "slot").reason
    assert check_of(report, "target-in-key").reason == "not built yet"


def test_a_disputed_rule_asks_and_does_not_accuse(submission, finding):
    report = run(submission, rule("slot", lambda program: [finding(rule="slot")]))
    assert report.findings[0].level is Level.QUESTION


def test_findings_are_sorted_and_told_once(submission, finding):
    found = [
        finding(level=Level.NOTE, message="b", steps=()),
        finding(line=9, message="a", steps=()),
        finding(line=3, message="a", steps=()),
        finding(level=Level.SUSPECT, line=1, message="c", steps=()),
    ]
    report = run(submission, rule("target-in-key", lambda program: found))
    assert [(f.level.value, f.line) for f in report.findings] == [
        ("violation", 3),
        ("suspect", 1),
        ("note", 4),
    ]
