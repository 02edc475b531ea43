"""Whatever a script looks like, the trace ends: with a program, or with one named limit."""

from __future__ import annotations

import ast
import contextlib
import copy
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.analysis.order import early_fills, orderings
from auditor.analysis.program import AnalysisLimit, Program
from auditor.analysis.trace import core
from auditor.submission.model import SourceFile, Submission

Trace = Callable[..., Any]
FIXTURES = [
    path
    for path in sorted(
        (Path(__file__).parents[2] / "fixtures" / "submissions").rglob("train_gpt.py")
    )
    if not path.read_text().startswith("%%")  # a notebook's cell, which is no Python
]
HEAD = """
import glob
import numpy as np, torch, torch.nn.functional as F
val = np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)
"""


def build(text: str) -> Program:
    return Program.build(Submission("", SourceFile("train_gpt.py", text)))


def every_fact(program: Program) -> None:
    """Ask for all that rules ask for."""
    for node in program.tracer.nodes:
        program.tokens.of(node)
        program.tokens.position(node)
    assert program.scores.target_values is not None
    assert program.learning.headline is not None
    for read in program.tables.reads:
        program.scores.path_to_score(read.node)
    list(orderings(program))
    list(early_fills(program))


# -- size and depth ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "x = " + " + ".join(["a"] * 5000),
        "x = " + " + ".join(f"val[{i}]" for i in range(5000)),
        "x = " + " and ".join(["a"] * 5000),
        "x = [" + ", ".join(["val[1:]"] * 5000) + "]",
        "x = {" + ", ".join(f"{i}: val" for i in range(5000)) + "}",
        "x = " + "(" * 150 + "a" + ")" * 150,
        "x = " + "f(" * 90 + "val" + ")" * 90,
        "x = val" + "[1:]" * 300,
        "x = val" + ".long()" * 150,
        "\n".join(f"def f{i}(x): return f{i + 1}(x)" for i in range(200)) + "\nf0(val)",
        "\n".join(f"x{i + 1} = x{i} + val" for i in range(2000)),
        "x = val\n" + "x = x + 1\n" * 3000,
        "\n".join("  " * i + f"for i{i} in val:" for i in range(18)) + "\n" + "  " * 18 + "x = val",
        "\n".join("  " * i + f"if a{i}:" for i in range(90)) + "\n" + "  " * 90 + "x = val",
        "if a:\n    x = 1\n" + "".join(f"elif a == {i}:\n    x = {i}\n" for i in range(300)),
        "x = " + "lambda: " * 90 + "val\n",
        "x = " + "[" * 90 + "val" + "]" * 90,
        "class A:\n" + "".join(f"    def m{i}(self): return val\n" for i in range(2000)),
    ],
    ids=range(18),
)
def test_large_and_deep_scripts(text: str) -> None:
    program = build(HEAD + text)
    if program.problems and sys.version_info[:2] == (3, 12):
        pytest.skip("this Python's own limit on nesting can't be raised")
    assert program.problems == ()
    every_fact(program)


def test_the_limit_on_values_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_NODES", 500)
    with pytest.raises(AnalysisLimit, match="more than 500 values"):
        build("x = 1\n" * 600)
    build("x = 1\n" * 100)


def test_branches_do_not_multiply() -> None:
    """Two calls on each side of each branch: followed twice each, never 2 ** 40 times."""
    text = "\n".join(
        f"def f{i}(x):\n    if x > {i}:\n        return f{i + 1}(x)\n    return f{i + 1}(x + 1)"
        for i in range(12)
    )
    assert len(build(text + "\ndef f12(x): return x\nf0(val)\n").tracer.nodes) < core.MAX_NODES


