"""The report for programs: versioned and in a fixed order; schema-v1.json describes it."""

from __future__ import annotations

import json
import math
from typing import Any

from auditor import __version__
from auditor.evidence.claims import Stated
from auditor.evidence.record import Run
from auditor.evidence.runlog import Figure
from auditor.evidence.summary import Evidence, Row, comparison
from auditor.report.model import Finding, Report, SettingInForce, SubmissionReport, Waiver
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem

VERSION = 1
FIGURES = (
    "seed world_size parameters steps train_seconds code_bytes model_bytes total_bytes"
    " val_tokens scored_tokens scored_bytes coverage".split()
)


def render(report: Report, ruleset: Ruleset) -> str:
    """The whole report as ASCII JSON, ending in a newline."""
    document = {
        "version": VERSION,
        "pgcheck": __version__,
        "ruleset": ruleset.name,
        "submissions": [_submission(each) for each in report.submissions],
        "problems": [_problem(each) for each in report.problems],
        "idle_waivers": [
            {"at": each.at, "rule": each.rule, "why": each.why} for each in report.idle_waivers
        ],
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
            {
                "rule": each.rule,
                "outcome": each.outcome.value,
                "reason": each.reason,
                "probes": list(each.probes),
            }
            for each in report.checks
        ],
        "settings": _settings(report.settings),
        "problems": [_problem(each) for each in report.problems],
        "evidence": _evidence(report.evidence) if report.evidence else None,
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
        "waived": finding.waived and _waiver(finding.waived),
    }


def _waiver(waiver: Waiver) -> dict[str, str | None]:
    return {
        "reason": waiver.reason,
        "by": waiver.by,
        "date": waiver.on.isoformat(),
        "until": waiver.until.isoformat() if waiver.until else None,
        "at": waiver.at,
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


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "runs": [_run(each) for each in evidence.runs],
        "claims": [_stated(each) for each in evidence.claims.stated],
        "comparison": [_row(each) for each in comparison(evidence)],
    }


def _run(run: Run) -> dict[str, Any]:
    log, headline = run.log, run.headline
    return {
        "path": log.path,
        "first_line": log.first_line,
        "hardware": log.hardware.text if log.hardware else None,
        "headline": {
            "label": headline.label,
            "line": headline.line,
            "val_bpb": _number(headline.val_bpb),
            "val_loss": _number(headline.val_loss),
            "why": run.why,
        }
        if headline
        else None,
        "figures": {name: _figure(getattr(log, name)) for name in FIGURES},
        "stages": [
            {
                "phase": each.phase.value,
                "label": each.label,
                "seconds": _number(each.seconds),
                "line": each.line,
            }
            for each in log.stages
        ],
        "progress": [
            {
                "done": _number(each.done),
                "val_bpb": _number(each.val_bpb),
                "seconds": _number(each.seconds),
                "line": each.line,
            }
            for each in log.progress
        ],
    }


def _figure(figure: Figure | None) -> dict[str, Any] | None:
    return {"value": _number(figure.value), "line": figure.line} if figure else None


def _number(value: float | None) -> float | None:
    """JSON has no word for what is no number."""
    return value if value is not None and math.isfinite(value) else None


def _stated(stated: Stated) -> dict[str, Any]:
    return {
        "what": stated.what,
        "seed": stated.seed,
        "value": _number(stated.value),
        "text": stated.text,
        "kind": stated.kind,
        "path": stated.path,
        "line": stated.line,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "what": row.what,
        "seed": row.seed,
        "run": row.run,
        "shown": {"value": _number(row.shown.value), "which": row.shown.which}
        if row.shown
        else None,
        "stated": [
            {**_stated(told.stated), "agrees_with": told.agrees_with or None}
            for group in row.told.values()
            for told in group
        ],
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "what": problem.what,
        "where": problem.where,
        "party": problem.party.value,
        "remedy": problem.remedy,
    }
