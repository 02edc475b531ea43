"""Notes for reviewers: each of them, and what looks like it."""

from __future__ import annotations

import pytest

from auditor import rulesets
from auditor.analysis.program import Program
from auditor.evidence.record import Record
from auditor.rules.robustness import check, check_record
from auditor.submission.model import Claim, SourceFile, Submission

SUM = """\
import torch
model = torch.nn.Linear(2, 2)
sums = None
for step in range(100):
    if sums is None:
        sums = {n: w.clone() for n, w in model.state_dict().items()}
    else:
        for n, w in model.state_dict().items():
            sums[n] += w
"""
HASH = """\
import torch
FACTORS = [3, 5, 7]
t = torch.load("tokens.pt")
for order in range(2, TOP):
    h = t * FACTORS[0]
    for k in range(1, order - 1):
        h = h ^ (t[k:] * FACTORS[k % len(FACTORS)])
"""


def lines(code: str) -> list[int]:
    program = Program.build(Submission("", SourceFile("train_gpt.py", code)))
    return sorted(finding.line for finding in check(program))


@pytest.mark.parametrize(
    ("code", "noted"),
    [
        ("import torch\nx = torch.load('a')\ny = x & (3000 - 1)\n", [3]),
        ("import torch\nx = torch.load('a')\ny = x & (4096 - 1)\n", []),
        ("import torch\nx = torch.load('a')\ny = x & 0xF0F0\n", []),  # bits, not buckets
        ("import torch\nbuckets = 1\nx = torch.load('a') % (buckets - 1)\n", [3]),
        ("import torch\nbuckets = 2\nx = torch.load('a') % (buckets - 1)\n", []),
        ("import torch\ndims = 15\nf = torch.arange(0, dims, 2)\n", [3]),
        ("import torch\ndims = 16\nf = torch.arange(0, dims, 2)\n", []),
        ("import torch\nf = torch.arange(1, 15, 2)\n", []),
        (SUM, [9]),
        (SUM + "model.load_state_dict({n: s / 100 for n, s in sums.items()})\n", []),
        (SUM + "torch.save(sums, 'a.pt')\n", []),
        (HASH.replace("TOP", "6"), [7]),
        (HASH.replace("TOP", "5"), []),  # k stays below 3
        (HASH.replace("TOP", "6").replace("h ^ (", "h + ("), []),  # nothing cancels in a sum
    ],
)
def test_what_the_code_shows(code, noted):
    assert lines(code) == noted


def notes(code: str, *claims: Claim) -> list[tuple[str, int]]:
    submission = Submission("", SourceFile("train_gpt.py", code), claims=claims)
    found = check_record(Record(submission, rulesets.load().limits))
    return [(finding.path, finding.line) for finding in found]


def claim(name: str, kind: str = "readme") -> Claim:
    return Claim(name, "1", kind, "README.md", 7)


def test_a_setting_that_nothing_names_is_noted_once_a_line():
    unread = claim("TTT_ENABLED"), claim("KG_WEIGHT")
    assert notes("print(1)", *unread) == [("README.md", 7)]


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        ("os.environ.get('TTT_ENABLED')", "TTT_ENABLED", "readme"),
        ("for k in os.environ: setattr(args, k, os.environ[k])", "TTT_ENABLED", "readme"),
        ("os.environ[f'TTT_{name}']", "TTT_ENABLED", "readme"),
        ("os.environ.get(field.name.upper())", "TTT_ENABLED", "readme"),
        ("", "NCCL_DEBUG", "readme"),
        ("", "ttt_enabled", "readme"),
        ("", "TTT_ENABLED", "log"),
    ],
)
def test_settings_that_something_may_read_are_silent(code, name, kind):
    assert notes(code, claim(name, kind)) == []


@pytest.mark.parametrize(("length", "noted"), [(1600, True), (1400, False)])
def test_the_line_limit_of_the_docstring(length, noted):
    text = '"""\nThis file must never be longer than 1500 lines.\n"""\n' + "x = 1\n" * length
    assert notes(text) == ([("train_gpt.py", 2)] if noted else [])
