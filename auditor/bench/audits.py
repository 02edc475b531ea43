"""Audits one commit of a clone and reduces the reports to what scoring needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditor import rulesets
from auditor.audit import audit, is_tool_fault
from auditor.bench.renaming import Renaming
from auditor.bench.scoring import AuditedPull, AuditedSubmission, Spot
from auditor.report.model import Finding, Outcome, SubmissionReport
from auditor.rules.registry import RULES
from auditor.rulesets import Ruleset
from auditor.submission.load import load
from auditor.submission.model import Submission


@dataclass(frozen=True)
class AuditTask:
    """A commit to audit. ``rules`` limits the rules that run; empty means all."""

    repo: str
    pr: int
    sha: str
    rules: frozenset[str] = frozenset()
    renamed: bool = False


def built_rules() -> frozenset[str]:
    """The slugs of the rules that this version can check."""
    return frozenset(rule.slug for rule in RULES)


def audit_commit(task: AuditTask) -> AuditedPull:
    """The findings in every submission of that commit."""
    renaming = Renaming() if task.renamed else None
    rules = [rule for rule in RULES if not task.rules or rule.slug in task.rules]
    ruleset = rulesets.load()
    submissions: list[AuditedSubmission] = []
    problems: list[str] = []
    for item in load([], repo=task.repo, rev=task.sha):
        if isinstance(item, Submission):
            given = renaming.submission(item) if renaming else item
            submissions.append(_reduced(given, audit(given, ruleset, rules=rules), ruleset))
        else:
            problems.append(str(item))
    return AuditedPull(
        submissions=tuple(submissions),
        problems=tuple(problems),
        renamed_files=renaming.renamed if renaming else 0,
        unrenamed_files=renaming.left if renaming else 0,
    )


def _reduced(
    submission: Submission, report: SubmissionReport, ruleset: Ruleset
) -> AuditedSubmission:
    return AuditedSubmission(
        path=submission.path,
        entry=submission.entry.path,
        verdict=report.verdict,
        files=frozenset(path.partition("!")[0] for path in _files(submission)),
        spots=tuple(_spot(f, ruleset) for f in report.findings),
        faults=tuple(f"{c.rule}: {c.reason}" for c in report.checks if is_tool_fault(c)),
        unchecked={c.rule: c.reason for c in report.checks if c.outcome is Outcome.NOT_CHECKED},
    )


def _spot(finding: Finding, ruleset: Ruleset) -> Spot:
    strongest = ruleset.rules[finding.rule].strongest
    return Spot(
        finding.rule, finding.level, strongest, finding.path, finding.line, finding.end_line
    )


def _files(submission: Submission) -> Iterator[str]:
    yield submission.entry.path
    yield from (source.path for source in submission.modules.values())
    yield from submission.payloads
    for group in (submission.natives, submission.readme, submission.run_scripts, submission.logs):
        yield from (source.path for source in group)
