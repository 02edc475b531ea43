"""The report for programs: versioned and in a fixed order; schema-v1.json describes it."""

from __future__ import annotations

import json
from typing import Any

from auditor import __version__
from auditor.report.model import Finding, Report, SettingInForce, SubmissionReport
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem

VERSION = 1


def render(report: Report, ruleset: Ruleset) -> str:
    """The whole report as ASCII JSON, ending in a newline."""
    document = {
        "version": VERSION,
        "pgcheck": __version__,
        "ruleset": ruleset.name,
        "submissions": [_submission(each) for each in report.submissions],
        "problems": [_problem(each) for each in report.problems],
    }
    return json.dumps(document, indent=2) + "\n"


def _submission(report: SubmissionReport) -> dict[str, Any]:
    return {
        "input": report.given,
        "path": report.path,
        "entry": report.entry,
        "revision": report.revision,
        "verdict": report.verdict,
        "findings": [_finding(each) for each in report.findings],
        "checks": [
            {"rule": each.rule, "outcome": each.outcome.value, "reason": each.reason}
            for each in report.checks
        ],
        "settings": _settings(report.settings),
        "problems": [_problem(each) for each in report.problems],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "code": finding.code,
        "level": finding.level.value,
        "status": finding.status,
        "path": finding.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "column": finding.column,
        "message": finding.message,
        "steps": [
            {"path": each.path, "line": each.line, "column": each.column, "text": each.text}
            for each in finding.steps
        ],
        "clears": finding.clears,
        "sources": list(finding.sources),
        "fingerprint": finding.fingerprint,
    }


def _settings(settings: tuple[SettingInForce, ...]) -> dict[str, Any]:
    """By name; where the code reads one setting at several places, the first read stands."""
    found: dict[str, Any] = {}
    for each in sorted(settings, key=lambda setting: setting.name):
        found.setdefault(
            each.name,
            {
                "default": each.default,
                "value": each.value,
                "source": each.source,
                "read_at": each.read_at,
                "decides": list(each.decides),
            },
        )
    return found


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "what": problem.what,
        "where": problem.where,
        "party": problem.party.value,
        "remedy": problem.remedy,
    }
