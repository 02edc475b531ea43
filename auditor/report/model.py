"""Findings and reports: one type each, whatever produced them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

from auditor.submission.model import Problem

if TYPE_CHECKING:
    from auditor.evidence.summary import Evidence


class Level(str, Enum):
    """What may be said, from strongest to weakest (see the verdict table in the README)."""

    VIOLATION = "violation"
    SUSPECT = "suspect"
    QUESTION = "question"
    NOTE = "note"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Outcome(str, Enum):
    RAN = "ran"
    PARTLY = "partly"  # one kind of evidence was checked, another could not be
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True)
class Step:
    """One station of a flow from source to scored loss."""

    path: str
    line: int
    text: str
    column: int = 0


@dataclass(frozen=True)
class Waiver:
    """A decision, kept outside the submission, that a finding is shown and does not count."""

    reason: str
    by: str
    on: date
    until: date | None  # the last day on which it applies
    at: str  # file:line where it is written

    def __str__(self) -> str:
        until = f" until {self.until}" if self.until else ""
        return f"{self.reason} ({self.by}, {self.on}{until}; {self.at})"


@dataclass(frozen=True)
class IdleWaiver:
    """A waiver for an audited submission that waived nothing."""

    at: str
    rule: str
    why: str


@dataclass(frozen=True)
class Finding:
    """A rule's statement about one place. It can't be built without that place."""

    rule: str  # slug
    code: str  # rulebook id, such as N1
    level: Level
    status: str  # RULED | CONSENSUS | DISPUTED
    path: str
    line: int
    end_line: int
    message: str
    steps: tuple[Step, ...] = ()
    clears: str = ""
    sources: tuple[str, ...] = ()
    column: int = 0
    waived: Waiver | None = None

    @property
    def fingerprint(self) -> str:
        """Stable under edits elsewhere: rule, file and the flow's texts, without line numbers."""
        parts = (
            (self.rule, self.path, *(step.text for step in self.steps))
            if self.steps
            else (
                self.rule,
                self.path,
                self.message,
            )
        )
        return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Check:
    """Whether a rule ran, and if not, why not; and which probes of a run would settle it."""

    rule: str
    outcome: Outcome
    reason: str = ""
    probes: tuple[str, ...] = ()  # empty where a run adds nothing, or a violation is proven


@dataclass(frozen=True)
class SettingInForce:
    """A setting that the code reads: its default, the value in force and where that comes from."""

    name: str
    default: str | None
    value: str | None
    source: str  # "code default", or path:line of the claim
    read_at: str  # path:line of the read
    decides: tuple[str, ...] = ()  # the branches it decides: "path:line taken" or "… skipped"


@dataclass(frozen=True)
class SubmissionReport:
    path: str
    entry: str
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    settings: tuple[SettingInForce, ...] = ()
    problems: tuple[Problem, ...] = ()
    revision: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)  # path -> text, for code frames only
    hosts: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # of quoted payloads
    unread: str = ""  # why the code could not be judged at all, if it couldn't
    given: str = ""  # the input that led here, as the user named it
    evidence: Evidence | None = None  # runs and claims, for the formats that show them
    root: str = ""  # the folder that its paths start from; "" also for a clone

    @property
    def counted(self) -> tuple[Finding, ...]:
        """The findings that are not waived: those that decide verdict and exit code."""
        return tuple(finding for finding in self.findings if finding.waived is None)

    @property
    def verdict(self) -> str:
        """violation | suspect | question | no-findings | inconclusive."""
        for level in (Level.VIOLATION, Level.SUSPECT, Level.QUESTION):
            if any(f.level is level for f in self.counted):
                return str(level.value)
        ran = any(c.outcome is not Outcome.NOT_CHECKED for c in self.checks)
        return "no-findings" if ran and not self.unread else "inconclusive"


@dataclass(frozen=True)
class Report:
    submissions: tuple[SubmissionReport, ...]
    problems: tuple[Problem, ...] = ()  # inputs that held no readable submission
    idle_waivers: tuple[IdleWaiver, ...] = ()
