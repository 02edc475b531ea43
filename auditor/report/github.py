"""Annotations on a pull request, as workflow commands that GitHub's runner reads from the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor.report import words
from auditor.report.escape import visible
from auditor.report.model import Finding, Level, Report, SubmissionReport
from auditor.report.places import place
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem

SHOWN = 10  # annotations of one kind that GitHub shows for a step
KINDS: Mapping[Level, str] = {
    Level.VIOLATION: "error",
    Level.SUSPECT: "warning",
    Level.QUESTION: "notice",
    Level.NOTE: "notice",
}

_PROSE = 1_000  # characters of a message


@dataclass(frozen=True)
class Command:
    """One annotation, and how it compares with others of its kind: the smallest comes first."""

    kind: str  # error | warning | notice
    rank: tuple[int, ...]
    properties: Mapping[str, object]
    message: str

    def __str__(self) -> str:
        listed = ",".join(f"{name}={_property(value)}" for name, value in self.properties.items())
        return f"::{self.kind} {listed}::{_data(self.message)}"


def render(report: Report, ruleset: Ruleset) -> str:
    """At most ten commands of each kind, the weightiest; then a line for each submission.

    The last line says what was left out.
    """
    ordered = sorted(
        _commands(report), key=lambda each: (tuple(KINDS.values()).index(each.kind), each.rank)
    )
    shown: list[Command] = []
    left_out: Counter[str] = Counter()
    for command in ordered:
        if sum(each.kind == command.kind for each in shown) < SHOWN:
            shown.append(command)
        else:
            left_out[command.kind] += 1
    lines = [*map(str, shown), *_summaries(report)]
    if left_out:
        listed = ", ".join(words.count(number, kind) for kind, number in left_out.items())
        lines.append(
            f"pgcheck: left out, because GitHub shows {SHOWN} of each kind a step: {listed} "
            "(--format text has them all)"
        )
    return "".join(f"{line}\n" for line in lines)


def _commands(report: Report) -> Iterator[Command]:
    for each in report.submissions:
        yield from (_annotation(finding, each) for finding in each.findings)
    yield from map(_unread, report.problems)


def _annotation(finding: Finding, report: SubmissionReport) -> Command:
    at = place(report, finding.path, finding.line, finding.end_line, finding.column)
    properties: dict[str, object] = {"file": at.path, "line": at.line, "endLine": at.end_line}
    if at.column and at.line == at.end_line:  # with a column a range of lines is refused
        properties["col"] = at.column + 1
    message = finding.message
    if at.decoded:
        message += f" (at {at.decoded}, decoded from this line)"
    waived = finding.waived
    if waived:
        message = f"waived: {waived}: {message}"
    elif finding.clears:
        message += f". What clears it: {finding.clears}"
    properties["title"] = f"pgcheck {finding.level.value}: {finding.rule} ({finding.code})"
    kind = "notice" if waived else KINDS[finding.level]
    return Command(kind, (int(waived is not None), finding.level.rank), properties, message)


def _unread(problem: Problem) -> Command:
    """An input that held no submission: after the findings, for it says nothing of one."""
    title = f"pgcheck: not audited ({problem.party.value})"
    text = f"{problem.where}: {problem.what}; {problem.remedy}"
    return Command("warning", (len(Level),), {"title": title}, text)


def _summaries(report: Report) -> Iterator[str]:
    for each in report.submissions:
        found = words.findings(each)
        parts = [words.verdict(each), *([found] if found else []), f"checks: {words.checks(each)}"]
        pull = f"{each.given}: " if each.given.startswith("#") else ""
        yield _line(f"{pull}{place(each, each.entry, 1).path}: {'; '.join(parts)}")
        for party, problem in words.by_party(each.problems):
            yield _line(f"{party.value}: {problem.where}: {problem.what}; {problem.remedy}")
    yield from (
        _line(f"unused waiver {each.at}: {each.rule}: {each.why}") for each in report.idle_waivers
    )


def _line(text: str) -> str:
    """A line of plain output; what leads it keeps the runner from reading it as a command."""
    return f"pgcheck: {_one_line(text)}"


def _data(text: str) -> str:
    return _escaped(_one_line(text), {"%": "%25"})


def _property(value: object) -> str:
    return _escaped(visible(str(value), _PROSE), {"%": "%25", ":": "%3A", ",": "%2C"})


def _one_line(text: str) -> str:
    return visible(" ".join(text[: _PROSE + 1].split()), _PROSE)


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(char, char) for char in text)
