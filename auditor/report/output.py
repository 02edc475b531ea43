"""Where reports go while submissions are audited: to a stream one by one, or all at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Protocol

from auditor.report.formats import Format
from auditor.report.model import Report, SubmissionReport
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem


class Output(Protocol):
    """Is told of each submission and each problem as soon as it is known, and of the end."""

    def submission(self, report: SubmissionReport) -> None: ...

    def problem(self, problem: Problem) -> None: ...

    def closing(self, report: Report) -> None: ...


class Whole:
    """Writes the whole report in one go when everything is audited."""

    def __init__(self, stream: IO[str], form: Format, ruleset: Ruleset) -> None:
        self._stream = stream
        self._render = form.renderer()
        self._quotes = form.quotes
        self._ruleset = ruleset
        self._reports: list[SubmissionReport] = []

    def submission(self, report: SubmissionReport) -> None:
        self._reports.append(report if self._quotes else replace(report, sources={}))

    def problem(self, problem: Problem) -> None:
        pass  # the closing report has them all

    def closing(self, report: Report) -> None:
        whole = replace(report, submissions=tuple(self._reports))
        self._stream.write(self._render(whole, self._ruleset))
