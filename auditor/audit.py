"""One submission through every rule of a ruleset. What breaks here is never the author's fault."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from auditor.analysis.program import AnalysisLimit, Program
from auditor.analysis.stack import with_deep_stack
from auditor.evidence.record import Record
from auditor.report.model import Check, Finding, Level, Outcome, SubmissionReport
from auditor.rules.base import NotChecked, Rule
from auditor.rulesets import RuleEntry, Ruleset
from auditor.submission.model import Party, Problem, SourceFile, Submission
from auditor.submission.text import split_lines

if TYPE_CHECKING:
    from auditor.evidence.against import Against
    from auditor.evidence.summary import Evidence

TOOL_FAULT = "tool fault: "

_IGNORE = re.compile(r"(?:#|//|<!--).*\bpgcheck\b.*\b(?:ignore|disable|skip|waive|allow|off)\b")

_log = logging.getLogger(__name__)


def audit(
    submission: Submission,
    ruleset: Ruleset,
    *,
    rules: Sequence[Rule] | None = None,
    build: Callable[[Submission], Program] = Program.build,
    evidence: bool = False,
    against: Against | None = None,
) -> SubmissionReport:
    """Everything that the ruleset's rules have to say about one submission. Never raises.

    ``rules`` are the implemented ones (default: the registry); a rule of the ruleset that isn't
    among them is listed as not checked. ``build`` makes the analysed program; ``evidence`` asks
    for the report's tables of runs and claims; ``against`` is the record that it has to beat.
    """
    implemented = {rule.slug: rule for rule in (_registry() if rules is None else rules)}
    return with_deep_stack(
        lambda: _audited(submission, ruleset, implemented, build, evidence, against)
    )


def _audited(
    submission: Submission,
    ruleset: Ruleset,
    implemented: Mapping[str, Rule],
    build: Callable[[Submission], Program],
    with_evidence: bool,
    against: Against | None,
) -> SubmissionReport:
    program, untraced = _built(submission, build)
    record = Record(submission, ruleset.limits, program, untraced, against)
    findings: list[Finding] = []
    checks: list[Check] = []
    for entry in ruleset.rules.values():
        rule = implemented.get(entry.slug)
        if rule is None:
            reason = why_unbuilt(entry)
            checks.append(Check(entry.slug, Outcome.NOT_CHECKED, reason, entry.probes))
            continue
        found, check = _run(rule, record)
        told = [_contested(_within(_supported(one, record), entry), record) for one in found]
        findings.extend(told)
        proven = any(finding.level is Level.VIOLATION for finding in told)
        checks.append(check if proven else replace(check, probes=entry.probes))
    kept = _distinct(findings)
    quoted = _quoted(submission, kept)
    tables, unshown = _evidence(record) if with_evidence else (None, ())
    return SubmissionReport(
        path=submission.path,
        entry=submission.entry.path,
        findings=kept,
        checks=tuple(checks),
        settings=tuple(program.settings) if program else (),
        problems=_once((*submission.problems, *(program.problems if program else ()), *unshown)),
        revision=submission.revision,
        sources={source.path: source.text for source in quoted},
        hosts=_hosts(quoted, submission),
        unread=_unread(record, implemented.values(), checks),
        evidence=tables,
    )


def _evidence(record: Record) -> tuple[Evidence | None, tuple[Problem, ...]]:
    """The tables of evidence; those of a folder are shown with its entry script only."""
    if record.submission.auxiliary:
        return None, ()
    try:
        from auditor.evidence.summary import evidence

        return evidence(record), ()
    except Exception as error:
        remedy = "runs and claims are not shown"
        return None, (Problem(fault(error), record.submission.path, Party.TOOL, remedy),)


def _unread(record: Record, rules: Iterable[Rule], checks: Iterable[Check]) -> str:
    """Why no rule could judge the code, if none could."""
    asking = {rule.slug for rule in rules if rule.check is not None}
    states = [check for check in checks if check.rule in asking]
    if not states or any(check.outcome is Outcome.RAN for check in states):
        return ""
    return record.untraced or states[0].reason


def _built(
    submission: Submission, build: Callable[[Submission], Program]
) -> tuple[Program | None, str]:
    """The traced program, or None and why there is none."""
    try:
        return build(submission), ""
    except AnalysisLimit as limit:
        return None, str(limit)
    except Exception as error:
        return None, fault(error)


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
        return f"needs a run: {', '.join(entry.probes)}"
    return "needs a rerun on 8xH100" if "rerun" in entry.evidence else "needs a person's judgement"


def _registry() -> Sequence[Rule]:
    from auditor.rules.registry import RULES

    return RULES


def _run(rule: Rule, record: Record) -> tuple[list[Finding], Check]:
    """A rule's findings, and whether its parts ran; the reasons of those that could not."""
    parts = []
    if rule.check is not None:
        parts.append(_asked_code(rule.check, record))
    if rule.check_record is not None:
        parts.append(_asked_record(rule.check_record, record))
    found = [finding for own, _ in parts for finding in own]
    gaps = [gap for _, gap in parts if gap]
    outcome = Outcome.NOT_CHECKED if len(gaps) == len(parts) else Outcome.PARTLY
    reason = "; ".join(dict.fromkeys(gaps))
    return found, Check(rule.slug, outcome if gaps else Outcome.RAN, reason)


