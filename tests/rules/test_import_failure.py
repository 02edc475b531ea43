"""What a script needs and what stands beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import rulesets
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules.import_failure import _nested, check_record
from auditor.submission.model import SourceFile, Submission

NEWER = 'rows = {}\nprint(f"{\'a\'}: {", ".join(rows)}")\n'


def found(code: str, readme: str = "", log: str = "", **modules: str) -> list[Finding]:
    submission = Submission(
        "",
        SourceFile("train_gpt.py", code),
        modules={name: SourceFile(f"{name}.py", text) for name, text in modules.items()},
        readme=(SourceFile("README.md", readme, "text"),),
        logs=(SourceFile("train.log", log, "text"),),
    )
    return list(check_record(Record(submission, rulesets.load().limits)))


def places(findings: list[Finding]) -> list[tuple[Level, str, int]]:
    return [(f.level, f.path, f.line) for f in findings]


def test_an_unknown_module_is_asked_about_once():
    assert places(found("import os\nimport my_kernels\nfrom my_kernels import x\n")) == [
        (Level.QUESTION, "train_gpt.py", 2)
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import torch, numpy as np, sentencepiece\nfrom huggingface_hub import hf_hub_download\n",
        "import beside\n",
        "try:\n    import my_kernels\nexcept ImportError:\n    my_kernels = None\n",
        "def f():\n    import my_kernels\n",  # nothing shows that it is called
        "text = '''\nimport my_kernels\n'''\n",
        "from .beside import x\n",
    ],
)
def test_what_is_provided_or_not_needed_is_silent(code):
    assert found(code, beside="x = 1\n") == []


def test_a_fallback_that_raises_is_none():
    code = "try:\n    import my_kernels\nexcept ImportError as e:\n    raise SystemExit(1) from e\n"
    assert places(found(code)) == [(Level.QUESTION, "train_gpt.py", 2)]


@pytest.mark.parametrize("readme", ["pip install flash-linear-attention", "`fla` is needed"])
def test_a_package_that_the_readme_names_is_provided(readme):
    assert found("import fla\n", readme) == []


def test_a_common_compressor_is_a_note():
    assert places(found("import zstandard\n")) == [(Level.NOTE, "train_gpt.py", 1)]


def test_modules_need_things_too():
    assert places(found("import beside\n", beside="import elsewhere\n")) == [
        (Level.QUESTION, "beside.py", 1)
    ]


@pytest.mark.parametrize(
    ("readme", "log", "level"),
    [
        ("", "", Level.NOTE),
        ("", "Running Python 3.11.9 (main)", Level.QUESTION),
        ("Needs Python 3.10", "", Level.QUESTION),
        ("", "Running Python 3.12.3 (main)", None),
        ("Needs Python 3.10", "Running Python 3.13.0", None),
    ],
)
def test_newer_f_strings_need_a_newer_python(readme, log, level):
    got = places(found(NEWER, readme, log))
    assert got == ([(level, "train_gpt.py", 2)] if level else [])


def test_older_f_strings_and_comments_are_silent():
    code = 'd = {\'x\': 1}\n# f"{d["x"]}"\nprint(f"{d[\'x\']} {{}}", f\'{d}\' "{" f"{1:{2}}")\n'
    assert found(code, log="Running Python 3.11.9") == []


def test_text_that_is_no_python_is_a_suspect():
    assert places(found("x = 1\nimport io import math\n")) == [(Level.SUSPECT, "train_gpt.py", 2)]


@given(st.text(alphabet="fF\"'{}\\ \na", max_size=300))
def test_the_search_for_nested_quotes_takes_any_text(text):
    for start in _nested(text):
        assert text[start] in "fF"
