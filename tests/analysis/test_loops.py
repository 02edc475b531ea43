"""Loop bodies run once: what an iteration may change is a phi of the first value and the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]


@pytest.mark.parametrize(
    ("loop", "values"),
    [
        ("for i in range(n):\n    x = 2", {1, 2}),
        ("for i in range(n):\n    if i > 3:\n        x = 2\n        break", {1, 2}),
        ("for i in range(n):\n    if i > 3:\n        x = 2\n        continue\n    y = 1", {1, 2}),
        ("while unknown:\n    x = 2", {1, 2}),
        ("for i in range(0):\n    x = 2", 1),
        ("for i in []:\n    x = 2", 1),
        ("for i in range(int('0')):\n    x = 2", 1),
        ("while False:\n    x = 2", 1),
        ("while 0:\n    x = 2\nelse:\n    x = 3", 3),
        ("for i in []:\n    pass\nelse:\n    x = 3", 3),
        ("for i in range(n):\n    def f():\n        x = 2\n    f()", 1),
        ("for x in (5,):\n    pass", {1, 5}),
        ("for i in range(n):\n    for j in range(n):\n        x = 2", {1, 2}),
        ("for i in range(n):\n    if i:\n        x = 2\n    else:\n        x = 3", {1, 2, 3}),
    ],
)
def test_names_behind_a_loop(trace: Trace, loop: str, values: object) -> None:
    assert trace(f"x = 1\n{loop}\nshow(x)\n").values == [values]


def test_an_iteration_sees_what_the_last_one_left(trace: Trace) -> None:
    traced = trace(
        """
        previous = 1
        for i in range(n):
            show(previous)
            previous = 2
        """
    )
    assert traced.values == [{1, 2}]


def test_what_does_not_change_stays_constant(trace: Trace) -> None:
    assert trace("x, y = 1, 3\nfor i in range(n):\n    x = x + 1\n    show(y)\n").values == [3]


def test_counters_do_not_fold(trace: Trace) -> None:
    """``step == 0`` holds in the first iteration only: both branches are alive."""
    traced = trace(
        """
        step = 0
        while step < 10:
            if step == 0:
                show("first")
            else:
                show("later")
            step += 1
        for i in range(3):
            if i == 2:
                show("last")
        """
    )
    assert traced.values == ["first", "later", "last"]


@pytest.mark.parametrize("counter", ["self.step", "state['step']"])
def test_counters_kept_elsewhere_do_not_fold(trace: Trace, counter: str) -> None:
    traced = trace(
        f"""
        class Run:
            def __init__(self):
                self.step = 0
            def go(self):
                state = {{"step": 0}}
                for i in range(9):
                    if {counter} == 0:
                        show("first")
                    else:
                        show("later")
                    {counter} += 1
        Run().go()
        """
    )
    assert traced.values == ["first", "later"]


def test_endless_loops_end_by_a_break_only(trace: Trace) -> None:
    assert trace("while True:\n    show(1)\nshow(2)\n").values == [1]
    assert trace("while True:\n    if unknown:\n        break\nshow(2)\n").values == [2]
    assert trace("def f():\n    while True:\n        return 5\nshow(f())\n").values == [5]


def test_trips_are_known_where_constants_decide_them(trace: Trace) -> None:
    traced = trace(
        """
        import os
        for epoch in range(int(os.environ.get("EPOCHS", "1"))):
            show(epoch)
        for one in ("a", "b"):
            show(one)
        for i in range(2, 10, 3):
            show(i)
        for i in range(n):
            show(i)
        """
    )
    assert [n.ctx.loops[-1].trips for n in traced.shown] == [1, 2, 3, None]


def test_nodes_know_their_loops(trace: Trace) -> None:
    traced = trace(
        """
        for i in range(n):
            show(i)
            for j in range(n):
                show(j)
        for k in range(n):
            show(k)
        """
    )
    i, j, k = traced.shown
    assert j.ctx.loops[0] is i.ctx.loops[0]
    assert len(j.ctx.loops) == 2
    assert k.ctx.loops[0] is not i.ctx.loops[0]


def test_nodes_know_the_undecided_tests_around_them(trace: Trace) -> None:
    traced = trace(
        """
        if unknown > 3:
            show(f())
        else:
            show(g())
        show(h())
        """
    )
    yes, no, after = ([(b.test.op, b.taken) for b in n.ctx.branches] for n in traced.shown)
    assert (yes, no, after) == ([("compare", True)], [("compare", False)], [])


def test_a_join_of_branches_carries_its_test(trace: Trace) -> None:
    traced = trace("if unknown > 3:\n    x = f()\nelse:\n    x = g()\nshow(x)\n")
    (x,) = traced.shown
    assert x.op == "phi"
    assert x.data.op == "compare"


def test_a_walk_down_a_tree(trace: Trace) -> None:
    """What is an element of itself may hold all that the outermost holds."""
    traced = trace(
        """
        node = [[1, 2], [3]]
        while unknown:
            node = node[choice]
        show(node)
        """
    )
    assert {1, 2, 3} <= traced.made_from(traced.shown[0])
