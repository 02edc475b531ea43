"""Code of the submission is followed into its modules and payloads; everything else stays a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]


@pytest.mark.parametrize(
    ("modules", "script"),
    [
        ({"cache": "size = 5"}, "import cache\nshow(cache.size)"),
        ({"cache": "size = 5"}, "import cache as c\nshow(c.size)"),
        ({"cache": "size = 5"}, "from cache import size\nshow(size)"),
        ({"cache": "size = 5"}, "from cache import size as n\nshow(n)"),
        ({"cache": "size = 5"}, "from cache import *\nshow(size)"),
        ({"cache": "size = 5"}, "from .cache import size\nshow(size)"),
        ({"cache": "size = 5"}, "from . import cache\nshow(cache.size)"),
        ({"pkg.cache": "size = 5"}, "from pkg.cache import size\nshow(size)"),
        ({"cache": "size = 5"}, "import importlib\nshow(importlib.import_module('cache').size)"),
        ({"cache": "def f(n): return n + 1"}, "from cache import f\nshow(f(4))"),
        (
            {"cache": "from sizes import size", "sizes": "size = 5"},
            "import cache\nshow(cache.size)",
        ),
        (
            {"cache": "size = 5"},
            "import importlib.util as u\ns = u.spec_from_file_location('c', 'cache.py')\n"
            "m = u.module_from_spec(s)\nshow(m.size)",
        ),
    ],
)
def test_local_modules(trace: Trace, modules: dict[str, str], script: str) -> None:
    assert trace(script, modules=modules).values == [5]


def test_modules_run_once_and_keep_their_state(trace: Trace) -> None:
    traced = trace(
        """
        import cache
        from cache import bump
        import cache as again
        bump()
        show(cache.size, again.size)
        """,
        modules={"cache": "show('run')\nsize = 1\ndef bump():\n    global size\n    size = 2\n"},
    )
    assert traced.values == ["run", 2, 2]


def test_modules_that_import_each_other(trace: Trace) -> None:
    traced = trace(
        "import one\nshow(one.f())\n",
        modules={
            "one": "import two\nn = 3\ndef f(): return two.g()\n",
            "two": "import one\ndef g(): return one.n\n",
        },
    )
    assert traced.values == [3]


def test_nodes_say_which_file_they_are_from(trace: Trace) -> None:
    traced = trace(
        "from cache import f\nf()\nshow(1)\n", modules={"cache": "\ndef f():\n    show(0)\n"}
    )
    assert [(n.path, n.line) for n in traced.calls("show")] == [
        ("cache.py", 3),
        ("train_gpt.py", 3),
    ]
    assert traced.program.executed == {"train_gpt.py", "cache.py"}


def test_a_module_is_not_main(trace: Trace) -> None:
    module = "if __name__ == '__main__':\n    show('main')\nelse:\n    show('imported')\n"
    assert trace("import cache\n", modules={"cache": module}).values == ["imported"]


def test_unused_modules_do_not_run(trace: Trace) -> None:
    traced = trace("show(1)\n", modules={"cache": "show(2)\n"})
    assert traced.values == [1]
    assert traced.program.executed == {"train_gpt.py"}


def test_foreign_modules_stay_names(trace: Trace) -> None:
    (node,) = trace("import numpy as np\nshow(np.random.default_rng)\n").shown
    assert (node.op, node.data) == ("ext", "numpy.random.default_rng")


def test_an_unreadable_module_is_one_problem(trace: Trace) -> None:
    traced = trace("import cache\nshow(1)\n", modules={"cache": "def broken(:\n"})
    assert traced.values == [1]
    assert [p.where for p in traced.program.problems] == ["cache.py"]


def test_payloads_run_where_they_are_executed(trace: Trace) -> None:
    traced = trace(
        "import zlib\nn = 1\nexec(zlib.decompress(blob))\nshow(n, m)\n",
        payloads={"train_gpt.py": ["m = n + 1\nn = 3\nshow(n)\n"]},
    )
    assert traced.values == [3, 3, 2]
    assert traced.calls("show")[0].path == "train_gpt.py!payload-1"


def test_a_payload_that_is_run_in_an_unknown_way_is_run_anyway(trace: Trace) -> None:
    traced = trace("launch(blob)\n", payloads={"train_gpt.py": ["show(2)\n"]})
    assert traced.values == [2]


def test_nested_payloads(trace: Trace) -> None:
    traced = trace(
        "exec(unpack(a))\n",
        payloads={
            "train_gpt.py": ["exec(unpack(b))\n"],
            "train_gpt.py!payload-1": ["show(4)\n"],
        },
    )
    assert traced.values == [4]


def test_the_nearest_of_several_payloads_runs_first(trace: Trace) -> None:
    traced = trace(
        "exec(unpack(a))\nexec(unpack(b))\n", payloads={"train_gpt.py": ["show(1)", "show(2)"]}
    )
    assert traced.values == [1, 2]


def test_another_script_run_by_its_path(trace: Trace) -> None:
    script = "exec(open('{name}').read())\nshow(n)\n"
    modules = {"train_gpt_decode.py": "n = 6\n"}
    assert trace(script.format(name="train_gpt_decode.py"), modules=modules).values == [6]
    assert trace(script.format(name="other.py"), modules=modules).values != [6]


def test_a_source_assembled_as_text_is_data(trace: Trace) -> None:
    assert trace("code = 'show(1)'\nprint(code)\nshow(2)\n").values == [2]
