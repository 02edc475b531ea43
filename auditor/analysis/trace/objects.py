"""What user code defines: modules, functions, classes, and the frames of their activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditor.analysis.graph import Node, alternatives

if TYPE_CHECKING:
    from auditor.submission.model import SourceFile


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
        found: list[str] = []
        for cls in self.lineage():
            for base in cls.bases:
                found.extend(b.data for b in alternatives(base) if b.op == "ext")
        return found

    @property
    def is_model(self) -> bool:
        return any(name.endswith(("nn.Module", ".Module")) for name in self.external_bases)


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
