"""Statements: each says whether control may go on behind it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from auditor.analysis.graph import (
    Branch,
    Loop,
    Node,
    alternatives,
    roots,
)
from auditor.analysis.trace import scope
from auditor.analysis.trace.expressions import Expressions
from auditor.analysis.trace.objects import Class, Frame
from auditor.analysis.trace.operators import BINARY


class Statements(Expressions):
    """Execution in program order; loop bodies once, undecided branches on both sides."""

    def block(self, body: Sequence[ast.stmt]) -> bool:
        statements = self._statements
        for statement in body:
            self.here = statement
            run = statements.get(type(statement))
            if run is not None and not run(statement):
                return False
        return True

    def exec_Expr(self, s: ast.Expr) -> bool:
        value = self.eval(s.value)
        return not (value.op == "call" and value.data in ("sys.exit", "os._exit", "exit", "quit"))

    def exec_Assign(self, s: ast.Assign) -> bool:
        value = self.eval(s.value)
        for target in s.targets:
            self.assign(target, value)
        return True

    def exec_AnnAssign(self, s: ast.AnnAssign) -> bool:
        if s.value is not None:
            self.assign(s.target, self.eval(s.value))
        return True

    def exec_AugAssign(self, s: ast.AugAssign) -> bool:
        target = s.target
        symbol, fold = BINARY[type(s.op)]
        if isinstance(target, ast.Subscript):
            base, key = self.eval(target.value), self.eval(target.slice)
            old = self.load_index(base, key, target)
            value = self.binary(symbol, fold, old, self.eval(s.value), s)
            if all(b.op in ("list", "tuple", "dict") for b in alternatives(base, 6)):
                self.array_update(old, value, symbol, s)
            self.store_index(base, key, value, symbol + "=", s)
            return True
        if isinstance(target, ast.Attribute):
            base = self.eval(target.value)
            old = self.load_attr(base, target.attr, target)
            value = self.binary(symbol, fold, old, self.eval(s.value), s)
            self.array_update(old, value, symbol, s)
            self.store_attr(base, target.attr, value, s)
            return True
        old = self.eval_name(target.id, target)
        addend = self.eval(s.value)
        for box in alternatives(old, 4):
            if box.op == "list" and symbol == "+":
                self.extend(box.data, addend)
                return True
        value = self.binary(symbol, fold, old, addend, s)
        self.array_update(old, value, symbol, s)
        self.bind(target.id, value)
        return True

    def array_update(self, old: Node, value: Node, symbol: str, at: ast.AST) -> None:
        """``a += b`` on an array also changes every other name of the array."""
        if value.op == "const":
            return
        if any(r.op in ("call", "method") for r in roots(old)):
            self.store(old, None, value, symbol + "=", at)

    def exec_If(self, s: ast.If) -> bool:
        test = self.eval(s.test)
        truth = self.truth(test)
        if truth is not None:
            self.decisions.append((test, truth, s, self.module.path))
            taken, other = (s.body, s.orelse) if truth else (s.orelse, s.body)
            if taken and isinstance(taken[-1], ast.Raise):
                return self.block(other)  # the run reached its score, so no guard stopped it
            if other and self.host.ran_anyway(test, taken, other):
                return self.block(other)
            return self.block(taken)
        return self.fork(test, lambda: self.block(s.body), lambda: self.block(s.orelse))

    def fork(self, test: Node, yes: Callable[[], bool], no: Callable[[], bool]) -> bool:
        """Take both sides of an undecided branch and join what they leave."""
        before, context = self.frame.locals, self.context
        outcomes = []
        for taken, side in ((True, yes), (False, no)):
            self.frame.locals = dict(before)
            self.context = self.within(branch=Branch(test, taken))
            alive = side()
            outcomes.append((alive, self.frame.locals))
            self.context = context
        self.frame.locals = before
        live = [names for alive, names in outcomes if alive]
        if live:
            self.join_into(before, live, test)
        return bool(live)

    def exec_For(self, s: ast.For) -> bool:
        iterable = self.eval(s.iter)
        trips = trips_of(iterable)
        if trips != 0:
            self.loop(s, lambda: self.bind_element(s.target, iterable, s), trips)
        return self.block(s.orelse) if s.orelse else True

    exec_AsyncFor = exec_For

    def exec_While(self, s: ast.While) -> bool:
        def head() -> None:
            test = self.eval(s.test)
            self.context = self.within(branch=Branch(test, True))

        entry = None
        if not scope.assigned_in(s):
            entry = self.truth(self.eval(s.test))
        elif isinstance(s.test, ast.Constant):
            entry = bool(s.test.value)
        if entry is False:
            return self.block(s.orelse) if s.orelse else True
        left = self.loop(s, head)
        if entry is True and not left:
            return False
        return self.block(s.orelse) if s.orelse else True

    def loop(self, s: Any, head: Callable[[], None], trips: int | None = None) -> bool:
        """Execute a body once, loop-carried names as open phis; True if a break leaves it."""
        frame, context = self.frame, self.context
        names = frame.locals
        self.context = self.within(loop=Loop(s, self.module.path, trips))
        carried: dict[str, Node] = {}
        for name in scope.assigned_in(s):
            if name in names:
                carried[name] = names[name] = self.open_phi([names[name]])
        outer = dict(names)
        breaks: list[dict[str, Node]] = []
        nexts: list[dict[str, Node]] = []
        frame.exits.append((breaks, nexts))
        head()
        alive = self.block(s.body)
        frame.exits.pop()
        self.context = context
        ends = [*([dict(frame.locals)] if alive else []), *nexts, *breaks]
        for name, phi in carried.items():
            for end in ends:
                value = end.get(name, phi)
                if value is not phi and not any(value is a for a in phi.args):
                    phi.args.append(value)
            for end in ends:
                end[name] = phi
        self.join_into(frame.locals, ends or [outer], None)
        return bool(breaks)

    def exec_Break(self, s: ast.Break) -> bool:
        if self.frame.exits:
            self.frame.exits[-1][0].append(dict(self.frame.locals))
        return False

    def exec_Continue(self, s: ast.Continue) -> bool:
        if self.frame.exits:
            self.frame.exits[-1][1].append(dict(self.frame.locals))
        return False

    def exec_Return(self, s: ast.Return) -> bool:
        value = self.eval(s.value) if s.value is not None else self.const(None)
        self.frame.returns.append(value)
        return False

    def exec_Raise(self, s: ast.Raise) -> bool:
        return False

    def exec_FunctionDef(self, s: ast.FunctionDef) -> bool:
        self.bind(s.name, self.make_function(s))
        return True

    exec_AsyncFunctionDef = exec_FunctionDef

    def exec_ClassDef(self, s: ast.ClassDef) -> bool:
        bases = tuple(self.eval(b) for b in s.bases)
        cls = Class(s.name, self.module, bases, {}, s)
        for decorator in s.decorator_list:
            text = (
                ast.unparse(decorator)
                if isinstance(decorator, (ast.Name, ast.Attribute, ast.Call))
                else ""
            )
            cls.is_dataclass = cls.is_dataclass or "dataclass" in text
        cls.is_dataclass = cls.is_dataclass or any(
            getattr(b, "data", "") == "typing.NamedTuple" for b in bases
        )
        frame = self.frame
        self.frame = Frame(self.module, cls.names, frame if frame.function else None)
        self.block(s.body)
        cls.names = self.frame.locals
        self.frame = frame
        for value in cls.names.values():
            if value.op == "function" and value.data.owner is None:
                value.data.owner = cls
        self.bind(s.name, self.node("class", (), cls, s))
        return True

    def exec_Import(self, s: ast.Import) -> bool:
        for alias in s.names:
            if alias.asname:
                self.bind(alias.asname, self.host.import_module(alias.name))
            else:
                self.host.import_module(alias.name)
                top = alias.name.split(".")[0]
                self.bind(top, self.host.import_module(top))
        return True

    def exec_ImportFrom(self, s: ast.ImportFrom) -> bool:
        base = "." * s.level + (s.module or "")
        for alias in s.names:
            if alias.name == "*":
                self.host.import_star(base)
                continue
            self.bind(alias.asname or alias.name, self.host.import_from(base, alias.name))
        return True

    def exec_Try(self, s: ast.Try) -> bool:
        before = dict(self.frame.locals)
        context = self.context
        alive = self.block(s.body)
        if alive and s.orelse:
            alive = self.block(s.orelse)
        states = [dict(self.frame.locals)] if alive else []
        names = self.frame.locals
        unknown = self.node("unknown", (), "exception") if s.handlers else None
        for handler in s.handlers:
            assert unknown is not None
            self.frame.locals = dict(before)
            self.frame.locals.update({k: v for k, v in names.items() if k not in before})
            self.context = self.within(branch=Branch(unknown, True))
            if handler.name:
                self.bind(handler.name, unknown)
            if self.block(handler.body):
                states.append(self.frame.locals)
            self.context = context
        self.frame.locals = names
        if states:
            self.join_into(names, states, unknown)
        if s.finalbody:
            return self.block(s.finalbody) and bool(states)
        return bool(states)

    exec_TryStar = exec_Try

    def exec_With(self, s: ast.With) -> bool:
        for item in s.items:
            value = self.eval(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        return self.block(s.body)

    exec_AsyncWith = exec_With

    def exec_Assert(self, s: ast.Assert) -> bool:
        self.eval(s.test)
        return True

    def exec_Delete(self, s: ast.Delete) -> bool:
        return True

    def exec_Match(self, s: Any) -> bool:
        subject = self.eval(s.subject)
        before = dict(self.frame.locals)
        names = self.frame.locals
        states = [before]
        context = self.context
        for case in s.cases:
            self.frame.locals = dict(before)
            self.context = self.within(branch=Branch(subject, True))
            for child in ast.walk(case.pattern):
                name = getattr(child, "name", None)
                if isinstance(name, str):
                    self.bind(name, subject)
            if self.block(case.body):
                states.append(self.frame.locals)
            self.context = context
        self.frame.locals = names
        self.join_into(names, states, subject)
        return True  # no case may match


def trips_of(iterable: Node) -> int | None:
    """How often a loop over ``iterable`` runs, if constants decide it."""
    if iterable.op in ("list", "tuple") and iterable.data.exact:
        return len(iterable.data.items)
    if iterable.op == "call" and iterable.data == "range":
        bounds = [a.data for a in iterable.args if a.op == "const"]
        if len(bounds) == len(iterable.args) and all(isinstance(b, int) for b in bounds):
            try:
                return len(range(*bounds))
            except (TypeError, ValueError, OverflowError):
                return None
    return None
