"""The Program: a submission, traced on its live path."""

from __future__ import annotations

import ast
import gc
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from auditor.analysis import library
from auditor.analysis.flow import Flow
from auditor.analysis.gold import Gold
from auditor.analysis.graph import Node, walk
from auditor.analysis.kernels import Kernels
from auditor.analysis.learning import Learning
from auditor.analysis.logproof import LogProof
from auditor.analysis.scores import Scores
from auditor.analysis.tables import Tables
from auditor.analysis.tokens import Tokens
from auditor.analysis.trace.host import Host
from auditor.analysis.trace.tracer import AnalysisLimit, Module, Tracer
from auditor.report.model import SettingInForce
from auditor.submission.model import Claim, Problem, SourceFile, Submission

__all__ = ["AnalysisLimit", "Program"]

STACK_BYTES = 512 * 1024 * 1024
RECURSION = 60_000
T = TypeVar("T")


@dataclass(eq=False)
class Program:
    """The traced submission: graph, stores, events, and what could not be read."""

    submission: Submission
    tracer: Tracer
    problems: tuple[Problem, ...]
    settings: tuple[SettingInForce, ...]
    executed: frozenset[str]  # paths of the sources that the trace ran through
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def build(cls, submission: Submission) -> Program:
        """Trace the submission from its entry script; raises AnalysisLimit when it's too large."""
        return with_deep_stack(lambda: _trace(submission))

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.tracer)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.flow)

    @cached_property
    def scores(self) -> Scores:
        return Scores(self.flow, self.tokens)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.flow, self.tokens, self.scores)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.flow, self.tokens)

    @cached_property
    def kernels(self) -> Kernels:
        return Kernels(self.submission, self.flow)

    @cached_property
    def gold(self) -> Gold:
        return Gold(self.flow, self.tokens, self.scores, self.tables)

    @cached_property
    def sources(self) -> dict[str, SourceFile]:
        return self.submission._by_path()

    def text(self, path: str, line: int) -> str:
        """The source line, without its indentation."""
        lines = self._lines(path)
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def _lines(self, path: str) -> list[str]:
        cache = self.facts.setdefault("lines", {})
        if path not in cache:
            source = self.sources.get(path)
            cache[path] = source.text.splitlines() if source else []
        lines: list[str] = cache[path]
        return lines


def with_deep_stack(work: Callable[[], T]) -> T:
    """Run ``work`` where recursion over deeply nested code can't overflow the C stack."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, work()))
        except BaseException as error:
            outcome.append((False, error))

    collecting = gc.isenabled()
    gc.disable()  # the graph lives as long as the work does: looking for garbage costs a third of it
    old_limit, old_size = sys.getrecursionlimit(), threading.stack_size(STACK_BYTES)
    sys.setrecursionlimit(max(old_limit, RECURSION))
    try:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old_size)
        sys.setrecursionlimit(old_limit)
        if collecting:
            gc.enable()
    good, value = outcome[0]
    if not good:
        raise value
    result: T = value
    return result


class _Refuted(Exception):
    """The logs prove that a claimed setting was not in force."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _trace(submission: Submission) -> Program:
    refuted: set[str] = set()
    while True:
        host = SubmissionHost(submission, refuted)
        try:
            return _traced(submission, host)
        except _Refuted as claim:
            refuted.add(claim.name)


def _traced(submission: Submission, host: SubmissionHost) -> Program:
    tracer = Tracer(host)
    host.tracer = tracer
    entry = host.module("__main__", submission.entry)
    try:
        tracer.run_module(entry)
        for payload in submission.payloads.get(submission.entry.path, ()):
            if payload.path not in host.executed:  # decoded, but run in a way that was not followed
                tracer.run_module(host.module("__main__", payload))
    except RecursionError:
        raise AnalysisLimit("the code is nested more deeply than what is analysed") from None
    return Program(
        submission,
        tracer,
        tuple(host.problems),
        tuple(host.settings.values()),
        frozenset(host.executed),
    )


