"""SARIF 2.1.0, for GitHub code scanning and editors: one run per submission.

The words of pgcheck are kept in ``properties``, because SARIF has but three levels. What was not
checked and what could not be read are notifications, never results. GitHub takes 20 runs a file.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from auditor import __version__
from auditor.audit import is_tool_fault
from auditor.report import words
from auditor.report.escape import visible
from auditor.report.model import Check, Finding, Level, Outcome, Report, SubmissionReport, Waiver
from auditor.report.page import pages
from auditor.report.places import Place, place
from auditor.rules.base import Rule
from auditor.rules.registry import RULES
from auditor.rulesets import RuleEntry, Ruleset
from auditor.submission.model import Party, Problem

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MAX_RESULTS = 5_000  # shown by GitHub
MAX_BYTES = 10_000_000  # gzipped, taken by GitHub

LEVELS = {
    Level.VIOLATION: "error",
    Level.SUSPECT: "warning",
    Level.QUESTION: "note",
    Level.NOTE: "note",
}
NOTICES = {
    Outcome.NOT_CHECKED.value: "a rule that was not checked, and why",
    Outcome.PARTLY.value: "a rule of which a part was not checked, and why",
    "problem": "something that could not be read, and who has to act",
    "needs-run": "a probe of a run, and the rules that it would settle",
    "unused-waiver": "a waiver that waived nothing",
    "cut": "findings that were left out for size",
}

_PROSE = 2_000  # characters of a message
_Json = dict[str, Any]


def render(report: Report, ruleset: Ruleset) -> str:
    """ASCII JSON that ends in a newline, cut to what GitHub takes: the weakest results go first."""
    room = MAX_RESULTS
    while True:
        text = json.dumps(_document(report, ruleset, room), indent=1) + "\n"
        if room == 0 or len(gzip.compress(text.encode(), 6)) <= MAX_BYTES:
            return text
        room = min(room, sum(len(each.findings) for each in report.submissions)) // 2


def _document(report: Report, ruleset: Ruleset, room: int) -> _Json:
    kept = _strongest(report.submissions, room)
    catalogue = _Catalogue(ruleset)
    runs = [
        _run(each, catalogue, [f for number, f in enumerate(each.findings) if (at, number) in kept])
        for at, each in enumerate(report.submissions)
    ]
    if report.problems or report.idle_waivers:
        runs.append(_inputs(report))
    names: Counter[str] = Counter()
    for run in runs:  # an upload must not have two runs of one name
        details = run["automationDetails"]
        names[details["id"]] += 1
        if names[details["id"]] > 1:
            details["id"] += f"{names[details['id']]}/"
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _strongest(submissions: Iterable[SubmissionReport], room: int) -> set[tuple[int, int]]:
    """The findings to keep, by the numbers of submission and finding; what is waived goes first."""
    ranked = sorted(
        (finding.waived is not None, finding.level.rank, at, number)
        for at, each in enumerate(submissions)
        for number, finding in enumerate(each.findings)
    )
    return {(at, number) for *_, at, number in ranked[:room]}


def _run(report: SubmissionReport, catalogue: _Catalogue, kept: list[Finding]) -> _Json:
    notices = [*_unchecked(report, catalogue), *map(_problem, report.problems)]
    notices += [
        _notice("needs-run", "note", f"{probe}: {rules}") for probe, rules in words.probes(report)
    ]
    left_out = len(report.findings) - len(kept)
    if left_out:
        text = f"{left_out} findings are left out, the weakest first: --format json has them all"
        notices.insert(0, _notice("cut", "warning", text, Party.TOOL))
    read: list[Check | Problem] = [*report.checks, *report.problems]
    broken = any(map(is_tool_fault, read))
    return {
        "tool": catalogue.tool({finding.rule for finding in kept}),
        "automationDetails": {"id": _name(report)},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(notices, not broken)],
        "results": [_result(finding, report, catalogue) for finding in kept],
        "properties": {
            "input": visible(report.given),
            "path": visible(report.path),
            "revision": report.revision,
            "verdict": report.verdict,
        },
    }


def _inputs(report: Report) -> _Json:
    """A run without results: what held no submission, and waivers that waived nothing."""
    notices = [_problem(problem) for problem in report.problems]
    notices += [
        _notice("unused-waiver", "note", f"{each.at}: {each.rule}: {each.why}")
        for each in report.idle_waivers
    ]
    return {
        "tool": {"driver": _driver()},
        "automationDetails": {"id": "pgcheck/inputs/"},
        "invocations": [_invocation(notices, not any(map(is_tool_fault, report.problems)))],
        "results": [],
    }


def _name(report: SubmissionReport) -> str:
    """Stable from one run of pgcheck to the next; GitHub keeps the alerts of each name apart."""
    number = f"{report.given[1:]}/" if report.given.startswith("#") else ""
    return f"pgcheck/{number}{_uri(place(report, report.entry, 1).path)}/"


# ---- results ----


def _result(finding: Finding, report: SubmissionReport, catalogue: _Catalogue) -> _Json:
    at = place(report, finding.path, finding.line, finding.end_line, finding.column)
    text = finding.message
    if finding.clears:
        text += f". What clears it: {finding.clears}"
    if at.decoded:
        text += f" (at {at.decoded}, decoded from this line)"
    result = {
        "ruleId": finding.rule,
        "ruleIndex": catalogue.index.get(finding.rule, -1),
        "level": LEVELS[finding.level],
        "message": {"text": _message(text)},
        "locations": [_location(at)],
        "partialFingerprints": {
            "pgcheck/v1": finding.fingerprint,
            "primaryLocationLineHash": f"{finding.fingerprint}:1",  # the one that GitHub reads
        },
        "properties": {
            "level": finding.level.value,
            "code": finding.code,
            "status": finding.status,
            "clears": visible(finding.clears),
            "sources": list(finding.sources),
        },
    }
    if finding.steps:
        result["codeFlows"] = [{"threadFlows": [{"locations": _flow(finding, report)}]}]
    if finding.waived:
        result["suppressions"] = [_suppression(finding.waived)]
    return result


def _flow(finding: Finding, report: SubmissionReport) -> list[_Json]:
    return [
        {"location": _location(place(report, each.path, each.line, 0, each.column), each.text)}
        for each in finding.steps
    ]


def _location(at: Place, text: str = "") -> _Json:
    region = {"startLine": at.line, "endLine": at.end_line}
    if at.column:
        region["startColumn"] = at.column + 1
    found: _Json = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(at.path)}, "region": region}
    }
    if at.decoded:
        name = visible(at.decoded)
        found["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "decoded payload"}]
        text = text and f"{text} (at {at.decoded})"
    if text:
        found["message"] = {"text": _message(text)}
    return found


def _suppression(waiver: Waiver) -> _Json:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": visible(waiver.reason),
        "properties": {
            "by": visible(waiver.by),
            "date": waiver.on.isoformat(),
            "until": waiver.until.isoformat() if waiver.until else None,
            "at": waiver.at,
        },
    }


# ---- notifications ----


def _invocation(notices: list[_Json], successful: bool) -> _Json:
    return {"executionSuccessful": successful, "toolExecutionNotifications": notices}


def _unchecked(report: SubmissionReport, catalogue: _Catalogue) -> list[_Json]:
    found = []
    for check in report.checks:
        if check.outcome is Outcome.RAN:
            continue
        broken = is_tool_fault(check)
        notice = _notice(
            check.outcome.value,
            "error" if broken else "note",
            f"{check.rule}: {check.reason}",
            Party.TOOL if broken else None,
        )
        reference: _Json = {"id": check.rule}
        if check.rule in catalogue.index:
            reference["index"] = catalogue.index[check.rule]
        found.append({**notice, "associatedRule": reference})
    return found


def _problem(problem: Problem) -> _Json:
    level = "error" if is_tool_fault(problem) else "warning"
    return _notice(
        "problem", level, f"{problem.where}: {problem.what}; {problem.remedy}", problem.party
    )


def _notice(kind: str, level: str, text: str, party: Party | None = None) -> _Json:
    """A notification; ``party`` is who has to act, where that is known."""
    found: _Json = {"descriptor": {"id": kind}, "level": level, "message": {"text": _message(text)}}
    if party is not None:
        found["properties"] = {"party": party.value}
    return found


# ---- rules ----


class _Catalogue:
    """The ruleset as the metadata of a run."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._entries = tuple(ruleset.rules.values())
        self._pages: Mapping[str, str] = pages(ruleset, RULES)
        self._rules: Mapping[str, Rule] = {rule.slug: rule for rule in RULES}
        self._ruleset = ruleset.name
        self.index = {entry.slug: number for number, entry in enumerate(self._entries)}

    def tool(self, found: set[str]) -> _Json:
        """``found`` are the rules with results; the others go without their page."""
        described = [self._described(entry, entry.slug in found) for entry in self._entries]
        properties = {"ruleset": visible(self._ruleset)}
        return {"driver": {**_driver(), "rules": described, "properties": properties}}

    def _described(self, entry: RuleEntry, whole: bool) -> _Json:
        rule = self._rules.get(entry.slug)
        help_: _Json = {"text": f"{entry.ruling} (pgcheck explain {entry.slug})"}
        if whole:
            help_["markdown"] = self._pages[entry.slug]
        return {
            "id": entry.slug,
            "name": "".join(map(str.capitalize, entry.slug.split("-"))),
            "shortDescription": {"text": entry.summary},
            "fullDescription": {"text": rule.page.strip() if rule else entry.ruling},
            "help": help_,
            "helpUri": entry.sources[0],
            "defaultConfiguration": {"level": LEVELS[entry.strongest]},
            "properties": {
                "tags": [entry.status, *entry.ids],
                "ids": list(entry.ids),
                "status": entry.status,
                "strongest": entry.strongest.value,
                "evidence": list(entry.evidence),
                "sources": list(entry.sources),
            },
        }


def _driver() -> _Json:
    notices = [{"id": name, "shortDescription": {"text": text}} for name, text in NOTICES.items()]
    return {"name": "pgcheck", "version": __version__, "notifications": notices}


# ---- text ----


def _uri(path: str) -> str:
    """A relative reference, or a file: URI of what lies outside the working folder."""
    scheme = "file://" if path.startswith("/") else ""
    return scheme + quote(path, safe="/!", errors="replace")


def _message(text: str) -> str:
    """Text from anywhere as a plain message: one line, nothing in it is a link or a placeholder."""
    line = visible(" ".join(text[: _PROSE + 1].split()), _PROSE)
    return line.replace("](", "\\](").replace("{", "{{").replace("}", "}}")
