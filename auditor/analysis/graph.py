"""The value graph: what the tracer sees instead of numbers.

Executing a script abstractly gives every value a `Node`: the operation that made it, the nodes it was
made from, and the place in the source. Loop-carried values are phi nodes whose arguments may
grow later, so the graph is cyclic. In-place updates are kept beside the graph as `Store`
records on the allocation that they change; things that happen (a backward pass, an optimiser step, a
print) are `Event` records. A node's ``uid`` grows with program order, and its ``ctx`` holds the loops,
undecided branches and calls that were active, so "before", "after" and "in the same iteration" can be
asked of any two of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Loop:
    """One activation of a loop (or comprehension), not one iteration."""

    at: ast.AST
    path: str
    trips: int | None = None  # how often it runs, where the settings in force say so


@dataclass(frozen=True, eq=False)
class Branch:
    """An undecided branch that was taken: its test and which side."""

    test: Node
    taken: bool


@dataclass(frozen=True, eq=False)
class Call:
    """One activation of a user function."""

    function: Any
    at: ast.AST | None
    path: str
    parent: Call | None


@dataclass(frozen=True, eq=False)
class Context:
    loops: tuple[Loop, ...] = ()
    branches: tuple[Branch, ...] = ()
    call: Call | None = None
    depth: int = 0


ROOT = Context()


class Node:
    """One value. ``op`` says what made it:

    ``const`` (``data`` is the value; ``args`` what it was folded from), ``phi`` (one of ``args``; ``data``
    is the deciding test, if any), ``proj`` (element ``data`` of a tuple-like), ``elem`` (some element of
    ``args[0]``), ``binop``, ``unop``, ``compare``, ``bool`` (``data`` is the operator), ``call`` (``data``
    is the dotted external name), ``method`` (``data`` is its name, ``args[0]`` the receiver), ``attr``,
    ``index`` (base, key), ``slice`` (low, high, step), ``tuple``/``list``/``dict`` (``data`` is the
    container), ``object``/``function``/``class``/``module``/``bound`` (``data`` is the thing), ``ext``
    (an external name), ``forward`` (result of a model call; ``data`` is the model), ``loopvar`` (an
    iteration counter), ``env`` (a setting whose value is unknown), ``unknown``.
    ``kw`` names the last ``len(kw)`` arguments.
    """

    __slots__ = ("args", "at", "ctx", "data", "kw", "op", "path", "uid")

    def __init__(
        self,
        op: str,
        args: Any,
        data: Any,
        at: Any,
        path: str,
        ctx: Context,
        uid: int,
        kw: tuple[str, ...] = (),
    ) -> None:
        self.op = op
        self.args = args
        self.data = data
        self.at = at
        self.path = path
        self.ctx = ctx
        self.uid = uid
        self.kw = kw

    @property
    def line(self) -> int:
        return getattr(self.at, "lineno", 1)

    @property
    def column(self) -> int:
        return getattr(self.at, "col_offset", 0)

    def keyword(self, name: str) -> Node | None:
        """The argument passed under ``name``, or None."""
        if name in self.kw:
            value: Node = self.args[len(self.args) - len(self.kw) + self.kw.index(name)]
            return value
        return None

    @property
    def positional(self) -> tuple[Node, ...]:
        return tuple(self.args[: len(self.args) - len(self.kw)])

    def __repr__(self) -> str:
        data = self.data if isinstance(self.data, (str, int, float, bool, type(None))) else "…"
        return f"<{self.op} {data!r} #{self.uid} {self.path}:{self.line}>"


@dataclass(eq=False)
class Container:
    """A Python list, tuple, dict or set. ``exact`` while every element and its place are known."""

    kind: str
    items: list[Node] = field(default_factory=list)
    keyed: dict[Any, Node] = field(default_factory=dict)
    exact: bool = True
    summary: Node | None = None  # open phi over everything put in at unknown places
    keys: Node | None = None  # dicts: open phi over the unknown keys


@dataclass(eq=False)
class Instance:
    """An object of a user class."""

    cls: Any
    attrs: dict[str, Node] = field(default_factory=dict)
    origin: Instance | None = None  # what it was deep-copied from
    copied_at: int = -1  # uid of the copy
    made: Context = ROOT

    def lookup(self, name: str) -> Node | None:
        """What the class gives under ``name``; an object of no known class has nothing."""
        found: Node | None = self.cls.lookup(name) if self.cls is not None else None
        return found

    @property
    def is_model(self) -> bool:
        return bool(self.cls is not None and self.cls.is_model)


@dataclass(frozen=True, eq=False)
class Store:
    """An in-place update of ``root``: ``root[key] how= value``; key None means all of it."""

    root: Node
    key: Node | None
    value: Node
    how: str
    at: Node  # a marker node: place, order and context of the update


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happened: backward, step, output, load_state, save, external-call."""

    kind: str
    args: tuple[Node, ...]
    at: Node


