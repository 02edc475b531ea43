"""Where a finding stands, for programs that open files: on disk, whatever it was decoded from."""

from __future__ import annotations

import os
from dataclasses import dataclass

from auditor.report.model import SubmissionReport


@dataclass(frozen=True)
class Place:
    """A line of a file. ``path`` is POSIX and, where it can be, relative to the working folder.

    ``decoded`` names the place in the text that was unpacked from that line: ``x.py!payload-1:12``.
    """

    path: str
    line: int
    end_line: int
    column: int  # in characters, from 0
    decoded: str = ""


def place(
    report: SubmissionReport, path: str, line: int, end_line: int = 0, column: int = 0
) -> Place:
    """The place of a finding, of a step or of the entry script."""
    host = report.hosts.get(path)
    if host is None:
        return Place(on_disk(report, path), line, max(line, end_line), column)
    return Place(on_disk(report, host[0]), host[1], host[1], 0, f"{path}:{line}")


def on_disk(report: SubmissionReport, path: str) -> str:
    """A path of the submission as seen from the working folder; in a clone, from its root."""
    whole = os.path.normpath(os.path.join(report.root, path))
    near = os.path.relpath(whole) if os.path.isabs(whole) else whole
    return (whole if near.startswith("..") else near).replace(os.sep, "/")
