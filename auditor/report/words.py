"""What a report says in words, the same in every format for people."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable

from auditor.report.model import Finding, Level, Outcome, SubmissionReport
from auditor.rulesets import Ruleset
from auditor.submission.model import Party, Problem

WORDS = {
    Level.VIOLATION: "breaks",
    Level.SUSPECT: "appears to break",
    Level.QUESTION: "please show",
}
REASONS = {
    Level.VIOLATION: "breaks {}",
    Level.SUSPECT: "appears to break {}",
    Level.QUESTION: "please show that {} is kept",
    Level.NOTE: "{}",
}


def verdict(report: SubmissionReport) -> str:
    """The verdict and the rules behind it, in one line."""
    parts = [spoken(report.verdict)]
    for level, words in WORDS.items():
        named = {f"{f.rule} ({f.code})": None for f in report.counted if f.level is level}
        if named:
            parts.append(f"{words} {', '.join(named)}")
    waived = {f"{f.rule} ({f.code})": None for f in report.findings if f.waived}
    if waived:
        parts.append(f"waived {', '.join(waived)}")
    return "; ".join(parts)


def spoken(name: str) -> str:
    return name.replace("-", " ")


def why(finding: Finding, ruleset: Ruleset) -> str:
    """What the rule asks, in the words of the finding's level."""
    entry = ruleset.rules.get(finding.rule)
    summary = f": {entry.summary}" if entry else ""
    return REASONS[finding.level].format(finding.code) + summary


def findings(report: SubmissionReport) -> str:
    """How many there are of each level, and how many are waived; empty if there are none."""
    found = Counter(finding.level for finding in report.findings)
    counts = [count(found[level], level.value) for level in Level if found[level]]
    waived = len(report.findings) - len(report.counted)
    return ", ".join([*counts, f"{waived} of them waived"] if waived else counts)


def checks(report: SubmissionReport) -> str:
    """How many checks ran, wholly or in part."""
    ran = sum(check.outcome is not Outcome.NOT_CHECKED for check in report.checks)
    return f"{ran} of {len(report.checks)} ran"


def reasons(report: SubmissionReport, outcome: Outcome) -> list[tuple[str, list[str]]]:
    """Reason and the rules it kept from running whole, in the order of the checks."""
    groups: dict[str, list[str]] = {}
    for check in report.checks:
        if check.outcome is outcome:
            groups.setdefault(check.reason, []).append(check.rule)
    return list(groups.items())


def probes(report: SubmissionReport) -> list[tuple[str, str]]:
    """Each probe of a run that could settle something, and the rules that wait for it."""
    groups: dict[str, list[str]] = {}
    for check in report.checks:
        for probe in check.probes:
            groups.setdefault(probe, []).append(check.rule)
    return [(probe, ", ".join(rules)) for probe, rules in groups.items()]


def by_party(problems: Iterable[Problem]) -> list[tuple[Party, Problem]]:
    """The problems in the order of those who have to act."""
    order = list(Party)
    ranked = sorted(problems, key=lambda problem: order.index(problem.party))
    return [(problem.party, problem) for problem in ranked]


def inside(path: str, root: str) -> str:
    """``path`` as seen from the record folder, where it lies inside."""
    prefix = posixpath.join(root, "") if root else ""
    return path[len(prefix) :] if path.startswith(prefix) else path


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