class SubmissionHost(Host):
    """Imports from the submission only, and settings from its own evidence."""

    def __init__(self, submission: Submission, refuted: Collection[str] = ()) -> None:
        from auditor.submission.settings import Settings

        self.submission = submission
        self.refuted = refuted
        self.claims = Settings.of(submission)
        self.modules: dict[str, Module] = {}
        self.problems: list[Problem] = []
        self.settings: dict[str, SettingInForce] = {}
        self.assigned: dict[str, Node] = {}
        self.executed: set[str] = set()
        self.trees: dict[str, ast.Module] = {}
        self.proof = LogProof(submission.logs)
        self.tracer: Tracer

    def module(self, name: str, source: SourceFile) -> Module:
        known = self.modules.get(source.path)
        if known is None:
            known = self.modules[source.path] = Module(name, source)
        return known

    def parse(self, source: SourceFile) -> ast.Module | None:
        from auditor.analysis.parse import Unparseable, parse

        self.executed.add(source.path)
        try:
            tree = self.trees[source.path] = parse(source)
            return tree
        except Unparseable as error:
            self.problems.append(error.problem)
            return None

    # -- imports --------------------------------------------------------------------------------

    def _local(self, name: str) -> SourceFile | None:
        stripped = name.lstrip(".")
        modules = self.submission.modules
        return modules.get(stripped) or modules.get(stripped.rpartition(".")[2])

    def import_module(self, tracer: Tracer, name: str) -> Node:
        source = self._local(name)
        if source is None or source.path == tracer.module.path:
            return tracer.node("ext", (), name)
        module = self.module(name, source)
        context = tracer.context
        tracer.run_module(module)
        tracer.context = context
        return tracer.node("module", (), module)

    def import_from(self, tracer: Tracer, base: str, name: str) -> Node:
        source = self._local(base) if base.strip(".") else None
        if source is None:
            child = self._local(f"{base}.{name}" if base.strip(".") else name)
            if base.startswith(".") and child is not None:
                return self.import_module(tracer, child.path and (base + "." + name))
            return tracer.node("ext", (), f"{base}.{name}")
        module_node = self.import_module(tracer, base)
        if module_node.op != "module":
            return tracer.node("ext", (), f"{base}.{name}")
        value = module_node.data.names.get(name)
        if value is not None:
            return value  # type: ignore[no-any-return]
        return self.submodule(tracer, module_node.data, name, tracer.here)  # type: ignore[arg-type]

    def import_star(self, tracer: Tracer, base: str) -> None:
        module_node = self.import_module(tracer, base)
        if module_node.op == "module":
            for name, value in list(module_node.data.names.items()):
                if not name.startswith("_"):
                    tracer.bind(name, value)
            return
        for name in _STAR_NAMES.get(base, ()):
            tracer.bind(name, tracer.node("ext", (), f"{base}.{name}"))

    def submodule(self, tracer: Tracer, module: Module, name: str, at: ast.AST) -> Node:
        if (
            self._local(f"{module.name}.{name}") is not None
            and f"{module.name}.{name}" in self.submission.modules
        ):
            return self.import_module(tracer, f"{module.name}.{name}")
        return tracer.node("ext", (), f"{module.name}.{name}", at)

    # -- settings ---------------------------------------------------------------------------------

    def env(self, tracer: Tracer, name: Any, default: Node | None, at: ast.AST) -> Node:
        name = str(name)
        if name in self.assigned:
            return self.assigned[name]
        text = None
        if default is not None and default.op == "const" and default.data is not None:
            text = str(default.data)
        value, claim = self._claim(name, text)
        origin = tracer.node("env", (), name, at)
        known = claim is not None or value is not None
        read_at = f"{tracer.module.path}:{getattr(at, 'lineno', 1)}"
        where = (
            f"{claim.path}:{claim.line}"
            if claim
            else "code default"
            if text is not None
            else "fixed"
        )
        self.settings.setdefault(
            name, SettingInForce(name, text, value if known else None, where, read_at)
        )
        if claim is not None or (known and value != text):
            return tracer.const(value, (origin,), at)
        if default is not None:
            if default.op == "const":
                return tracer.const(default.data, (origin, default), at)
            return default
        return origin

    def argument(self, tracer: Tracer, flag: str, default: Node, at: ast.AST) -> Node:
        """The value of a command-line option, when the submission's commands give one."""
        text = str(default.data) if default.op == "const" and default.data is not None else None
        value, claim = self.claims.lookup_argument(flag, text)
        if claim is None:
            return default
        origin = tracer.node("env", (), flag, at)
        read_at = f"{tracer.module.path}:{getattr(at, 'lineno', 1)}"
        self.settings.setdefault(
            flag, SettingInForce(flag, text, value, f"{claim.path}:{claim.line}", read_at)
        )
        return tracer.const(value, (origin,), at)

    def has_env(self, name: str) -> bool | None:
        if name in self.assigned or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            return True
        _, claim = self._claim(name, None)
        return True if claim is not None else None

    def ran_anyway(
        self, tracer: Tracer, test: Node, taken: Sequence[ast.stmt], other: Sequence[ast.stmt]
    ) -> bool:
        """Whether the logs prove that the ``other`` block ran, which the settings seem to skip."""
        tree = self.trees.get(tracer.module.path)
        if tree is None or not self.proof.ran(tree, other) or self.proof.ran(tree, taken):
            return False
        names = {n.data for n in walk([test]) if n.op == "env"}
        claims = {name: self._claim(name, None)[1] for name in names}
        if not names or any(c is not None and c.kind == "log" for c in claims.values()):
            return False
        for name, claim in claims.items():
            if claim is not None:
                raise _Refuted(name)  # traced again with what the code says by itself
        return True

    def _claim(self, name: str, default: str | None) -> tuple[str | None, Claim | None]:
        value, claim = self.claims.lookup(name, default)
        return (default, None) if claim is not None and name in self.refuted else (value, claim)

    def set_env(self, key: Node, value: Node) -> None:
        if key.op == "const" and isinstance(key.data, str):
            self.assigned[key.data] = value

    # -- code run from data ---------------------------------------------------------------------------

    def run_code(self, tracer: Tracer, args: list[Node], at: ast.AST) -> None:
        """``exec``: a decoded payload, or another file of the submission."""
        host_path = tracer.module.path
        line = getattr(at, "lineno", 0)
        payloads = [
            p for p in self.submission.payloads.get(host_path, ()) if p.path not in self.executed
        ]
        if payloads:
            chosen = min(payloads, key=lambda p: abs((p.host_line or 0) - line))
            tracer.run_module(self.module("__main__", chosen), tracer.module.names)
            return
        text = library.constant_text(args[0]) if args else ""
        for name in text.split("\n"):
            source = self.submission.modules.get(name) or self.submission.modules.get(
                name.rpartition("/")[2]
            )
            if source is not None and source.path not in self.executed:
                tracer.run_module(self.module("__main__", source), tracer.module.names)

    # -- libraries --------------------------------------------------------------------------------------

    def call_external(
        self, tracer: Tracer, name: str, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        return library.call(tracer, name, args, kwargs, at)

    def call_method(
        self,
        tracer: Tracer,
        receiver: Node,
        name: str,
        args: list[Node],
        kwargs: dict[str, Node],
        at: ast.AST,
    ) -> Node:
        return library.method(tracer, receiver, name, args, kwargs, at)

    def call_result(
        self, tracer: Tracer, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        return library.call_result(tracer, callee, args, kwargs, at)


_STAR_NAMES = {"math": ("log", "exp", "sqrt", "floor", "ceil", "pi", "log2")}