# -- circles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a = []\na.append(a)\nb = a[0][0]\nfor x in a:\n    a.extend(x)\nprint(a, b)",
        "d = {}\nd['d'] = d\nfor k in d:\n    d[k] = d\nd.update(d)\nprint(d[val])",
        "class A: pass\na = A()\na.a = a\nb = a.a.a\nimport copy\nc = copy.deepcopy(a)\nprint(c.a)",
        "def f(x): return f(f(x))\nprint(f(val))",
        "def f(g): return g(g)\nprint(f(f))",
        "f = lambda x: (lambda y: f(y))(x)\nprint(f(val))",
        "class A:\n    def __getitem__(self, k): return self[k]\nprint(A()[val])",
        "class A:\n    @property\n    def p(self): return self.p\nprint(A().p)",
        "class A:\n    def __init__(self): self.next = A()\nprint(A().next.next)",
        "class A(A): pass\nprint(A())",
        "class A: pass\nclass B(A): pass\nA.__bases__ = (B,)\nprint(B().missing)",
        "x = val\nfor i in x:\n    x = (x, x)\n    y = x[0][1]\nprint(x, y)",
        "x = np.zeros(4)\nx[:] = x\nx[x] = x[x]\nprint(x[val])",
        "x = y = val\nwhile x:\n    x, y = y, x\nprint(x)",
        "def gen():\n    yield from gen()\nprint(list(gen()))",
        "import os\nos.environ['A'] = os.environ['A']\nprint(os.environ['A'])",
        "from train_gpt import x\nimport train_gpt\nprint(x, train_gpt.x)",
        "class A:\n    def __iter__(self): return self\nfor x in A(): print(x)",
        "class A:\n    def __iter__(self): return iter(self)\nfor x in A(): print(x, next(A()))",
        "class A:\n    def __next__(self): return next(self)\nprint(next(iter(A())))",
        "x = [[val], [2]]\nwhile c:\n    x = x[u]\n    print(x)\nprint(x)",
        "x = [[val], [2]]\nwhile c:\n    for y in x:\n        x = y\nprint(x[0])",
        "x = [(val, 2)]\nwhile c:\n    (x, y) = x[u]\nprint(x, y)",
        "x = {'a': {'b': val}}\nfor k in path:\n    x = x[k]\n    y = x.get(k, x)\nprint(x, y)",
    ],
    ids=range(24),
)
def test_circles(text: str) -> None:
    every_fact(build(HEAD + text))


# -- what no one would write ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "return 5",
        "break",
        "yield 1",
        "await x",
        "nonlocal x",
        "*a, *b = c",
        "f(*a, **b, *c, **d)",
        "f()()()()[0]()",
        "1()",
        "'a'.b.c()",
        "None.x = 3",
        "[] + {}",
        "a, b = 1",
        "def f(a, a2, *, b): pass\nf()\nf(1, 2, 3, 4)\nf(**{'c': 1})\nf(*[], b=1)",
        "super().x()",
        "class A(super): pass\nA().x()",
        "getattr()\nsetattr()\nlen()\nrange()\nlist(1, 2)\ndict(1)\nexec()\nprint(*[], **{})",
        "range(1, 2, 0)\nfor i in range(1, 2, 0): pass",
        "import os\nos.environ.get()\nos.getenv(3)\nos.environ[3]\nos.environ[[]] = 1",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument()\np.parse_args(1).x",
        "np.add.at()\nnp.add.at(val)\nval.scatter_add_()\nval.copy_()\ntorch.cat()\ntorch.where()",
        "F.cross_entropy()\nF.cross_entropy(val)\nval.gather()\nval[()]\nval[...]\nval[None, ...]",
        "torch.roll()\ntorch.roll(val)\nnp.arange()\ntorch.stack(val)\nval[::-1]\nval[val:val:val]",
        "copy.deepcopy()\nimport copy\ncopy.deepcopy()\ncopy.copy(None)",
        "from functools import partial, reduce\npartial()()\nreduce()\npartial(1)(2)",
        "x = {**1, **{}, 'a': [*1]}\n{[]: 1}\n{}[[]]\n{1: 2}[[]]\n{1: 2}.get([])",
        "f'{1:{2}}{x!r:>{y}}'",
        "del x, y[0], z.a",
        "import a.b.c, d as e\nfrom . import f\nfrom .. import *\nfrom ...g.h import i as j",
        "try: pass\nexcept* E: pass" if False else "try: pass\nfinally: raise",
        "with a as (b, [c, *d]): pass",
        "lambda *a, b=1, **c: (yield)",
        "x: 'int' = 1\nx.y: int = 2\nx[0]: int",
        "@a.b(c)\n@d\nclass E(F, metaclass=G): x = 1",
        "global x\nx = 1\ndef f():\n    global x, y\n    y = x",
        "match val:\n    case {'a': [1, *_], **rest} | A(b=rest): pass\n    case 1 | -1j: pass",
    ],
)
def test_odd_programs(text: str) -> None:
    every_fact(build(HEAD + text))


# -- random programs -----------------------------------------------------------------------------------

