"""The report for people, in the style of a compiler."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from typing import IO

from rich.console import Console
from rich.text import Text

from auditor.report import words
from auditor.report.escape import visible
from auditor.report.frame import Row, excerpt, frame, source_lines
from auditor.report.model import Finding, Outcome, Report, SubmissionReport
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem

PIPED_WIDTH = 100
LINKS = 3  # shown per finding; `pgcheck explain` has them all
PROSE = 600  # characters of a message or step that are shown

COLOURS = {
    "violation": "bold red",
    "suspect": "bold yellow",
    "question": "bold cyan",
    "note": "bold blue",
}
VERDICTS = ("violation", "suspect", "question", "no-findings", "inconclusive")


class TextRenderer:
    """Writes one submission after another to a stream, and a closing line if there were several."""

    def __init__(
        self,
        stream: IO[str],
        ruleset: Ruleset,
        *,
        show_settings: bool = False,
        width: int | None = None,
    ) -> None:
        self._console = Console(
            file=stream, width=width, highlight=False, markup=False, emoji=False
        )
        if width is None and not self._console.is_terminal:
            self._console.width = PIPED_WIDTH
        self._width = max(40, self._console.width)
        self._ruleset = ruleset
        self._show_settings = show_settings
        self._lines: list[Text] = []  # printed at once: rich asks for the terminal at each print

    def submission(self, report: SubmissionReport) -> None:
        """Everything there is to say about one submission."""
        revision = f" at {report.revision[:9]}" if report.revision else ""
        given = f"{report.given}: " if report.given not in ("", report.entry) else ""
        self._line(visible(f"{given}{report.entry}{revision}", PROSE), "bold")
        self._line()
        lines_of = source_lines(report.sources)
        for finding in report.findings:
            self._finding(finding, report.path, lines_of)
        if self._show_settings:
            self._settings(report)
        self._summary(report)
        self._flush()

    def problem(self, problem: Problem) -> None:
        """An input that held no readable submission."""
        self._line(f"not audited: {visible(problem.where, PROSE)}", "bold")
        self._prose(f"  {problem.party.value}: ", f"{problem.what}; {problem.remedy}", hang=4)
        self._line()
        self._flush()

    def closing(self, report: Report) -> None:
        """Waivers that waived nothing, and one line over all inputs if there were several."""
        idle = ((each.at, f"{each.rule}: {each.why}") for each in report.idle_waivers)
        self._grouped("unused waivers:", idle)
        if len(report.submissions) + len(report.problems) > 1:
            self._over_all(report)
        self._flush()

    def _over_all(self, report: Report) -> None:
        verdicts = Counter(each.verdict for each in report.submissions)
        parts = [f"{words.spoken(name)} {verdicts[name]}" for name in VERDICTS if verdicts[name]]
        if report.problems:
            parts.append(f"{words.count(len(report.problems), 'input')} not audited")
        self._prose(f"{words.count(len(report.submissions), 'submission')}: ", ", ".join(parts))

    def _finding(self, finding: Finding, root: str, lines_of: Callable[[str], list[str]]) -> None:
        level = finding.level.value
        lines = lines_of(finding.path)
        self._prose(f"{level}[{finding.rule}] ", finding.message, style=COLOURS[level], hang=2)
        rows = list(frame(lines, finding.line, finding.end_line, finding.column, self._width - 11))
        gutter = max((len(str(row.number)) for row in rows), default=1)
        self._line(f"{' ' * gutter} --> {visible(f'{finding.path}:{finding.line}', PROSE)}")
        self._frame(rows, gutter, COLOURS[level])
        self._flow(finding, root, lines_of)
        self._prose("  why:    ", words.why(finding, self._ruleset))
        if finding.clears:
            self._prose("  clears: ", finding.clears)
        self._prose("  ruling: ", _ruling(finding))
        if finding.waived:
            self._prose("  waived: ", str(finding.waived))
        self._line()

    def _frame(self, rows: list[Row], gutter: int, style: str) -> None:
        if not rows:
            return
        margin = " " * (gutter + 3) + "|"
        self._line(margin)
        for row in rows:
            pointer = ">" if row.marked else " "
            self._line(f"{pointer} {row.number:>{gutter}} | {row.code}".rstrip())
            if row.caret:
                start, length = row.caret
                self._line(f"{margin} {' ' * start}", tail="^" * length, tail_style=style)
        self._line(margin)

    def _flow(self, finding: Finding, root: str, lines_of: Callable[[str], list[str]]) -> None:
        if not finding.steps:
            return
        self._line("  flow:")
        places = [f"{words.inside(step.path, root)}:{step.line}" for step in finding.steps]
        width = min(max(map(len, places)), self._width // 3)
        for number, (place, step) in enumerate(zip(places, finding.steps, strict=True), start=1):
            self._prose(f"  {number:>4}. {visible(place, PROSE):<{width}}  ", step.text)
            code = excerpt(lines_of(step.path), step.line, step.column, self._width - 10)
            if code:
                self._line(f"        | {code}")

    def _settings(self, report: SubmissionReport) -> None:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for header in ("setting", "default", "in force", "from", "read at", "decides"):
            table.add_column(header, overflow="fold")
        for setting in report.settings:
            cells = (
                setting.name,
                "-" if setting.default is None else setting.default,
                "-" if setting.value is None else setting.value,
                words.inside(setting.source, report.path),
                words.inside(setting.read_at, report.path),
                ", ".join(words.inside(branch, report.path) for branch in setting.decides) or "-",
            )
            table.add_row(*(Text(visible(cell, PROSE)) for cell in cells))
        self._flush()
        self._console.print(table if report.settings else "no settings are read")
        self._line()

    def _summary(self, report: SubmissionReport) -> None:
        style = COLOURS.get(report.verdict, "bold")
        self._prose("verdict: ", words.verdict(report), style=style)
        if report.findings:
            self._prose("  findings: ", words.findings(report))
        self._prose("  checks: ", words.checks(report))
        self._grouped("  checked in part:", _reasons(report, Outcome.PARTLY))
        self._grouped("  not checked:", _reasons(report, Outcome.NOT_CHECKED))
        self._grouped("  needs a run:", words.probes(report))
        self._grouped("  problems:", _by_party(report.problems))
        self._line()

    def _grouped(self, title: str, groups: Iterable[tuple[str, str]]) -> None:
        for number, (label, text) in enumerate(groups):
            if number == 0:
                self._line(title)
            self._prose(f"    {visible(label, PROSE)}: ", text, hang=6)

    def _prose(
        self, label: str, text: str, *, style: str | None = None, hang: int | None = None
    ) -> None:
        """``label`` and ``text``, wrapped; ``style`` is the label's."""
        indent = " " * (min(len(label), self._width // 2) if hang is None else hang)
        lines = textwrap.wrap(
            label + visible(" ".join(text[: PROSE + 1].split()), PROSE),
            self._width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        first = Text(lines[0])
        if style:
            first.stylize(style, 0, len(label.rstrip()))
        self._print(first)
        for line in lines[1:]:
            self._line(line)

    def _line(
        self, text: str = "", style: str = "", *, tail: str = "", tail_style: str = ""
    ) -> None:
        line = Text(text, style=style)
        line.append(tail, style=tail_style)
        self._print(line)

    def _print(self, text: Text) -> None:
        self._lines.append(text)

    def _flush(self) -> None:
        if self._lines:
            self._console.print(Text("\n").join(self._lines), soft_wrap=True)
        self._lines.clear()


def _ruling(finding: Finding) -> str:
    links = list(finding.sources[:LINKS])
    more = len(finding.sources) - len(links)
    rest = f"{more} more: " if more > 0 else ""
    return " ".join((f"{finding.status}:", *links, f"({rest}pgcheck explain {finding.rule})"))


def _reasons(report: SubmissionReport, outcome: Outcome) -> list[tuple[str, str]]:
    return [(reason, ", ".join(rules)) for reason, rules in words.reasons(report, outcome)]


def _by_party(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    ranked = words.by_party(problems)
    return [(party.value, f"{p.where}: {p.what}; {p.remedy}") for party, p in ranked]