def _asked_code(
    check: Callable[[Program], Iterable[Finding]], record: Record
) -> tuple[list[Finding], str]:
    if record.program is None:
        return [], record.untraced
    found, gap = _collected(partial(check, record.program))
    return found, gap or ("" if found else record.program.blind or "")


def _asked_record(
    check: Callable[[Record], Iterable[Finding]], record: Record
) -> tuple[list[Finding], str]:
    if record.submission.auxiliary:
        return [], "the evidence is checked with the folder's entry script"
    return _collected(partial(check, record))


def _collected(check: Callable[[], Iterable[Finding]]) -> tuple[list[Finding], str]:
    """The findings, those made before the check gave up included, and why it gave up."""
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)  # one by one: those made before an exception count
    except (NotChecked, AnalysisLimit) as reason:
        return found, str(reason)
    except Exception as error:
        return found, fault(error)
    return found, ""


def _supported(finding: Finding, record: Record) -> Finding:
    """No violation by code of which nothing shows that it made the reported score."""
    if finding.level is not Level.VIOLATION:
        return finding
    if record.submission.auxiliary:
        return _weakened(finding, "nothing shows that this script, beside the entry, was run")
    if _claims_elsewhere(record.submission):
        return _weakened(finding, "nothing shows that it was run: the claim is in another folder")
    program = record.program
    if program is None:
        return finding
    places = [(finding.path, finding.line), *((step.path, step.line) for step in finding.steps)]
    for path, line in dict.fromkeys(places):
        source = record.source(path)
        if source is None or source.language != "python":
            continue
        lacking = program.unlogged(path, line)
        if lacking is not None:
            gap = f"it is switched on, but no log holds the {lacking.text!r} that it prints"
            return _weakened(finding, gap)
    return finding


def _claims_elsewhere(submission: Submission) -> bool:
    """Whether a script comes without README, log and submission.json, and another folder has that."""
    if submission.readme or submission.logs or submission.metadata_file or not submission.pull:
        return False
    return any(path.rpartition("/")[2] == "submission.json" for path in submission.pull.added)


def _weakened(finding: Finding, gap: str) -> Finding:
    message = finding.message.replace("breaks: ", "appears to break: ", 1)
    return replace(finding, level=Level.SUSPECT, message=f"{message}; {gap}")


def _within(finding: Finding, entry: RuleEntry) -> Finding:
    """The finding as the ruleset lets its rule speak: how strongly, and by which sources."""
    return replace(
        finding,
        level=max(finding.level, entry.strongest, key=lambda lv: lv.rank),
        status=entry.status,
        sources=tuple(s for s in finding.sources if s in entry.sources) or entry.sources,
    )


def _contested(finding: Finding, record: Record) -> Finding:
    """The finding, which names a comment beside its line that would have it ignored."""
    source = record.source(finding.path)
    if source is None or "pgcheck" not in source.text:
        return finding
    lines = split_lines(source.text)[max(0, finding.line - 2) : finding.end_line]
    if not any(_IGNORE.search(line) for line in lines):
        return finding
    words = "a comment in the code asks to ignore this: its author's claim, which decides nothing"
    return replace(finding, message=f"{finding.message}; contested: {words}")


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


def _quoted(submission: Submission, findings: Iterable[Finding]) -> list[SourceFile]:
    """What the findings' code frames quote."""
    by_path = submission.by_path()
    paths = {f.path for f in findings} | {step.path for f in findings for step in f.steps}
    return [by_path[path] for path in sorted(paths) if path in by_path]


def _hosts(quoted: Iterable[SourceFile], submission: Submission) -> dict[str, tuple[str, int]]:
    """For each text that was unpacked: the file on disk, and the line there that unpacks it."""
    by_path = submission.by_path()
    found = {}
    for source in quoted:
        inner = source
        while inner.host is not None and inner.host in by_path:
            found[source.path] = (inner.host, inner.host_line or 1)
            inner = by_path[inner.host]
    return found
