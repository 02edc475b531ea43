"""Every marked line of a shipped submission is reported as marked, every other line stays silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipped import FOLDERS, expected, report

from auditor.report.model import Level


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
