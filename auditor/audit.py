"""One submission through every rule of a ruleset. What breaks here is never the author's fault."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from auditor.analysis.program import AnalysisLimit, Program
from auditor.analysis.stack import with_deep_stack
from auditor.report.model import Check, Finding, Level, Outcome, SubmissionReport
from auditor.rules.base import NotChecked, Rule
from auditor.rulesets import RuleEntry, Ruleset
from auditor.submission.model import Problem, Submission

TOOL_FAULT = "tool fault: "

_log = logging.getLogger(__name__)


def audit(
    submission: Submission,
    ruleset: Ruleset,
    *,
    rules: Sequence[Rule] | None = None,
    build: Callable[[Submission], Program] = Program.build,
) -> SubmissionReport:
    """Everything that the ruleset's rules have to say about one submission. Never raises.

    ``rules`` are the implemented ones (default: the registry); a rule of the ruleset that isn't
    among them is listed as not checked. ``build`` makes the analysed program.
    """
    implemented = {rule.slug: rule for rule in (_registry() if rules is None else rules)}
    return with_deep_stack(lambda: _audited(submission, ruleset, implemented, build))


def _audited(
    submission: Submission,
    ruleset: Ruleset,
    implemented: Mapping[str, Rule],
    build: Callable[[Submission], Program],
) -> SubmissionReport:
    try:
        program = build(submission)
    except AnalysisLimit as limit:
        return _unanalysed(submission, ruleset, implemented, str(limit))
    except Exception as error:
        return _unanalysed(submission, ruleset, implemented, fault(error))
    findings: list[Finding] = []
    checks: list[Check] = []
    for entry in ruleset.rules.values():
        rule = implemented.get(entry.slug)
        if rule is None:
            checks.append(Check(entry.slug, Outcome.NOT_CHECKED, why_unbuilt(entry)))
            continue
        found, check = _run(rule, program)
        findings.extend(_within(_supported(finding, program), entry) for finding in found)
        checks.append(check)
    kept = _distinct(findings)
    return SubmissionReport(
        path=submission.path,
        entry=submission.entry.path,
        findings=kept,
        checks=tuple(checks),
        settings=tuple(program.settings),
        problems=_once((*submission.problems, *program.problems)),
        revision=submission.revision,
        sources=_quoted(submission, kept),
    )


def is_tool_fault(failed: Check | Problem) -> bool:
    """Whether it failed because of a defect of ours."""
    text = failed.reason if isinstance(failed, Check) else failed.what
    return text.startswith(TOOL_FAULT)


def fault(error: Exception) -> str:
    """A defect of ours in one line, with its place in our code; the debug log has the traceback."""
    _log.debug("tool fault", exc_info=error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = os.path.basename(trace.tb_frame.f_code.co_filename) if trace else "?"
    line = trace.tb_lineno if trace else 0
    detail = f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
    return f"{TOOL_FAULT}{detail} ({name}:{line}); please report it"


def why_unbuilt(entry: RuleEntry) -> str:
    """Why a rule without an implementation was not checked."""
    if {"static", "logs"} & set(entry.evidence):
        return "not built yet"
    if "run" in entry.evidence:
        return "needs a run (pgcheck smoke, not built yet)"
    return "needs a rerun on 8xH100" if "rerun" in entry.evidence else "needs a person's judgement"


def _registry() -> Sequence[Rule]:
    from auditor.rules.registry import RULES

    return RULES


def _run(rule: Rule, program: Program) -> tuple[list[Finding], Check]:
    """A rule's findings, those made before it gave up included, and whether it ran to its end."""
    found: list[Finding] = []
    try:
        for finding in rule.check(program):
            found.append(finding)  # one by one: those made before an exception count
    except (NotChecked, AnalysisLimit) as reason:
        return found, Check(rule.slug, Outcome.NOT_CHECKED, str(reason))
    except Exception as error:
        return found, Check(rule.slug, Outcome.NOT_CHECKED, fault(error))
    if not found and program.blind:
        return found, Check(rule.slug, Outcome.NOT_CHECKED, program.blind)
    return found, Check(rule.slug, Outcome.RAN)


def _unanalysed(
    submission: Submission, ruleset: Ruleset, implemented: Mapping[str, Rule], reason: str
) -> SubmissionReport:
    checks = (
        Check(
            entry.slug,
            Outcome.NOT_CHECKED,
            reason if entry.slug in implemented else why_unbuilt(entry),
        )
        for entry in ruleset.rules.values()
    )
    return SubmissionReport(
        path=submission.path,
        entry=submission.entry.path,
        findings=(),
        checks=tuple(checks),
        problems=_once(submission.problems),
        revision=submission.revision,
    )


def _supported(finding: Finding, program: Program) -> Finding:
    """No violation by code of which nothing shows that it made the reported score."""
    if finding.level is not Level.VIOLATION:
        return finding
    if program.submission.auxiliary:
        return _weakened(finding, "nothing shows that this script, beside the entry, was run")
    places = [(finding.path, finding.line), *((step.path, step.line) for step in finding.steps)]
    for path, line in dict.fromkeys(places):
        lacking = program.unlogged(path, line)
        if lacking is not None:
            gap = f"it is switched on, but no log holds the {lacking.text!r} that it prints"
            return _weakened(finding, gap)
    return finding


def _weakened(finding: Finding, gap: str) -> Finding:
    message = finding.message.replace("breaks: ", "appears to break: ", 1)
    return replace(finding, level=Level.SUSPECT, message=f"{message}; {gap}")


def _within(finding: Finding, entry: RuleEntry) -> Finding:
    """The finding, at most as strong as the ruleset lets its rule be."""
    return replace(finding, level=max(finding.level, entry.strongest, key=lambda lv: lv.rank))


def _distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Strongest first, then by place; of findings with one fingerprint only the first."""
    ordered = sorted(
        findings, key=lambda f: (f.level.rank, f.path, f.line, f.column, f.rule, f.message)
    )
    first: dict[str, Finding] = {}
    for finding in ordered:
        first.setdefault(finding.fingerprint, finding)
    return tuple(first.values())


def _once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))


def _quoted(submission: Submission, findings: Iterable[Finding]) -> dict[str, str]:
    """The texts that the findings' code frames quote."""
    paths = {f.path for f in findings} | {step.path for f in findings for step in f.steps}
    sources = ((path, submission.source(path)) for path in sorted(paths))
    return {path: source.text for path, source in sources if source is not None}
