"""try, with, match, and what else leads control on or ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("try:\n    x = 2\nexcept ValueError:\n    x = 3", {2, 3}),
        ("try:\n    x = 2\nexcept ValueError:\n    raise", 2),
        ("try:\n    raise ValueError\nexcept ValueError:\n    x = 3", 3),
        ("try:\n    x = 2\nexcept A:\n    x = 3\nexcept B:\n    x = 4", {2, 3, 4}),
        ("try:\n    pass\nexcept A:\n    raise\nelse:\n    x = 5", 5),
        ("try:\n    x = 2\nfinally:\n    x = 6", 6),
        ("try:\n    f()\nexcept A:\n    pass", 1),
        ("with open(p) as h:\n    x = 2", 2),
        ("with a as b, c:\n    x = 2", 2),
        ("match unknown:\n    case 1:\n        x = 2\n    case _:\n        x = 3", {1, 2, 3}),
        ("assert unknown, 'no'\nx = 2", 2),
        ("del y\nx = 2", 2),
        ("x: int = 2", 2),
        ("x: int", 1),
        ("if (x := 5) > 3:\n    pass", 5),
        ("x = 2 if True else 3", 2),
        ("x = 2 if unknown else 3", {2, 3}),
        ("a = b = x = 4", 4),
        ("pass", 1),
        ("type_of = int\nx = type_of('7')", 7),
    ],
)
def test_what_a_statement_leaves(trace: Trace, code: str, values: object) -> None:
    assert trace(f"x, y = 1, 0\n{code}\nshow(x)\n").values == [values]


def test_an_import_guard_keeps_both_worlds(trace: Trace) -> None:
    """A library may be missing: the fallback is alive beside what uses it."""
    traced = trace(
        """
        try:
            from flash_attn import flash
            fast = True
        except ImportError:
            fast = False
        if fast:
            show("fast")
        else:
            show("slow")
        """
    )
    assert traced.values == ["fast", "slow"]


def test_both_ways_out_of_a_try_in_a_function(trace: Trace) -> None:
    traced = trace(
        """
        def f():
            try:
                return 1
            except ValueError:
                return 2
        show(f())
        """
    )
    assert traced.values == [{1, 2}]


def test_a_match_binds_its_captures(trace: Trace) -> None:
    traced = trace(
        """
        match given():
            case [first, *others] as whole:
                show(first, others, whole)
        """
    )
    assert all("given" in traced.made_from(node) for node in traced.shown)


def test_an_entered_context_gives_its_value(trace: Trace) -> None:
    traced = trace("with opened() as handle:\n    show(handle.read())\n")
    assert traced.made_from(traced.shown[0]) >= {"opened", "read"}
