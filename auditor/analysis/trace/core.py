"""Nodes, stores and events; names and contexts; joining what branches leave."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from auditor.analysis.graph import (
    ROOT,
    Branch,
    Call,
    Container,
    Context,
    Event,
    Loop,
    Node,
    Store,
    roots,
)
from auditor.analysis.trace.host import Host
from auditor.analysis.trace.objects import AnalysisLimit, Frame, Module

MAX_NODES = 1_500_000
CONST_TYPES = (int, float, bool, str, bytes, type(None), complex, type(Ellipsis))


class Core:
    """The state of one trace, and what every layer above needs of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.stores: dict[int, list[Store]] = {}
        self.events: list[Event] = []
        self.nodes: list[Node] = []
        self.decisions: list[tuple[Node, bool, ast.AST, str]] = []
        self.context = ROOT
        self.module: Module = None  # type: ignore[assignment]
        self.frame: Frame = None  # type: ignore[assignment]
        self.active: dict[int, int] = {}
        self.traced: set[int] = set()  # ids of the functions that were traced to their end
        self.changing_attributes: set[str] = set()
        self.changing_globals: set[str] = set()
        self.changing_keys: set[object] = set()
        self.reached: set[tuple[str, int]] = set()  # (path, line) of every executed function
        self.here: ast.AST | None = None
        self._statements: dict[type, Callable[[Any], bool]] = {
            getattr(ast, name[5:]): getattr(self, name)
            for name in dir(self)
            if name.startswith("exec_") and hasattr(ast, name[5:])
        }
        self._expressions: dict[type, Callable[[Any], Node]] = {
            getattr(ast, name[5:]): getattr(self, name)
            for name in dir(self)
            if name.startswith("eval_") and hasattr(ast, name[5:])
        }

    # -- what the layers above add -----------------------------------------------------------

    def eval(self, e: ast.AST) -> Node:
        raise NotImplementedError

    def block(self, body: Sequence[ast.stmt]) -> bool:
        raise NotImplementedError

    def call(self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        raise NotImplementedError

    # -- nodes -------------------------------------------------------------------------------

    def node(
        self,
        op: str,
        args: Any = (),
        data: Any = None,
        at: ast.AST | None = None,
        kw: tuple[str, ...] = (),
    ) -> Node:
        nodes = self.nodes
        uid = len(nodes)
        if uid >= MAX_NODES:
            raise AnalysisLimit(f"the live path has more than {MAX_NODES:,} values")
        made = Node(op, args, data, at or self.here, self.module.path, self.context, uid, kw)
        nodes.append(made)
        return made

    def const(self, value: Any, origins: tuple[Node, ...] = (), at: ast.AST | None = None) -> Node:
        return self.node("const", origins, value, at)

    def phi(self, values: Sequence[Node], test: Node | None = None) -> Node:
        unique: list[Node] = []
        for value in values:
            if not any(value is other for other in unique):
                unique.append(value)
        if len(unique) == 1:
            return unique[0]
        if all(v.op == "const" for v in unique):
            first = unique[0].data
            if all(type(v.data) is type(first) and v.data == first for v in unique):
                return unique[0]
        if all(v.op == "ext" and v.data == unique[0].data for v in unique):
            return unique[0]
        return self.node("phi", unique, test)

    def open_phi(self, values: Iterable[Node] = ()) -> Node:
        """A phi that may still grow: loop-carried values and summaries of containers."""
        return self.node("phi", list(values), "open")

    def container(self, kind: str, items: Sequence[Node] = (), at: ast.AST | None = None) -> Node:
        return self.node(kind, (), Container(kind, list(items)), at)

    def event(self, kind: str, *args: Node, at: ast.AST | None = None) -> None:
        self.events.append(Event(kind, args, self.node("event", (), kind, at)))

    def store(self, target: Node, key: Node | None, value: Node, how: str, at: ast.AST) -> None:
        marker = self.node("event", (), "store", at)
        for root in roots(target):
            if root.op in ("const", "ext", "function", "class", "module"):
                continue
            self.stores.setdefault(root.uid, []).append(Store(root, key, value, how, marker))

    def opaque(
        self, op: str, name: str, args: Sequence[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        return self.node(op, (*args, *kwargs.values()), name, at, tuple(kwargs))

    def bound(self, function: Node, owner: Node) -> Node:
        return self.node("bound", (owner,), function.data)

    # -- contexts ----------------------------------------------------------------------------

    def within(
        self, *, loop: Loop | None = None, branch: Branch | None = None, call: Call | None = None
    ) -> Context:
        c = self.context
        return Context(
            (*c.loops, loop) if loop else c.loops,
            (*c.branches, branch) if branch else c.branches,
            call or c.call,
            c.depth + (1 if call else 0),
        )

    def join_into(
        self, target: dict[str, Node], states: Sequence[dict[str, Node]], test: Any
    ) -> None:
        """Make ``target`` (kept: closures and modules hold it) the join of ``states``."""
        if len(states) == 1:
            if target is not states[0]:
                target.clear()
                target.update(states[0])
            return
        merged: dict[str, Node] = {}
        for state in states:
            for name, value in state.items():
                if name in merged:
                    continue
                values = [value]
                for other in states:
                    there = other.get(name)
                    if there is not None and not any(there is v for v in values):
                        values.append(there)
                merged[name] = value if len(values) == 1 else self.phi(values, test)
        target.clear()
        target.update(merged)

    def truth(self, node: Node) -> bool | None:
        """Whether a value is true, as far as the settings in force decide it."""
        if node.op == "const":
            return bool(node.data)
        if node.op in ("object", "function", "class", "module", "bound"):
            return True
        if node.op in ("tuple", "list") and node.data.exact and not self.context.loops:
            return bool(node.data.items)
        if node.op == "phi" and node.data != "open":
            truths = {self.truth(a) for a in node.args}
            if len(truths) == 1:
                return truths.pop()
        return None

    # -- names -------------------------------------------------------------------------------

    def bind(self, name: str, value: Node) -> None:
        frame = self.frame
        if name in frame.global_names:
            self._bind_outside(frame.module.names, name, value)
        elif name in frame.nonlocal_names:
            outer = frame.parent
            while outer is not None and name not in outer.locals:
                outer = outer.parent
            self._bind_outside(outer.locals if outer else frame.module.names, name, value)
        else:
            frame.locals[name] = value

    def _bind_outside(self, names: dict[str, Node], name: str, value: Node) -> None:
        old = names.get(name)
        if old is not None and (self.context.loops or self.context.branches):
            value = self.weak(old, value)
        names[name] = value

    def weak(self, old: Node, value: Node) -> Node:
        """The join of an old value and one that is stored under a loop or an undecided branch."""
        if old is value:
            return old
        if old.op == "phi" and old.data == "open":
            if not any(value is a for a in old.args):
                old.args.append(value)
            return old
        return self.open_phi([old, value])

    def eval_name(self, name: str, at: ast.AST) -> Node:
        frame: Frame | None = self.frame
        assert frame is not None
        module = frame.module
        while frame is not None:
            value = frame.locals.get(name)
            if value is not None:
                if name in self.changing_globals and value.op == "const" and self.context.loops:
                    return self.open_phi([value])
                return value
            frame = frame.parent
        value = module.names.get(name)
        if value is not None:
            if name in self.changing_globals and value.op == "const" and self.context.loops:
                return self.open_phi([value])
            return value
        return self.node("ext", (), name, at)
