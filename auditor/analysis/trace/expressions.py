"""Expressions: one method per kind of syntax."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

from auditor.analysis.graph import (
    Branch,
    Container,
    Loop,
    Node,
    alternatives,
)
from auditor.analysis.trace.calls import Calls
from auditor.analysis.trace.objects import Frame
from auditor.analysis.trace.operators import BINARY, COMPARE, UNARY, foldable, is_singleton

NEVER_NONE = frozenset(
    "tuple list dict set object function class module bound binop compare loopvar forward".split()
)


class Expressions(Calls):
    """Evaluation, with constants folded and everything else made into nodes."""

    def eval(self, e: ast.AST) -> Node:
        run = self._expressions.get(type(e))
        if run is None:
            return self.node(
                "unknown",
                tuple(self.eval(c) for c in ast.iter_child_nodes(e) if isinstance(c, ast.expr)),
                None,
                e,
            )
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
            symbol, fold = BINARY[type(term.op)]
            left = self.binary(symbol, fold, left, self.eval(term.right), term)
        return left

    def binary(
        self, symbol: str, fold: Callable[[Any, Any], Any], left: Node, right: Node, at: ast.AST
    ) -> Node:
        if left.op == "const" and right.op == "const":
            a, b = left.data, right.data
            if foldable(symbol, a, b):
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
        symbol, fold = UNARY[type(e.op)]
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
        return (
            values[0]
            if len(values) == 1
            else self.node("bool", tuple(values), "and" if is_and else "or", e)
        )

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
        symbol, fold = COMPARE[type(op)]
        if symbol in ("is", "is not", "==", "!="):
            nothing = [n.op == "const" and n.data is None for n in (left, right)]
            if any(nothing):
                other = right if nothing[0] else left
                if all(nothing) or self.never_none(other):
                    same = all(nothing)
                    return self.const(
                        same if symbol in ("is", "==") else not same, (left, right), at
                    )
        if left.op == "const" and right.op == "const":
            if symbol in ("is", "is not") and not (
                is_singleton(left.data) and is_singleton(right.data)
            ):
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
    def never_none(node: Node) -> bool:
        values = alternatives(node)
        if node.op == "phi" and node.data == "open":
            return False
        return bool(values) and all(
            v.op in NEVER_NONE or (v.op == "const" and v.data is not None) for v in values
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

    def eval_Attribute(self, e: ast.Attribute) -> Node:
        return self.load_attr(self.eval(e.value), e.attr, e)

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

        (value,) = self._comprehend(e, body)
        box = Container(kind, [], {}, False, self.open_phi([value]))
        return self.node(kind, (), box, e)

    def eval_DictComp(self, e: ast.DictComp) -> Node:
        def body() -> list[Node]:
            return [self.eval(e.key), self.eval(e.value)]

        key, value = self._comprehend(e, body)
        made = self.container("dict", (), e)
        self.dict_set(made.data, self.node("phi", [key], "open"), value, strong=False)
        return made

    def _comprehend(self, e: Any, body: Callable[[], list[Node]]) -> list[Node]:
        outer, context = self.frame, self.context
        self.frame = Frame(outer.module, {}, outer, outer.function)
        self.frame.returns, self.frame.yields = outer.returns, outer.yields
        for generator in e.generators:
            iterable = self.eval(generator.iter)
            self.context = self.within(loop=Loop(e, self.module.path))
            self.bind_element(generator.target, iterable, e)
            for condition in generator.ifs:
                test = self.eval(condition)
                self.context = self.within(branch=Branch(test, True))
        values = body()
        self.frame, self.context = outer, context
        return values

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
        self.here = e
        if method is not None:
            return self.host.call_method(callee, method, args, kwargs, e)
        return self.call(callee, args, kwargs, e)

    # -- targets -----------------------------------------------------------------------------

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

    def bind_element(self, target: ast.expr, iterable: Node, at: ast.AST) -> None:
        self.assign(target, self.element(iterable, at))
