"""What a rule is: its page, its examples and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.report.model import Finding, Level, Step

if TYPE_CHECKING:
    from auditor.analysis.program import Program
    from auditor.evidence.record import Record

Example = str | Mapping[str, str]  # a whole small script, or the files of a record folder by name


class NotChecked(Exception):
    """Raised by a check that can't decide; the message is the reason shown to the reader."""


@dataclass(frozen=True)
class Rule:
    """One rule of the challenge.

    ``check`` asks the traced code, ``check_record`` the evidence beside it (files, logs, claims; the
    code too, where ``record.program`` has it). A rule has one of them or both. ``forbidden`` and
    ``allowed`` are shown by the documentation, and the tests run the rule on them. ``blind_spots``
    says in Markdown what the check does not see.
    """

    slug: str
    code: str
    title: str
    status: str  # RULED | CONSENSUS | DISPUTED
    sources: tuple[str, ...]
    page: str
    clears: str
    check: Callable[[Program], Iterable[Finding]] | None = None
    check_record: Callable[[Record], Iterable[Finding]] | None = None
    forbidden: Example = ""
    allowed: Example = ""
    blind_spots: str = ""

    def finding(
        self,
        level: Level,
        path: str,
        line: int,
        message: str,
        *,
        end_line: int | None = None,
        steps: Iterable[Step] = (),
        clears: str | None = None,
        column: int = 0,
    ) -> Finding:
        return Finding(
            rule=self.slug,
            code=self.code,
            level=level,
            status=self.status,
            path=path,
            line=line,
            end_line=end_line or line,
            message=message,
            steps=tuple(steps),
            clears=self.clears if clears is None else clears,
            sources=self.sources,
            column=column,
        )
