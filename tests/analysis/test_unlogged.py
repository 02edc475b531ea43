"""Which lines of a script the logs contradict."""

from __future__ import annotations

import ast

import pytest

from auditor.analysis.unlogged import Unlogged
from auditor.submission.model import SourceFile

SCRIPT = """\
def adapt():
    log("adapting the weights")
    return 1

def main():
    log("training is done")
    if flag:
        adapt()
    log("final score")
"""
BEFORE, WITHIN, AFTER = "training is done\n", "adapting the weights\n", "final score\n"


def missing(log: str, line: int) -> str | None:
    source = SourceFile("train_gpt.py", SCRIPT)
    branch = next(n for n in ast.walk(ast.parse(SCRIPT)) if isinstance(n, ast.If))
    found = Unlogged(source, [SourceFile("train.log", log)] if log else [], [branch.body]).at(line)
    return found.text if found else None


@pytest.mark.parametrize("line", [2, 3, 8])
def test_branch_and_what_only_it_calls(line: int) -> None:
    assert missing(BEFORE + AFTER, line) == "adapting the weights"
    assert missing(SCRIPT + BEFORE + AFTER, line) == "adapting the weights"  # printed source


@pytest.mark.parametrize("log", ["", "something else\n", BEFORE + WITHIN + AFTER, BEFORE + WITHIN])
def test_no_proof(log: str) -> None:
    assert missing(log, 8) is None


def test_other_lines_are_left_alone() -> None:
    assert missing(BEFORE + AFTER, 9) is None
