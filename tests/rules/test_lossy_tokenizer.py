"""What takes something from a text before it is tokenised, and what only looks like it."""

from __future__ import annotations

import pytest

from auditor.analysis.program import Program
from auditor.rules.lossy_tokenizer import check
from auditor.submission.model import SourceFile, Submission

HEAD = "import os, unicodedata\nimport sentencepiece as spm\nsp = spm.SentencePieceProcessor()\n"
TEXT = HEAD + "text = open('a.txt').read()\n"


def lines(code: str) -> list[int]:
    program = Program.build(Submission("", SourceFile("train_gpt.py", code)))
    return [finding.line for finding in check(program)]


@pytest.mark.parametrize(
    "code",
    [
        TEXT + "ids = sp.encode(text.lower())\n",
        TEXT + "ids = sp.EncodeAsIds(unicodedata.normalize('NFKD', text))\n",
        TEXT + "ids = sp.encode(text.casefold().strip(), out_type=int)\n",
    ],
)
def test_text_that_is_normalised_is_noted(code):
    assert lines(code) == [5]


@pytest.mark.parametrize(
    "code",
    [
        TEXT + "ids = sp.encode(text)\n",
        TEXT + "ids = sp.encode(unicodedata.normalize('NFC', text))\n",
        TEXT + "print(text.lower().encode('utf-8'))\n",
        TEXT + "ids = sp.encode(text)\nprint(text.lower())\n",
        TEXT + "kind = os.environ['KIND'].lower()\nids = sp.encode(text)\n",
        TEXT + "ids = sp.encode(''.join('^' + c.lower() if c.isupper() else c for c in text))\n",
        TEXT + "def folded():\n    return sp.encode(text.lower())\n",  # never called
    ],
)
def test_what_loses_nothing_is_silent(code):
    assert lines(code) == []


def test_shards_that_call_themselves_folded_are_noted():
    code = (
        "from huggingface_hub import snapshot_download\nsnapshot_download('me/sp8192_casefold')\n"
    )
    assert lines(code) == [2]
