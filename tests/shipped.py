"""The shipped submissions: where they are, what they expect, and what an audit says of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from auditor import rulesets
from auditor.audit import audit
from auditor.report.model import SubmissionReport
from auditor.submission.load import load
from auditor.submission.model import Submission

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

FIXTURES = Path(__file__).parent.parent / "fixtures" / "submissions"
FOLDERS = sorted(
    p for kind in ("violating", "clean", "tricky") for p in (FIXTURES / kind).iterdir()
)
MARKER = re.compile(r"(?:#|//|<!--) ?expect: (?P<rules>.+?)(?: ?-->)?$")

Place = tuple[str, str, int]  # rule, file, line


def expected(folder: Path) -> dict[Place, str]:
    """(rule, file, line) -> level, from the markers beside the code and from expect.toml."""
    found: dict[Place, str] = {}
    for path in folder.rglob("*"):
        if path.suffix not in (".py", ".c", ".cpp", ".md", ".sh"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            marker = MARKER.search(line)
            if marker:
                for one in marker["rules"].split(","):
                    rule, level = one.split()
                    found[rule, path.relative_to(folder).as_posix(), number] = level
    for row in _extra(folder).get("finding", ()):
        found[row["rule"], row["path"], row["line"]] = row["level"]
    return found


def silent(folder: Path) -> tuple[str, ...]:
    """The rules that the submission looks like breaking and does not: expect.toml's ``silent``."""
    return tuple(_extra(folder).get("silent", ()))


def _extra(folder: Path) -> dict[str, Any]:
    path = folder / "expect.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


@cache
def report(folder: Path) -> SubmissionReport:
    (submission,) = [s for s in load([folder]) if isinstance(s, Submission) and not s.auxiliary]
    return audit(submission, rulesets.load())
