"""Labels against findings: pure functions from rows and audits to results.

- A ``violation`` row is found when its rule has a finding at violation or suspect level in the
  row's file or a payload decoded from it. A row that names no line of code (a log, a README, no
  line) is found by such a finding anywhere in its submission. Where the ruleset lets a rule ask and no
  more (it is disputed, or not enforced), a question counts as found and is counted apart.
- A ``clean`` or ``inactive`` row fails when its rule has a finding above note in that file. In a
  file that also has a violation row of the rule, it speaks of its own lines only, and a finding on
  its lines can't be what finds the violation.
- An ``accepted`` row speaks for the whole submission and fails when any rule finds a violation.
- ``disputed`` rows are listed and never scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from auditor.bench.labels import NEAR, Expect, Row
from auditor.report.model import Level

ANY_RULE = "*"
# Closed by one template of the maintainers on hashed n-gram caches, whatever the mechanism.
RULE_GROUPS: Mapping[str, frozenset[str]] = {
    "ngram-hash-ruling": frozenset({"target-in-key", "target-only-blend", "oracle-selection"}),
}


@dataclass(frozen=True)
class Spot:
    """A finding, reduced to what scoring needs."""

    rule: str
    level: Level
    strongest: Level  # that the ruleset lets the rule say
    path: str
    line: int
    end_line: int

    @property
    def file(self) -> str:
        """The file in the repository: a payload's host."""
        return self.path.partition("!")[0]

    def near(self, line: int) -> bool:
        return self.line - NEAR <= line <= self.end_line + NEAR


@dataclass(frozen=True)
class AuditedSubmission:
    path: str
    entry: str
    verdict: str
    files: frozenset[str]  # every source that was read, payloads under their hosts' names
    spots: tuple[Spot, ...]
    unchecked: Mapping[str, str] = field(default_factory=dict)  # rule -> why not
    faults: tuple[str, ...] = ()  # defects of this tool that came up


@dataclass(frozen=True)
class AuditedPull:
    """What the audit of one commit gave; ``error`` says why it gave nothing."""

    submissions: tuple[AuditedSubmission, ...] = ()
    problems: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    renamed_files: int = 0
    unrenamed_files: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What went wrong on this tool's side, one line each; empty when all went well."""
        found = [fault for submission in self.submissions for fault in submission.faults]
        return (self.error, *found) if self.error else tuple(found)


class Result(str, Enum):
    FOUND = "found"
    MISSED = "missed"
    SILENT = "silent"  # rightly so
    FALSE_ALARM = "false alarm"
    LISTED = "listed"  # disputed labels
    NOT_BUILT = "not built"  # no rule of this version looks for it
    NOT_READ = "not read"  # silence that proves nothing: the file was never audited


@dataclass(frozen=True)
class Judgement:
    row: Row
    result: Result
    spots: tuple[Spot, ...] = ()  # the findings that decided
    as_question: bool = False
    reason: str = ""  # why a row was missed, as far as the audit says


def judge(row: Row, rows: Sequence[Row], pull: AuditedPull, built: frozenset[str]) -> Judgement:
    """The result for one row; ``rows`` are all of its commit, ``built`` the rules that exist."""
    rules = _rules(row, built)
    if row.expect is Expect.DISPUTED:
        return Judgement(row, Result.LISTED, tuple(_in_file(row, pull, rules)))
    if not rules:
        return Judgement(row, Result.NOT_BUILT)
    spots = [s for s in _in_file(row, pull, rules) if s.level is not Level.NOTE]
    if row.expect is Expect.VIOLATION:
        return _judge_violation(row, rows, pull, rules, spots)
    if row.expect is Expect.ACCEPTED or row.rule == ANY_RULE:
        spots = [s for s in spots if s.level is Level.VIOLATION]
    elif row.line is not None and _is_mixed(row, rows):
        spots = [s for s in spots if s.near(row.line)]
    if spots:
        return Judgement(row, Result.FALSE_ALARM, tuple(spots))
    unread = _why_unread(row, pull)
    if unread:
        return Judgement(row, Result.NOT_READ, reason=unread)
    return Judgement(row, Result.SILENT, reason=_why_unchecked(row, pull, rules))


