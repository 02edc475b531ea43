"""Which printed score a submission claims, by what it states and what its logs hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from shipped import FIXTURES

from auditor.analysis.claimed import beginning
from auditor.analysis.program import Program
from auditor.submission.load import load
from auditor.submission.model import SourceFile, Submission

FOLDER = FIXTURES / "tricky" / "diagnostic_after_ttt"


@pytest.mark.parametrize(
    ("readme", "printed"),
    [
        ("val_bpb 1.1185", "score_first_ttt_exact val_loss:"),
        ("val_bpb 1.0830", "diagnostic_after_ttt val_loss:"),
        ("val_bpb 1.2222", None),
    ],
)
def test_the_readme_tells_where_submission_json_does_not(readme: str, printed: str | None) -> None:
    (whole,) = [s for s in load([FOLDER]) if isinstance(s, Submission)]
    text = SourceFile("README.md", f"# A run\n\n{readme}\n", "text")
    program = Program.build(replace(whole, metadata=None, metadata_file=None, readme=(text,)))
    claimed = program.learning.claimed_report
    assert (claimed and beginning(claimed)) == printed
