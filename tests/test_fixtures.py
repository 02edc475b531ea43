"""The shipped submissions: every marked line is reported as marked, every other line stays silent."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from auditor import rulesets
from auditor.audit import audit
from auditor.report.model import Level, SubmissionReport
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
    extra = folder / "expect.toml"
    if extra.exists():
        for row in tomllib.loads(extra.read_text())["finding"]:
            found[row["rule"], row["path"], row["line"]] = row["level"]
    return found


@cache
def report(folder: Path) -> SubmissionReport:
    (submission,) = [s for s in load([folder]) if isinstance(s, Submission) and not s.auxiliary]
    return audit(submission, rulesets.load())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_fixture(folder: Path) -> None:
    wanted = expected(folder)
    got = {
        (f.rule, f.path, f.line): f.level.value
        for f in report(folder).findings
        if f.level is not Level.NOTE
    }
    loud = {place: level for place, level in wanted.items() if level != Level.NOTE.value}
    assert got == loud
    assert (folder.parent.name == "violating") == bool(loud) or folder.parent.name == "tricky"
