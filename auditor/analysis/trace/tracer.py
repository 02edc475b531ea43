"""The whole tracer: modules, executed at most once each."""

from __future__ import annotations

from auditor.analysis.graph import Node
from auditor.analysis.trace import scope
from auditor.analysis.trace.objects import AnalysisLimit, Class, Frame, Function, Module
from auditor.analysis.trace.statements import Statements

__all__ = ["AnalysisLimit", "Class", "Frame", "Function", "Module", "Tracer"]


class Tracer(Statements):
    """Executes modules abstractly and collects nodes, stores and events."""

    def run_module(self, module: Module, names: dict[str, Node] | None = None) -> None:
        """Execute a module's top level (once)."""
        if module.started:
            return
        module.started = True
        tree = self.host.parse(module.source)
        if tree is None:
            return
        attributes, global_names, keys = scope.changing_names(tree)
        self.changing_attributes |= attributes
        self.changing_globals |= global_names
        self.changing_keys |= keys
        if names is not None:
            module.names = names
        saved = (self.module, self.frame, self.here)
        self.module = module
        self.frame = Frame(module, module.names)
        if "__name__" not in module.names:
            module.names["__name__"] = self.const(module.name)
            module.names["__file__"] = self.const(module.path)
        try:
            self.block(tree.body)
        finally:
            self.module, self.frame, self.here = saved
