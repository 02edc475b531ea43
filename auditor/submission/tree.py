"""Read-only file trees: a folder on disk or a revision in a clone, behind one interface."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from auditor.submission.git import Entry, GitRepository
from auditor.submission.model import Party, Problem

MAX_TEXT = 16 * 1024 * 1024  # bytes that are read as text from one file
MAX_BYTES = 64 * 1024 * 1024  # bytes that are read from one file at all
MAX_FILES = 50_000
SKIPPED_FOLDERS = frozenset(
    {".git", "__pycache__", ".venv", "venv", "node_modules", ".ipynb_checkpoints"}
)
# Plain character sets only: Python also knows codecs such as "zlib", decoders without limits.
_CODECS = re.compile(rb"(?i)(utf-|utf_|latin|iso|cp|windows|ascii|koi|gb|big5|euc|shift|mac)")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


class Unreadable(Exception):
    """A file that can't be read; ``problem`` says why and whose fault it is."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class FileTree(ABC):
    """Files by POSIX path relative to the root. Nothing outside the root is ever read."""

    label: str  # what messages call this tree
    revision: str | None = None

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int | None]:
        """Every regular file with its bytes, None where only the name is there."""

    @abstractmethod
    def oid(self, path: str) -> str | None:
        """The git blob id of the file's content, or None when it can't be known."""

    @abstractmethod
    def _read(self, path: str) -> bytes: ...

    def __contains__(self, path: object) -> bool:
        return path in self.sizes

    def under(self, folder: str) -> list[str]:
        """The paths below ``folder`` ("" is the root), sorted."""
        prefix = f"{folder}/" if folder else ""
        return sorted(path for path in self.sizes if path.startswith(prefix))

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """The file's bytes. Raises Unreadable, also for files above ``limit`` bytes."""
        if path not in self.sizes:
            raise self._unreadable(
                path, "no such file", Party.SUBMISSION, "add it or drop the reference"
            )
        size = self.sizes[path]
        if size is not None and size > limit:
            raise self._unreadable(
                path,
                f"{size:,} bytes, more than the {limit:,} that are read",
                Party.TOOL,
                "its content was not checked",
            )
        return self._read(path)

    def text(self, path: str, limit: int = MAX_TEXT) -> str:
        """The file as text with ``\\n`` line ends; see ``decode`` for encodings."""
        return decode(self.read(path, limit))

    def _unreadable(self, path: str, what: str, party: Party, remedy: str) -> Unreadable:
        return Unreadable(Problem(what, path, party, remedy))


class DirectoryTree(FileTree):
    """A folder on disk. Links are followed only to regular files inside the folder."""

    def __init__(self, root: str | os.PathLike[str], label: str | None = None) -> None:
        self.root = Path(root)
        self.label = label or str(root)
        self._real_root = os.path.realpath(self.root)
        self.outside: list[str] = []  # links that leave the folder or lead nowhere, once listed

    @cached_property
    def sizes(self) -> Mapping[str, int | None]:
        found: dict[str, int | None] = {}
        for folder, names, files in os.walk(self.root, followlinks=False):
            names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS)
            for name in sorted(files):
                full = os.path.join(folder, name)
                path = os.path.relpath(full, self.root).replace(os.sep, "/")
                size = self._regular_size(full)
                if size is None:
                    self.outside.append(path)
                else:
                    found[path] = size
                if len(found) >= MAX_FILES:
                    return found
        return found

    def oid(self, path: str) -> str | None:
        try:
            return blob_id(self.read(path))
        except Unreadable:
            return None

    def _regular_size(self, full: str) -> int | None:
        """The size of a regular file inside the root, else None."""
        try:
            if os.path.islink(full) and not self._inside(os.path.realpath(full)):
                return None
            status = os.stat(full)
        except (OSError, ValueError):  # a loop, a dead link, no permission
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _inside(self, real: str) -> bool:
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)

    def _read(self, path: str) -> bytes:
        full = os.path.realpath(self.root / path)
        if not self._inside(full):
            raise self._unreadable(
                path,
                "a link that leaves the folder; not followed",
                Party.SUBMISSION,
                "commit the file itself",
            )
        try:
            with open(full, "rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError as error:
            raise self._unreadable(
                path,
                f"can't be read: {error.strerror or error}",
                Party.ENVIRONMENT,
                "check the permissions",
            ) from None


class GitTree(FileTree):
    """One commit in a clone. Links and submodules are left out."""

    def __init__(self, repository: GitRepository, commit: str, label: str | None = None) -> None:
        self.repository = repository
        self.revision = commit
        self.label = label or f"{repository.path}@{commit[:9]}"

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        assert self.revision is not None
        entries = self.repository.entries(self.revision)
        return {path: entry for path, entry in entries.items() if entry.is_file}

    @cached_property
    def sizes(self) -> Mapping[str, int | None]:
        return {path: entry.size for path, entry in self._entries.items()}

    def oid(self, path: str) -> str | None:
        entry = self._entries.get(path)
        return entry.oid if entry else None

    def _read(self, path: str) -> bytes:
        entry = self._entries[path]
        data = None if entry.size is None else self.repository.blob(entry.oid)
        if data is None:
            raise self._unreadable(
                path,
                f"listed in the clone, but its blob {entry.oid[:9]} is absent",
                Party.ENVIRONMENT,
                "fetch that blob (git fetch without a filter) and audit again",
            )
        return data


def decode(data: bytes) -> str:
    """Bytes to text the way Python reads sources, and never failing.

    Byte order mark, else a coding cookie, else UTF-8; what is none of these is read as Latin-1,
    which keeps every byte. Line ends become ``\\n``, so that line n is ``split("\\n")[n - 1]``.
    """
    return _to_text(data).replace("\r\n", "\n").replace("\r", "\n")


def is_utf8(data: bytes) -> bool:
    """Whether ``decode`` read it without falling back."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return True


def _to_text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    for line in data.split(b"\n", 2)[:2]:
        cookie = _COOKIE.match(line)
        if cookie:
            try:
                if _CODECS.match(cookie[1]):
                    return data.decode(cookie[1].decode(), "replace")
            except (LookupError, ValueError):
                break
    return data.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def blob_id(data: bytes) -> str:
    """The id that git (SHA-1) gives to this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def normalise(path: str) -> str | None:
    """``a/./b/../c`` as ``a/c``; None when it climbs above the root."""
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("/", "."):
            parts.append(part)
    return "/".join(parts)
