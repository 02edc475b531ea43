"""Python's lists, tuples, dicts and sets, and what subscripts read and write."""

from __future__ import annotations

import ast

from auditor.analysis.graph import (
    Container,
    Node,
    Store,
    alternatives,
    container_all,
    container_at,
)
from auditor.analysis.trace.core import CONST_TYPES, Core


class Containers(Core):
    """Containers keep exact elements while their places are known, a summary after that."""

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
            box.keyed[key.data] = value if old is None or strong else self.weak(old, value)
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
        if (
            box.exact
            and owner.ctx.loops == self.context.loops
            and owner.ctx.branches == self.context.branches
        ):
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
            if (
                other.op in ("list", "tuple", "set")
                and other.data.exact
                and box.exact
                and not self.context.loops
            ):
                box.items.extend(other.data.items)
                continue
            self.blur(box)
            assert box.summary is not None
            elements = (
                container_all(other.data)
                if other.op in ("list", "tuple", "set")
                else [self.node("elem", (other,))]
            )
            for element in elements:
                if element is not box.summary and not any(element is a for a in box.summary.args):
                    box.summary.args.append(element)

    # -- elements ----------------------------------------------------------------------------

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
            if (
                name in ("reversed", "sorted", "iter", "tqdm.tqdm", "tqdm", "list", "tuple", "set")
                and args
            ):
                return self.element(args[0], at)
            if name in ("itertools.product",):
                return self.container("tuple", [self.element(a, at) for a in args], at)
        if iterable.op in ("list", "tuple", "set") and iterable.data.exact:
            values = container_all(iterable.data)
            if len(values) == 1:
                return values[0]
        if iterable.op == "dict":
            return self._dict_keys(iterable)
        if iterable.op == "object" and (found := self._of_object(iterable, at)) is not None:
            return found
        if (
            iterable.op == "method"
            and iterable.data in ("items", "values", "keys")
            and iterable.args
        ):
            for base in alternatives(iterable.args[0], 3):
                if base.op != "dict":
                    continue
                key = self._dict_keys(base)
                if iterable.data == "keys":
                    return key
                value = self.phi(container_all(base.data) or [self.node("unknown", (base,))])
                return (
                    value
                    if iterable.data == "values"
                    else self.container("tuple", [key, value], at)
                )
        return self.node("elem", (iterable,), None, at)

    def _of_object(self, owner: Node, at: ast.AST) -> Node | None:
        """What a user object gives when it is iterated over."""
        for name in ("__iter__", "__next__", "__getitem__"):
            method = owner.data.lookup(name)
            if method is None or method.op != "function":
                continue
            args = [self.node("loopvar", (), "count", at)] if name == "__getitem__" else []
            value = self.call(self.bound(method, owner), args, {}, at)
            if name != "__iter__":
                return value
            if value is not owner and not owner.data.lookup("__next__"):
                return self.element(value, at)
        return None

    def _dict_keys(self, base: Node) -> Node:
        box: Container = base.data
        keys = [self.const(k) for k in box.keyed if isinstance(k, CONST_TYPES)]
        if box.keys is not None:
            keys.append(box.keys)
        return self.phi(keys) if keys else self.node("elem", (base,))

    # -- subscripts --------------------------------------------------------------------------

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
            return self.host.env(key.data, None, at)
        elif op == "object":
            method = base.data.lookup("__getitem__")
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
                return self._carried(base, key, box.keyed[key.data])
            return self.node("index", (base, key), "dict", at)
        if key.op == "const" and isinstance(key.data, int):
            found = container_at(box, key.data)
            if len(found) == 1 and box.exact:
                return self._carried(base, key, found[0])
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

    def _carried(self, owner: Node, key: Node, value: Node) -> Node:
        """An element as a loop finds it: a constant that iterations replace says little."""
        older = len(owner.ctx.loops) < len(self.context.loops)
        if owner.op != "tuple" and older and value.op == "const" and key.data in self.changing_keys:
            return self.open_phi([value])
        return value

    def store_index(self, base: Node, key: Node, value: Node, how: str, at: ast.AST) -> None:
        for box in alternatives(base, 6):
            if box.op == "dict":
                strong = not (self.context.loops or self.context.branches)
                self.dict_set(box.data, key, value, strong=strong)
                self.store(box, key, value, how, at)
            elif box.op == "list":
                self._list_set(box, key, value)
            elif box.op == "object":
                method = box.data.lookup("__setitem__")
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
        if (
            box.exact
            and key.op == "const"
            and isinstance(key.data, int)
            and -len(box.items) <= key.data < len(box.items)
        ):
            old = box.items[key.data]
            box.items[key.data] = value if same else self.weak(old, value)
            return
        self.blur(box)
        assert box.summary is not None
        if not any(value is a for a in box.summary.args):
            box.summary.args.append(value)
        marker = self.node(
            "event", (), "store"
        )  # rules ask which test an element was replaced under
        self.stores.setdefault(owner.uid, []).append(Store(owner, key, value, "=", marker))
