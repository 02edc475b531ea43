"""Abstract execution: from a submission's entry script to a value graph.

Every statement on the live path is executed once, with settings in force as constants and everything
else symbolic. Undecided branches are both taken and joined. User calls are inlined, so each activation
has its own values. Nothing of the submission is run or imported.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditor.analysis import scope
from auditor.analysis.graph import (
    ROOT,
    Branch,
    Call,
    Container,
    Context,
    Event,
    Instance,
    Loop,
    Node,
    Store,
    alternatives,
    container_all,
    container_at,
    roots,
)

if TYPE_CHECKING:
    from auditor.submission.model import SourceFile

MAX_DEPTH = 48
MAX_SAME_FUNCTION = 2
MAX_NODES = 1_500_000
ECONOMY = 80_000  # values beyond which a layer that was traced before is taken as one operation
CONST_TYPES = (int, float, bool, str, bytes, type(None), complex, type(Ellipsis))


class AnalysisLimit(Exception):
    """The script is larger than what is analysed; the message says by what measure."""


@dataclass(eq=False)
class Module:
    """A module of the submission, executed at most once."""

    name: str
    source: SourceFile
    names: dict[str, Node] = field(default_factory=dict)
    started: bool = False

    @property
    def path(self) -> str:
        return self.source.path


@dataclass(eq=False)
class Function:
    at: Any  # FunctionDef | Lambda
    module: Module
    closure: Frame | None
    defaults: tuple[Node, ...]
    kw_defaults: tuple[Node | None, ...]
    owner: Class | None = None
    kind: str = "plain"  # plain | static | class | property

    @property
    def name(self) -> str:
        return getattr(self.at, "name", "<lambda>")


@dataclass(eq=False)
class Class:
    name: str
    module: Module
    bases: tuple[Node, ...]
    names: dict[str, Node]
    at: Any
    is_dataclass: bool = False

    def lineage(self) -> Iterable[Class]:
        seen: set[int] = set()
        todo: list[Class] = [self]
        while todo:
            current = todo.pop(0)
            if id(current) in seen:
                continue
            seen.add(id(current))
            yield current
            for base in current.bases:
                todo.extend(b.data for b in alternatives(base) if b.op == "class")

    def lookup(self, name: str) -> Node | None:
        for cls in self.lineage():
            if name in cls.names:
                return cls.names[name]
        return None

    @property
    def external_bases(self) -> list[str]:
        found = []
        for cls in self.lineage():
            for base in cls.bases:
                found.extend(b.data for b in alternatives(base) if b.op == "ext")
        return found

    @property
    def is_model(self) -> bool:
        return any(name.endswith(("nn.Module", ".Module")) for name in self.external_bases)

    @property
    def is_optimizer(self) -> bool:
        return any("optim" in name.lower() for name in self.external_bases)


@dataclass(eq=False)
class Frame:
    module: Module
    locals: dict[str, Node]
    parent: Frame | None = None  # the enclosing function's frame
    function: Function | None = None
    returns: list[Node] = field(default_factory=list)
    yields: list[Node] = field(default_factory=list)
    global_names: frozenset[str] = frozenset()
    nonlocal_names: frozenset[str] = frozenset()
    exits: list[tuple[list[dict[str, Node]], list[dict[str, Node]]]] = field(default_factory=list)


_BINARY: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.BitXor: ("^", operator.xor),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
    ast.MatMult: ("@", operator.matmul),
}
_UNARY: dict[type, tuple[str, Callable[[Any], Any]]] = {
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Not: ("not", operator.not_),
    ast.Invert: ("~", operator.invert),
}
_COMPARE: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Is: ("is", operator.is_),
    ast.IsNot: ("is not", operator.is_not),
    ast.In: ("in", lambda a, b: a in b),
    ast.NotIn: ("not in", lambda a, b: a not in b),
}
_NEVER_NONE = frozenset("tuple list dict set object function class module bound binop compare loopvar forward".split())


class Tracer:
    """Executes modules abstractly and collects nodes, stores and events."""

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
        self.reached: set[tuple[str, int]] = set()  # (path, line) of every executed function
        self._here: ast.AST | None = None
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

    # -- nodes ---------------------------------------------------------------------------------

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
        made = Node(op, args, data, at or self._here, self.module.path, self.context, uid, kw)
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

    # -- modules -------------------------------------------------------------------------------

    def run_module(self, module: Module, names: dict[str, Node] | None = None) -> None:
        """Execute a module's top level (once)."""
        if module.started:
            return
        module.started = True
        tree = self.host.parse(module.source)
        if tree is None:
            return
        attributes, global_names = scope.changing_names(tree)
        self.changing_attributes |= attributes
        self.changing_globals |= global_names
        if names is not None:
            module.names = names
        saved = (self.module, self.frame, self._here)
        self.module = module
        self.frame = Frame(module, module.names)
        if "__name__" not in module.names:
            module.names["__name__"] = self.const(module.name)
            module.names["__file__"] = self.const(module.path)
        try:
            self.block(tree.body)
        finally:
            self.module, self.frame, self._here = saved

    # -- statements: each returns whether control may go on behind it ---------------------------------

    def block(self, body: Sequence[ast.stmt]) -> bool:
        statements = self._statements
        for statement in body:
            self._here = statement
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
        symbol, fold = _BINARY[type(s.op)]
        if isinstance(target, ast.Subscript):
            base, key = self.eval(target.value), self.eval(target.slice)
            old = self.load_index(base, key, target)
            value = self.binary(symbol, fold, old, self.eval(s.value), s)
            if all(b.op in ("list", "tuple", "dict") for b in alternatives(base, 6)):
                self._array_update(old, value, symbol, s)
            self.store_index(base, key, value, symbol + "=", s)
            return True
        if isinstance(target, ast.Attribute):
            base = self.eval(target.value)
            old = self.load_attr(base, target.attr, target)
            value = self.binary(symbol, fold, old, self.eval(s.value), s)
            self._array_update(old, value, symbol, s)
            self.store_attr(base, target.attr, value, s)
            return True
        old = self.eval_name(target.id, target)
        addend = self.eval(s.value)
        for box in alternatives(old, 4):
            if box.op == "list" and symbol == "+":
                self.extend(box.data, addend)
                return True
        value = self.binary(symbol, fold, old, addend, s)
        self._array_update(old, value, symbol, s)
        self.bind(target.id, value)
        return True

    def _array_update(self, old: Node, value: Node, symbol: str, at: ast.AST) -> None:
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
            if other and self.host.ran_anyway(self, test, taken, other):
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
            self._join_into(before, live, test)
        return bool(live)

    def _join_into(self, target: dict[str, Node], states: Sequence[dict[str, Node]], test: Any) -> None:
        """Make ``target`` (kept: closures and modules hold it) the join of ``states``."""
        if len(states) == 1:
            if target is not states[0]:
                target.clear()
                target.update(states[0])
            return
        first = states[0]
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
        del first
        target.clear()
        target.update(merged)

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

    def exec_For(self, s: ast.For) -> bool:
        iterable = self.eval(s.iter)
        trips = _trips(iterable)
        if trips != 0:
            self._loop(s, lambda: self._bind_element(s.target, iterable, s), trips)
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
        left = self._loop(s, head)
        if entry is True and not left:
            return False
        return self.block(s.orelse) if s.orelse else True

    def _loop(self, s: Any, head: Callable[[], None], trips: int | None = None) -> bool:
        """Execute a loop body once with loop-carried names as open phis; True if a break leaves it."""
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
        self._join_into(frame.locals, ends or [outer], None)
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
            text = ast.unparse(decorator) if isinstance(decorator, (ast.Name, ast.Attribute, ast.Call)) else ""
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
                self.bind(alias.asname, self.host.import_module(self, alias.name))
            else:
                self.host.import_module(self, alias.name)
                top = alias.name.split(".")[0]
                self.bind(top, self.host.import_module(self, top))
        return True

    def exec_ImportFrom(self, s: ast.ImportFrom) -> bool:
        base = "." * s.level + (s.module or "")
        for alias in s.names:
            if alias.name == "*":
                self.host.import_star(self, base)
                continue
            self.bind(alias.asname or alias.name, self.host.import_from(self, base, alias.name))
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
            self.frame.locals.update(
                {k: v for k, v in names.items() if k not in before}
            )
            self.context = self.within(branch=Branch(unknown, True))
            if handler.name:
                self.bind(handler.name, unknown)
            if self.block(handler.body):
                states.append(self.frame.locals)
            self.context = context
        self.frame.locals = names
        if states:
            self._join_into(names, states, unknown)
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
        alive = False
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
        self._join_into(names, states, subject)
        return True or alive

    # -- names -----------------------------------------------------------------------------------

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
            value = self._weak(old, value)
        names[name] = value

    def _weak(self, old: Node, value: Node) -> Node:
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

    def assign(self, target: ast.expr, value: Node) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Subscript):
            self.store_index(self.eval(target.value), self.eval(target.slice), value, "=", target)
        elif isinstance(target, ast.Attribute):
            self.store_attr(self.eval(target.value), target.attr, value, target)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)

    def _unpack(self, targets: Sequence[ast.expr], value: Node) -> None:
        star = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
        for i, target in enumerate(targets):
            if star is not None and i == star:
                self.assign(target, self.node("elem", (value,), None, target))
            elif star is not None and i > star:
                self.assign(target, self.project(value, i - len(targets), target))
            else:
                self.assign(target, self.project(value, i, target))

    def project(self, value: Node, index: int, at: ast.AST) -> Node:
        if value.op in ("tuple", "list"):
            found = container_at(value.data, index)
            if len(found) == 1:
                return found[0]
        if value.op == "phi" and value.data != "open":
            return self.phi([self.project(v, index, at) for v in value.args], value.data)
        if value.op == "forward" and value.args[0].op == "tuple":
            inner = self.project(value.args[0], index, at)
            return self.node("forward", (inner, *value.args[1:]), value.data, at)
        return self.node("proj", (value,), index, at)

    # -- loops' elements -----------------------------------------------------------------------------

    def _bind_element(self, target: ast.expr, iterable: Node, at: ast.AST) -> None:
        self.assign(target, self.element(iterable, at))

    def element(self, iterable: Node, at: ast.AST) -> Node:
        """Some element of an iterable, as one iteration of the innermost loop sees it."""
        if iterable.op == "call":
            name, args = iterable.data, iterable.positional
            if name == "range":
                return self.node("loopvar", iterable.args, "range", at)
            if name == "enumerate" and args:
                counter = self.node("loopvar", (), "count", at)
                return self.container("tuple", [counter, self.element(args[0], at)], at)
            if name == "zip":
                return self.container("tuple", [self.element(a, at) for a in args], at)
            if name in ("reversed", "sorted", "iter", "tqdm.tqdm", "tqdm", "list", "tuple", "set") and args:
                return self.element(args[0], at)
            if name in ("itertools.product",):
                return self.container("tuple", [self.element(a, at) for a in args], at)
        if iterable.op in ("list", "tuple", "set") and iterable.data.exact:
            values = container_all(iterable.data)
            if len(values) == 1:
                return values[0]
        if iterable.op == "dict":
            return self._dict_keys(iterable)
        if iterable.op == "method" and iterable.data in ("items", "values", "keys") and iterable.args:
            for base in alternatives(iterable.args[0], 3):
                if base.op != "dict":
                    continue
                key = self._dict_keys(base)
                if iterable.data == "keys":
                    return key
                value = self.phi(container_all(base.data) or [self.node("unknown", (base,))])
                return value if iterable.data == "values" else self.container("tuple", [key, value], at)
        return self.node("elem", (iterable,), None, at)

    def _dict_keys(self, base: Node) -> Node:
        box: Container = base.data
        keys = [self.const(k) for k in box.keyed if isinstance(k, CONST_TYPES)]
        if box.keys is not None:
            keys.append(box.keys)
        return self.phi(keys) if keys else self.node("elem", (base,))

    # -- expressions -----------------------------------------------------------------------------------

    def eval(self, e: ast.AST) -> Node:
        run = self._expressions.get(type(e))
        if run is None:
            return self.node("unknown", tuple(self.eval(c) for c in ast.iter_child_nodes(e) if isinstance(c, ast.expr)), None, e)
        return run(e)

    def eval_Constant(self, e: ast.Constant) -> Node:
        return self.node("const", (), e.value, e)

    def eval_Name(self, e: ast.Name) -> Node:
        return self.eval_name(e.id, e)

    def eval_NamedExpr(self, e: ast.NamedExpr) -> Node:
        value = self.eval(e.value)
        self.assign(e.target, value)
        return value

    def eval_BinOp(self, e: ast.BinOp) -> Node:
        terms = []
        current: ast.expr = e
        while isinstance(current, ast.BinOp):  # long sums would recurse once per term
            terms.append(current)
            current = current.left
        left = self.eval(current)
        for term in reversed(terms):
            symbol, fold = _BINARY[type(term.op)]
            left = self.binary(symbol, fold, left, self.eval(term.right), term)
        return left

    def binary(self, symbol: str, fold: Callable[[Any, Any], Any], left: Node, right: Node, at: ast.AST) -> Node:
        if left.op == "const" and right.op == "const":
            a, b = left.data, right.data
            if _foldable(symbol, a, b):
                try:
                    return self.const(fold(a, b), (left, right), at)
                except Exception:  # the submission's own arithmetic error: the value is unknown
                    pass
        if left.op in ("list", "tuple") and right.op in ("list", "tuple") and symbol == "+":
            box = Container(left.op, [*left.data.items, *right.data.items])
            box.exact = left.data.exact and right.data.exact
            box.summary = left.data.summary or right.data.summary
            return self.node(left.op, (), box, at)
        if symbol == "*" and left.op == "list" and left.data.items:
            box = Container("list", [], exact=False, summary=self.open_phi(left.data.items))
            return self.node("list", (), box, at)
        return self.node("binop", (left, right), symbol, at)

    def eval_UnaryOp(self, e: ast.UnaryOp) -> Node:
        value = self.eval(e.operand)
        symbol, fold = _UNARY[type(e.op)]
        if symbol == "not":
            truth = self.truth(value)
            if truth is not None:
                return self.const(not truth, (value,), e)
        elif value.op == "const":
            try:
                return self.const(fold(value.data), (value,), e)
            except Exception:
                pass
        return self.node("unop", (value,), symbol, e)

    def eval_BoolOp(self, e: ast.BoolOp) -> Node:
        is_and = isinstance(e.op, ast.And)
        values = []
        for part in e.values:
            value = self.eval(part)
            truth = self.truth(value)
            if truth is None:
                values.append(value)
                continue
            if truth is not is_and:  # decides the whole
                return value if not values else self._decided(values, value, is_and, e)
            last = value
            if part is e.values[-1]:
                values.append(last)
        if not values:
            return value
        return values[0] if len(values) == 1 else self.node("bool", tuple(values), "and" if is_and else "or", e)

    def _decided(self, values: list[Node], last: Node, is_and: bool, at: ast.AST) -> Node:
        if is_and:
            return self.const(False, (*values, last), at) if last.op == "const" else last
        return self.node("bool", (*values, last), "or", at)

    def eval_Compare(self, e: ast.Compare) -> Node:
        left = self.eval(e.left)
        results = []
        for op, right_expr in zip(e.ops, e.comparators, strict=True):
            right = self.eval(right_expr)
            results.append(self._compare(op, left, right, e))
            left = right
        if len(results) == 1:
            return results[0]
        if all(r.op == "const" for r in results):
            return self.const(all(r.data for r in results), tuple(results), e)
        return self.node("bool", tuple(results), "and", e)

    def _compare(self, op: ast.cmpop, left: Node, right: Node, at: ast.AST) -> Node:
        symbol, fold = _COMPARE[type(op)]
        if symbol in ("is", "is not", "==", "!="):
            nothing = [n.op == "const" and n.data is None for n in (left, right)]
            if any(nothing):
                other = right if nothing[0] else left
                if all(nothing) or self._never_none(other):
                    same = all(nothing)
                    return self.const(same if symbol in ("is", "==") else not same, (left, right), at)
        if left.op == "const" and right.op == "const":
            if symbol in ("is", "is not") and not (_singleton(left.data) and _singleton(right.data)):
                symbol, fold = ("==", operator.eq) if symbol == "is" else ("!=", operator.ne)
            try:
                return self.const(bool(fold(left.data, right.data)), (left, right), at)
            except Exception:
                pass
        if symbol in ("in", "not in") and left.op == "const":
            known = self._contains(left.data, right)
            if known is not None:
                return self.const(known if symbol == "in" else not known, (left, right), at)
        return self.node("compare", (left, right), symbol, at)

    @staticmethod
    def _never_none(node: Node) -> bool:
        values = alternatives(node)
        if node.op == "phi" and node.data == "open":
            return False
        return bool(values) and all(
            v.op in _NEVER_NONE or (v.op == "const" and v.data is not None) for v in values
        )

    def _contains(self, value: Any, right: Node) -> bool | None:
        if right.op in ("tuple", "list", "set") and right.data.exact:
            items = right.data.items
            if all(i.op == "const" for i in items):
                return any(i.data == value for i in items)
        if right.op == "dict" and right.data.summary is None and not self.context.loops:
            try:
                return value in right.data.keyed
            except TypeError:
                return None
        if right.op == "ext" and right.data == "os.environ" and isinstance(value, str):
            return self.host.has_env(value)
        return None

    def eval_IfExp(self, e: ast.IfExp) -> Node:
        test = self.eval(e.test)
        truth = self.truth(test)
        if truth is not None:
            self.decisions.append((test, truth, e, self.module.path))
            return self.eval(e.body if truth else e.orelse)
        context = self.context
        self.context = self.within(branch=Branch(test, True))
        yes = self.eval(e.body)
        self.context = context
        self.context = self.within(branch=Branch(test, False))
        no = self.eval(e.orelse)
        self.context = context
        return self.phi([yes, no], test)

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

    def eval_JoinedStr(self, e: ast.JoinedStr) -> Node:
        parts = [self.eval(v) for v in e.values]
        if all(p.op == "const" for p in parts):
            return self.const("".join(str(p.data) for p in parts), tuple(parts), e)
        return self.node("call", tuple(parts), "str.join", e)

    def eval_FormattedValue(self, e: ast.FormattedValue) -> Node:
        value = self.eval(e.value)
        if e.format_spec is not None and value.op == "const":
            spec = self.eval(e.format_spec)
            if spec.op == "const":
                try:
                    return self.const(format(value.data, spec.data), (value,), e)
                except Exception:
                    pass
        return value

    def eval_Tuple(self, e: ast.Tuple) -> Node:
        return self._display("tuple", e)

    def eval_List(self, e: ast.List) -> Node:
        return self._display("list", e)

    def eval_Set(self, e: ast.Set) -> Node:
        return self._display("set", e)

    def _display(self, kind: str, e: Any) -> Node:
        made = self.container(kind, (), e)
        box: Container = made.data
        for item in e.elts:
            if isinstance(item, ast.Starred):
                self.extend(box, self.eval(item.value))
            else:
                box.items.append(self.eval(item))
        return made

    def eval_Dict(self, e: ast.Dict) -> Node:
        made = self.container("dict", (), e)
        for key_expr, value_expr in zip(e.keys, e.values, strict=True):
            value = self.eval(value_expr)
            if key_expr is None:
                self.merge_dict(made.data, value)
            else:
                self.dict_set(made.data, self.eval(key_expr), value, strong=True)
        return made

    def merge_dict(self, box: Container, value: Node) -> None:
        for other in alternatives(value, 3):
            if other.op == "dict":
                box.keyed.update(other.data.keyed)
                if other.data.summary is not None:
                    self.dict_set(box, self.node("unknown"), other.data.summary, strong=False)
            else:
                self.dict_set(box, self.node("unknown"), self.node("elem", (other,)), strong=False)

    def dict_set(self, box: Container, key: Node, value: Node, *, strong: bool) -> None:
        if key.op == "const" and isinstance(key.data, CONST_TYPES):
            old = box.keyed.get(key.data)
            box.keyed[key.data] = value if old is None or strong else self._weak(old, value)
            return
        box.exact = False
        box.summary = box.summary or self.open_phi()
        box.keys = box.keys or self.open_phi()
        if not any(value is a for a in box.summary.args):
            box.summary.args.append(value)
        if not any(key is a for a in box.keys.args):
            box.keys.args.append(key)

    def append(self, owner: Node, value: Node) -> None:
        """``owner.append(value)`` for a known list."""
        box: Container = owner.data
        if box.exact and owner.ctx.loops == self.context.loops and owner.ctx.branches == self.context.branches:
            box.items.append(value)
            return
        self.blur(box)
        assert box.summary is not None
        if not any(value is a for a in box.summary.args):
            box.summary.args.append(value)

    def blur(self, box: Container) -> None:
        """Give up exact places: every element may be anywhere."""
        box.summary = box.summary or self.open_phi()
        if box.exact:
            box.summary.args.extend(box.items)
            box.items = []
            box.exact = False

    def extend(self, box: Container, value: Node) -> None:
        for other in alternatives(value, 4):
            if other.op in ("list", "tuple", "set") and other.data.exact and box.exact and not self.context.loops:
                box.items.extend(other.data.items)
                continue
            self.blur(box)
            assert box.summary is not None
            elements = container_all(other.data) if other.op in ("list", "tuple", "set") else [self.node("elem", (other,))]
            for element in elements:
                if element is not box.summary and not any(element is a for a in box.summary.args):
                    box.summary.args.append(element)

    def eval_Subscript(self, e: ast.Subscript) -> Node:
        return self.load_index(self.eval(e.value), self.eval(e.slice), e)

    def eval_Slice(self, e: ast.Slice) -> Node:
        nothing = None
        parts = []
        for part in (e.lower, e.upper, e.step):
            if part is None:
                nothing = nothing or self.node("const", (), None, e)
                parts.append(nothing)
            else:
                parts.append(self.eval(part))
        return self.node("slice", tuple(parts), None, e)

    def load_index(self, base: Node, key: Node, at: ast.AST) -> Node:
        op = base.op
        if op in ("list", "tuple", "dict"):
            found = self._container_load(base, key, at)
            if found is not None:
                return found
        elif op in ("phi", "elem", "proj"):
            boxes = alternatives(base, 6)
            if boxes and all(b.op in ("list", "tuple", "dict") for b in boxes):
                return self._boxes_load(base, boxes, key, at)
        elif op == "const" and key.op == "const":
            try:
                return self.const(base.data[key.data], (base, key), at)
            except Exception:
                pass
        elif op == "ext" and base.data in ("os.environ", "environ") and key.op == "const":
            return self.host.env(self, key.data, None, at)
        elif op == "object":
            method = base.data.cls.lookup("__getitem__")
            if method is not None:
                return self.call(self.bound(method, base), [key], {}, at)
        return self.node("index", (base, key), None, at)

    def _boxes_load(self, base: Node, boxes: list[Node], key: Node, at: ast.AST) -> Node:
        """An element of one of several containers, or of one that is itself an element."""
        if key.op == "slice":
            inside = [e for b in boxes for e in container_all(b.data)]
            box = Container("list", [], {}, False, self.open_phi(inside))
            return self.node("list", (base, key), box, at)
        if key.op == "const" or any(b.op == "dict" for b in boxes):
            return self.phi([self.load_index(b, key, at) for b in boxes])
        return self.node("elem", (base, key), None, at)

    def _container_load(self, base: Node, key: Node, at: ast.AST) -> Node | None:
        box: Container = base.data
        if box.kind == "dict":
            if key.op == "const" and isinstance(key.data, CONST_TYPES) and key.data in box.keyed:
                return box.keyed[key.data]
            return self.node("index", (base, key), "dict", at)
        if key.op == "const" and isinstance(key.data, int):
            found = container_at(box, key.data)
            if len(found) == 1 and box.exact:
                return found[0]
        if key.op == "slice":
            if box.exact and all(a.op == "const" for a in key.args):
                try:
                    chosen = box.items[slice(*(a.data for a in key.args))]
                    return self.container(box.kind, chosen, at)
                except Exception:
                    pass
            whole = box.summary or self.open_phi(box.items)
            return self.node("list", (base, key), Container("list", [], {}, False, whole), at)
        if key.op == "const" and len(values := container_all(box)) == 1:
            return values[0]
        return self.node("elem", (base, key), None, at) if container_all(box) else None

    def store_index(self, base: Node, key: Node, value: Node, how: str, at: ast.AST) -> None:
        for box in alternatives(base, 6):
            if box.op == "dict":
                strong = not (self.context.loops or self.context.branches)
                self.dict_set(box.data, key, value, strong=strong)
                self.store(box, key, value, how, at)
            elif box.op == "list":
                self._list_set(box, key, value)
            elif box.op == "object":
                method = box.data.cls.lookup("__setitem__")
                if method is not None:
                    self.call(self.bound(method, box), [key, value], {}, at)
                    continue
                self.store(box, key, value, how, at)
            elif box.op == "ext" and box.data == "os.environ":
                self.host.set_env(key, value)
            else:
                self.store(box, key, value, how, at)

    def _list_set(self, owner: Node, key: Node, value: Node) -> None:
        box: Container = owner.data
        same = owner.ctx.loops == self.context.loops and owner.ctx.branches == self.context.branches
        if box.exact and key.op == "const" and isinstance(key.data, int) and -len(box.items) <= key.data < len(box.items):
            old = box.items[key.data]
            box.items[key.data] = value if same else self._weak(old, value)
            return
        self.blur(box)
        assert box.summary is not None
        if not any(value is a for a in box.summary.args):
            box.summary.args.append(value)
        marker = self.node("event", (), "store")  # rules ask which test an element was replaced under
        self.stores.setdefault(owner.uid, []).append(Store(owner, key, value, "=", marker))

    def eval_Attribute(self, e: ast.Attribute) -> Node:
        return self.load_attr(self.eval(e.value), e.attr, e)

    def load_attr(self, base: Node, name: str, at: ast.AST) -> Node:
        op = base.op
        if op == "ext":
            return self.node("ext", (), f"{base.data}.{name}", at)
        if op == "object":
            return self._object_attr(base, name, at)
        if op == "module":
            value = base.data.names.get(name)
            return value if value is not None else self.host.submodule(self, base.data, name, at)
        if op == "class":
            value = base.data.lookup(name)
            if value is not None:
                if value.op == "function" and value.data.kind == "class":
                    return self.bound(value, base)
                return value
        elif op in ("phi", "proj", "elem"):
            owners = [a for a in alternatives(base, 6) if not (a.op == "const" and a.data is None)]
            if owners and all(o.op in ("object", "class", "module") for o in owners):
                return self.phi([self.load_attr(o, name, at) for o in owners])
        elif op in ("call", "forward", "bound"):
            inner = self.wrapped(base)
            if inner is not None:
                if inner.op == "object" and not self._has_attr(inner, name):
                    return inner if name in ("module", "_orig_mod") else self.node("attr", (inner,), name, at)
                if inner.op == "object":
                    return self.load_attr(inner, name, at)
        return self.node("attr", (base,), name, at)

    @staticmethod
    def _has_attr(owner: Node, name: str) -> bool:
        instance: Instance = owner.data
        return name in instance.attrs or (instance.cls is not None and instance.cls.lookup(name) is not None)

    def _object_attr(self, base: Node, name: str, at: ast.AST) -> Node:
        instance: Instance = base.data
        value = instance.attrs.get(name)
        if value is None and instance.cls is not None:
            value = instance.cls.lookup(name)
            if value is not None and value.op == "function":
                kind = value.data.kind
                if kind == "static":
                    return value
                if kind == "property":
                    return self.call(self.bound(value, base), [], {}, at)
                if kind == "class":
                    return self.bound(value, self.node("class", (), instance.cls, at))
                return self.bound(value, base)
        if value is None:
            if name == "module" or name == "_orig_mod":
                return base
            return self.node("attr", (base,), name, at)
        if value.op == "const" and name in self.changing_attributes and self.context.loops:
            return self.open_phi([value])
        return value

    def store_attr(self, base: Node, name: str, value: Node, at: ast.AST) -> None:
        for owner in alternatives(base, 6):
            if owner.op == "object":
                attrs = owner.data.attrs
                old = attrs.get(name)
                made = owner.data.made
                loose = (
                    len(self.context.loops) > len(made.loops)
                    or len(self.context.branches) > len(made.branches)
                )
                attrs[name] = value if old is None or not loose else self._weak(old, value)
            elif owner.op == "class":
                owner.data.names[name] = value
            elif owner.op == "module":
                owner.data.names[name] = value
            elif owner.op in ("call", "forward") and (inner := self.wrapped(owner)) is not None and inner.op == "object":
                self.store_attr(inner, name, value, at)
            elif name == "data":
                self.store(owner, None, value, ".data=", at)
            else:
                self.store(owner, self.const(name), value, ".=", at)

    def wrapped(self, node: Node) -> Node | None:
        """The user object or function behind an opaque wrapper (compile, DDP, jit, partial)."""
        for _ in range(6):
            if node.op in ("object", "function", "bound", "class"):
                return node
            if node.op not in ("call", "method"):
                return None
            following = None
            for arg in node.args:
                for inner in alternatives(arg, 4):
                    if inner.op in ("object", "function", "bound", "class"):
                        return inner
                    if inner.op == "call" and following is None and inner is not node:
                        following = inner
            if following is None:
                return None
            node = following
        return None

    def eval_Lambda(self, e: ast.Lambda) -> Node:
        return self.make_function(e)

    def eval_Starred(self, e: ast.Starred) -> Node:
        return self.eval(e.value)

    def eval_Await(self, e: ast.Await) -> Node:
        return self.eval(e.value)

    def eval_Yield(self, e: ast.Yield) -> Node:
        if e.value is not None:
            self.frame.yields.append(self.eval(e.value))
        return self.node("unknown", (), "sent", e)

    def eval_YieldFrom(self, e: ast.YieldFrom) -> Node:
        self.frame.yields.append(self.element(self.eval(e.value), e))
        return self.node("unknown", (), "sent", e)

    def eval_ListComp(self, e: ast.ListComp) -> Node:
        return self._comprehension(e, "list")

    eval_GeneratorExp = eval_ListComp

    def eval_SetComp(self, e: ast.SetComp) -> Node:
        return self._comprehension(e, "set")

    def _comprehension(self, e: Any, kind: str) -> Node:
        def body() -> list[Node]:
            return [self.eval(e.elt)]

        (value,), filtered = self._comprehend(e, body)
        box = Container(kind, [], {}, False, self.open_phi([value]))
        del filtered
        return self.node(kind, (), box, e)

    def eval_DictComp(self, e: ast.DictComp) -> Node:
        def body() -> list[Node]:
            return [self.eval(e.key), self.eval(e.value)]

        (key, value), _ = self._comprehend(e, body)
        made = self.container("dict", (), e)
        self.dict_set(made.data, self.node("phi", [key], "open"), value, strong=False)
        return made

    def _comprehend(self, e: Any, body: Callable[[], list[Node]]) -> tuple[list[Node], bool]:
        outer, context = self.frame, self.context
        self.frame = Frame(outer.module, {}, outer, outer.function)
        self.frame.returns, self.frame.yields = outer.returns, outer.yields
        filtered = False
        for generator in e.generators:
            iterable = self.eval(generator.iter)
            self.context = self.within(loop=Loop(e, self.module.path))
            self._bind_element(generator.target, iterable, e)
            for condition in generator.ifs:
                filtered = True
                test = self.eval(condition)
                self.context = self.within(branch=Branch(test, True))
        values = body()
        self.frame, self.context = outer, context
        return values, filtered

    # -- calls -------------------------------------------------------------------------------------------

    def make_function(self, at: Any) -> Node:
        a = at.args
        defaults = tuple(self.eval(d) for d in a.defaults)
        kw_defaults = tuple(self.eval(d) if d is not None else None for d in a.kw_defaults)
        closure = self.frame if self.frame.function is not None else None
        function = Function(at, self.module, closure, defaults, kw_defaults)
        made = self.node("function", (), function, at)
        for decorator in getattr(at, "decorator_list", ()):
            name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
            if name == "staticmethod":
                function.kind = "static"
            elif name == "classmethod":
                function.kind = "class"
            elif name in ("property", "cached_property"):
                function.kind = "property"
        return made

    def bound(self, function: Node, owner: Node) -> Node:
        return self.node("bound", (owner,), function.data)

    def eval_Call(self, e: ast.Call) -> Node:
        args: list[Node] = []
        kwargs: dict[str, Node] = {}
        func = e.func
        method: str | None = None
        if isinstance(func, ast.Attribute):
            receiver = self.eval(func.value)
            if (
                receiver.op == "call"
                and receiver.data == "super"
                and self.frame.function is not None
            ):
                callee = self._super_method(func.attr, e)
            elif receiver.op in ("ext", "object", "module", "class"):
                callee = self.load_attr(receiver, func.attr, func)
                if callee.op == "attr":
                    method, callee = func.attr, receiver
            else:
                callee = self.load_attr(receiver, func.attr, func)
                if callee.op == "attr":
                    method, callee = func.attr, callee.args[0]
        else:
            callee = self.eval(func)
        for argument in e.args:
            if isinstance(argument, ast.Starred):
                value = self.eval(argument.value)
                if value.op in ("list", "tuple") and value.data.exact:
                    args.extend(value.data.items)
                else:
                    args.append(self.node("elem", (value,), "star", e))
            else:
                args.append(self.eval(argument))
        for keyword in e.keywords:
            value = self.eval(keyword.value)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif value.op == "dict":
                kwargs.update({k: v for k, v in value.data.keyed.items() if isinstance(k, str)})
                if value.data.summary is not None:
                    kwargs.setdefault("**", value.data.summary)
        self._here = e
        if method is not None:
            return self.host.call_method(self, callee, method, args, kwargs, e)
        return self.call(callee, args, kwargs, e)

    def _super_method(self, name: str, at: ast.AST) -> Node:
        frame: Frame | None = self.frame
        while frame is not None and (frame.function is None or frame.function.owner is None):
            frame = frame.parent
        if frame is not None and frame.function is not None and frame.function.owner is not None:
            receiver = next(iter(frame.locals.values()), None)
            lineage = list(frame.function.owner.lineage())[1:]
            for cls in lineage:
                if name in cls.names and receiver is not None:
                    return self.bound(cls.names[name], receiver)
        return self.node("ext", (), f"super.{name}", at)

    def call(self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        op = callee.op
        if op == "ext":
            return self.host.call_external(self, callee.data, args, kwargs, at)
        if op == "function":
            return self.call_function(callee.data, args, kwargs, at)
        if op == "bound":
            return self._call_bound(callee, args, kwargs, at)
        if op == "class":
            return self.instantiate(callee, args, kwargs, at)
        if op == "object":
            return self._call_object(callee, args, kwargs, at)
        if op in ("phi", "proj", "elem"):
            choices = [c for c in alternatives(callee, 6) if c.op not in ("const", "unknown")]
            choices = [c for c in choices if c.op not in ("phi", "proj", "elem")]
            if choices:
                return self.phi([self.call(c, args, kwargs, at) for c in choices])
        if op == "index" and callee.args[0].op == "dict":
            choices = [
                c
                for value in container_all(callee.args[0].data)
                for c in alternatives(value, 8)
                if c.op in ("function", "bound", "class", "object")
            ]
            if choices:
                return self.phi([self.call(c, args, kwargs, at) for c in choices[:8]])
        if op in ("call", "method"):
            inner = self.wrapped(callee)
            if inner is not None:
                if op == "call" and callee.data == "functools.partial":
                    bound_args = list(callee.positional[1:])
                    bound_kw = {k: callee.keyword(k) for k in callee.kw}
                    merged = {k: v for k, v in bound_kw.items() if v is not None}
                    return self.call(inner, [*bound_args, *args], {**merged, **kwargs}, at)
                return self.call(inner, args, kwargs, at)
        if op == "attr":
            return self.host.call_method(self, callee.args[0], callee.data, args, kwargs, at)
        if op == "index":  # kernel[grid](...)
            kernels = [k for k in alternatives(callee.args[0], 3) if k.op == "function"]
            if kernels:
                return self.call(kernels[0], args, kwargs, at)
        if op == "call":
            return self.host.call_result(self, callee, args, kwargs, at)
        return self.opaque("call", "<unknown>", [callee, *args], kwargs, at)

    def opaque(self, op: str, name: str, args: Sequence[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        return self.node(op, (*args, *kwargs.values()), name, at, tuple(kwargs))

    def _call_bound(
        self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        owner = callee.args[0]
        function: Function = callee.data
        is_model = owner.op == "object" and owner.data.is_model and function.name != "__init__"
        if not is_model:
            return self.call_function(function, [owner, *args], kwargs, at)
        inside = self._inside_model()
        if inside and len(self.nodes) > ECONOMY and id(function.at) in self.traced:
            return self.opaque("call", "<layer>", args, kwargs, at)
        result = self.call_function(function, [owner, *args], kwargs, at)
        return result if inside else self._as_forward(result, owner, args, kwargs, at)

    def _inside_model(self) -> bool:
        call = self.context.call
        while call is not None:
            if call.function.owner is not None and call.function.owner.is_model and call.function.name != "__init__":
                return True
            call = call.parent
        return False

    def _as_forward(self, result: Node, owner: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        """Mark a model's result, so that rules see which model made a score."""
        if result.op == "const":
            return result
        return self.node("forward", (result, *args, *kwargs.values()), owner.data, at, tuple(kwargs))

    def _call_object(self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        instance: Instance = callee.data
        for name in ("__call__", "forward"):
            method = instance.cls.lookup(name) if instance.cls is not None else None
            if method is not None and method.op == "function":
                return self._call_bound(self.bound(method, callee), args, kwargs, at)
        return self.opaque("call", "<object>", [callee, *args], kwargs, at)

    def instantiate(self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        cls: Class = callee.data
        instance = Instance(cls, made=self.context)
        made = self.node("object", (), instance, at)
        init = cls.lookup("__init__")
        if init is not None and init.op == "function":
            made.args = (*args, *kwargs.values())
            self.call_function(init.data, [made, *args], kwargs, at)
            return made
        if cls.is_dataclass:
            fields = [
                s.target.id
                for c in reversed(list(cls.lineage()))
                for s in getattr(c.at, "body", ())
                if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
            ]
            instance.attrs.update(zip(fields, args, strict=False))
            instance.attrs.update(kwargs)
            post = cls.lookup("__post_init__")
            if post is not None and post.op == "function":
                self.call_function(post.data, [made], {}, at)
            return made
        if args or kwargs:
            made.args = (*args, *kwargs.values())
        return made

    def call_function(
        self, function: Function, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        """Inline a user function; a recursion that goes too deep gives an opaque result."""
        key = id(function.at)
        if self.active.get(key, 0) >= MAX_SAME_FUNCTION or self.context.depth >= MAX_DEPTH:
            return self.opaque("call", "<recursion>", args, kwargs, at)
        self.reached.add((function.module.path, getattr(function.at, "lineno", 0)))
        frame = Frame(function.module, {}, function.closure, function)
        global_names, nonlocal_names, generator = scope.declared(function.at)
        frame.global_names, frame.nonlocal_names = global_names, nonlocal_names
        self._bind_parameters(function, frame, args, kwargs, at)
        saved = (self.frame, self.context, self.module, self._here)
        self.context = self.within(call=Call(function, at, self.module.path, self.context.call))
        self.frame, self.module = frame, function.module
        self.active[key] = self.active.get(key, 0) + 1
        try:
            if isinstance(function.at, ast.Lambda):
                return self.eval(function.at.body)
            alive = self.block(function.at.body)
            if generator:
                box = Container("list", [], {}, False, self.open_phi(frame.yields))
                return self.node("list", (), box, at)
            if alive:
                frame.returns.append(self.const(None))
            if not frame.returns:
                return self.const(None)
            if len(frame.returns) > 1:
                values = [r for r in frame.returns if not (r.op == "const" and r.data is None)]
                if values and all(v.op == "tuple" for v in values):
                    frame.returns = [*values, *(r for r in frame.returns if r not in values)]
            return self.phi(frame.returns)
        finally:
            self.active[key] -= 1
            self.traced.add(key)
            self.frame, self.context, self.module, self._here = saved

    def _bind_parameters(
        self, function: Function, frame: Frame, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> None:
        a = function.at.args
        names = frame.locals
        positional = [*a.posonlyargs, *a.args]
        rest = dict(kwargs)
        spread = rest.pop("**", None)
        supplied = list(args)
        star = next((i for i, v in enumerate(supplied) if v.op == "elem" and v.data == "star"), None)
        if star is not None:
            filler = supplied[star]
            supplied[star : star + 1] = [filler] * max(1, len(positional) - len(supplied) + 1)
        for i, parameter in enumerate(positional):
            if i < len(supplied):
                names[parameter.arg] = supplied[i]
            elif parameter.arg in rest:
                names[parameter.arg] = rest.pop(parameter.arg)
            else:
                d = i - (len(positional) - len(function.defaults))
                if d >= 0:
                    names[parameter.arg] = function.defaults[d]
                else:
                    names[parameter.arg] = spread or self.node("unknown", (), parameter.arg, at)
        if a.vararg is not None:
            names[a.vararg.arg] = self.container("tuple", supplied[len(positional) :], at)
        for parameter, default in zip(a.kwonlyargs, function.kw_defaults, strict=True):
            value = rest.pop(parameter.arg, None) or default
            names[parameter.arg] = value or spread or self.node("unknown", (), parameter.arg, at)
        if a.kwarg is not None:
            extra = self.container("dict", (), at)
            extra.data.keyed.update(rest)
            names[a.kwarg.arg] = extra


class Host:
    """What the tracer asks of its surroundings: parsing, imports, settings and libraries."""

    def parse(self, source: SourceFile) -> ast.Module | None:
        raise NotImplementedError

    def import_module(self, tracer: Tracer, name: str) -> Node:
        raise NotImplementedError

    def import_from(self, tracer: Tracer, base: str, name: str) -> Node:
        raise NotImplementedError

    def import_star(self, tracer: Tracer, base: str) -> None:
        raise NotImplementedError

    def submodule(self, tracer: Tracer, module: Module, name: str, at: ast.AST) -> Node:
        raise NotImplementedError

    def env(self, tracer: Tracer, name: Any, default: Node | None, at: ast.AST) -> Node:
        raise NotImplementedError

    def has_env(self, name: str) -> bool | None:
        raise NotImplementedError

    def ran_anyway(
        self, tracer: Tracer, test: Node, taken: Sequence[ast.stmt], other: Sequence[ast.stmt]
    ) -> bool:
        raise NotImplementedError

    def set_env(self, key: Node, value: Node) -> None:
        raise NotImplementedError

    def call_external(
        self, tracer: Tracer, name: str, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        raise NotImplementedError

    def call_method(
        self, tracer: Tracer, receiver: Node, name: str, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        raise NotImplementedError

    def call_result(
        self, tracer: Tracer, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        raise NotImplementedError


def _trips(iterable: Node) -> int | None:
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


def _singleton(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _foldable(symbol: str, a: Any, b: Any) -> bool:
    """Constant arithmetic that can't blow up memory or time."""
    if symbol == "**":
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(b) <= 128 and abs(a) < 2**64
    if symbol == "<<":
        return isinstance(a, int) and isinstance(b, int) and 0 <= b <= 256
    if symbol == "*" and (isinstance(a, (str, bytes)) or isinstance(b, (str, bytes))):
        return False
    if symbol == "%" and isinstance(a, (str, bytes)):
        return not isinstance(b, int) or b < 10_000
    return True
