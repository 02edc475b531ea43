"""A tiny evaluator for unpacking code: constants, an allow-list of decoders, and limits.

Nothing of the submission is executed. The evaluator walks the syntax tree of a module's top level
the way Python would, computes only with constants and the decoders of ``decoders``, and turns
everything else into ``Opaque``. What the code would run (``exec``, ``runpy``, import by path) or
write to a file is reported to a ``Host``.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, Protocol

from auditor.submission import calls, decoders
from auditor.submission.expressions import Expressions, attempt, truth
from auditor.submission.model import Party
from auditor.submission.tree import decode
from auditor.submission.values import (
    ROOT,
    UNKNOWN,
    Call,
    Code,
    FileBytes,
    FileText,
    Function,
    Handle,
    Module,
    Name,
    Opaque,
    Scope,
    Spec,
    Stream,
    TooLarge,
    checked_items,
    checked_size,
    first_reason,
    is_known,
    method,
    with_path,
)

MAX_CALLS = 24  # nested calls of local functions
SINKS = frozenset(
    {"exec", "eval", "run_path", "run_module", "exec_module", "load_module", "execfile"}
)
_TELLING = (SINKS - {"eval"}) | {
    name.rpartition(".")[2] for name in decoders.DECODERS if not name.endswith("decompress")
}
_GROWING = ("extend", "update")
_SMALL = 100  # names in a function that is entered whatever it does
_PACKED = 200  # characters from which on an argument may be packed code


class Host(Protocol):
    """Who hears what the evaluated code would do."""

    def run_source(self, source: str, line: int, scope: Scope | None, module: str | None) -> None:
        """Computed text would be executed, in this scope or in a new one, as a module or not."""

    def run_file(self, path: str, line: int) -> None:
        """A file would be executed; ``path`` as the code sees it."""

    def cannot_run(self, why: Opaque, line: int) -> None:
        """Code would be executed that can't be known."""

    def read(self, path: str) -> bytes | Opaque:
        """A file's content, from the submission or from what was written before."""

    def write(self, path: str, data: Any, line: int) -> None:
        """A file would be written."""


class _Leave(Exception):
    """Control leaves a block: return, break, continue or raise."""

    def __init__(self, kind: str, value: Any = None) -> None:
        self.kind = kind
        self.value = value


