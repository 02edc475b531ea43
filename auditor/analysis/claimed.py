"""Which of the printed scores the submission claims: the one whose logged value it states.

The value in submission.json counts, else the one in the title or in the README.

Many scripts print several evaluations, and the last one is often a diagnostic. The claimed number, found
in the logs behind the text that one call prints, tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from auditor.analysis.graph import Event, Node
from auditor.evidence.claims import claims_of
from auditor.submission.model import SourceFile, Submission

_SCORE = re.compile(r"(?i)bpb\W{0,3}(\d\.\d{3,})")
_NUMBER = re.compile(r"\d+\.\d{3,}")
_HOLE = "\0"
_LEAST_LETTERS = 3
_BEFORE = 40  # characters that a logger may put before the message
_PROGRESS = 12  # a text that a log holds more often than this is progress: its last line counts
_FAR = 0.02  # bits per byte; further apart than the seeds of one configuration
_DIGITS = 4  # scores are claimed with this many digits, or more


class Claimed:
    """The claimed score of one submission, looked up in its logs."""

    def __init__(self, submission: Submission) -> None:
        self.logs = submission.logs
        claims = claims_of(submission)
        self.scores = claims.scores
        self._anywhere = {s.value for s in claims.of("val_bpb") if s.headline}

    def report(self, reports: Sequence[Event]) -> Event | None:
        """The last of ``reports`` that printed the claimed score; None when the logs don't tell."""
        printers = (self._printers(reports, score) for score in self.scores)
        return next((max(p, key=lambda e: e.at.uid) for p in printers if p), None)

    def stated(self, reports: Sequence[Event]) -> list[Event]:
        """Those of ``reports`` that printed a score which submission.json, title or README claims."""
        return [e for score in self._anywhere for e in self._printers(reports, score)]

    def _printers(self, reports: Sequence[Event], score: float) -> list[Event]:
        """What may have printed the score: what no other line begins like, if any."""
        messages: dict[str, set[tuple[int, ...]]] = {}  # one that goes to screen and file is one
        for event in reports:
            messages.setdefault(beginning(event), set()).add(tuple(_texts(event)))
        found = [e for e in reports if self._printed(beginning(e), score)]
        return [e for e in found if len(messages[beginning(e)]) == 1] or found

    def contradicted(self, reports: Sequence[Event]) -> bool:
        """Whether the logs hold printed scores, and all of them are far from the claimed one."""
        logged = [v for e in reports for log in self.logs for v in _values(log, beginning(e))]
        return bool(logged and self.scores) and all(
            abs(value - score) > _FAR for value in logged for score in self.scores
        )

    def _printed(self, text: str, score: float) -> bool:
        """Whether a log, or the mean over all logs, shows ``score`` behind ``text``."""
        single = [_values(log, text) for log in self.logs]
        if any(_same(value, score) for values in single for value in values):
            return True
        last = [values[-1] for values in single if values]
        return len(last) > 1 and _same(sum(last) / len(last), score)


def beginning(event: Event) -> str:
    """The constant text with which the printed line begins; empty if there is none to know it by."""
    for argument in event.args:
        printed = "".join(_pieces(argument)).lstrip("\n")
        text = printed.partition(_HOLE)[0].rpartition("\n")[2].lstrip()
        if sum(c.isalpha() for c in text) >= _LEAST_LETTERS:
            return text
    return ""


def _texts(event: Event) -> list[int]:
    """uids of the texts that are printed."""
    return [a.uid for a in event.args if any(p != _HOLE for p in _pieces(a))]


def _pieces(node: Node) -> Iterator[str]:
    if node.op == "call" and node.data == "str.join":
        for part in node.args:
            yield from _pieces(part)
    else:
        yield node.data if node.op == "const" and isinstance(node.data, str) else _HOLE


def _values(log: SourceFile, text: str) -> list[float]:
    """The scores, in bits per byte, on the lines of ``log`` that begin with ``text``."""
    if not text:
        return []
    found: list[float] = []
    lines = 0
    start = log.text.find(text)
    while start >= 0:
        end = log.text.find("\n", start)
        line = log.text[start : end if end >= 0 else None]
        if start - (log.text.rfind("\n", 0, start) + 1) <= _BEFORE:
            named = _SCORE.findall(line)
            found += [float(n) for n in named or _NUMBER.findall(line)[:1]]
            lines += 1
        start = log.text.find(text, start + len(text))
    return found[-1:] if lines > _PROGRESS else found


def _same(value: float, score: float) -> bool:
    """Equal as far as the coarser of the two is written out."""
    digits = min(max(_DIGITS, _decimals(value)), max(_DIGITS, _decimals(score)))
    return bool(abs(value - score) <= 0.51 * 10.0**-digits)


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])
