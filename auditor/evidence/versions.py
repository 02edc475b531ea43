"""Whether the logs are of the code that is handed in: the source that they print, its size, its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from auditor.evidence.record import Record, Run
from auditor.submission.model import SourceFile

EDITED_BYTES = 200  # of code: a comment or a default changed between runs
EDITED_LINES = 12
_FEWEST_LINES = 20  # fewer are no script
_MOST_MODULES = 6  # whose sizes are summed in every combination
_PACKED = re.compile(r"(?i)compress|minif|lzma|packed|wrapp")
_WORD = re.compile(r"[a-z]{5,}")


@dataclass(frozen=True)
class Difference:
    """Distinct lines of code, comments left out, that the log's source and the shipped one don't share."""

    logged_only: int
    shipped_only: int
    shared: int
    path: str  # of the shipped source that is nearest
    line: int  # where the log prints it


def printed_source(record: Record, run: Run) -> Difference | None:
    """How the source that a run prints differs from the nearest shipped one; None if it prints none."""
    source = record.source(run.log.path)
    if source is None or not run.log.source_lines:
        return None
    lines = source.text.splitlines()
    first = run.log.source_lines[0][0]
    logged = _code(line for a, b in run.log.source_lines for line in lines[a - 1 : b])
    if len(logged) < _FEWEST_LINES:
        return None
    nearest = max(
        (_difference(logged, shipped, first) for shipped in _shipped(record)),
        key=lambda d: d.shared,
        default=None,
    )
    return nearest


def _difference(logged: set[str], shipped: SourceFile, line: int) -> Difference:
    own = _code(shipped.text.splitlines())
    shared = len(logged & own)
    return Difference(len(logged) - shared, len(own) - shared, shared, shipped.path, line)


def _code(lines: Iterable[str]) -> set[str]:
    """Distinct lines of code; indentation, comments and the frame of a log's banner left out."""
    plain = (line.strip() for line in lines)
    return {line for line in plain if line and line[0] not in "#=-|+"}


def _shipped(record: Record) -> list[SourceFile]:
    submission = record.submission
    found = [submission.entry, *submission.modules.values()]
    found += [text for group in submission.payloads.values() for text in group]
    return list({source.path: source for source in found if source.language == "python"}.values())


def shipped_sizes(record: Record) -> set[int]:
    """Every size in bytes that the shipped code may be counted with: entry alone, or with modules."""
    submission = record.submission
    entry = len(submission.entry.text.encode("utf-8", "replace"))
    own = [len(s.text.encode("utf-8", "replace")) for s in submission.modules.values()]
    own = [size for size in own if size != entry][:_MOST_MODULES]
    sizes = {entry, *own}
    for count in range(1, len(own) + 1):
        sizes.update(entry + sum(group) for group in combinations(own, count))
    packed = [text for group in submission.payloads.values() for text in group]
    sizes.update(len(text.text.encode("utf-8", "replace")) for text in packed)
    on_disk = submission.files.get(submission.entry.path)
    return sizes | ({on_disk} if on_disk else set())


def is_packed(run: Run) -> bool:
    """Whether the log counts the code in a compressed or minified form."""
    figure = run.log.code_bytes
    return figure is not None and bool(_PACKED.search(figure.kind))


def foreign_label(record: Record, run: Run) -> str:
    """The words of the headline's line that no shipped source holds; empty if some hold one."""
    if run.headline is None:
        return ""
    words = _WORD.findall(run.headline.label.lower())
    if not words:
        return ""
    texts = [
        source.text.lower() for source in record.submission.by_path().values() if _is_code(source)
    ]
    return "" if any(word in text for word in words for text in texts) else run.headline.label


def _is_code(source: SourceFile) -> bool:
    return source.language in ("python", "c", "cpp", "cuda", "shell")