class _Effects(Expressions):
    """Calls: decoders, files, and the ways to execute something."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host
        self.visited: set[ast.AST] = set()  # calls of sinks that were reached

    def call(self, call: Call, function: Any, scope: Scope) -> Any:
        if isinstance(function, Function):
            return self.call_function(function, call.args, call.named)
        if not isinstance(function, Name):
            return first_reason(function, call.reason())
        dotted = function.dotted.removeprefix("builtins.")
        if dotted in ("exec", "eval", "execfile"):
            return self._execute(call, dotted, scope)
        if dotted in ("runpy.run_path", "runpy.run_module"):
            return self._run_file(call, call.argument(0, "path_name", UNKNOWN))
        if dotted in decoders.UNDECODABLE:
            why = f"line {call.line}: {decoders.UNDECODABLE[dotted]}"
            return Opaque(why, Party.SUBMISSION)
        special = calls.SPECIAL.get(dotted)
        if special is not None:
            return special(self, call)
        return self._call_known(call, dotted)

    def call_function(
        self, function: Function, arguments: list[Any], keywords: dict[str, Any]
    ) -> Any:
        """Calls a function of the evaluated code."""
        raise NotImplementedError

    def _call_known(self, call: Call, dotted: str) -> Any:
        function = decoders.DECODERS.get(dotted) or calls.FUNCTIONS.get(dotted)
        if function is not None:
            return self._decoded(call, dotted, function) if call.is_known() else call.reason()
        packed = any(isinstance(a, (str, bytes)) and len(a) > _PACKED for a in call.args)
        if packed and "." in dotted:
            return Opaque(f"line {call.line}: {dotted} is no known decoder", Party.TOOL)
        return call.reason()

    def _decoded(self, call: Call, dotted: str, function: Callable[..., Any]) -> Any:
        try:
            out = function(*call.args, **call.named)
        except (decoders.DecodeError, TooLarge):
            raise
        except decoders.ERRORS as error:
            if dotted not in decoders.DECODERS:
                return UNKNOWN
            why = f"line {call.line}: {dotted} fails on this data ({error})"
            return Opaque(why, Party.SUBMISSION)
        if isinstance(out, (str, bytes)):
            self.charge(len(out))
        return out

    def call_method(self, call: Call, owner: Any, name: str) -> Any:
        if isinstance(owner, Handle):
            return self._call_handle(call, owner, name)
        if isinstance(owner, Spec):
            executes = name in ("exec_module", "load_module")
            return self._run_file(call, owner.path) if executes else UNKNOWN
        if isinstance(owner, Stream):
            return self._call_stream(call, owner, name)
        if isinstance(owner, PurePosixPath):
            return self._call_path(call, owner, name)
        if isinstance(owner, (list, dict, bytearray)) and name in _GROWING and call.args:
            return self._extend(owner, call.args[0])
        function = method(owner, name)
        if function is None or not (isinstance(owner, (list, dict)) or is_known(call.args)):
            return first_reason(owner, call.args)
        out = self._decoded(call, name, function)
        return list(out) if isinstance(owner, dict) and name in ("items", "keys", "values") else out

    def _extend(self, owner: list[Any] | dict[Any, Any] | bytearray, more: Any) -> None:
        if isinstance(owner, dict):
            owner.update(more if isinstance(more, dict) else {})
        elif isinstance(owner, bytearray):
            known = isinstance(more, (bytes, bytearray))
            self.charge(checked_size(len(owner) + len(more)) if known else 0)
            owner.extend(more if known else b"")
        else:
            items = self.items(more)
            owner.extend(items if items is not None else [UNKNOWN])
            checked_items(len(owner))

    def _call_stream(self, call: Call, stream: Stream, name: str) -> Any:
        if name in ("flush", "finish"):
            return b""
        if name not in ("decompress", "process") or not call.is_known():
            return call.reason()
        simple = Call(call.node, call.args[:1], dict(stream.options))
        return self._decoded(simple, stream.dotted, decoders.DECODERS[stream.dotted])

    # ---- executing ----

    def _execute(self, call: Call, kind: str, scope: Scope) -> Any:
        self.visited.add(call.node)
        source = call.argument(0, "source", UNKNOWN)
        if isinstance(source, Code):
            source = source.source
        if isinstance(source, bytearray):
            source = bytes(source)
        if isinstance(source, (FileText, FileBytes)):
            self.host.run_file(source.path, call.line)
        elif isinstance(source, (str, bytes)):
            if kind == "eval" and len(source) < _PACKED:
                return self._evaluate_text(source, scope)
            space = call.argument(1, "globals", None)
            module = space.name if isinstance(space, Module) else None
            own = isinstance(space, (Module, dict))
            text = source if isinstance(source, str) else decode(source)
            self.host.run_source(text, call.line, None if own else scope, module)
        elif kind == "exec" or (isinstance(source, Opaque) and source.reason):
            self.host.cannot_run(source if isinstance(source, Opaque) else UNKNOWN, call.line)
        return UNKNOWN

    def _evaluate_text(self, source: str | bytes, scope: Scope) -> Any:
        try:
            tree = ast.parse(source.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return UNKNOWN
        return self.value(tree.body, scope)

    def _run_file(self, call: Call, path: Any) -> Any:
        self.visited.add(call.node)
        if isinstance(path, (str, PurePosixPath)):
            self.host.run_file(str(path), call.line)
        else:
            self.host.cannot_run(first_reason(path), call.line)
        return UNKNOWN

    # ---- files ----

    def open(self, path: Any, mode: Any) -> Any:
        """A handle on a file of the submission, or on one that the code writes itself."""
        if isinstance(path, Handle):
            return path
        if not isinstance(path, (str, PurePosixPath)) or not isinstance(mode, str):
            return first_reason(path)
        name = str(path)
        if any(letter in mode for letter in "wax"):
            return Handle(name, b"" if "b" in mode else "", writing=True)
        data = self.host.read(name)
        if isinstance(data, Opaque):
            return Handle(name, data)
        self.charge(len(data))
        value = FileBytes(data) if "b" in mode else FileText(decode(data))
        return Handle(name, with_path(value, name))

    def _call_handle(self, call: Call, handle: Handle, name: str) -> Any:
        if name in ("read", "getvalue"):
            return self._read(handle, call.argument(0, "size", None))
        if name == "write" and call.args and handle.writing:
            handle.data = self._appended(handle.data, call.args[0])
            self.host.write(handle.path, handle.data, call.line)
        elif name == "seek" and call.args and isinstance(call.args[0], int):
            known = isinstance(handle.data, (str, bytes))
            from_end = len(handle.data) if call.argument(1, "whence", 0) == 2 and known else 0
            handle.position = max(0, call.args[0] + from_end)
        return UNKNOWN

    def _read(self, handle: Handle, size: Any) -> Any:
        if not isinstance(handle.data, (str, bytes)):
            return first_reason(handle.data)
        if size is None and handle.position == 0:
            handle.position = len(handle.data)
            return handle.data  # still known to be the whole file
        start = handle.position
        handle.position = start + size if isinstance(size, int) and size >= 0 else len(handle.data)
        return handle.data[start : handle.position]

    def _appended(self, data: Any, more: Any) -> Any:
        if isinstance(data, str) and isinstance(more, str):
            self.charge(checked_size(len(data) + len(more)))
            return data + more if data else more
        if isinstance(data, bytes) and isinstance(more, bytes):
            self.charge(checked_size(len(data) + len(more)))
            return data + more if data else more
        return first_reason(data, more)

    def _call_path(self, call: Call, path: PurePosixPath, name: str) -> Any:
        if name in ("resolve", "absolute"):
            return PurePosixPath(posixpath.normpath(ROOT / path))
        if name == "open":
            return self.open(path, call.argument(0, "mode", "r"))
        if name in ("read_text", "read_bytes"):
            handle = self.open(path, "rb" if name == "read_bytes" else "r")
            return self._read(handle, None)
        if name in ("write_text", "write_bytes") and call.args:
            self.host.write(str(path), call.args[0], call.line)
            return UNKNOWN
        if name in ("exists", "is_file"):
            return UNKNOWN if isinstance(self.host.read(str(path)), Opaque) else True
        function = method(path, name)
        if function is None or not is_known(call.args):
            return UNKNOWN
        return attempt(function, *call.args)


class Evaluator(_Effects):
    """Evaluates modules, statement by statement."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.calls = 0
        self._entered: dict[ast.AST, bool] = {}

    def module(self, tree: ast.Module, scope: Scope) -> None:
        """Evaluates a module's top level, then the functions whose sinks were not reached."""
        with suppress(_Leave):
            self.block(tree.body, scope)
        for function in self._unvisited_functions(tree):
            with suppress(_Leave):
                self.call_function(Function(function, scope), [], {})

    def block(self, body: Iterable[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self.spend()
            handler = getattr(self, f"_do_{type(statement).__name__}", None)
            if handler is not None:
                handler(statement, scope)

    def call_function(
        self, function: Function, arguments: list[Any], keywords: dict[str, Any]
    ) -> Any:
        node = function.node
        if self.calls >= MAX_CALLS or not self._worth_entering(node):
            return UNKNOWN
        scope = Scope(parent=function.scope)
        self._bind_parameters(function, arguments, keywords, scope)
        self.calls += 1
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, scope)
            self.block(node.body, scope)
        except _Leave as leave:
            if leave.kind == "raise":
                raise
            return leave.value
        finally:
            self.calls -= 1
        return None

    def _bind_parameters(
        self, function: Function, arguments: list[Any], keywords: dict[str, Any], scope: Scope
    ) -> None:
        spec = function.node.args
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        every = (*names, *(a.arg for a in spec.kwonlyargs))
        scope.names.update(dict.fromkeys(every, UNKNOWN))
        optional = names[len(names) - len(spec.defaults) :]
        for name, default in zip(optional, spec.defaults, strict=True):
            scope.names[name] = self.value(default, function.scope)
        for argument, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            if value is not None:
                scope.names[argument.arg] = self.value(value, function.scope)
        scope.names.update(zip(names, arguments, strict=False))
        scope.names.update({k: v for k, v in keywords.items() if k in scope.names})
        if spec.vararg is not None:
            scope.names[spec.vararg.arg] = list(arguments[len(names) :])
        if spec.kwarg is not None:
            rest = {k: v for k, v in keywords.items() if k not in scope.names}
            scope.names[spec.kwarg.arg] = rest

    # ---- one method for each kind of statement that matters here ----

    def _do_Expr(self, node: ast.Expr, scope: Scope) -> None:
        self.value(node.value, scope)

    def _do_Assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)

    def _do_AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, scope), scope)

    def _do_AugAssign(self, node: ast.AugAssign, scope: Scope) -> None:
        if isinstance(node.target, ast.Name):
            right = self.value(node.value, scope)
            self.bind(node.target, self._augmented(node, right, scope), scope)

    def _augmented(self, node: ast.AugAssign, right: Any, scope: Scope) -> Any:
        assert isinstance(node.target, ast.Name)
        try:
            return self.binary(node.op, scope.get(node.target.id), right)
        except TooLarge as error:
            why = f"line {node.lineno} would build {error}, beyond the limit"
            return Opaque(why, Party.SUBMISSION)
        except decoders.LimitReached as error:
            return Opaque(f"line {node.lineno}: {error}", Party.SUBMISSION)

    def _do_Import(self, node: ast.Import, scope: Scope) -> None:
        for item in node.names:
            top = item.name.split(".")[0]
            scope.names[item.asname or top] = Name(item.name if item.asname else top)

    def _do_ImportFrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = node.module or ""
        for item in node.names:
            if item.name != "*":
                scope.names[item.asname or item.name] = Name(f"{module}.{item.name}")
                continue
            for dotted in (*decoders.DECODERS, *calls.FUNCTIONS, *calls.SPECIAL):
                if dotted.rpartition(".")[0] == module:
                    scope.names[dotted.rpartition(".")[2]] = Name(dotted)

    def _do_FunctionDef(self, node: ast.FunctionDef, scope: Scope) -> None:
        scope.names[node.name] = Function(node, scope)

    def _do_ClassDef(self, node: ast.ClassDef, scope: Scope) -> None:
        scope.names[node.name] = UNKNOWN

    def _do_If(self, node: ast.If, scope: Scope) -> None:
        test = truth(self.value(node.test, scope))
        if test is None:
            self._maybe(node.body, scope)
            self._maybe(node.orelse, scope)
        else:
            self.block(node.body if test else node.orelse, scope)

    def _do_For(self, node: ast.For, scope: Scope) -> None:
        items = self.items(self.value(node.iter, scope))
        if items is None:
            self.bind(node.target, UNKNOWN, scope)
            self._maybe(node.body, scope)
        else:
            for item in items:
                self.bind(node.target, item, scope)
                if not self._round(node.body, scope):
                    return
        self.block(node.orelse, scope)

    def _do_While(self, node: ast.While, scope: Scope) -> None:
        while True:
            test = truth(self.value(node.test, scope))
            if test is None:
                self._maybe(node.body, scope)
                return
            if not test or not self._round(node.body, scope):
                return

    def _do_With(self, node: ast.With, scope: Scope) -> None:
        for item in node.items:
            value = self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value, scope)
        self.block(node.body, scope)

    def _do_Try(self, node: ast.Try, scope: Scope) -> None:
        try:
            self.block(node.body, scope)
            self.block(node.orelse, scope)
        except _Leave as leave:
            if leave.kind != "raise":
                raise
            for handler in node.handlers:
                self._maybe(handler.body, scope)
        finally:
            self.block(node.finalbody, scope)

    def _do_Return(self, node: ast.Return, scope: Scope) -> None:
        raise _Leave("return", None if node.value is None else self.value(node.value, scope))

    def _do_Raise(self, node: ast.Raise, scope: Scope) -> None:
        raise _Leave("raise")

    def _do_Break(self, node: ast.Break, scope: Scope) -> None:
        raise _Leave("break")

    def _do_Continue(self, node: ast.Continue, scope: Scope) -> None:
        raise _Leave("continue")

    def _maybe(self, body: list[ast.stmt], scope: Scope) -> None:
        """A block that may or may not run: its effects count, leaving it doesn't."""
        with suppress(_Leave):
            self.block(body, scope)

    def _round(self, body: list[ast.stmt], scope: Scope) -> bool:
        """One round of a loop; False when the loop ends here."""
        try:
            self.block(body, scope)
        except _Leave as leave:
            if leave.kind == "break":
                return False
            if leave.kind != "continue":
                raise
        return True

    # ---- which functions are looked into ----

    def _worth_entering(self, node: ast.AST) -> bool:
        """Whether a function can matter here: it is small, or it decodes or runs something."""
        if node not in self._entered:
            nodes = (n for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute)))
            names = [name_of(n) for n in nodes]
            self._entered[node] = len(names) < _SMALL or not _TELLING.isdisjoint(names)
        return self._entered[node]

    def _unvisited_functions(self, tree: ast.Module) -> Iterator[_FunctionDef]:
        """Functions whose sinks were not reached; small functions that call them come first.

        A loader such as ``def load(path)`` says nothing by itself, its callers name the paths.
        """
        functions = [n for n in ast.walk(tree) if isinstance(n, _FUNCTION_DEFS)]
        sinks = {f: [n for n in ast.walk(f) if is_sink(n)] for f in functions}
        unvisited = [f for f in functions if sinks[f] and not self.visited.issuperset(sinks[f])]
        wanted = {f.name for f in unvisited}
        for function in functions if unvisited else ():
            names = (n.id for n in ast.walk(function) if isinstance(n, ast.Name))
            if function.name not in wanted and not wanted.isdisjoint(names):
                yield function
        yield from (f for f in unvisited if not self.visited.issuperset(sinks[f]))


_FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTION_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(node: ast.AST) -> str:
    """The last part of a name or attribute, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def is_sink(node: ast.AST) -> bool:
    """Whether this is a call that, judged by name alone, runs code."""
    if not isinstance(node, ast.Call):
        return False
    named = name_of(node.func)
    return named in SINKS and (isinstance(node.func, ast.Name) or named not in ("eval", "exec"))
