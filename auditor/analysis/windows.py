"""Sliding windows: which part of the stream a score is computed on, and which part of it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auditor.analysis.graph import PASS_CALLS, VIEWS, Node, alternatives, container_all
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program

_JOINS = frozenset("torch.stack torch.cat torch.concat numpy.stack numpy.concatenate".split())


@dataclass(frozen=True)
class Window:
    """Each window is ``length`` tokens long; the next one starts ``stride`` tokens later."""

    length: int
    stride: int


def bounds(key: Node) -> tuple[Node, Node] | None:
    """Low and high of a slice, or of the last axis of a key."""
    if key.op == "tuple" and key.data.items:
        key = key.data.items[-1]
    return (key.args[0], key.args[1]) if key.op == "slice" else None


def is_none(node: Node) -> bool:
    return node.op == "const" and node.data is None


def counted_from(program: Program, scoring: Scoring) -> list[Node]:
    """Where slices begin what is scored of a window, and what counts of its scores."""
    later = [program.flow.nodes[uid] for uid in program.scores.values_from(scoring.at)]
    limits = [
        bounds(node.args[1]) for node in (*later, *views(scoring.target)) if node.op == "index"
    ]
    return [pair[0] for pair in limits if pair is not None and not is_none(pair[0])]


def views(node: Node) -> Iterator[Node]:
    """The value, and what it is a view or a part of."""
    for _ in range(8):
        yield node
        if node.op not in ("index", "method") or not node.args:
            return
        node = node.args[0]


def window(program: Program, scoring: Scoring) -> Window | None:
    """The windows that a score is computed on, where their length and stride are known numbers."""
    for low, high, dropped in stream_cuts(program, scoring.target):
        length, stride = _length(program, low, high), _stride(program, low)
        if length and stride:
            return Window(length - dropped, stride)
    return None


def stream_cuts(program: Program, target: Node) -> Iterator[tuple[Node, Node, int]]:
    """The slices of the stream that the target tokens were taken by, if by nothing narrower.

    With each, how many tokens ``[1:]`` and ``[:-1]`` dropped from it.
    """
    seen: set[int] = set()
    todo = [(target, 0)]
    while todo and len(seen) < 60:
        node, dropped = todo.pop()
        if node.uid in seen:
            continue
        seen.add(node.uid)
        if any(s.value.op == "const" for s in program.flow.stores(node)):
            return  # some targets are overwritten: they may be marked as not to be counted
        if node.op == "index":
            limits = bounds(node.args[1])
            if limits is None or _shifts(limits):
                todo.append((node.args[0], dropped + _dropped(limits)))
            elif not any(is_none(b) for b in limits) and not program.flow.stores(node.args[0]):
                yield (*limits, dropped)
        elif node.args and _passes(node):
            todo.append((node.args[0], dropped))
        elif node.op in ("phi", "elem", "proj"):
            todo.extend((a, dropped) for a in alternatives(node) if a is not node)
        elif node.op in ("list", "tuple"):
            todo.extend((a, dropped) for a in container_all(node.data))
        else:
            todo.extend((s.value, dropped) for s in program.tracer.stores.get(node.uid, ()))


def _passes(node: Node) -> bool:
    if node.op == "method":
        return node.data in VIEWS
    return node.op == "call" and (node.data in PASS_CALLS or node.data in _JOINS)


def _shifts(limits: tuple[Node, Node]) -> bool:
    """``[1:]`` and ``[:-1]``: inputs and targets from one stretch."""
    return all(is_none(b) or (b.op == "const" and b.data in (0, 1, -1)) for b in limits)


def _dropped(limits: tuple[Node, Node] | None) -> int:
    return sum(abs(b.data or 0) for b in limits) if limits else 0


def _length(program: Program, low: Node, high: Node) -> int | None:
    """Tokens from ``low`` to ``high``; an upper limit by ``min`` only shortens the last windows."""
    beyond = 0
    while high.op == "binop" and high.data == "+" and (more := _number(high.args[1])) is not None:
        beyond += more
        high = high.args[0]
    ends = high.positional if high.op == "call" and high.data == "min" else (high,)
    start = program.tokens.form(low)
    for end in ends:
        form = program.tokens.form(end)
        size = (form - start).constant if form is not None and start is not None else None
        if size is not None and size + beyond > 0:
            return size + beyond
    return None


def _stride(program: Program, low: Node) -> int | None:
    """By how much ``low`` grows from one window to the next."""
    while low.op == "binop" and low.data in ("+", "-") and _number(low.args[1]) is not None:
        low = low.args[0]
    for one in alternatives(low):
        if one.op == "binop" and one.data == "+" and low in one.args:  # start += stride
            step = _number(one.args[1] if one.args[0] is low else one.args[0])
        elif one.op == "elem" and one.args[0].op == "call" and one.args[0].data == "range":
            step = _number(one.args[0].args[-1])
        else:
            step = _counted(program, one)
        if step is not None:
            return step
    return None


def _counted(program: Program, start: Node) -> int | None:
    """The step of the only loop counter in ``start``."""
    form = program.tokens.form(start) if start.op in ("loopvar", "binop") else None
    counters = [a for a in form or () if isinstance(a, tuple) and a[0] == "range"]
    if form is None or len(counters) != 1:
        return None
    limits = program.flow.nodes[counters[0][1]].args
    if len(limits) == 3 and (step := program.tokens.form(limits[2])) is not None:
        return None if step.constant is None else form[counters[0]]
    return form[counters[0]]


def _number(node: Node) -> int | None:
    return node.data if node.op == "const" and isinstance(node.data, int) else None
