"""Lists, tuples, dicts and sets keep exact elements as long as their places are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]


@pytest.mark.parametrize(
    ("setup", "expression", "value"),
    [
        ("a = [1, 2, 3]", "a[-1]", 3),
        ("a = [1, 2, 3]", "a[1:][0]", 2),
        ("a = (1, 2) + (3,)", "a[2]", 3),
        ("a = [1]\na.append(2)", "a[1]", 2),
        ("a = [1]\na.extend([2, 3])", "a[2]", 3),
        ("a = [1]\na += [2]", "a[1]", 2),
        ("a = [*[1, 2], 3]", "a[2]", 3),
        ("a, (b, c) = 1, (2, 3)", "c", 3),
        ("a, *rest, z = 1, 2, 3", "z", 3),
        ("a = [1, 2]\na[0] = 5", "a[0]", 5),
        ("d = {'k': 1}\nd['m'] = 2", "d['m']", 2),
        ("d = dict(k=3)", "d['k']", 3),
        ("d = {**{'k': 1}, 'm': 4}", "d['k']", 1),
        ("d = {'k': 1}\nd.update({'k': 6})", "d['k']", 6),
        ("d = {'k': 1}", "d.get('k')", 1),
        ("d = {'k': 1}", "d.get('none', 7)", 7),
        ("d = {}\nd.setdefault('k', []).append(5)", "d['k'][0]", 5),
        ("d = {'k': 1}", "d.setdefault('k', 2)", 1),
        ("from collections import deque\nq = deque(maxlen=3)\nq.append(4)", "q[0]", 4),
        ("d = {}\nd['x'] = {}\nd['x']['y'] = 8", "d['x']['y']", 8),
        ("a = [1, 2]\nb = list(a)\nb[0] = 9", "a[0]", 1),
        ("a = [1, 2]\nb = a\nb[0] = 9", "a[0]", 9),
        ("a = list((1, 2))", "tuple(a)[1]", 2),
        ("a = []", "len(a)", 0),
        ("a = [[]]\na[0].append(4)", "a[0][0]", 4),
    ],
)
def test_exact(trace: Trace, setup: str, expression: str, value: object) -> None:
    assert trace(f"{setup}\nshow({expression})\n").values == [value]


@pytest.mark.parametrize(
    ("setup", "expression", "values"),
    [
        ("a = [1, 2]", "a[unknown]", {1, 2}),
        ("a = [1]\nfor i in range(n):\n    a.append(2)", "a[0]", {1, 2}),
        ("a = [1, 2]\na[unknown] = 3", "a[0]", {1, 2, 3}),
        ("a = []\nif unknown:\n    a.append(1)\nelse:\n    a.append(2)", "a[0]", {1, 2}),
        ("d = {'k': 1}\nfor i in range(n):\n    d['k'] = 2", "d['k']", {1, 2}),
        ("s = {1, 2}\n[x] = [v for v in s]", "x", {1, 2}),
    ],
)
def test_blurred(trace: Trace, setup: str, expression: str, values: set[int]) -> None:
    """Where the place is unknown, every element may be meant."""
    assert trace(f"{setup}\nshow({expression})\n").values == [values]


def test_tuples_in_a_list_go_from_one_loop_to_the_next(trace: Trace) -> None:
    traced = trace(
        """
        windows = []
        for i in range(n):
            windows.append((begin(i), end(i)))
        for low, high in windows:
            show(low, high)
        """
    )
    low, high = traced.shown
    assert "begin" in traced.made_from(low)
    assert "end" not in traced.made_from(low)
    assert "end" in traced.made_from(high)
    assert "begin" not in traced.made_from(high)


def test_sorted_and_enumerated_and_zipped_elements(trace: Trace) -> None:
    traced = trace(
        """
        items = [make(i) for i in range(n)]
        for i, one in enumerate(sorted(items)):
            show(i, one)
        for one, two in zip(items, others()):
            show(one, two)
        """
    )
    counter, one, left, right = traced.shown
    assert counter.op == "loopvar"
    assert "make" in traced.made_from(one)
    assert "make" in traced.made_from(left)
    assert traced.made_from(right) == {"others"}


def test_arrays_in_a_dict_are_told_apart_by_constant_keys(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        tables = {"count": np.zeros(8), "total": np.ones(8)}
        tables["count"][key] += 3
        show(tables["count"], tables["total"])
        """
    )
    count, total = traced.shown
    assert count.data == "numpy.zeros"
    assert [how for how, _ in traced.stores(count)] == ["+="]
    assert traced.stores(total) == []


def test_arrays_under_unknown_keys_are_all_updated(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        tables = {n: np.zeros(8) for n in range(2, 5)}
        for n in range(2, 5):
            tables[n][key] += 3
        show(tables[2])
        """
    )
    assert {how for how, _ in traced.stores(traced.shown[0])} == {"+="}


def test_lists_that_a_mapping_makes_itself(trace: Trace) -> None:
    traced = trace(
        """
        from collections import defaultdict
        lists, others = defaultdict(list), defaultdict(list)
        for i in range(n):
            lists[i].append(make(i))
        show(lists[3], others[3])
        """
    )
    assert ["make" in traced.made_from(node) for node in traced.shown] == [True, False]


def test_a_dict_under_an_unknown_key_may_give_any_value(trace: Trace) -> None:
    traced = trace("d = {'k': 1, 'm': 2}\nother = {'k': 3}\nshow(d[unknown])\n")
    assert {1, 2} <= traced.made_from(traced.shown[0])
    assert 3 not in traced.made_from(traced.shown[0])


def test_a_part_of_a_list_holds_its_elements(trace: Trace) -> None:
    traced = trace("a = [make(i) for i in range(n)]\nfor x in a[k:]:\n    show(x)\n")
    assert "make" in traced.made_from(traced.shown[0])


def test_comprehensions(trace: Trace) -> None:
    traced = trace(
        """
        show([i + 1 for i in [4]][0])
        show([x for row in [[3]] for x in row][0])
        show(*[6 for _ in given])
        show([y := 7 for _ in given][0])
        """
    )
    assert traced.values == [5, 3, 6, 7]


def test_dict_comprehensions(trace: Trace) -> None:
    traced = trace("d = {k: v + 1 for k, v in {'a': 2}.items()}\nshow(d['a'])\n")
    assert 3 in traced.made_from(traced.shown[0])


def test_comprehension_names_stay_inside(trace: Trace) -> None:
    assert trace("i = 1\na = [i for i in (2, 3)]\nshow(i)\n").values == [1]


def test_containers_that_hold_themselves(trace: Trace) -> None:
    traced = trace(
        """
        import copy
        a = []
        a.append(a)
        d = {}
        d["d"] = d
        b = copy.deepcopy([a, d])
        for x in a:
            show(x)
        show(d["d"]["d"], b)
        d["d"]["d"]["e"] = 1
        show(d["e"])
        """
    )
    assert traced.values[-1] == 1
    assert len(traced.shown) == 4
