"""Calls of the submission's own functions and classes are followed with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]


@pytest.mark.parametrize(
    ("definition", "call", "value"),
    [
        ("def f(a, b=2): return (a, b)[1]", "f(1)", 2),
        ("def f(a, b=2): return b", "f(1, 5)", 5),
        ("def f(a, /, b, *, c=3): return c", "f(1, 2)", 3),
        ("def f(a, *, c): return c", "f(1, c=4)", 4),
        ("def f(*args): return args[1]", "f(1, 7)", 7),
        ("def f(**kw): return kw['k']", "f(k=8)", 8),
        ("def f(a, b): return b", "f(*(1, 9))", 9),
        ("def f(a, b): return b", "f(**{'a': 1, 'b': 3})", 3),
        ("def g(*a, **k): return f(*a, **k)\ndef f(a, b=0): return b", "g(1, b=6)", 6),
        ("f = lambda a, b=4: b", "f(1)", 4),
        ("def f(n):\n    def g(): return n\n    return g", "f(5)()", 5),
        ("def f():\n    n = 1\n    def g():\n        nonlocal n\n        n = 2\n    g()\n    return n",
         "f()", 2),
        ("n = 1\ndef f():\n    global n\n    n = 3\nf()", "n", 3),
        ("from functools import partial\ndef f(a, b, c=0): return (a, b, c)[2]",
         "partial(f, 1, c=5)(2)", 5),
        ("from functools import partial\ndef f(a, b): return a", "partial(f, 1)(2)", 1),
        ("def deco(g):\n    def inner(*a): return g(*a)\n    return inner\n@deco\ndef f(a): return a",
         "f(5)", 5),
        ("import torch\n@torch.no_grad()\ndef f(a): return a", "f(5)", 5),
        ("import torch\ndef f(a): return a\nf = torch.compile(f, dynamic=False)", "f(5)", 5),
        ("from numba import njit\n@njit(cache=True)\ndef f(a): return a", "f(5)", 5),
        ("import functools\n@functools.lru_cache(maxsize=None)\ndef f(a): return a", "f(5)", 5),
        ("def f(a):\n    yield a", "list(f(5))[0]", 5),
        ("async def f(a): return a\nasync def g(): return await f(5)", "g()", 5),
        ("def f(a):\n    if a:\n        return 1\n    return 2", "f(0)", 2),
        ("def f():\n    pass", "f()", None),
        ("table = {'a': (lambda: 1), 'b': (lambda: 2)}", "table['b']()", 2),
        ("from functools import reduce", "reduce(lambda a, b: a, [4])", 4),
    ],
)  # fmt: skip
def test_functions(trace: Trace, definition: str, call: str, value: object) -> None:
    assert trace(f"{definition}\nshow({call})\n").values == [value]


@pytest.mark.parametrize(
    ("definition", "call", "value"),
    [
        ("class C:\n    def __init__(self, n): self.n = n\n    def m(self): return self.n",
         "C(3).m()", 3),
        ("class C:\n    n = 4\n    @property\n    def p(self): return self.n", "C().p", 4),
        ("class C:\n    @staticmethod\n    def s(a): return a", "C.s(5)", 5),
        ("class C:\n    n = 6\n    @classmethod\n    def c(cls): return cls.n", "C.c()", 6),
        ("class C:\n    @classmethod\n    def make(cls, n):\n        o = cls()\n        o.n = n\n"
         "        return o", "C.make(7).n", 7),
        ("class B:\n    def m(self): return 1\nclass C(B):\n    def m(self): return super().m()",
         "C().m()", 1),
        ("class B:\n    def __init__(self, n): self.n = n\n"
         "class C(B):\n    def __init__(self): super().__init__(8)", "C().n", 8),
        ("class B:\n    def m(self): return self.k()\nclass C(B):\n    def k(self): return 2",
         "C().m()", 2),
        ("class C:\n    def __call__(self, a): return a", "C()(9)", 9),
        ("class C:\n    def __getitem__(self, k): return k", "C()[3]", 3),
        ("from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int\n    b: int = 5",
         "C(1).b", 5),
        ("from dataclasses import dataclass\n@dataclass(frozen=True)\nclass C:\n    a: int\n"
         "    b: int = 5", "C(1, b=2).b", 2),
        ("from dataclasses import dataclass, field\n@dataclass\nclass C:\n"
         "    a: int = field(default=6)", "C().a", 6),
        ("from typing import NamedTuple\nclass C(NamedTuple):\n    a: int\n    b: int",
         "C(1, 2).b", 2),
        ("from types import SimpleNamespace", "SimpleNamespace(a=3).a", 3),
        ("class C: pass\no = C()\nsetattr(o, 'a', 4)", "getattr(o, 'a')", 4),
        ("class C: pass", "getattr(C(), 'missing', 5)", 5),
        ("class C:\n    a = 1", "hasattr(C(), 'a')", True),
        ("from dataclasses import dataclass, replace\n@dataclass\nclass C:\n    a: int = 1\n"
         "first = C()\nsecond = replace(first, a=7)", "second.a", 7),
        ("from dataclasses import dataclass, replace\n@dataclass\nclass C:\n    a: int = 1\n"
         "first = C()\nsecond = replace(first, a=7)", "first.a", 1),
        ("class C:\n    def __next__(self): return 4", "next(C())", 4),
        ("class C:\n    def __iter__(self): yield 4", "[v for v in C()][0]", 4),
        ("class C:\n    def __iter__(self): return self\n    def __next__(self): return 4",
         "[v for v in C()][0]", 4),
        ("class C:\n    def __init__(self): self.parts = [4]\n"
         "    def __iter__(self): return iter(self.parts)", "[v for v in C()][0]", 4),
        ("class C:\n    def __getitem__(self, i): return 4", "[v for v in C()][0]", 4),
    ],
)  # fmt: skip
def test_classes(trace: Trace, definition: str, call: str, value: object) -> None:
    assert trace(f"{definition}\nshow({call})\n").values == [value]


def test_undecided_returns_give_all_values(trace: Trace) -> None:
    traced = trace(
        """
        def f(a):
            if a > unknown:
                return 1
            return 2
        show(f(0))
        """
    )
    assert traced.values == [{1, 2}]


def test_each_call_has_its_own_values(trace: Trace) -> None:
    assert trace("def f(a): return a + 1\nshow(f(1), f(2))\n").values == [2, 3]


def test_objects_are_told_apart(trace: Trace) -> None:
    traced = trace(
        """
        class C:
            def __init__(self, n): self.n = n
        a, b = C(1), C(2)
        b.n = 3
        alias = a
        alias.n = 4
        show(a.n, b.n)
        """
    )
    assert traced.values == [4, 3]


def test_methods_that_change_their_object_blur_it_in_loops(trace: Trace) -> None:
    traced = trace(
        """
        class Counter:
            def __init__(self): self.n = 0
            def up(self): self.n = 1
        c = Counter()
        for i in range(3):
            c.up()
        show(c.n)
        """
    )
    assert traced.values == [{0, 1}]


MODEL = """
import torch
from torch import nn
class Block(nn.Module):
    def forward(self, x): return x * 2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x * self.scale
    def helper(self, x): return self(x)
