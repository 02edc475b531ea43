from __future__ import annotations

from dataclasses import replace

from auditor.report.formats import FORMATS
from auditor.report.model import Report
from auditor.report.output import Folder
from auditor.rulesets import load


def test_a_page_each_and_an_index(report, tmp_path):
    bare = replace(report, evidence=None, given="#871")
    beside = replace(bare, entry=f"{bare.path}/../train_gpt_ultimate.py", findings=())
    same = replace(bare, given="../../etc")
    lost = replace(bare, given="", path="", entry="/.py")
    folder = Folder(str(tmp_path / "new"), FORMATS["html"], load())
    reports = (bare, beside, same, bare, lost)
    for each in reports:
        folder.submission(each)
    folder.closing(Report(reports))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "2026-03-26_Cache.html",
        "871-2026-03-26_Cache-2.html",
        "871-2026-03-26_Cache-train_gpt_ultimate.html",
        "871-2026-03-26_Cache.html",
        "index.html",
        "submission.html",
    ]
    index = (tmp_path / "new" / "index.html").read_text()
    assert index.count('href="') == len(reports)
    assert "Violation" in (tmp_path / "new" / "871-2026-03-26_Cache.html").read_text()
