"""The printed report and its JSON say the same, with links."""

from __future__ import annotations

import json

from auditor.bench.labels import Expect, Row
from auditor.bench.scoring import AuditedPull, AuditedSubmission, Judgement, Result, Spot
from auditor.bench.text import Bench, render, to_json
from auditor.report.model import Level

SCRIPT = "records/t/x/train_gpt.py"


def row(pr: int, expect: Expect, confidence: str = "high") -> Row:
    return Row(pr, f"sha{pr}", SCRIPT, "target-in-key", expect, 40, confidence)


SPOT = Spot("target-in-key", Level.VIOLATION, Level.VIOLATION, f"{SCRIPT}!payload-1", 41, 41)
JUDGED = (
    Judgement(row(1, Expect.VIOLATION), Result.FOUND, (SPOT,)),
    Judgement(row(2, Expect.VIOLATION, "low"), Result.MISSED, reason="too deep"),
    Judgement(row(3, Expect.CLEAN), Result.FALSE_ALARM, (SPOT,)),
    Judgement(row(4, Expect.CLEAN), Result.SILENT),
)
SUBMISSION = AuditedSubmission("records/t/x", SCRIPT, "violation", frozenset(), (SPOT,))
PULLS = {
    1: AuditedPull((SUBMISSION,), seconds=2.0, peak_bytes=3 << 20),
    2: AuditedPull(error="boom", seconds=1.0),
}


def test_rows_with_links_and_one_table() -> None:
    text = "\n".join(render(Bench(JUDGED, PULLS)))
    assert "blob/sha1/records/t/x/train_gpt.py (line 41 of its payload)" in text
    assert "blob/sha2/records/t/x/train_gpt.py#L40" in text
    assert "too deep" in text
    table = next(line for line in text.splitlines() if line.startswith("target-in-key  "))
    assert table.split() == [
        *("target-in-key", "1/1", "100.0", "%", "1/2", "50.0", "%"),
        *("0", "1/2", "1/2", "0", "0", "0"),
    ]
    assert "median 2.00 s, peak 3 MiB; slowest #1 2.0 s" in text
    assert text.splitlines()[-1] == "#2: boom"


def test_json_has_every_row_and_count() -> None:
    document = json.loads(json.dumps(to_json(Bench(JUDGED, PULLS))))
    assert document["rules"]["target-in-key"]["high"]["found"] == 1
    assert document["rules"]["target-in-key"]["all"]["missed"] == 1
    assert [r["result"] for r in document["rows"]] == [j.result.value for j in JUDGED]
    assert document["rows"][0]["findings"][0]["line"] == 41
    assert document["pulls"]["2"]["faults"] == ["boom"]
    assert "renamed" not in document


def test_renaming_names_the_rows_that_changed() -> None:
    changed = [(JUDGED[0].row, JUDGED[0], Judgement(JUDGED[0].row, Result.MISSED))]
    renamed = {1: AuditedPull((SUBMISSION,), renamed_files=5, unrenamed_files=1)}
    bench = Bench(JUDGED, PULLS, renamed, changed)
    assert bench.kept == 0.75
    text = "\n".join(render(bench))
    assert "renamed: 75.0 % of the rows keep their result (5 files renamed, 1 could not" in text
    assert "#1     target-in-key: found violation -> missed" in text
    assert to_json(bench)["renamed"]["changed"][0]["plain_result"] == "found"
