"""Waivers: decisions on findings, each with a reason, in a TOML file outside the submission.

    [[waiver]]
    pr = 1094                         # or submission = "records/…", the record folder
    rule = "target-in-key"
    fingerprint = "0123456789abcdef"  # or path = "records/…/train_gpt.py": all of the rule's there
    reason = "…"
    by = "…"
    date = 2026-05-02
    until = 2026-08-01                # optional: the last day on which it applies

A waived finding stays visible in every format and counts neither for the verdict nor for the exit
code. Comments inside audited code are no waivers.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from auditor.report.model import Finding, IdleWaiver, SubmissionReport, Waiver
from auditor.toml import Table, TomlError, read

_ONE_OF_TWO = (("submission", "pr"), ("fingerprint", "path"))


@dataclass(frozen=True)
class Entry:
    """One entry of the file: what it is about, and the decision."""

    rule: str
    submission: str  # the record folder or the input's name; "" if ``pr`` is given
    pr: int | None
    fingerprint: str
    path: str  # "" if ``fingerprint`` is given
    waiver: Waiver

    def concerns(self, report: SubmissionReport) -> bool:
        if self.pr is not None:
            return report.given == f"#{self.pr}"
        return _normal(self.submission) in {_normal(report.path), _normal(report.given)}

    def matches(self, finding: Finding) -> bool:
        if finding.rule != self.rule:
            return False
        return (
            self.fingerprint == finding.fingerprint
            if self.fingerprint
            else self.path == finding.path
        )

    def expired(self, today: date) -> bool:
        return self.waiver.until is not None and self.waiver.until < today


class Waivers:
    """The entries of one file, and which of them have waived something so far."""

    def __init__(self, entries: Iterable[Entry], today: date) -> None:
        self._entries = tuple(entries)
        self._today = today
        self._asked: set[Entry] = set()
        self._used: set[Entry] = set()

    def apply(self, report: SubmissionReport) -> SubmissionReport:
        """The report with each finding's waiver, where there is one that has not expired."""
        mine = [entry for entry in self._entries if entry.concerns(report)]
        self._asked.update(mine)
        findings = tuple(self._waived(finding, mine) for finding in report.findings)
        return replace(report, findings=findings)

    def idle(self) -> tuple[IdleWaiver, ...]:
        """The entries for audited submissions that waived nothing, in the order of the file."""
        return tuple(
            IdleWaiver(entry.waiver.at, entry.rule, self._why_idle(entry))
            for entry in self._entries
            if entry in self._asked and entry not in self._used
        )

    def _waived(self, finding: Finding, entries: Iterable[Entry]) -> Finding:
        for entry in entries:
            if entry.matches(finding) and not entry.expired(self._today):
                self._used.add(entry)
                return replace(finding, waived=entry.waiver)
        return finding

    def _why_idle(self, entry: Entry) -> str:
        if entry.expired(self._today):
            return f"expired after {entry.waiver.until}"
        return "matches no finding"


def load(path: str, audited: Iterable[str], today: date) -> Waivers:
    """The waivers of a file; TomlError where it is wrong or lies inside an audited folder."""
    refuse_inside(path, audited)
    top = read(path)
    entries = tuple(_entry(table) for table in top.tables("waiver"))
    top.close()
    return Waivers(entries, today)


def refuse_inside(path: str, audited: Iterable[str]) -> None:
    """TomlError if the file lies where an author could have put it, by name or through a link."""
    for given in audited:
        folder = (os.path.dirname(given) or ".") if os.path.isfile(given) else given
        if any(_is_under(form(path), form(folder)) for form in (os.path.abspath, os.path.realpath)):
            raise TomlError(
                f"{path}: lies inside the audited folder {folder}; what decides on a submission "
                "must be kept outside of it"
            )


def _is_under(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _entry(table: Table) -> Entry:
    for pair in _ONE_OF_TWO:
        if sum(key in table for key in pair) != 1:
            raise table.error(f"needs either {pair[0]!r} or {pair[1]!r}")
    entry = Entry(
        rule=table.text("rule"),
        submission=table.text("submission", ""),
        pr=table.whole("pr") if "pr" in table else None,
        fingerprint=table.text("fingerprint", ""),
        path=table.text("path", ""),
        waiver=Waiver(
            reason=table.text("reason"),
            by=table.text("by"),
            on=table.day("date"),
            until=table.day("until") if "until" in table else None,
            at=table.place,
        ),
    )
    table.close()
    return entry


def _normal(path: str) -> str:
    return posixpath.normpath(path) if path else ""
