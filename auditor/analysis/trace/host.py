"""What the tracer asks of its surroundings."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auditor.analysis.graph import Node
from auditor.analysis.trace.objects import Module

if TYPE_CHECKING:
    from auditor.submission.model import SourceFile


class Host:
    """Parsing, imports, settings in force and libraries."""

    def parse(self, source: SourceFile) -> ast.Module | None:
        raise NotImplementedError

    def import_module(self, name: str) -> Node:
        raise NotImplementedError

    def import_from(self, base: str, name: str) -> Node:
        raise NotImplementedError

    def import_star(self, base: str) -> None:
        raise NotImplementedError

    def submodule(self, module: Module, name: str, at: ast.AST) -> Node:
        raise NotImplementedError

    def env(self, name: Any, default: Node | None, at: ast.AST) -> Node:
        raise NotImplementedError

    def has_env(self, name: str) -> bool | None:
        raise NotImplementedError

    def ran_anyway(self, test: Node, taken: Sequence[ast.stmt], other: Sequence[ast.stmt]) -> bool:
        raise NotImplementedError

    def argument(self, flag: str, default: Node, at: ast.AST) -> Node:
        raise NotImplementedError

    def run_code(self, args: list[Node], at: ast.AST) -> None:
        raise NotImplementedError

    def set_env(self, key: Node, value: Node) -> None:
        raise NotImplementedError

    def call_external(
        self, name: str, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        raise NotImplementedError

    def call_method(
        self,
        receiver: Node,
        name: str,
        args: list[Node],
        kwargs: dict[str, Node],
        at: ast.AST,
    ) -> Node:
        raise NotImplementedError

    def call_result(
        self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        raise NotImplementedError
