"""Settings that a run's own log prints.

A log holds four kinds of text: the script's source (many runs print it first), settings, metrics
and messages. Only settings are wanted, and they have one mark that metrics lack: within one log a
setting has one value. A name that takes several values in a log is therefore no setting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from auditor.submission.model import Claim, SourceFile
from auditor.submission.text import split_lines

ON, OFF = "on", "off"  # what an event line such as ``ttt:start`` says of the feature ``ttt``

_SPELLINGS = {"true": "1", "false": "0"}
_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOOLEAN = r"True|False|true|false"
_END = r"(?=$|[\s,;|)}\]'\"])"
_NAME = r"[A-Za-z_]\w*"
_DUMP = re.compile(rf"\s*['\"]?({_NAME})['\"]?\s*[:=]\s*(?:'([^']*)'|\"([^\"]*)\"|(\S*)),?\s*")
_PAIR = re.compile(
    rf"(?<![\w./$-])({_NAME})(?::|=)({_NUMBER}(?:,{_NUMBER})*|{_BOOLEAN}){_END}"
    rf"|(?<![\w./$-])({_NAME})=['\"]?([A-Za-z_][\w./+-]*)['\"]?{_END}"
    rf"|['\"]({_NAME})['\"]\s*:\s*['\"]?({_NUMBER}|{_BOOLEAN}|[A-Za-z_][\w.+-]*)['\"]?{_END}"
)
_WORD = re.compile(rf"({_NAME})([:=])([^\s:=()\[\]{{}}/]+)")
_EVENT = re.compile(
    rf"\s*({_NAME})\s*:\s*(?:(start\w*|begin\w*|enabled|done)|(disabled|off|skipp\w+))\b(?!\s*[:=])"
)
_TAG = re.compile(rf"\s*\[?({_NAME})\]?:\s*(?!{_NUMBER}{_END}|(?:{_BOOLEAN}){_END})(?=\S)")
_METRIC = re.compile(
    r"\d+/\d+|(?:val|train|eval|test)_?(?:loss|bpb|time)|step_avg|tok/s|elapsed|\b(?:bpb|loss|step)[:=]",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"^(?:\[[^\]]{0,40}\]:?\s+|\d{4}-\d\d-\d\d[ T][\d:.,]+Z?\s+(?:[-|]\s*)?(?:INFO\s*[-:|]?\s*)?)"
)
_CODE = re.compile(
    r"import \w|from [\w.]+ import |class \w+.*:|(?:async )?def \w+\(|@\w|if __name__\b"
)
_CODE_BEGINS = frozenset("ifcad@")  # the first characters of what _CODE matches
_LEADING = ('"""', "'''", "#!", "# ")  # a script's first lines, before its first import
_BODY = ("    ", "\t")
_LOOK_BACK = 60
_LONGEST_LINE = 4000
_OPENING, _PROGRESS = 24, 40  # so many lines that begin alike, in so many characters, are progress
_NO_DIGITS = str.maketrans("", "", "0123456789")
_LEAST_CODE_LINES = 3


def settings(log: SourceFile) -> list[Claim]:
    """The log's settings in order of first appearance; events (``on``, ``off``) come first."""
    events: dict[str, Claim | None] = {}
    explicit: dict[str, Claim | None] = {}
    for number, line in _messages(log.text):
        event = _EVENT.match(line)
        if event:
            _record(events, Claim(event[1], ON if event[2] else OFF, "log", log.path, number))
        for name, value in _pairs(line):
            _record(explicit, Claim(name, value, "log", log.path, number))
            if name.endswith("_ms") and value.strip("0."):  # a phase that took time has run
                _record(events, Claim(name[:-3], ON, "log", log.path, number))
    found = [c for c in events.values() if c and c.key not in explicit]
    return found + [c for c in explicit.values() if c]


def same(one: str, other: str) -> bool:
    """Whether two spellings are one value: ``1``, ``True`` and ``1.0``."""
    return _plain(one) == _plain(other)


