"""The tracer's surroundings: the submission's own modules, settings and payloads, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import Any

from auditor.analysis import library
from auditor.analysis.graph import Node, walk
from auditor.analysis.logproof import LogProof
from auditor.analysis.trace.host import Host
from auditor.analysis.trace.tracer import Module, Tracer
from auditor.report.model import SettingInForce
from auditor.submission.model import Claim, Problem, SourceFile, Submission


class Refuted(Exception):
    """The logs prove that a claimed setting was not in force."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _where(claim: Claim | None, known: bool, unchanged: bool) -> str:
    """Where a value in force comes from."""
    if claim is not None:
        return f"{claim.path}:{claim.line}"
    if not known:
        return "differs per process or machine"
    return "code default" if unchanged else "the rules' 8 GPUs"


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

    def import_module(self, name: str) -> Node:
        source = self._local(name)
        if source is None or source.path == self.tracer.module.path:
            return self.tracer.node("ext", (), name)
        module = self.module(name, source)
        context = self.tracer.context
        self.tracer.run_module(module)
        self.tracer.context = context
        return self.tracer.node("module", (), module)

    def import_from(self, base: str, name: str) -> Node:
        source = self._local(base) if base.strip(".") else None
        if source is None:
            child = self._local(f"{base}.{name}" if base.strip(".") else name)
            if base.startswith(".") and child is not None:
                return self.import_module(child.path and (base + "." + name))
            return self.tracer.node("ext", (), f"{base}.{name}")
        module_node = self.import_module(base)
        if module_node.op != "module":
            return self.tracer.node("ext", (), f"{base}.{name}")
        value = module_node.data.names.get(name)
        if value is not None:
            return value  # type: ignore[no-any-return]
        return self.submodule(module_node.data, name, self.tracer.here)  # type: ignore[arg-type]

    def import_star(self, base: str) -> None:
        module_node = self.import_module(base)
        if module_node.op == "module":
            for name, value in list(module_node.data.names.items()):
                if not name.startswith("_"):
                    self.tracer.bind(name, value)
            return
        for name in _STAR_NAMES.get(base, ()):
            self.tracer.bind(name, self.tracer.node("ext", (), f"{base}.{name}"))

    def submodule(self, module: Module, name: str, at: ast.AST) -> Node:
        if (
            self._local(f"{module.name}.{name}") is not None
            and f"{module.name}.{name}" in self.submission.modules
        ):
            return self.import_module(f"{module.name}.{name}")
        return self.tracer.node("ext", (), f"{module.name}.{name}", at)

    # -- settings ---------------------------------------------------------------------------------

    def env(self, name: Any, default: Node | None, at: ast.AST) -> Node:
        name = str(name)
        if name in self.assigned:
            return self.assigned[name]
        text = None
        if default is not None and default.op == "const" and default.data is not None:
            text = str(default.data)
        value, claim = self._claim(name, text)
        origin = self.tracer.node("env", (), name, at)
        known = claim is not None or value is not None
        read_at = f"{self.tracer.module.path}:{getattr(at, 'lineno', 1)}"
        where = _where(claim, known, value == text)
        self.settings.setdefault(
            name, SettingInForce(name, text, value if known else None, where, read_at)
        )
        if claim is not None or (known and value != text):
            return self.tracer.const(value, (origin,), at)
        if default is not None:
            if default.op == "const":
                return self.tracer.const(default.data, (origin, default), at)
            return default
        return origin

    def argument(self, flag: str, default: Node, at: ast.AST) -> Node:
        """The value of a command-line option, when the submission's commands give one."""
        text = str(default.data) if default.op == "const" and default.data is not None else None
        value, claim = self.claims.lookup_argument(flag, text)
        if claim is None:
            return default
        origin = self.tracer.node("env", (), flag, at)
        read_at = f"{self.tracer.module.path}:{getattr(at, 'lineno', 1)}"
        self.settings.setdefault(
            flag, SettingInForce(flag, text, value, f"{claim.path}:{claim.line}", read_at)
        )
        return self.tracer.const(value, (origin,), at)

    def has_env(self, name: str) -> bool | None:
        if name in self.assigned or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            return True
        _, claim = self._claim(name, None)
        return True if claim is not None else None

    def ran_anyway(self, test: Node, taken: Sequence[ast.stmt], other: Sequence[ast.stmt]) -> bool:
        """Whether the logs prove that the ``other`` block ran, which the settings seem to skip."""
        tree = self.trees.get(self.tracer.module.path)
        if tree is None or not self.proof.ran(tree, other) or self.proof.ran(tree, taken):
            return False
        names = {n.data for n in walk([test]) if n.op == "env"}
        claims = {name: self._claim(name, None)[1] for name in names}
        if not names or any(c is not None and c.kind == "log" for c in claims.values()):
            return False
        for name, claim in claims.items():
            if claim is not None:
                raise Refuted(name)  # traced again with what the code says by itself
        return True

    def _claim(self, name: str, default: str | None) -> tuple[str | None, Claim | None]:
        value, claim = self.claims.lookup(name, default)
        return (default, None) if claim is not None and name in self.refuted else (value, claim)

    def set_env(self, key: Node, value: Node) -> None:
        if key.op == "const" and isinstance(key.data, str):
            self.assigned[key.data] = value

    # -- code run from data ---------------------------------------------------------------------------

    def run_code(self, args: list[Node], at: ast.AST) -> None:
        """``exec``: a decoded payload, or another file of the submission."""
        host_path = self.tracer.module.path
        line = getattr(at, "lineno", 0)
        payloads = [
            p for p in self.submission.payloads.get(host_path, ()) if p.path not in self.executed
        ]
        if payloads:
            chosen = min(payloads, key=lambda p: abs((p.host_line or 0) - line))
            self.tracer.run_module(self.module("__main__", chosen), self.tracer.module.names)
            return
        text = library.constant_text(args[0]) if args else ""
        for name in text.split("\n"):
            source = self.submission.modules.get(name) or self.submission.modules.get(
                name.rpartition("/")[2]
            )
            if source is not None and source.path not in self.executed:
                self.tracer.run_module(self.module("__main__", source), self.tracer.module.names)

    # -- libraries --------------------------------------------------------------------------------------

    def call_external(
        self, name: str, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        return library.call(self.tracer, name, args, kwargs, at)

    def call_method(
        self,
        receiver: Node,
        name: str,
        args: list[Node],
        kwargs: dict[str, Node],
        at: ast.AST,
    ) -> Node:
        return library.method(self.tracer, receiver, name, args, kwargs, at)

    def call_result(
        self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        return library.call_result(self.tracer, callee, args, kwargs, at)


_STAR_NAMES = {"math": ("log", "exp", "sqrt", "floor", "ceil", "pi", "log2")}
