"""What an entry reaches: imports, files run by path, started programs, native code."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.submission.model import SourceFile
from auditor.submission.modules import Reached, reach
from auditor.submission.tree import DirectoryTree


def reached(root: Path, files: dict[str, str], entry: str = "rec/train_gpt.py") -> Reached:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return reach(SourceFile(entry, files[entry]), DirectoryTree(root), "rec")


WAYS = {
    "import": ("import mixer", "mixer", "rec/mixer.py"),
    "import as": ("import mixer as m, os", "mixer", "rec/mixer.py"),
    "from": ("from mixer import Table", "mixer", "rec/mixer.py"),
    "in a function": (
        "def f():\n  if a:\n    try:\n      import mixer\n    except E: pass",
        "mixer",
        "rec/mixer.py",
    ),
    "package": ("import pkg.sub", "pkg.sub", "rec/pkg/sub.py"),
    "from package": ("from pkg import sub", "pkg.sub", "rec/pkg/sub.py"),
    "package itself": ("import pkg.sub", "pkg", "rec/pkg/__init__.py"),
    "relative": ("from .mixer import Table", "mixer", "rec/mixer.py"),
    "relative module": ("from . import mixer", "mixer", "rec/mixer.py"),
    "from the root": ("import shared", "shared", "shared.py"),
    "changed sys.path": (
        "import sys\nsys.path.insert(0, 'deep')\nimport hidden",
        "hidden",
        "rec/deep/hidden.py",
    ),
    "import_module": (
        "import importlib\nm = importlib.import_module('mixer')",
        "mixer",
        "rec/mixer.py",
    ),
    "__import__": ("m = __import__('mixer')", "mixer", "rec/mixer.py"),
    "exec": ("exec(open('mixer.py').read())", "mixer.py", "rec/mixer.py"),
    "exec of a path": (
        "from pathlib import Path\nexec(compile(Path('mixer.py').read_text(), 'x', 'exec'))",
        "mixer.py",
        "rec/mixer.py",
    ),
    "exec beside __file__": (
        "import os\np = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'mixer.py')\n"
        "with open(p) as f:\n  exec(f.read())",
        "mixer.py",
        "rec/mixer.py",
    ),
    "runpy": ("import runpy\nrunpy.run_path('mixer.py')", "mixer.py", "rec/mixer.py"),
    "runpy elsewhere": (
        "import runpy\nfrom pathlib import Path\n"
        "runpy.run_path(str(Path(__file__).resolve().parents[1] / 'shared.py'))",
        "../shared.py",
        "shared.py",
    ),
    "loader function": (
        "import importlib.util as u\n"
        "def load(path, name):\n  s = u.spec_from_file_location(name, path)\n"
        "  m = u.module_from_spec(s)\n  s.loader.exec_module(m)\n  return m\n"
        "def get():\n  return load('mixer.py', 'mixer')\n",
        "mixer.py",
        "rec/mixer.py",
    ),
    "subprocess": (
        "import subprocess, sys\nsubprocess.run([sys.executable, 'mixer.py', '--x'])",
        "mixer.py",
        "rec/mixer.py",
    ),
    "subprocess, command in a variable": (
        "import subprocess, sys\ncmd = ['torchrun', 'mixer.py']\nsubprocess.check_call(cmd)",
        "mixer.py",
        "rec/mixer.py",
    ),
    "os.system": (
        "import os\nos.system('torchrun --nproc_per_node=8 mixer.py')",
        "mixer.py",
        "rec/mixer.py",
    ),
    "unparseable": ("import mixer\nprint 'x'", "mixer", "rec/mixer.py"),
}
FILES = {
    "rec/mixer.py": "x = 1",
    "rec/pkg/__init__.py": "",
    "rec/pkg/sub.py": "y = 1",
    "rec/deep/hidden.py": "z = 1",
    "shared.py": "s = 1",
}


@pytest.mark.parametrize("way", WAYS)
def test_reaches(way: str, tmp_path: Path) -> None:
    script, name, path = WAYS[way]
    found = reached(tmp_path, {**FILES, "rec/train_gpt.py": script})
    assert {key: source.path for key, source in found.modules.items()}.get(name) == path
    assert not found.problems


@pytest.mark.parametrize(
    "script",
    [
        "import torch, numpy as np\nfrom os import path",
        "name = 'mixer.py'\nprint('import mixer')",
        "# import mixer",
    ],
)
def test_does_not_reach(script: str, tmp_path: Path) -> None:
    assert not reached(tmp_path, {**FILES, "rec/train_gpt.py": script}).modules


def test_follows_modules_of_modules_and_cycles(tmp_path: Path) -> None:
    files = {
        "rec/train_gpt.py": "import a",
        "rec/a.py": "import pkg.b",
        "rec/pkg/b.py": "from . import c\nfrom .. import nothing",
        "rec/pkg/c.py": "import train_gpt, a",
    }
    found = reached(tmp_path, files)
    assert set(found.modules) == {"a", "pkg.b", "pkg.c", "train_gpt"}


def test_payload_imports_count(tmp_path: Path) -> None:
    script = f"exec(bytes({list(b'import mixer' + bytes([10]))!r}).decode())"
    files = {**FILES, "rec/train_gpt.py": script}
    found = reached(tmp_path, files)
    assert found.modules["mixer"].path == "rec/mixer.py"
    assert [p.text for p in found.payloads["rec/train_gpt.py"]] == ["import mixer\n"]


def test_module_that_unpacks_itself(tmp_path: Path) -> None:
    files = {"rec/train_gpt.py": "import packed", "rec/packed.py": "exec('a = 1' + '')"}
    found = reached(tmp_path, files)
    assert list(found.payloads) == ["rec/packed.py"]


def test_module_that_is_unpacked_wins_its_import(tmp_path: Path) -> None:
    script = "open('/tmp/x/mixer.py', 'w').write('q = ' + '1')\nimport mixer\n"
    script += "exec(open('/tmp/x/mixer.py').read())"
    found = reached(tmp_path, {**FILES, "rec/train_gpt.py": script})
    assert found.modules["mixer"].text == "q = 1"


def test_never_leaves_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("secret = 1")
    root = tmp_path / "root"
    found = reached(
        root, {"rec/train_gpt.py": "exec(open('../../outside.py').read())\nfrom ... import outside"}
    )
    assert not found.modules
    (problem,) = found.problems
    assert "not handed in" in problem.what


C_SOURCE = """
#include <stdint.h>
int probe(const uint16_t *tokens, int n) {
    int s = 0;
    for (int i = 0; i < n; i++) { s += tokens[i]; }
    return s;
}
"""


@pytest.mark.parametrize(
    ("source", "language"),
    [
        (C_SOURCE, "c"),
        (C_SOURCE + "#include <torch/extension.h>\n", "cpp"),
        ("#include <x>\n__global__ void k(float *x) { x[0] = 1; }\n", "cuda"),
    ],
)
def test_native_code_in_strings(source: str, language: str, tmp_path: Path) -> None:
    script = f"from torch.utils.cpp_extension import load_inline\nA = 1\nSRC = r'''{source}'''\n"
    (native,) = reached(tmp_path, {"rec/train_gpt.py": script}).natives
    assert (native.path, native.language) == ("rec/train_gpt.py!native-1", language)
    assert (native.host, native.host_line) == ("rec/train_gpt.py", 3)


def test_prose_is_no_native_code(tmp_path: Path) -> None:
    script = (
        'load_inline = 1\ndoc = "#include a README; {braces} and more words to be long enough"\n'
    )
    assert not reached(tmp_path, {"rec/train_gpt.py": script}).natives
