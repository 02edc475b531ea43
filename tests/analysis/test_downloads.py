"""What counts as fetching from a network, decided by calls."""

from __future__ import annotations

import pytest

from auditor.analysis.downloads import Downloads, Kind
from auditor.analysis.program import Program
from auditor.submission.model import SourceFile, Submission


def kinds(code: str) -> list[tuple[Kind, int]]:
    program = Program.build(Submission("", SourceFile("train_gpt.py", code)))
    return [(d.kind, d.at.line) for d in Downloads.of(program).all]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("from datasets import load_dataset\nx = load_dataset('a')", Kind.DOCUMENTS),
        ("import datasets as d\nx = d.load_dataset('a')", Kind.DOCUMENTS),
        ("import urllib.request as u\nx = u.urlopen('https://a.org').read()", Kind.FILE),
        ("import requests\nx = requests.get('https://a.org')", Kind.FILE),
        ("import subprocess\nsubprocess.run(['wget', '-q', 'https://a.org'])", Kind.FILE),
        ("import os\nos.system('cd data && git clone https://a.org/b')", Kind.FILE),
        ("from transformers import AutoModel\nm = AutoModel.from_pretrained('a')", Kind.WEIGHTS),
        ("import torch\nm = torch.hub.load('a', 'b')", Kind.WEIGHTS),
    ],
)
def test_fetching(code, kind):
    assert kinds(code) == [(kind, 2)]


@pytest.mark.parametrize(
    "code",
    [
        "raise_later = 'pip install zstandard; curl https://a.org; load_dataset'",
        "import subprocess\nsubprocess.run(['pip', 'install', 'requests'])",
        "import subprocess\nsubprocess.run(['nvidia-smi', '--download'])",
        "import os\nos.system('apt-get install -y lrzip')",
        "from transformers import AutoTokenizer\nt = AutoTokenizer.from_pretrained('a')",
        "from huggingface_hub import HfApi\nHfApi().upload_file(path_or_fileobj='a')",
        "from datasets import load_dataset\n\ndef prepare():\n    return load_dataset('a')",
        "import os\nfrom datasets import load_dataset\nif int(os.environ.get('PREP', '0')):\n"
        "    load_dataset('a')",
    ],
)
def test_set_up_messages_and_what_is_never_called_are_no_downloads(code):
    assert kinds(code) == []