VIEWS = frozenset(
    "reshape view squeeze unsqueeze flatten ravel contiguous detach t transpose permute expand "
    "expand_as to cuda cpu numpy float double half bfloat16 long int int_ type astype view_as "
    "pin_memory requires_grad_ copy clone item tolist narrow unflatten swapaxes type_as "
    "ascontiguousarray share_memory_ retain_grad data".split()
)
"""Methods whose result holds the receiver's own elements."""

COPIES = frozenset(
    "copy clone astype float double half bfloat16 long int int_ type type_as item tolist".split()
)
"""Those among `VIEWS` that give memory of their own: updating the result leaves the receiver alone."""

_ALIASES = VIEWS - COPIES
_FORMS = frozenset(("shape", "dtype", "device", "ndim"))  # attributes that no update changes

PASS_CALLS = frozenset(
    "numpy.asarray numpy.array numpy.ascontiguousarray numpy.frombuffer torch.as_tensor torch.tensor "
    "torch.from_numpy torch.squeeze torch.unsqueeze torch.reshape numpy.reshape numpy.ravel "
    "int float list tuple numpy.int64 numpy.uint64 numpy.int32 numpy.uint32 numpy.uint16 numpy.float64 "
    "numpy.float32 numpy.asfortranarray copy.deepcopy copy.copy torch.clone torch.detach bool "
    "numpy.uint8 numpy.int16 numpy.squeeze torch.flatten numpy.copy sorted iter next "
    "mlx.core.array jax.numpy.array jax.numpy.asarray jax.device_put".split()
)
"""External calls whose result holds their first argument's own elements."""


Opened = dict[int, list[Node]]  # uid -> what an element or projection may be; empty while asked


def alternatives(node: Node, limit: int = 12, opened: Opened | None = None) -> list[Node]:
    """What a node may be, with phis, projections and elements of known containers resolved."""
    found: list[Node] = []
    seen: set[int] = set()
    todo = [node]
    while todo and len(found) < limit:
        current = todo.pop()
        if current.uid in seen:
            continue
        seen.add(current.uid)
        if current.op == "phi":
            todo.extend(reversed(current.args))
        elif current.op in ("proj", "elem"):
            opened = {} if opened is None else opened
            inner = _inside(current, opened)
            if inner:
                todo.extend(inner)
            else:
                found.append(current)
        else:
            found.append(current)
    return found


def _inside(node: Node, opened: Opened | None = None) -> list[Node]:
    opened = {} if opened is None else opened
    known = opened.get(node.uid)
    if known is not None:
        return known
    opened[node.uid] = []  # ``tree = tree[i]``: what is an element of itself adds nothing
    inner: list[Node] = []
    for base in alternatives(node.args[0], 8, opened):
        for box in _looked_up(base, opened):
            if box.op in ("tuple", "list", "dict", "set"):
                found = (
                    container_at(box.data, node.data)
                    if node.op == "proj"
                    else container_all(box.data)
                )
                inner.extend(found)
    opened[node.uid] = inner
    return inner


def _looked_up(node: Node, opened: Opened) -> list[Node]:
    """The values that ``mapping[key]`` may be, for a known mapping and an unknown key."""
    if node.op == "index" and node.data in ("dict", "get") and node.args[0].op == "dict":
        values = container_all(node.args[0].data)
        return [v for value in values for v in alternatives(value, 8, opened)]
    return [node]


def container_at(box: Container, index: Any) -> list[Node]:
    """The possible elements of ``box`` at a constant index or key."""
    if box.kind == "dict":
        try:
            if index in box.keyed:
                return [box.keyed[index]]
        except TypeError:
            pass
        return [box.summary] if box.summary is not None else []
    if box.exact and isinstance(index, int) and -len(box.items) <= index < len(box.items):
        return [box.items[index]]
    return container_all(box)


