"""The findings as a file of waivers that are still to be decided: each needs its reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from auditor.report.escape import visible
from auditor.report.model import Finding, Level, Report, SubmissionReport
from auditor.rulesets import Ruleset

_PROSE = 200  # characters of a message in a comment
HEAD = """\
# Waivers for pgcheck: keep this file outside the submission and name it with --waivers.
# An entry applies when it has a reason and a name; the others are refused. Delete what is not decided.
"""


def render(report: Report, ruleset: Ruleset) -> str:
    """TOML: an entry for each finding but notes; those that are waived keep their reason."""
    entries = [
        _entry(finding, each)
        for each in report.submissions
        for finding in each.findings
        if finding.level is not Level.NOTE
    ]
    return "\n".join([HEAD, *entries])


def _entry(finding: Finding, report: SubmissionReport) -> str:
    return "".join(f"{line}\n" for line in _lines(finding, report))


def _lines(finding: Finding, report: SubmissionReport) -> Iterator[str]:
    yield f"# {_comment(f'{finding.level.value} at {finding.path}:{finding.line}: {finding.message}')}"
    yield "[[waiver]]"
    if report.given.startswith("#"):
        yield f"pr = {report.given[1:]}"
    else:
        yield f"submission = {_quoted(report.path or report.given)}"
    yield f"rule = {_quoted(finding.rule)}"
    yield f"fingerprint = {_quoted(finding.fingerprint)}"
    waiver = finding.waived
    yield f"reason = {_quoted(waiver.reason if waiver else '')}"
    yield f"by = {_quoted(waiver.by if waiver else '')}"
    yield f"date = {waiver.on if waiver else date.today()}"
    if waiver and waiver.until:
        yield f"until = {waiver.until}"


def _comment(text: str) -> str:
    return visible(" ".join(text.split()), _PROSE)


def _quoted(text: str) -> str:
    """A basic string of TOML: whatever doesn't print is escaped by its code point."""
    return '"' + "".join(map(_char, text)) + '"'


def _char(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = 0xFFFD if 0xD800 <= ord(char) < 0xE000 else ord(char)  # TOML has no lone surrogates
    return f"\\U{code:08X}"