NAMES = st.sampled_from(["val", "x", "y", "f", "a", "np", "torch", "self", "i"])
ATOMS = st.one_of(
    NAMES,
    st.sampled_from(
        ["(0)", "(1)", "(-1)", "'val'", "None", "True", "[]", "{}", "()", "(1.5)", "(1 << 40)"]
    ),
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def put(template: str) -> st.SearchStrategy[str]:
        count = template.count("{}")
        return st.tuples(*[inner] * count).map(lambda parts: template.format(*parts))

    templates = [
        "({} + {})", "({} ^ {})", "({} and {})", "({} < {})", "({} in {})", "(not {})", "({}, {})",
        "[{}, *{}]", "{}[{}]", "{}[{}:{}]", "{}[{}, {}]", "{}.x", "{}.T", "{}.long()", "{}({})",
        "{}({}, k={})", "f(*{}, **{})", "({} if {} else {})", "[i for i in {} if {}]", "len({})",
        "(lambda a: {})({})", "np.add.at({}, {}, {})", "{}.append({})", "{}.get({}, {})",
        "torch.cat([{}, {}])", "F.cross_entropy({}, {})", "{}.gather(-1, {})", "np.zeros_like({})",
        "torch.where({}, {}, {})", "range({}, {})", "list({})", "dict(k={})", "{}.scatter_add_(0, {}, {})",
        "np.roll({}, {})", "np.arange({})", "getattr({}, 'x', {})", "sorted({})", "zip({}, {})",
    ]  # fmt: skip
    return st.one_of([put(t) for t in templates])


EXPRESSIONS = st.recursive(ATOMS, _wider, max_leaves=8)


def _indented(body: list[str]) -> str:
    return "\n".join("    " + line for one in body for line in one.split("\n")) or "    pass"


@st.composite
def _statement(draw: st.DrawFn, inner: st.SearchStrategy[list[str]]) -> str:
    e, e2, name = draw(EXPRESSIONS), draw(EXPRESSIONS), draw(NAMES)
    body, other = _indented(draw(inner)), _indented(draw(inner))
    return draw(
        st.sampled_from(
            [
                f"for {name}, y in {e}:\n{body}\nelse:\n{other}",
                f"for {name} in {e}:\n{body}\n    break",
                f"while {e}:\n{body}\n    continue",
                f"if {e}:\n{body}\nelse:\n{other}",
                f"def f(self, a={e}, *args, **kw):\n{body}\n    return {e2}",
                f"class a(torch.nn.Module):\n    def forward(self, x):\n    {body.replace(chr(10), chr(10) + '    ')}\n"
                f"        return {e2}",
                f"try:\n{body}\nexcept Exception as y:\n{other}",
                f"with {e} as {name}:\n{body}",
            ]
        )
    )


SIMPLE = st.builds(
    lambda template, name, e, e2: template.format(n=name, e=e, e2=e2),
    st.sampled_from(
        ["{n} = {e}", "{n} += {e}", "{n}[{e}] = {e2}", "{n}[{e}] += {e2}", "{n}.x = {e}", "print({e})",
         "{n}, *y = {e}", "x = y = {e}", "{e}", "a = f({e}, {e2})", "x.backward()", "a.step()"]
    ),
    NAMES, EXPRESSIONS, EXPRESSIONS,
)  # fmt: skip
BLOCKS = st.recursive(
    st.lists(SIMPLE, min_size=1, max_size=6),
    lambda inner: st.lists(st.one_of(SIMPLE, _statement(inner)), min_size=2, max_size=6),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(BLOCKS)
def test_random_programs(body: list[str]) -> None:
    with warnings.catch_warnings(), contextlib.suppress(AnalysisLimit):
        warnings.simplefilter("ignore", SyntaxWarning)
        every_fact(build(HEAD + "\n".join(body)))


class _Mutation(ast.NodeTransformer):
    """Some expressions exchanged for others of the script, some statements left out or doubled."""

    def __init__(self, tree: ast.Module, rng: random.Random) -> None:
        self.rng = rng
        small = [n for n in ast.walk(tree) if isinstance(n, ast.expr) and _is_small(n)]
        self.others = copy.deepcopy(small)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.JoinedStr):
            return node
        self.generic_visit(node)
        chance = self.rng.random()
        if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return self.rng.choice(self.others) if chance < 0.02 else node
        if isinstance(node, ast.stmt) and chance < 0.06:
            return ast.Pass() if chance < 0.03 else [node, node]
        return node


def _is_small(node: ast.expr) -> bool:
    kinds = (ast.Name, ast.Constant, ast.Subscript, ast.Call, ast.Attribute, ast.Tuple)
    loads = all(isinstance(getattr(n, "ctx", ast.Load()), ast.Load) for n in ast.walk(node))
    return isinstance(node, kinds) and loads and sum(1 for _ in ast.walk(node)) < 20


@pytest.mark.parametrize("seed", range(10))
def test_mutated_submissions(seed: int) -> None:
    rng = random.Random(seed)
    assert FIXTURES
    readable = 0
    for path in rng.sample(FIXTURES, 3):
        tree = ast.parse(path.read_text())
        text = ast.unparse(ast.fix_missing_locations(_Mutation(tree, rng).visit(tree)))
        with contextlib.suppress(AnalysisLimit):
            program = build(text)
            readable += not program.problems
            every_fact(program)
    assert readable
