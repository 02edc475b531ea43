"""Reads logs that tests write, or keep in fixtures/logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.evidence import reader
from auditor.evidence.runlog import RunLog
from auditor.submission.model import SourceFile

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"


@pytest.fixture
def runs() -> Callable[[str], tuple[RunLog, ...]]:
    """The runs in a text, or in the file of fixtures/logs with that name."""

    def read(text: str) -> tuple[RunLog, ...]:
        if text.endswith(".log"):
            text = (LOGS / text).read_text()
        return reader.read(SourceFile("train.log", text, "text"))

    return read


@pytest.fixture
def run(runs: Callable[[str], tuple[RunLog, ...]]) -> Callable[[str], RunLog]:
    """The only run in a text or file."""

    def read(text: str) -> RunLog:
        (found,) = runs(text)
        return found

    return read
