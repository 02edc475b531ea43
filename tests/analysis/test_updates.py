"""In-place updates are seen by every name of the array, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]

SCRIPT = """
import numpy as np
import torch
import copy
a = {allocation}
b = {alias}
{update}
show(a, b)
"""


@pytest.mark.parametrize(
    ("allocation", "update", "how"),
    [
        ("np.zeros(8)", "np.add.at(a, key, 1)", "+="),
        ("np.zeros(8)", "np.subtract.at(a, key, 1)", "-="),
        ("np.zeros(8)", "a[key] += 1", "+="),
        ("np.zeros(8)", "a[key] = 1", "="),
        ("np.zeros(8)", "a += np.bincount(key, minlength=8)", "+="),
        ("torch.zeros(8)", "a *= other", "*="),
        ("np.zeros(8)", "a[:] = other", "="),
        ("np.zeros(8)", "np.copyto(a, other)", "="),
        ("np.zeros(8)", "np.add(a, other, out=a)", "out="),
        ("np.zeros(8)", "a.fill(3)", "fill"),
        ("torch.zeros(8)", "a.scatter_add_(0, key, ones)", "+="),
        ("torch.zeros(8)", "a.scatter_add_(dim=0, index=key, src=ones)", "+="),
        ("torch.zeros(8)", "a.index_add_(0, key, ones)", "+="),
        ("torch.zeros(8)", "a.index_put_((key,), ones, accumulate=True)", "+="),
        ("torch.zeros(8)", "a.index_copy_(0, key, ones)", "="),
        ("torch.zeros(8)", "a.add_(ones)", "add_"),
        ("torch.zeros(8)", "a.mul_(0.5).add_(ones)", "add_"),
        ("torch.zeros(8)", "a.copy_(ones)", "copy_"),
        ("torch.zeros(8)", "a.data = ones", ".data="),
        ("torch.zeros(8)", "torch.nn.init.normal_(a)", "normal_"),
    ],
)
def test_updates_are_recorded(trace: Trace, allocation: str, update: str, how: str) -> None:
    traced = trace(SCRIPT.format(allocation=allocation, alias="a", update=update))
    assert how in [h for h, _ in traced.stores(traced.shown[1])]


@pytest.mark.parametrize(
    "update", ["a.sum()", "c = a + 1", "c = a[key]", "c = a.scatter_add(0, key, ones)", "print(a)"]
)
def test_reading_is_no_update(trace: Trace, update: str) -> None:
    traced = trace(SCRIPT.format(allocation="torch.zeros(8)", alias="None", update=update))
    assert traced.stores(traced.shown[0]) == []


@pytest.mark.parametrize(
    "alias",
    [
        "a", "a[2:]", "a[0]", "a.view(2, 4)", "a.reshape(-1)", "a.detach()", "a.T", "a.numpy()",
        "np.asarray(a)", "torch.from_numpy(a)", "a.data", "a.unsqueeze(0)", "[a][0]", "(a, 1)[0]",
        "{'k': a}['k']", "a if unknown else None",
    ],
)  # fmt: skip
def test_views_share_their_memory(trace: Trace, alias: str) -> None:
    traced = trace(SCRIPT.format(allocation="np.zeros(8)", alias=alias, update="b[key] += 1"))
    assert [how for how, _ in traced.stores(traced.shown[0])] == ["+="]


@pytest.mark.parametrize(
    "alias",
    [
        "a.clone()",
        "a.copy()",
        "a.float()",
        "a + 0",
        "np.zeros_like(a)",
        "a.astype('f4')",
        "a.tolist()",
    ],
)
def test_copies_do_not(trace: Trace, alias: str) -> None:
    traced = trace(SCRIPT.format(allocation="np.zeros(8)", alias=alias, update="b[key] += 1"))
    assert traced.stores(traced.shown[0]) == []


def test_an_array_updated_through_a_function_argument(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        def count(table, key):
            np.add.at(table, key, 1)
        used, unused = np.zeros(8), np.zeros(8)
        count(used, 3)
        show(used, unused)
        """
    )
    used, unused = traced.shown
    assert traced.stores(used) == [("+=", 1)]
    assert traced.stores(unused) == []


def test_an_array_updated_through_an_attribute(trace: Trace) -> None:
    traced = trace(
        """
        import torch
        class Cache:
            def __init__(self):
                self.full = torch.zeros(8)
                self.seen = torch.zeros(8)
            def update(self, key):
                self.full.scatter_add_(0, key, ones)
        cache = Cache()
        cache.update(given)
        show(cache.full, cache.seen)
        """
    )
    full, seen = traced.shown
    assert [how for how, _ in traced.stores(full)] == ["+="]
    assert traced.stores(seen) == []


def test_contents_flow_to_later_reads_only(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        a = np.zeros(8)
        show(a[1])
        a[key] = first()
        show(a[1])
        """
    )
    before, after = traced.shown
    assert "first" not in traced.made_from(before)
    assert "first" in traced.made_from(after)


def test_in_a_loop_a_read_sees_the_last_iteration(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        a = np.zeros(8)
        for i in range(n):
            show(a[i])
            a[i] = first()
        """
    )
    assert "first" in traced.made_from(traced.shown[0])


def test_forward_flow_goes_through_memory(trace: Trace) -> None:
    traced = trace(
        """
        import numpy as np
        source = given()
        a, b = np.zeros(8), np.zeros(8)
        a[:4] = source
        show(a.sum(), b.sum())
        """
    )
    reached = traced.program.flow.forward(traced.calls("given"))
    a, b = traced.shown
    assert a.uid in reached
    assert b.uid not in reached


def test_form_is_not_content(trace: Trace) -> None:
    traced = trace(
        """
        import torch
        source = given()
        show(torch.zeros_like(source) + 1, source.shape[0], len(source), source + 1)
        """
    )
    reached = traced.program.flow.forward(traced.calls("given"))
    assert [n.uid in reached for n in traced.shown] == [False, False, False, True]
