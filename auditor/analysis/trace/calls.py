"""Calls: user functions are inlined, classes instantiated, everything else goes to the host."""

from __future__ import annotations

import ast
from typing import Any

from auditor.analysis.graph import (
    Call,
    Container,
    Instance,
    Node,
    alternatives,
    container_all,
)
from auditor.analysis.trace import scope
from auditor.analysis.trace.attributes import Attributes
from auditor.analysis.trace.objects import Class, Frame, Function

MAX_DEPTH = 48
MAX_SAME_FUNCTION = 2
ECONOMY = 80_000  # values beyond which a layer that was traced before is taken as one operation


class Calls(Attributes):
    """What happens when something is called."""

    def make_function(self, at: Any) -> Node:
        a = at.args
        defaults = tuple(self.eval(d) for d in a.defaults)
        kw_defaults = tuple(self.eval(d) if d is not None else None for d in a.kw_defaults)
        closure = self.frame if self.frame.function is not None else None
        function = Function(at, self.module, closure, defaults, kw_defaults)
        made = self.node("function", (), function, at)
        for decorator in getattr(at, "decorator_list", ()):
            name = (
                decorator.attr
                if isinstance(decorator, ast.Attribute)
                else getattr(decorator, "id", "")
            )
            if name == "staticmethod":
                function.kind = "static"
            elif name == "classmethod":
                function.kind = "class"
            elif name in ("property", "cached_property"):
                function.kind = "property"
        return made

    def call(self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST) -> Node:
        op = callee.op
        if op == "ext":
            return self.host.call_external(callee.data, args, kwargs, at)
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
            return self.host.call_method(callee.args[0], callee.data, args, kwargs, at)
        if op == "index":  # kernel[grid](...)
            kernels = [k for k in alternatives(callee.args[0], 3) if k.op == "function"]
            if kernels:
                return self.call(kernels[0], args, kwargs, at)
        if op == "call":
            return self.host.call_result(callee, args, kwargs, at)
        return self.opaque("call", "<unknown>", [callee, *args], kwargs, at)

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
            if (
                call.function.owner is not None
                and call.function.owner.is_model
                and call.function.name != "__init__"
            ):
                return True
            call = call.parent
        return False

    def _as_forward(
        self, result: Node, owner: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        """Mark a model's result, so that rules see which model made a score."""
        if result.op == "const":
            return result
        return self.node(
            "forward", (result, *args, *kwargs.values()), owner.data, at, tuple(kwargs)
        )

    def _call_object(
        self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
        instance: Instance = callee.data
        for name in ("__call__", "forward"):
            method = instance.cls.lookup(name) if instance.cls is not None else None
            if method is not None and method.op == "function":
                return self._call_bound(self.bound(method, callee), args, kwargs, at)
        return self.opaque("call", "<object>", [callee, *args], kwargs, at)

    def instantiate(
        self, callee: Node, args: list[Node], kwargs: dict[str, Node], at: ast.AST
    ) -> Node:
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
        saved = (self.frame, self.context, self.module, self.here)
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
            self.frame, self.context, self.module, self.here = saved

    def _bind_parameters(
        self,
        function: Function,
        frame: Frame,
        args: list[Node],
        kwargs: dict[str, Node],
        at: ast.AST,
    ) -> None:
        a = function.at.args
        names = frame.locals
        positional = [*a.posonlyargs, *a.args]
        rest = dict(kwargs)
        spread = rest.pop("**", None)
        supplied = list(args)
        star = next(
            (i for i, v in enumerate(supplied) if v.op == "elem" and v.data == "star"), None
        )
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
