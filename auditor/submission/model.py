"""The Submission: everything that was handed in, as text and bytes, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Party(str, Enum):
    """Who has to act on a problem. The three are never mixed up in a message."""

    SUBMISSION = "submission"
    TOOL = "tool"
    ENVIRONMENT = "environment"


@dataclass(frozen=True)
class Problem:
    """Something that could not be read: what, where, whose fault and what to do, in one line."""

    what: str
    where: str
    party: Party
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.party.value}); {self.remedy}"


@dataclass(frozen=True)
class SourceFile:
    """One readable source text.

    ``path`` is POSIX and relative to the root of what was given (the repository, folder or the
    script's own folder). Text decoded from a packed payload has the path of its host and a suffix:
    ``records/x/train_gpt.py!payload-1``, nested ``…!payload-1!payload-1``.
    """

    path: str
    text: str
    language: str = "python"  # python | c | cpp | cuda | shell | text
    host: str | None = None  # for a payload: the path of the file it was decoded from
    host_line: int | None = None  # and the line of the decoding expression there


@dataclass(frozen=True)
class Claim:
    """One setting as the submission's own evidence states it.

    ``name`` as written (``TTT_ENABLED`` or ``ttt_enabled``; compare with ``key``), ``value`` the
    text after the equals sign, ``kind`` one of ``readme``, ``run-script``, ``log``, ``json``.
    """

    name: str
    value: str
    kind: str
    path: str
    line: int

    @property
    def key(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Pull:
    """The pull request that a submission came in with, as far as it is known."""

    added: tuple[str, ...] = ()  # paths, sorted; empty without a history to compare with
    modified: tuple[str, ...] = ()
    title: str | None = None


@dataclass(frozen=True)
class Submission:
    """One entry: the script, every local module it reaches, and the evidence beside it.

    ``modules`` maps the name under which code imports or opens a module (``swarm_agents``,
    ``pkg.sub``, ``train_gpt_decode.py``) to its source; a packed module's decoded text replaces
    nothing: both host and payload are kept, and ``payloads`` maps a host's path to what it unpacks
    to.
    """

    path: str  # the record folder (or the script's folder), "" for the root
    entry: SourceFile
    modules: Mapping[str, SourceFile] = field(default_factory=dict)
    payloads: Mapping[str, tuple[SourceFile, ...]] = field(default_factory=dict)
    natives: tuple[SourceFile, ...] = ()
    readme: tuple[SourceFile, ...] = ()
    run_scripts: tuple[SourceFile, ...] = ()
    logs: tuple[SourceFile, ...] = ()
    requirements: tuple[SourceFile, ...] = ()  # requirements*.txt and the like
    preparation: tuple[SourceFile, ...] = ()  # scripts that write the shards
    metadata: Mapping[str, Any] | None = None  # submission.json, when it is there and an object
    metadata_file: SourceFile | None = None  # its text, also when that is no object
    claims: tuple[Claim, ...] = ()  # in order of increasing authority: the last one for a key wins
    files: Mapping[str, int | None] = field(default_factory=dict)  # the folder's, in bytes if known
    pull: Pull | None = None
    problems: tuple[Problem, ...] = ()
    revision: str | None = None  # the commit, when read from git
    auxiliary: bool = False  # a script beside the entry that the entry doesn't reach

    def source(self, path: str) -> SourceFile | None:
        """The source with this path, whether file or payload."""
        return self.by_path().get(path)

    def by_path(self) -> dict[str, SourceFile]:
        """Every source of the submission by its path; the entry, modules, payloads and evidence."""
        found = {self.entry.path: self.entry}
        found.update((s.path, s) for s in self.modules.values())
        found.update((s.path, s) for group in self.payloads.values() for s in group)
        found.update(
            (s.path, s) for s in (*self.natives, *self.readme, *self.run_scripts, *self.logs)
        )
        found.update((s.path, s) for s in (*self.requirements, *self.preparation))
        if self.metadata_file is not None:
            found[self.metadata_file.path] = self.metadata_file
        return found
