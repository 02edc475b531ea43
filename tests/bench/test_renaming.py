"""Renaming changes names and layout and nothing that a reader of the flow would notice."""

from __future__ import annotations

import ast

import pytest

from auditor.bench.renaming import Renaming, rename_locals
from auditor.submission.model import SourceFile, Submission

pytest.importorskip("python_minifier")

CODE = '''\
"""What it does."""
from dataclasses import dataclass

@dataclass
class Settings:
    order: int = 3

def score(stream, settings):
    """Scores."""
    gold_token = stream[1:]
    context_key = stream[:-1]
    joined_key = context_key ^ gold_token
    return joined_key
'''


def test_local_names_go_and_global_names_stay() -> None:
    renamed = rename_locals(CODE)
    assert renamed is not None
    assert "gold_token" not in renamed and "joined_key" not in renamed
    assert "def score(" in renamed and "order:int" in renamed.replace(" ", "")
    assert len(renamed.splitlines()) < len(CODE.splitlines())
    ast.parse(renamed)


def test_what_can_not_be_parsed_stays() -> None:
    assert rename_locals("def broken(:") is None
    assert rename_locals("x = '\0'") is None


def test_every_python_file_once_and_nothing_else() -> None:
    entry = SourceFile("r/train_gpt.py", CODE)
    helper = SourceFile("r/helper.py", CODE)
    payload = SourceFile("r/train_gpt.py!payload-1", CODE, host="r/train_gpt.py", host_line=3)
    kernel = SourceFile("r/train_gpt.py!payload-2", "int x;", "c")
    given = Submission(
        "r",
        entry,
        modules={"helper": helper, "helper.py": helper, "bad": SourceFile("r/bad.py", "def (")},
        payloads={"r/train_gpt.py": (payload, kernel)},
    )
    renaming = Renaming()
    done = renaming.submission(given)
    assert done.entry.text != CODE
    assert done.modules["helper"] is done.modules["helper.py"]
    assert done.modules["bad"].text == "def ("
    first, second = done.payloads["r/train_gpt.py"]
    assert (first.text != CODE, first.host_line, second.text) == (True, 3, "int x;")
    assert (renaming.renamed, renaming.left) == (3, 1)