def _judge_violation(
    row: Row, rows: Sequence[Row], pull: AuditedPull, rules: frozenset[str], spots: list[Spot]
) -> Judgement:
    innocent = [
        other.line
        for other in rows
        if _same_place(row, other)
        and other.expect in (Expect.CLEAN, Expect.INACTIVE)
        and other.line is not None
    ]
    spots = [
        s
        for s in spots
        if not any(s.near(line) for line in innocent) or (row.line is not None and s.near(row.line))
    ]
    firm = [s for s in spots if s.level in (Level.VIOLATION, Level.SUSPECT)]
    asked = [s for s in spots if s.level is s.strongest is Level.QUESTION]
    if firm or asked:
        return Judgement(row, Result.FOUND, tuple(firm or asked), as_question=not firm)
    reason = _why_unread(row, pull) or _why_unchecked(row, pull, rules)
    return Judgement(row, Result.MISSED, tuple(spots), reason=reason)


def _rules(row: Row, built: frozenset[str]) -> frozenset[str]:
    if row.rule == ANY_RULE:
        return built
    return RULE_GROUPS.get(row.rule, frozenset({row.rule})) & built


def _in_file(row: Row, pull: AuditedPull, rules: frozenset[str]) -> Iterator[Spot]:
    anywhere = row.rule == ANY_RULE or not row.names_code
    for submission in pull.submissions:
        if anywhere and not _belongs(row, submission):
            continue
        for spot in submission.spots:
            if spot.rule in rules and (anywhere or spot.file == row.path):
                yield spot


def _belongs(row: Row, submission: AuditedSubmission) -> bool:
    folder = f"{submission.path}/" if submission.path else ""
    return row.path.startswith(folder) or row.path in submission.files


def _same_place(row: Row, other: Row) -> bool:
    return (other.path, other.rule) == (row.path, row.rule)


def _is_mixed(row: Row, rows: Sequence[Row]) -> bool:
    """Whether the row's file has rows of its rule on either side."""
    return any(_same_place(row, r) and r.expect is Expect.VIOLATION for r in rows) and any(
        _same_place(row, r) and r.expect in (Expect.CLEAN, Expect.INACTIVE) for r in rows
    )


def _why_unread(row: Row, pull: AuditedPull) -> str:
    if pull.error:
        return pull.error
    if not pull.submissions:
        return "; ".join(pull.problems) or "no submission found"
    theirs = [s for s in pull.submissions if _belongs(row, s)]
    if not theirs or (row.names_code and not any(row.path in s.files for s in theirs)):
        return "the file is not part of a submission that was read"
    return ""


def _why_unchecked(row: Row, pull: AuditedPull, rules: frozenset[str]) -> str:
    if row.rule == ANY_RULE:
        return ""
    reasons = {
        f"{rule} not checked: {submission.unchecked[rule]}"
        for submission in pull.submissions
        if _belongs(row, submission)
        for rule in rules
        if rule in submission.unchecked
    }
    return "; ".join(sorted(reasons))


@dataclass(frozen=True)
class Tally:
    """Counts of one rule's rows. ``found`` includes the ones found as a question."""

    found: int = 0
    as_question: int = 0
    missed: int = 0
    silent: int = 0
    false_alarms: int = 0
    listed: int = 0
    not_built: int = 0
    not_read: int = 0

    @property
    def violations(self) -> int:
        return self.found + self.missed

    @property
    def innocents(self) -> int:
        return self.silent + self.false_alarms


def tally(judgements: Iterable[Judgement]) -> Tally:
    judged = list(judgements)
    count = Counter(j.result for j in judged)
    return Tally(
        found=count[Result.FOUND],
        as_question=sum(j.as_question for j in judged),
        missed=count[Result.MISSED],
        silent=count[Result.SILENT],
        false_alarms=count[Result.FALSE_ALARM],
        listed=count[Result.LISTED],
        not_built=count[Result.NOT_BUILT],
        not_read=count[Result.NOT_READ],
    )


def keeps_result(
    row: Row,
    rows: Sequence[Row],
    plain: AuditedPull,
    renamed: AuditedPull,
    built: frozenset[str],
) -> bool:
    """Whether a row has the same result with every local name replaced.

    Renaming joins lines, so no line of the one run can be compared with a line of the other. Where
    a result doesn't depend on lines, the results are compared; in a file with rows on both sides,
    where it does, the rule's findings in that file must be as many at each level.
    """
    if _is_mixed(row, rows):
        return _levels(row, plain, built) == _levels(row, renamed, built)
    before = judge(row, rows, plain, built)
    after = judge(row, rows, renamed, built)
    if row.expect is Expect.DISPUTED:
        return _levels(row, plain, built).keys() == _levels(row, renamed, built).keys()
    return (before.result, before.as_question) == (after.result, after.as_question)


def _levels(row: Row, pull: AuditedPull, built: frozenset[str]) -> Counter[tuple[str, Level]]:
    return Counter((s.rule, s.level) for s in _in_file(row, pull, _rules(row, built)))
