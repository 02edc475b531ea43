"""A git repository read through plumbing commands only: no checkout, no network, no hooks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, cast

from auditor.submission.model import Party, Problem

# The audited repository's own configuration could name programs to run; plumbing commands on
# objects start none of them, and these switches close what is left.
_SAFE = (
    "--no-replace-objects",
    "--no-optional-locks",
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
)
_WITHOUT_SIZE = "%(objectmode) %(objecttype) %(objectname) -%x09%(path)"
_REVISION = re.compile(r"[^\s\x00-\x1f-][^\s\x00-\x1f]*\Z")


class GitError(Exception):
    """A repository or revision that can't be used; ``problem`` is the line for the reader."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Entry:
    """One file of a tree. ``size`` in bytes is None when the blob is not in the clone."""

    mode: str
    oid: str
    size: int | None

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")


@dataclass(frozen=True)
class Change:
    """One path that differs between two trees; ``status`` is git's letter (A, M, D, T)."""

    status: str
    path: str
    mode: str
    oid: str


class GitRepository:
    """Objects of one clone. Use as a context manager: it keeps one ``cat-file`` process alive."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._reader: subprocess.Popen[bytes] | None = None
        self.git_dir = self._find_git_dir()

    def __enter__(self) -> GitRepository:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        for stream in (reader.stdin, reader.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        reader.wait()

    def commit(self, revision: str) -> str | None:
        """The full id of the commit that ``revision`` names, or None."""
        if not _REVISION.match(revision):
            return None
        found = self._object(f"{revision}^{{commit}}")
        return found[0] if found else None

    def first_commit(self, *revisions: str) -> str | None:
        """The commit of the first of ``revisions`` that exists."""
        for revision in revisions:
            found = self.commit(revision)
            if found:
                return found
        return None

    def merge_base(self, one: str, other: str) -> str | None:
        return self._run("merge-base", one, other).decode().strip() or None

    def merged_by(self, head: str, branch: str) -> str | None:
        """The commit on ``branch``'s own line that brought ``head`` in."""
        after = set(self._run("rev-list", "--ancestry-path", f"{head}..{branch}").split())
        line = self._run("rev-list", "--first-parent", f"{head}..{branch}").split()
        merges = [commit for commit in line if commit in after]
        return merges[-1].decode() if merges else None

    def last_before(self, branch: str, head: str) -> str | None:
        """The last commit of ``branch``'s own line that is older than ``head``."""
        time = self._run("rev-list", "--timestamp", "-1", head).split()[:1]
        if not time:
            return None
        limit = f"--before={int(time[0]) - 1}"
        found = self._run("rev-list", "-1", "--first-parent", limit, branch)
        return found.decode().strip() or None

    def changes(self, base: str, head: str) -> tuple[Change, ...]:
        """What differs between two commits' trees, renames shown as delete and add."""
        out = self._run("diff-tree", "-r", "-z", "--raw", "--no-renames", base, head)
        fields = _names(out)
        found = []
        for info, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, _, oid, status = info.split()
            found.append(Change(status[0], path, mode, oid))
        return tuple(found)

    def entries(self, commit: str) -> dict[str, Entry]:
        """Every path of a commit's tree. Sizes come from the local objects only."""
        found = {}
        lines = _names(self._run("ls-tree", "-r", "-z", "-l", commit))
        local: Mapping[str, int] = {}
        if not lines:  # a partial clone, where asking for the size of an absent blob is an error
            lines = _names(self._run("ls-tree", "-r", "-z", "--format=" + _WITHOUT_SIZE, commit))
            local = self._local_sizes
        for line in lines:
            info, _, path = line.partition("\t")
            mode, _, oid, size = info.split()
            found[path] = Entry(mode, oid, int(size) if size.isdigit() else local.get(oid))
        return found

    @cached_property
    def _local_sizes(self) -> Mapping[str, int]:
        """The size of every object that is really here."""
        format_ = "%(objectname) %(objectsize)"
        listed = self._run(
            "cat-file", "--batch-all-objects", "--unordered", f"--batch-check={format_}"
        )
        pairs = (line.split() for line in listed.decode().splitlines())
        return {oid: int(size) for oid, size in pairs}

    def blob(self, oid: str) -> bytes | None:
        """The blob's bytes, or None when this clone doesn't have it. Never fetches."""
        found = self._object(oid)
        return found[2] if found and found[1] == "blob" else None

    def _object(self, name: str) -> tuple[str, str, bytes] | None:
        """Id, type and content of an object, by the one long-lived process."""
        for _ in range(2):
            reader = self._ready_reader()
            try:
                stdin, stdout = cast("IO[bytes]", reader.stdin), cast("IO[bytes]", reader.stdout)
                stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
                stdin.flush()
                header = stdout.readline().split()
                if not header:
                    raise OSError("git cat-file ended")
                if len(header) != 3:
                    return None  # "<name> missing" or "<name> ambiguous"
                data = stdout.read(int(header[2]) + 1)[:-1]
                return header[0].decode(), header[1].decode(), data
            except OSError:
                # In a partial clone, asking for an absent blob can end the process.
                self.close()
        self._check_access()
        return None

    def _check_access(self) -> None:
        """Raises GitError when git refuses this repository as a whole."""
        self._run("rev-parse", "--git-dir")

    def _ready_reader(self) -> subprocess.Popen[bytes]:
        if self._reader is None:
            self._reader = subprocess.Popen(
                self._command("cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        return self._reader

    def _command(self, *arguments: str) -> list[str]:
        return ["git", *_SAFE, "--git-dir", str(self.git_dir), *arguments]

    def _run(self, *arguments: str) -> bytes:
        done = subprocess.run(
            self._command(*arguments), capture_output=True, env=_environment(), check=False
        )
        if done.returncode == 128 and b"dubious ownership" in done.stderr:
            raise GitError(
                Problem(
                    "git refuses a repository that belongs to another user",
                    str(self.path),
                    Party.ENVIRONMENT,
                    f"run: git config --global --add safe.directory {self.git_dir}",
                )
            )
        return done.stdout if done.returncode == 0 else b""

    def _find_git_dir(self) -> Path:
        path = self.path
        if (path / "HEAD").is_file() and (path / "objects").is_dir():
            return path
        dot_git = path / ".git"
        if dot_git.is_dir():
            return dot_git
        if dot_git.is_file():  # a linked work tree or a submodule
            text = dot_git.read_text(encoding="utf-8", errors="replace")
            if text.startswith("gitdir:"):
                return (path / text[len("gitdir:") :].strip()).resolve()
        raise GitError(
            Problem(
                "not a git repository",
                str(path),
                Party.ENVIRONMENT,
                "give a clone (bare or not) of the challenge repository",
            )
        )


def git_root(path: Path) -> Path | None:
    """The work tree that ``path`` lies in, or None."""
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder
    return None


def _names(output: bytes) -> list[str]:
    return output.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _environment() -> dict[str, str]:
    """The caller's environment without git's own variables, and with no way out to the network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # older git ignores the line above but not this one
        "GIT_TERMINAL_PROMPT": "0",
    }


def iter_pull_refs(number: int) -> Iterator[str]:
    """Where clones keep the head of a pull request."""
    yield f"refs/pull/{number}/head"
    yield f"refs/remotes/origin/pull/{number}/head"
    yield f"refs/remotes/origin/pr/{number}"
    yield f"refs/remotes/pull/{number}"