"""


def test_a_model_call_is_one_forward(trace: Trace) -> None:
    traced = trace(MODEL + "net = Net()\nshow(net(given), net.helper(given))\n")
    first, second = traced.shown
    assert first.op == second.op == "forward"
    assert first.data is second.data
    assert first.data.cls.name == "Net"
    forwards = [n for n in traced.program.tracer.nodes if n.op == "forward"]
    assert len(forwards) == 2  # layers inside are not models of their own


@pytest.mark.parametrize(
    "wrapper",
    [
        "torch.compile(net)",
        "torch.nn.parallel.DistributedDataParallel(net, device_ids=[0])",
        "torch.compile(net).to('cuda').eval()",
        "DDP(torch.compile(net))",
        "DDP(net).module",
    ],
)
def test_wrapped_models_are_seen_through(trace: Trace, wrapper: str) -> None:
    traced = trace(
        MODEL + "from torch.nn.parallel import DistributedDataParallel as DDP\n"
        f"net = Net()\nwrapped = {wrapper}\nshow(net(given), wrapped(given))\n"
    )
    plain, wrapped = traced.shown
    assert wrapped.op == "forward"
    assert wrapped.data is plain.data


@pytest.mark.parametrize("copier", ["copy.deepcopy", "copy.copy"])
def test_copies_are_objects_of_their_own(trace: Trace, copier: str) -> None:
    traced = trace(
        MODEL + f"import copy\nnet = Net()\nother = {copier}(net)\n"
        "other.tag = 1\nnet.tag = 2\nshow(net(given), other(given), net.tag)\n"
    )
    own, other, tag = traced.shown
    assert other.data is not own.data
    assert other.data.origin is own.data
    assert tag.data == 2


def test_a_closure_keeps_its_own_scope(trace: Trace) -> None:
    traced = trace(
        """
        n = 0
        def maker(n):
            return lambda: n
        one, two = maker(1), maker(2)
        show(one(), two(), n)
        """
    )
    assert traced.values == [1, 2, 0]


def test_recursion_ends(trace: Trace) -> None:
    traced = trace(
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return even(n - 1)
        def down(n):
            if n <= 0:
                return "end"
            return down(n - 1)
        show(even(unknown))
        show(down(unknown))
        """
    )
    assert len(traced.shown) == 2
    assert "end" in traced.values[1]


def test_callbacks_run_with_their_arguments(trace: Trace) -> None:
    traced = trace(
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        def work(a, b=0):
            show(a)
        threading.Thread(target=work, args=(1, 2)).start()
        pool = ThreadPoolExecutor()
        pool.submit(work, 3)
        pool.map(work, [4])
        """
    )
    assert traced.values == [1, 3, 4]


def test_unused_functions_are_not_run(trace: Trace) -> None:
    traced = trace("def unused(): show(1)\ndef used(): show(2)\nused()\n")
    assert traced.values == [2]


def test_only_the_main_guard_of_the_entry_runs(trace: Trace) -> None:
    assert trace("if __name__ == '__main__':\n    show(1)\nelse:\n    show(2)\n").values == [1]


def test_code_behind_an_exit_is_dead(trace: Trace) -> None:
    assert trace("import sys\nshow(1)\nsys.exit(0)\nshow(2)\n").values == [1]