def container_all(box: Container) -> list[Node]:
    values = list(box.keyed.values()) if box.kind == "dict" else list(box.items)
    if box.summary is not None:
        values.append(box.summary)
    return values


def roots(node: Node) -> list[Node]:
    """The allocations that an in-place update through ``node`` would change."""
    found: list[Node] = []
    seen: set[int] = set()
    todo = [node]
    while todo and len(found) < 16:
        current = todo.pop()
        if current.uid in seen:
            continue
        seen.add(current.uid)
        op = current.op
        if op == "phi":
            todo.extend(current.args)
        elif op in ("proj", "elem"):
            inner = _inside(current)
            todo.extend(inner or current.args[:1])
        elif (
            op == "index"
            or (op == "attr" and current.data not in _FORMS)
            or (op == "method" and current.data in _ALIASES)
            or (op == "call" and current.data in PASS_CALLS and current.args)
        ):
            todo.append(current.args[0])
        elif op in ("list", "tuple", "dict"):
            found.append(current)
            todo.extend(container_all(current.data))
        elif op == "forward":
            todo.append(current.args[0])
        else:
            found.append(current)
    return found


def shares_loop(a: Node, b: Node) -> bool:
    """Whether the two can meet again in a later iteration of a common loop activation."""
    return bool(a.ctx.loops and b.ctx.loops and a.ctx.loops[0] is b.ctx.loops[0])


def may_precede(a: Node, b: Node) -> bool:
    return a.uid < b.uid or shares_loop(a, b)


def common_loops(a: Node, b: Node) -> tuple[Loop, ...]:
    shared = []
    for left, right in zip(a.ctx.loops, b.ctx.loops, strict=False):
        if left is not right:
            break
        shared.append(left)
    return tuple(shared)


def inputs(node: Node) -> Iterable[Node]:
    """The nodes that ``node`` is directly made from, containers opened.

    For an element of a container or a part of a list these include the place that it was taken from.
    """
    if node.op in ("tuple", "list", "dict", "set"):
        return [*container_all(node.data), *node.args] if node.args else container_all(node.data)
    if node.op in ("proj", "elem"):
        inner = _inside(node)
        return [*inner, *node.args[1:]] if inner else node.args
    if node.op == "index":
        rows = _stacked(*node.args)
        return [*rows, node.args[1]] if rows else node.args
    return node.args  # type: ignore[no-any-return]


def _stacked(base: Node, key: Node) -> list[Node]:
    """What ``stack(rows, dim=-1)[..., k]`` and ``stack(rows)[k]`` pick: row k of a known list."""
    keys = key.data.items if key.op == "tuple" else [key]
    if not keys or keys[-1].op != "const" or type(keys[-1].data) is not int:
        return []
    if any(k.op != "slice" and k.data is not Ellipsis for k in keys[:-1]):
        return []
    found: list[Node] = []
    for stack in alternatives(base, 4):
        if stack.op == "const":
            continue  # None, which can't be indexed
        rows = stack.positional[0] if stack.op == "call" and stack.positional else stack
        last_axis = _axis(stack) == -1
        if (
            stack.data not in ("torch.stack", "numpy.stack")
            or rows.op not in ("list", "tuple")
            or not rows.data.exact
            or last_axis != (len(keys) > 1)
            or not -len(rows.data.items) <= keys[-1].data < len(rows.data.items)
        ):
            return []
        found.append(rows.data.items[keys[-1].data])
    return found


def _axis(stack: Node) -> object:
    axis = stack.keyword("dim") or stack.keyword("axis")
    return axis.data if axis is not None and axis.op == "const" else None


def is_place(node: Node, user: Node) -> bool:
    """Whether ``user`` takes ``node`` as the place of an element, not as a value."""
    if user.op in ("elem", "list", "tuple") and len(user.args) > 1:
        return any(a is node for a in user.args[1:])
    return user.op == "index" and user.args[1] is node and user.args[0] is not node


def walk(start: Iterable[Node]) -> Iterator[Node]:
    """Every node that the given ones are made from (in-place updates not followed)."""
    seen: set[int] = set()
    todo = list(start)
    while todo:
        node = todo.pop()
        if node.uid in seen:
            continue
        seen.add(node.uid)
        yield node
        todo.extend(inputs(node))
