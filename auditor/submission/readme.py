"""What a README says about settings: the command that reproduces the record, settings in prose.

A README also holds ablations, baselines and earlier versions. Only the command that runs the
record's own entry script speaks for the record, and of several such commands the ones that are not
under a heading or remark that sets them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from auditor.submission.model import Claim, SourceFile
from auditor.submission.shell import Command, commands

_APART = re.compile(
    r"ablat|baseline|previous|earlier|\bprior\b|not used|unused|negative|did ?n.t|fail|smoke|debug"
    r"|sanity|\blocal|quick|sweep|optional|alternativ|compar|\bcontrol\b|histor|lineage|future"
    r"|\btried\b|retract|original submission|supersed|disabl|without|\bw/o\b|\bno[- ]|diagnostic"
    r"|experiment|variant|\bold\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"ablat|baseline|default|disabl|enable[sd]? (?:it|with|by|via)|without|\bif\b|would|could"
    r"|instead|optional|\bto (?:turn|switch|opt)|→|->|\bvs\b|previous|earlier|negative|tried|sweep"
    r"|retract|originally|was set",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*(?:>\s*)?(```+|~~~+)\s*([\w+-]*)")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_IN_PROSE = re.compile(r"(?<![\w$./-])([A-Z][A-Z0-9_]{2,80})=([\w.+/,*-]{0,200}\w)")
_TABLE_ROW = re.compile(
    r"\s*\|\s*`?([A-Z][A-Z0-9]*_[A-Z0-9_]{1,80})`?\s*\|\s*`?\**"
    r"([\w.,+-]*\w)\**`?\s*\|\s*(?:[^|]*\|)?\s*"
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+")
_SHELL = frozenset(
    {"", "bash", "sh", "shell", "console", "zsh", "text", "txt", "plaintext", "shellsession"}
)
_LONGEST_LINE = 5_000
_RECORD_GPUS = 8


@dataclass(frozen=True)
class Block:
    """A run of lines under one heading path: shell code or prose."""

    text: str
    line: int
    heading: str
    shell: bool


def run_commands(readme: SourceFile, runs: frozenset[str], folder: str) -> list[Command]:
    """The commands that reproduce the record: those that run one of ``runs`` (base names).

    ``folder`` is the record folder; a command that names another record's folder is not this one's.
    """
    candidates = [
        (_standing(command, block), command)
        for block in _blocks(readme.text)
        for command in _block_commands(block, readme.path)
        if _is_run(command, runs, folder)
    ]
    best = max((standing for standing, _ in candidates), default=None)
    return [command for standing, command in candidates if standing == best]


def prose_claims(readme: SourceFile) -> Iterator[Claim]:
    """``NAME=value`` and ``| NAME | value |`` outside commands; two values say nothing."""
    found: dict[str, Claim | None] = {}
    for block in _blocks(readme.text):
        if _APART.search(block.heading) or (block.shell and ".py" in block.text):
            continue
        for number, line in enumerate(block.text.splitlines(), block.line):
            if len(line) > _LONGEST_LINE or _HEDGED.search(line):
                continue
            row = _TABLE_ROW.fullmatch(line)
            for name, value in [row.groups()] if row else _IN_PROSE.findall(line):
                if _THOUSANDS.fullmatch(value):
                    value = value.replace(",", "")
                first = found.setdefault(
                    name.lower(), Claim(name, value, "readme", readme.path, number)
                )
                if first is not None and first.value != value:
                    found[name.lower()] = None
    yield from (claim for claim in found.values() if claim)


def _is_run(command: Command, runs: frozenset[str], folder: str) -> bool:
    script = command.script()
    if script is None or PurePosixPath(script).name not in runs:
        return False
    if command.words[0] == script and not command.environment:  # a mention, not a command
        return False
    return not names_other_record(script, folder)


def names_other_record(script: str, folder: str) -> bool:
    """Whether the path of a script says that it lies in another record than ``folder``."""
    named = re.search(r"records/[^/]+/([^/]+)/", script)
    return named is not None and bool(folder) and named[1] != PurePosixPath(folder).name


def _standing(command: Command, block: Block) -> tuple[bool, bool]:
    """Not set apart as something else; on the record's hardware."""
    apart = bool(_APART.search(f"{block.heading}\n{command.label}"))
    return not apart, command.processes in (None, _RECORD_GPUS)


def _block_commands(block: Block, path: str) -> list[Command]:
    if ".py" not in block.text and ".sh" not in block.text:
        return []
    if block.shell:
        return commands(block.text, path=path, kind="readme", first_line=block.line)
    return [
        command
        for number, line in enumerate(block.text.splitlines(), block.line)
        for span in _CODE_SPAN.findall(line)
        if ".py" in span
        for command in commands(span, path=path, kind="readme", first_line=number)
    ]


def _blocks(text: str) -> Iterator[Block]:
    """Code (shell) and the prose between; the sentence before code joins its heading."""
    headings: list[str] = []
    prose: list[str] = []
    code: list[str] | None = None
    fence, start, shell, lead = "", 1, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        opening = _FENCE.match(line)
        if code is not None:
            if opening and opening[1].startswith(fence) and not opening[2]:
                if shell:
                    yield Block("\n".join(code), start, f"{_path(headings)}\n{lead}", True)
                prose, code, start = [], None, number + 1
            else:
                code.append(line)
        elif opening:
            yield from _prose(prose, start, headings)
            lead = next((p for p in reversed(prose) if p.strip()), "")
            lead = lead if lead.rstrip().endswith((":", "**")) else ""
            fence, shell = opening[1], opening[2].lower() in _SHELL
            code, start = [], number + 1
        elif heading := _HEADING.match(line):
            yield from _prose(prose, start, headings)
            headings = [*headings[: len(heading[1]) - 1], heading[2]]
            prose, start = [], number + 1
        else:
            prose.append(line)
    yield from _prose(prose, start, headings)


def _prose(lines: list[str], start: int, headings: list[str]) -> Iterator[Block]:
    if not lines:
        return
    heading = _path(headings)
    yield Block("\n".join(lines), start, heading, False)
    indented = [line[4:] if line.startswith("    ") else "" for line in lines]
    if any("torchrun" in line or "python" in line for line in indented):
        yield Block("\n".join(indented), start, heading, True)


def _path(headings: list[str]) -> str:
    """The headings below the title: a record's name says what it is, not what a section is."""
    return " / ".join(headings[1:])
