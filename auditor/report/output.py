"""Where reports go while submissions are audited: to a stream, all at the end, or a page for each."""

from __future__ import annotations

import os
import re
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


class Folder:
    """Writes a page for each submission as soon as it is audited, and an index at the end."""

    def __init__(self, path: str, form: Format, ruleset: Ruleset) -> None:
        self._render = form.renderer()
        self._index = form.indexer()
        self._path = path
        self._suffix = f".{form.name}"
        self._ruleset = ruleset
        self._pages: list[str] = []
        os.makedirs(path, exist_ok=True)

    def submission(self, report: SubmissionReport) -> None:
        page = self._unused(_slug(report)) + self._suffix
        self._pages.append(page)
        self._write(page, self._render(Report((report,)), self._ruleset))

    def problem(self, problem: Problem) -> None:
        pass  # the index has them all

    def closing(self, report: Report) -> None:
        self._write(f"index{self._suffix}", self._index(report, self._ruleset, self._pages))

    def _unused(self, slug: str) -> str:
        taken = {page.removesuffix(self._suffix).lower() for page in (*self._pages, "index")}
        found, number = slug, 1
        while found.lower() in taken:
            number += 1
            found = f"{slug}-{number}"
        return found

    def _write(self, name: str, text: str) -> None:
        with open(os.path.join(self._path, name), "w", encoding="utf-8") as stream:
            stream.write(text)


def _slug(report: SubmissionReport) -> str:
    """A file name of the pull request's number, the record folder and the script."""
    parts = [report.given if report.given.startswith("#") else "", report.path.rpartition("/")[2]]
    script = report.entry.rpartition("/")[2].removesuffix(".py")
    if script != "train_gpt" or not any(parts):
        parts.append(script)
    words = re.findall(r"[A-Za-z0-9._]+", "-".join(parts))
    return "-".join(words).strip(".")[:100] or "submission"