def _plain(value: str) -> str | float:
    word = _SPELLINGS.get(value.lower(), value)
    try:
        return float(word)
    except ValueError:
        return word


def _record(found: dict[str, Claim | None], claim: Claim) -> None:
    """Keep the first claim for a key; a second value shows that it is a metric."""
    first = found.setdefault(claim.key, claim)
    if first is not None and not same(first.value, claim.value):
        found[claim.key] = None


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """The name and value pairs of one line that isn't a metric."""
    if line.startswith("|") or _METRIC.search(line):
        return
    dump = _DUMP.fullmatch(line)
    if dump and not _EVENT.match(line):
        value = next((v for v in dump.groups()[1:] if v is not None), "").rstrip(",")
        titled = not value and not line[:1].isspace()  # "Hyperparameters:" opens a list
        message = re.match(r"[A-Za-z]+:[A-Za-z]", line) and value.lower() not in _SPELLINGS
        if not titled and not message and not re.search(r"[()\[\]{}:=]|^//", value):
            yield dump[1], value
            return
    pairs = _uniform(line)
    if pairs:
        yield from pairs
        return
    tag = _TAG.match(line)
    for match in _PAIR.finditer(line, tag.end() if tag else 0):
        name, value = (group for group in match.groups() if group is not None)
        if tag and "_" not in name and name.islower():
            name = f"{tag[1]}_{name}"  # `ttt:start lr=0.002` speaks of ttt_lr
        yield name, value


def _uniform(line: str) -> list[tuple[str, str]]:
    """The pairs of a line that consists of nothing else; words may be values there.

    ``mode:fast depth_kind:deep`` opens with a tag (``swa:applying count:7``) or a pair, and only a
    compound name tells which, so a line that opens with a simple one is not read this way.
    """
    words = [_WORD.fullmatch(word) for word in line.split()]
    found = [word.groups() for word in words if word]
    alike = len(found) == len(words) > 1 and len({mark for _, mark, _ in found}) == 1
    if not alike or _EVENT.match(line) or "_" not in found[0][0]:
        return []
    return [(name, value) for name, _, value in found]


def _messages(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are no source code, without time stamps, with their numbers.

    Lines that begin alike over and over are progress, and left out: that keeps long logs cheap.
    """
    lines = split_lines(text)
    code = {i for start, end in source_ranges(lines) for i in range(start, end)}
    openings: Counter[str] = Counter()
    for index, line in enumerate(lines):
        if index in code or len(line) > _LONGEST_LINE or (":" not in line and "=" not in line):
            continue
        opening = line[:_OPENING].translate(_NO_DIGITS)
        openings[opening] += 1
        if openings[opening] <= _PROGRESS:
            yield index + 1, _PREFIX.sub("", line)


def source_ranges(lines: list[str]) -> list[tuple[int, int]]:
    """Half-open ranges of printed source, from the first import to the end of ``__main__``."""
    marks = [i for i, line in enumerate(lines) if line[:1] in _CODE_BEGINS and _CODE.match(line)]
    ranges: list[tuple[int, int]] = []
    run: list[int] = []
    for mark in marks:
        run.append(mark)
        if lines[mark].startswith("if __name__"):
            ranges += _range(lines, run)
            run = []
    return ranges + _range(lines, run)


def _range(lines: list[str], marks: list[int]) -> list[tuple[int, int]]:
    if len(marks) < _LEAST_CODE_LINES:
        return []
    end = marks[-1] + 1
    before = range(max(0, marks[0] - _LOOK_BACK), marks[0])
    start = next((i for i in before if lines[i].startswith(_LEADING)), marks[0])
    while start and (not lines[start - 1].strip() or lines[start - 1].startswith(_BODY)):
        start -= 1  # printed from the middle of a function on
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t)]}"):
        end += 1
    return [(start, end)]
