"""Reading label rows, and the addresses made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor.bench.labels import Expect, LabelError, link, read

DATA: dict[str, Any] = {
    "pr": 7,
    "sha": "abc",
    "path": "records/t/x (1)/train_gpt.py",
    "rule": "target-in-key",
    "expect": "violation",
    "line": 12,
    "confidence": "high",
    "note": "why",
}


def test_a_row_keeps_what_scoring_needs() -> None:
    (row,) = read(["", json.dumps(DATA)])
    assert (row.pr, row.expect, row.line, row.names_code) == (7, Expect.VIOLATION, 12, True)
    assert row.link == (
        "https://github.com/openai/parameter-golf/blob/abc/records/t/x%20%281%29/train_gpt.py#L12"
    )


@pytest.mark.parametrize("change", [{"line": None}, {"path": "records/t/x/train.log"}])
def test_a_row_without_a_line_of_code_speaks_of_the_whole_submission(
    change: dict[str, Any],
) -> None:
    (row,) = read([json.dumps({**DATA, **change})])
    assert not row.names_code


def test_a_payload_links_to_its_host_without_a_line() -> None:
    assert link("abc", "a/b.py!payload-1", 9).endswith("/blob/abc/a/b.py")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        (json.dumps({**DATA, "expect": "perhaps"}), "perhaps"),
        (json.dumps({k: v for k, v in DATA.items() if k != "sha"}), "'sha'"),
    ],
)
def test_a_bad_row_is_named(line: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        read([json.dumps(DATA), line])
