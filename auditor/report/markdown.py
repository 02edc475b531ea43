"""The report as a comment on a pull request: GitHub's Markdown, within GitHub's limit.

Text from a submission stays text: it can't end a table, a code block or an element, is no link and
mentions nobody. What does not fit is left out, least important first, and the comment says so.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from auditor import __version__
from auditor.report import links as linking
from auditor.report import words
from auditor.report.claims_table import COLUMNS, Cell, claim_rows
from auditor.report.escape import visible
from auditor.report.frame import source_lines
from auditor.report.links import Links
from auditor.report.listing import Excerpt, Lines, listing
from auditor.report.model import Finding, Level, Outcome, Report, SubmissionReport
from auditor.rulesets import Ruleset
from auditor.submission.model import Problem

LIMIT = 65_536  # of a comment; taken in bytes of UTF-8, to be on the safe side
ROOM = 110  # characters of a line of code
PROSE = 500  # characters of a text
CELL = 200  # and of a text in a table
ROWS = 40  # findings in the table
STEPS = 40  # of a flow
MARKS = {"agrees": "✓ ", "differs": "✗ ", "": ""}

_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~$]")
_JOINT = "\u200b"  # invisible; what it parts is no mention, no reference and no address
_LIVE = re.compile(r"@|#(?=\d)|:(?=//)|(?i:www|GH)(?=[.-])")
_BLOCK = re.compile(r"(?:#{1,6}|[+-]|\d{1,9}[.)])(?:\s|$)|-[\s-]*$")  # a heading, a list, a rule


@dataclass(frozen=True)
class Block:
    """A part of the comment. Of those with the highest ``rank`` the last is left out first."""

    rank: int
    text: str
    name: str  # what is said to be left out


def render(report: Report, ruleset: Ruleset) -> str:
    """At most LIMIT bytes."""
    blocks = [block for each in report.submissions for block in _submission(each, ruleset)]
    if report.problems:
        blocks.append(Block(1, _not_audited(report.problems), "inputs that were not audited"))
    if report.idle_waivers:
        idle = [f"- {inline(f'{w.at}: {w.rule}: {w.why}')}" for w in report.idle_waivers]
        blocks.append(Block(6, "\n".join(("**Unused waivers**\n", *idle)), "unused waivers"))
    closing = (
        f"<sub>pgcheck {__version__}, rules of {inline(ruleset.name)}. Submissions are read and never "
        "run; no findings is not a verdict of innocence.</sub>"
    )
    return _fitted(blocks, closing)


def _fitted(blocks: list[Block], closing: str) -> str:
    """The blocks that fit, in their order, and a word on the others."""
    order = sorted(range(len(blocks)), key=lambda at: (blocks[at].rank, at))
    size = sum(_size(block.text) for block in blocks) + _size(closing) + 1_000  # for that word
    dropped: list[int] = []
    while size > LIMIT and order:
        dropped.append(order.pop())
        size -= _size(blocks[dropped[-1]].text)
    names = dict.fromkeys(blocks[at].name for at in reversed(dropped))
    left_out = f"*Left out, the comment would be too long: {', '.join(names)}.*"
    texts = [blocks[at].text for at in sorted(order)] + ([left_out] if dropped else [])
    return "\n\n".join((*texts, closing)) + "\n"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace")) + 2


def _submission(report: SubmissionReport, ruleset: Ruleset) -> Iterator[Block]:
    links = Links.of(report, ruleset)
    lines_of = source_lines(report.sources)
    yield Block(0, _verdict(report, links), "verdicts")
    if report.findings:
        yield Block(2, _table(report, links), "tables of findings")
    for finding in report.findings:
        rank = 3 + finding.level.rank + 2 * (finding.level is Level.NOTE)
        name = f"the details of {finding.level.value}s"
        yield Block(rank, _finding(finding, report, ruleset, links, lines_of), name)
    if report.evidence:
        yield Block(6, _claims(report, links), "claims against logs")
    yield Block(1, _unchecked(report), "reasons why rules were not checked")
    if report.problems:
        yield Block(6, _problems(report, links), "problems of reading")


def _verdict(report: SubmissionReport, links: Links) -> str:
    """Heading, what was found and how much was not checked: all that a hurried reader sees."""
    place = _place(report.entry, 0, "", links)
    unchecked = sum(check.outcome is Outcome.NOT_CHECKED for check in report.checks)
    total = len(report.checks)
    spoken = words.verdict(report)
    return (
        f"### pgcheck: {inline(spoken[:1].upper() + spoken[1:], 2_000)}\n\n"
        f"{place}: {words.findings(report) or 'no findings'}. "
        f"**{unchecked} of {total} rules were not checked.**"
        + (f" {inline(report.unread)}" if report.unread else "")
    )


def _table(report: SubmissionReport, links: Links) -> str:
    rows = ["| level | rule | where | finding |", "|---|---|---|---|"]
    for each in report.findings[:ROWS]:
        level = f"{each.level.value}, waived" if each.waived else each.level.value
        place = _place(each.path, each.line, report.path, links)
        rows.append(
            f"| {level} | {inline(each.rule)} ({inline(each.code)}) | {place} |"
            f" {inline(each.message, CELL)} |"
        )
    more = len(report.findings) - ROWS
    return "\n".join(rows) + (f"\n\nand {words.count(more, 'finding')} more" if more > 0 else "")


def _finding(
    finding: Finding, report: SubmissionReport, ruleset: Ruleset, links: Links, lines_of: Lines
) -> str:
    where = f"{words.inside(finding.path, report.path)}:{finding.line}"
    title = f"{finding.level.value}: {finding.rule} ({finding.code}) at {where}"
    parts = [f"<details><summary>{element(title)}</summary>", inline(finding.message, PROSE)]
    if finding.waived:
        parts.append(f"**Waived, so it does not count:** {inline(str(finding.waived), PROSE)}")
    for excerpt in listing(finding, lines_of, ROOM):
        place = _place(
            excerpt.path, finding.line * (excerpt.path == finding.path), report.path, links
        )
        parts += [place, fence(_rows(excerpt))]
    if finding.steps:
        parts.append("\n".join(_steps(finding, report, links)))
    facts = [f"**Why:** {inline(words.why(finding, ruleset), PROSE)}"]
    if finding.clears:
        facts.append(f"**What clears it:** {inline(finding.clears, PROSE)}")
    facts.append(f"**Ruling:** {inline(finding.status)} {_sources(finding.sources)}".rstrip())
    return "\n\n".join((*parts, "\\\n".join(facts), "</details>"))


def _steps(finding: Finding, report: SubmissionReport, links: Links) -> Iterator[str]:
    for number, step in enumerate(finding.steps[:STEPS], start=1):
        place = _place(step.path, step.line, report.path, links)
        yield f"{number}. {inline(step.text, CELL)} ({place})"
    more = len(finding.steps) - STEPS
    if more > 0:
        yield f"{STEPS + 1}. and {words.count(more, 'step')} more"


def _sources(urls: Sequence[str]) -> str:
    return ", ".join(f"[{_SPECIAL.sub('', linking.short(url))}]({_url(url)})" for url in urls)


def _rows(excerpt: Excerpt) -> Iterator[str]:
    """The numbers of the flow's steps, the line's number, its code."""
    marks = {line: " ".join(map(str, line.steps)) for line in excerpt.lines}
    left = max(map(len, marks.values()))
    right = max(len(str(line.row.number)) for line in excerpt.lines)
    for line in excerpt.lines:
        if line.gap:
            yield f"{'':{left}}   {'...':>{right}}"
        pointer = ">" if line.main else " "
        code = line.row.code[excerpt.indent :]
        yield f"{marks[line]:>{left}} {pointer} {line.row.number:>{right}} | {code}".rstrip()


def _claims(report: SubmissionReport, links: Links) -> str:
    rows = claim_rows(report.evidence) if report.evidence else []
    if not rows:
        return "**Claims against logs:** no run's log was found and nothing is stated."
    kinds = list(rows[0].told)
    header = ["quantity", "of", "logs show", *(COLUMNS[kind] for kind in kinds)]
    lines = [_joined(header), _joined(["---"] * len(header))]
    for row in rows[:ROWS]:
        cells = [row.label, inline(row.whose, CELL), _cell(row.shown, report, links)]
        cells += [
            ", ".join(_cell(each, report, links) for each in row.told[kind]) for kind in kinds
        ]
        lines.append(_joined(cells))
    return "**Claims against what the logs show**\n\n" + "\n".join(lines)


def _cell(cell: Cell, report: SubmissionReport, links: Links) -> str:
    text = MARKS[cell.mark] + inline(cell.text)
    href = links.place(cell.path, cell.line) if cell.line else ""
    note = f" ({inline(cell.note, CELL)})" if cell.note else ""
    if cell.mark == "differs" and cell.line and not href:
        note += f" {inline(f'{words.inside(cell.path, report.path)}:{cell.line}', CELL)}"
    return (f"[{text}]({href})" if href else text) + note


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _unchecked(report: SubmissionReport) -> str:
    """Visible if short; each reason with the rules that it kept from running."""
    parts = []
    for title, outcome in (("Not checked", Outcome.NOT_CHECKED), ("In part", Outcome.PARTLY)):
        groups = words.reasons(report, outcome)
        if groups:
            parts.append(
                "\n".join(
                    (
                        f"<details><summary>{title}: {sum(len(rules) for _, rules in groups)} of "
                        f"{len(report.checks)} rules</summary>\n",
                        *(f"- {inline(why)}: {inline(', '.join(rules))}" for why, rules in groups),
                        "\n</details>",
                    )
                )
            )
    probes = [f"- {inline(name)}: {inline(rules)}" for name, rules in words.probes(report)]
    if probes:
        summary = "<details><summary>What a run would settle, by probe</summary>\n"
        parts.append("\n".join((summary, *probes, "\n</details>")))
    return "\n\n".join(parts) or "Every rule of this ruleset was checked."


def _problems(report: SubmissionReport, links: Links) -> str:
    lines = []
    for party, problem in words.by_party(report.problems)[:ROWS]:
        place = _place(problem.where, 0, report.path, links)
        lines.append(f"- {party.value}: {place}: {inline(f'{problem.what}; {problem.remedy}')}")
    title = f"Problems of reading: {len(report.problems)}"
    return "\n".join((f"<details><summary>{title}</summary>\n", *lines, "\n</details>"))


def _not_audited(problems: Sequence[Problem]) -> str:
    lines = [
        f"- {inline(p.where, CELL)}: {inline(f'{p.what}; {p.remedy}', CELL)} ({p.party.value})"
        for p in problems[:ROWS]
    ]
    return "\n".join(("**Not audited**\n", *lines))


def _place(path: str, line: int, root: str, links: Links) -> str:
    """A link where the commit is known; always as text."""
    text = inline(words.inside(path, root) + (f":{line}" if line else ""), CELL)
    href = links.place(path, line)
    return f"[{text}]({href})" if href else text


def _url(url: str) -> str:
    """An address of the ruleset, without what would end the link."""
    return re.sub(r"[\s()<>\\]", lambda found: f"%{ord(found[0]):02X}", url)


def inline(text: str, limit: int = PROSE) -> str:
    """Text within a paragraph, a list or a table: one line that only says what it says."""
    plain = visible(" ".join(text[: limit + 1].split()), limit)
    start = _JOINT if not plain or _BLOCK.match(plain) else ""
    return start + _LIVE.sub(lambda m: m[0] + _JOINT, _SPECIAL.sub(r"\\\g<0>", plain))


def element(text: str) -> str:
    """Text within an element, where no Markdown is read."""
    plain = visible(" ".join(text[: PROSE + 1].split()), PROSE)
    return _LIVE.sub(lambda m: m[0] + _JOINT, html.escape(plain))


def fence(rows: Iterable[str]) -> str:
    """A code block that nothing in it can end."""
    code = "\n".join(rows)
    longest = max(map(len, re.findall(r"`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{code}\n{ticks}"
