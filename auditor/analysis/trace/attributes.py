"""Attributes of objects, classes, modules and of what wraps them."""

from __future__ import annotations

import ast

from auditor.analysis.graph import (
    Instance,
    Node,
    alternatives,
)
from auditor.analysis.trace.containers import Containers


class Attributes(Containers):
    """Attribute reads and writes; opaque wrappers (compile, DDP) are seen through."""

    def load_attr(self, base: Node, name: str, at: ast.AST) -> Node:
        op = base.op
        if op == "ext":
            return self.node("ext", (), f"{base.data}.{name}", at)
        if op == "object":
            return self._object_attr(base, name, at)
        if op == "module":
            value: Node | None = base.data.names.get(name)
            return value if value is not None else self.host.submodule(base.data, name, at)
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
                if inner.op == "object" and not self.has_attr(inner, name):
                    return (
                        inner
                        if name in ("module", "_orig_mod")
                        else self.node("attr", (inner,), name, at)
                    )
                if inner.op == "object":
                    return self.load_attr(inner, name, at)
        return self.node("attr", (base,), name, at)

    @staticmethod
    def has_attr(owner: Node, name: str) -> bool:
        instance: Instance = owner.data
        return name in instance.attrs or (
            instance.cls is not None and instance.cls.lookup(name) is not None
        )

    def _object_attr(self, base: Node, name: str, at: ast.AST) -> Node:
        instance: Instance = base.data
        value: Node | None = instance.attrs.get(name)
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
                loose = len(self.context.loops) > len(made.loops) or len(
                    self.context.branches
                ) > len(made.branches)
                attrs[name] = value if old is None or not loose else self.weak(old, value)
            elif owner.op == "class" or owner.op == "module":
                owner.data.names[name] = value
            elif (
                owner.op in ("call", "forward")
                and (inner := self.wrapped(owner)) is not None
                and inner.op == "object"
            ):
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
