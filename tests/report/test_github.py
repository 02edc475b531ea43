from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import rulesets
from auditor.report.github import render
from auditor.report.model import Finding, IdleWaiver, Level, Report, SubmissionReport, Waiver

RULESET = rulesets.load()
COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::([^\n]*)")
WAIVER = Waiver("accepted", "a reviewer", date(2026, 5, 2), None, "waivers.toml:1")


def lines(*reports, **more):
    text = render(Report(tuple(reports), **more), RULESET)
    assert text.endswith("\n")
    return text.splitlines()


def commands(found):
    return [match.groups() for match in map(COMMAND.fullmatch, found) if match]


def test_findings_become_annotations(report):
    found = lines(report)
    assert [kind for kind, *_ in commands(found)] == ["error", "notice", "notice"]
    _, properties, message = commands(found)[0]
    assert properties == (
        f"file={report.entry},line=4,endLine=4,col=5,title=pgcheck violation%3A target-in-key (N1)"
    )
    assert message.startswith("the realised token is mixed") and "What clears it: " in message
    assert any(
        line.startswith(f"pgcheck: {report.entry}: violation; breaks target") for line in found
    )
    assert "checks: 3 of 6 ran" in found[3]
    assert f"pgcheck: #7: {report.entry}: violation; " in lines(replace(report, given="#7"))[3]
    assert any(line.startswith("pgcheck: submission: ") for line in found)


def test_a_range_of_lines_has_no_column(report, finding):
    (command,) = commands(lines(replace(report, findings=(finding(end_line=5),))))
    assert "line=4,endLine=5,title=" in command[1]


def test_what_could_break_a_command_is_escaped(report, finding):
    hostile = finding(path="a,b:c%\n.py", message="50 %\r\n::error::x\x1b[0m", clears="", steps=())
    (command,) = commands(lines(replace(report, findings=(hostile,))))
    assert command[1].startswith(r"file=a%2Cb%3Ac%25\n.py,line=4,")
    assert command[2] == r"50 %25 ::error::x\x1b[0m"


def test_ten_of_each_kind_and_the_last_line_says_the_rest(report, finding):
    def many(level, count):
        return tuple(finding(level=level, line=n) for n in range(1, count + 1))

    waived = replace(finding(line=99), waived=WAIVER)
    findings = (*many(Level.VIOLATION, 12), *many(Level.QUESTION, 4), *many(Level.NOTE, 8), waived)
    found = lines(replace(report, findings=findings))
    kinds = [kind for kind, *_ in commands(found)]
    assert kinds == ["error"] * 10 + ["notice"] * 10
    titles = [re.search("pgcheck (.*?)%3A", properties)[1] for _, properties, _ in commands(found)]
    assert titles[10:] == ["question"] * 4 + ["note"] * 6
    assert found[-1].startswith("pgcheck: left out, because GitHub shows 10 of each kind a step: ")
    assert "2 errors, 3 notices" in found[-1]
    assert "left out" not in lines(report)[-1]


def test_a_waived_finding_is_a_notice_with_its_reason(report, finding):
    found = lines(replace(report, findings=(replace(finding(), waived=WAIVER),)))
    ((kind, _, message),) = commands(found)
    assert kind == "notice"
    assert message.startswith("waived: accepted (a reviewer, 2026-05-02; waivers.toml:1): ")
    assert "1 violation, 1 of them waived" in found[1]


def test_inputs_that_held_nothing_come_after_the_findings(whole, finding):
    suspect = replace(whole.submissions[0], findings=(finding(level=Level.SUSPECT),))
    found = commands(lines(suspect, problems=whole.problems))
    assert [kind for kind, *_ in found] == ["warning", "warning"]
    assert found[1][1] == "title=pgcheck%3A not audited (submission)"
    assert found[1][2].startswith("nowhere: no such folder")


def test_unused_waivers_are_told():
    idle = IdleWaiver("waivers.toml:8", "slot", "matches no finding")
    assert lines(idle_waivers=(idle,)) == [
        "pgcheck: unused waiver waivers.toml:8: slot: matches no finding"
    ]


def test_a_payload_is_annotated_in_its_host(report, finding):
    inner = f"{report.entry}!payload-1"
    packed = replace(report, findings=(finding(path=inner),), hosts={inner: (report.entry, 7)})
    ((_, properties, message),) = commands(lines(packed))
    assert f"file={report.entry},line=7,endLine=7,title=" in properties
    assert f"(at {inner}:4, decoded from this line)" in message


@pytest.mark.parametrize("kind", ["path", "message", "given", "rule"])
@given(text=st.text() | st.sampled_from(["::error::x", "\n::stop-commands::x", "a\x85::notice::b"]))
def test_no_text_makes_a_command_of_its_own(kind, text):
    def of(name):
        return text if name == kind else "x"

    found = Finding(
        of("rule"), "N1", Level.NOTE, "RULED", of("path"), 1, 1, of("message"), clears=text
    )
    each = SubmissionReport("", of("path") or "x", (found,), (), given=of("given"))
    first, second = lines(each)
    assert COMMAND.fullmatch(first) and second.startswith("pgcheck: ")
