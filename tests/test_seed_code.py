"""Code of a submission is taken out with what it names, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import seed_code

TEXT = """\
import unheard_of

raise SystemExit

FLOOR = 2

def floor(x):
    return max(x, FLOOR)

class Model(nn.Module):
    def forward(self, x: Undefined) -> int:
        return floor(x) + OFFSET

class Other(missing.Base):
    pass
"""


def test_a_definition_and_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_code, "_text", lambda repo, commit, path: TEXT)
    model = seed_code.definition("clone", "1094", "train_gpt.py", "Model", {"OFFSET": 10})
    assert model().forward(1) == 12


def test_a_clone_without_the_pull_requests(tmp_path: Path) -> None:
    with pytest.raises(seed_code.MissingSeed, match="fetch"):
        seed_code.definition(str(tmp_path), "1094", "train_gpt.py", "GPT", {})
