"""--against: a score, a record folder or logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor import cli, rulesets
from auditor.evidence.against import read
from auditor.submission.load import load

LIMITS = rulesets.load().limits
RECORD = Path(__file__).parents[2] / "fixtures/submissions/clean/three_seeds_measured"


def test_a_score() -> None:
    found = read(["1.0810"], LIMITS)
    assert (found.name, found.scores) == ("1.0810", (1.081,))


def test_a_record_folder_gives_the_scores_of_its_runs() -> None:
    assert len(set(read([str(RECORD)], LIMITS).scores)) == 3


def test_logs() -> None:
    logs = sorted(map(str, RECORD.glob("*.log")))
    assert set(read(logs, LIMITS).scores) == set(read([str(RECORD)], LIMITS).scores)


@pytest.mark.parametrize("given", ["nan", "-1", "no/such/folder", str(RECORD / "README.md")])
def test_what_holds_no_score_is_wrong_usage(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError):
        read([given], LIMITS)
    assert cli.main(["audit", str(RECORD), f"--against={given}"]) == 2
    assert "--against" in capsys.readouterr().err


def test_the_margin_states_both_p_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert any(load([RECORD]))
    cli.main(["audit", str(RECORD), "--against", "1.2500"])
    out = " ".join(capsys.readouterr().out.split())
    assert "note[margin] 1.23537 over 3 runs against 1.25000" in out
    assert "for 0.005 nats, which meets the README's p < 0.01" in out
