"""The bytes that are handed in: the code that the score needs."""

from __future__ import annotations

import lzma
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from auditor.submission.model import SourceFile, Submission


@dataclass(frozen=True)
class Shipped:
    """Sizes in bytes as handed in. The tokenizer is not counted, and packed code counts packed."""

    entry: int
    helpers: dict[str, int]  # modules and native sources that the entry needs, by path

    @property
    def code(self) -> int:
        """All code that is needed to reproduce the score."""
        return self.entry + sum(self.helpers.values())


def shipped(submission: Submission) -> Shipped:
    """What the submission's files weigh; decoded payloads are in the files that hold them."""
    needed = {
        source.path: _size(submission, source)
        for source in (*submission.modules.values(), *submission.natives)
        if source.host is None
        and source.path != submission.entry.path
        and posixpath.commonpath((source.path, submission.path)) == submission.path
    }
    return Shipped(_size(submission, submission.entry), needed)


def packed(sources: Iterable[SourceFile]) -> int:
    """The bytes of these sources compressed together, as the accepted packed scripts are."""
    return len(lzma.compress("\0".join(s.text for s in sources).encode(errors="replace"), preset=9))


def _size(submission: Submission, source: SourceFile) -> int:
    known = submission.files.get(source.path)
    return len(source.text.encode(errors="replace")) if known is None else known
