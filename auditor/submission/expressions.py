"""Evaluating expressions over constants; the rest of the evaluator builds on it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from auditor.submission import calls, decoders
from auditor.submission.model import Party
from auditor.submission.values import (
    UNKNOWN,
    Call,
    Function,
    Handle,
    Module,
    Name,
    Opaque,
    Scope,
    Spec,
    TooLarge,
    checked_items,
    checked_size,
    first_reason,
    is_known,
)

MAX_STEPS = 400_000  # expressions and statements of one evaluation
MAX_BYTES = 256 * 1024 * 1024  # decoded bytes of one evaluation, all together

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


class Exhausted(Exception):
    """The evaluation used up its steps."""


class Expressions:
    """Expressions to values. Steps and bytes are counted over everything one file unpacks."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.bytes = MAX_BYTES

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """What the expression yields: a constant, a stand-in, or Opaque."""
        self.spend()
        handler = getattr(self, f"_see_{type(node).__name__}", None)
        if handler is None:
            return UNKNOWN
        at = f"line {node.lineno}"
        try:
            return handler(node, scope)
        except TooLarge as error:
            return Opaque(f"{at} would build {error}, beyond the limit", Party.SUBMISSION)
        except decoders.LimitReached as error:
            return Opaque(f"{at}: {error}", Party.SUBMISSION)
        except decoders.MissingPackage as error:
            return Opaque(f"{at}: {error}", Party.ENVIRONMENT)
        except decoders.DecodeError as error:
            return Opaque(f"{at}: {error}", Party.SUBMISSION)
        except RecursionError:
            return Opaque(f"{at} is nested too deeply to evaluate", Party.TOOL)

    def call(self, call: Call, function: Any, scope: Scope) -> Any:
        """The value of calling something known by name, or a local function."""
        raise NotImplementedError

    def call_method(self, call: Call, owner: Any, name: str) -> Any:
        """The value of calling a method of a constant or stand-in."""
        raise NotImplementedError

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Assigns ``value`` to a name, to a pattern of names or into a container."""
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._bind_pattern(target.elts, value, scope)
        elif isinstance(target, ast.Subscript):
            container = self.value(target.value, scope)
            key = self.value(target.slice, scope)
            if _can_hold(container, key):
                attempt(operator.setitem, container, key, value)

    def items(self, value: Any) -> Iterable[Any] | None:
        """The elements to iterate over, or None when they can't be known."""
        if isinstance(value, list):
            return list(value)  # the loop may change the list itself
        return value if isinstance(value, (tuple, str, bytes, bytearray, range, dict)) else None

    def attribute(self, value: Any, name: str) -> Any:
        """``value.name`` where that is harmless to know."""
        if isinstance(value, Name):
            dotted = f"{value.dotted}.{name}"
            return calls.CONSTANTS.get(dotted, Name(dotted))
        if isinstance(value, PurePosixPath) and name in _PATH_PARTS:
            return list(value.parents) if name == "parents" else getattr(value, name)
        if isinstance(value, Spec) and name in ("loader", "origin"):
            return value if name == "loader" else value.path
        if isinstance(value, Module) and name in ("__dict__", "__name__"):
            return value if name == "__dict__" else value.name
        if isinstance(value, Handle) and name == "name":
            return value.path
        return first_reason(value)

    def spend(self) -> None:
        self.steps -= 1
        if self.steps <= 0:
            raise Exhausted

    def charge(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise decoders.LimitReached(f"more than {MAX_BYTES:,} decoded bytes in one script")

    # ---- one method for each kind of expression ----

    def _see_Constant(self, node: ast.Constant, scope: Scope) -> Any:
        return node.value

    def _see_Name(self, node: ast.Name, scope: Scope) -> Any:
        return scope.get(node.id)

    def _see_NamedExpr(self, node: ast.NamedExpr, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        scope.names[node.target.id] = value
        return value

    def _see_Tuple(self, node: ast.Tuple, scope: Scope) -> Any:
        return tuple(self._elements(node.elts, scope))

    def _see_List(self, node: ast.List, scope: Scope) -> Any:
        return self._elements(node.elts, scope)

    def _see_Set(self, node: ast.Set, scope: Scope) -> Any:
        return tuple(self._elements(node.elts, scope))

    def _see_Dict(self, node: ast.Dict, scope: Scope) -> Any:
        out: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item, scope)
            if key is None:
                out.update(value if isinstance(value, dict) else {})
            else:
                known = self.value(key, scope)
                if isinstance(known, (str, int, bytes, tuple)) and is_known(known):
                    out[known] = value
        return out

    def _see_JoinedStr(self, node: ast.JoinedStr, scope: Scope) -> Any:
        parts = [self.value(part, scope) for part in node.values]
        if not all(isinstance(part, str) for part in parts):
            return first_reason(parts)
        checked_size(sum(map(len, parts)))
        return "".join(parts)

    def _see_FormattedValue(self, node: ast.FormattedValue, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        if node.format_spec is not None or not isinstance(value, (str, int, PurePosixPath)):
            return first_reason(value)
        return repr(value) if node.conversion == ord("r") else str(value)

    def _see_Lambda(self, node: ast.Lambda, scope: Scope) -> Any:
        return Function(node, scope)

    def _see_IfExp(self, node: ast.IfExp, scope: Scope) -> Any:
        test = truth(self.value(node.test, scope))
        if test is None:
            return first_reason(self.value(node.body, scope), self.value(node.orelse, scope))
        return self.value(node.body if test else node.orelse, scope)

    def _see_BoolOp(self, node: ast.BoolOp, scope: Scope) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = UNKNOWN
        for part in node.values:
            value = self.value(part, scope)
            if truth(value) is None or truth(value) is stop:
                return value
        return value

    def _see_UnaryOp(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        if isinstance(node.op, ast.Not):
            known = truth(value)
            return UNKNOWN if known is None else not known
        if not isinstance(value, (int, float)):
            return first_reason(value)
        if isinstance(node.op, ast.USub):
            return -value
        return ~value if isinstance(node.op, ast.Invert) and isinstance(value, int) else value

    def _see_Compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = self.value(node.left, scope)
        right = self.value(node.comparators[0], scope)
        compare = _COMPARISONS.get(type(node.ops[0]))
        if len(node.ops) > 1 or compare is None or not (is_known(left) and is_known(right)):
            return UNKNOWN
        return attempt(compare, left, right)

    def _see_BinOp(self, node: ast.BinOp, scope: Scope) -> Any:
        # A long sum is a deep tree: walk down its left edge instead of recursing.
        spine: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            spine.append(left)
            left = left.left
        value = self.value(left, scope)
        for part in reversed(spine):
            self.spend()
            value = self.binary(part.op, value, self.value(part.right, scope))
        return value

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(op, ast.Div) and isinstance(left, PurePosixPath):
            return left / right if isinstance(right, (str, PurePosixPath)) else first_reason(right)
        operate = _OPERATORS.get(type(op))
        if operate is None or not (is_known(left) and is_known(right)):
            return first_reason(left, right)
        if isinstance(op, ast.Mod) and isinstance(left, (str, bytes)):
            return UNKNOWN  # a format could ask for any width
        _check_operands(op, left, right)
        out = attempt(operate, left, right)
        if isinstance(out, (str, bytes)):
            self.charge(len(out))
        return out

    def _see_Attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return self.attribute(self.value(node.value, scope), node.attr)

    def _see_Subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        key = self.value(node.slice, scope)
        known = isinstance(value, (str, bytes, bytearray, list, tuple, dict, range))
        if not known or isinstance(key, (Opaque, Name)):
            return first_reason(value, key)
        return attempt(operator.getitem, value, key)

    def _see_Slice(self, node: ast.Slice, scope: Scope) -> Any:
        ends = (node.lower, node.upper, node.step)
        parts = [None if part is None else self.value(part, scope) for part in ends]
        return slice(*parts) if all(p is None or isinstance(p, int) for p in parts) else UNKNOWN

    def _see_ListComp(self, node: ast.ListComp, scope: Scope) -> Any:
        return self._comprehension([node.elt], node.generators, scope)

    _see_GeneratorExp = _see_ListComp
    _see_SetComp = _see_ListComp

    def _see_DictComp(self, node: ast.DictComp, scope: Scope) -> Any:
        pairs = self._comprehension([node.key, node.value], node.generators, scope)
        if not isinstance(pairs, list):
            return UNKNOWN
        return {key: value for key, value in pairs if isinstance(key, (str, int, bytes))}

    def _see_Call(self, node: ast.Call, scope: Scope) -> Any:
        call = Call(node, self._elements(node.args, scope), self._keywords(node.keywords, scope))
        if not isinstance(node.func, ast.Attribute):
            return self.call(call, self.value(node.func, scope), scope)
        owner = self.value(node.func.value, scope)
        if isinstance(owner, Name):
            return self.call(call, self.attribute(owner, node.func.attr), scope)
        return self.call_method(call, owner, node.func.attr)

    def _keywords(self, nodes: list[ast.keyword], scope: Scope) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for keyword in nodes:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                out[keyword.arg] = value
            elif isinstance(value, dict):
                out.update({k: v for k, v in value.items() if isinstance(k, str)})
        return out

    def _elements(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        out: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items = self.items(self.value(node.value, scope))
                out.extend(items if items is not None else [UNKNOWN])
            else:
                out.append(self.value(node, scope))
            checked_items(len(out))
        return out

    def _comprehension(
        self, elements: list[ast.expr], generators: list[ast.comprehension], scope: Scope
    ) -> Any:
        """The list of a comprehension (of pairs, for two elements), or UNKNOWN."""
        out: list[Any] = []
        inner = Scope(parent=scope)

        def rounds(depth: int) -> bool:
            if depth == len(generators):
                made = [self.value(element, inner) for element in elements]
                out.append(made[0] if len(made) == 1 else tuple(made))
                checked_items(len(out))
                return True
            generator = generators[depth]
            items = self.items(self.value(generator.iter, inner))
            if items is None:
                return False
            for item in items:
                self.bind(generator.target, item, inner)
                tests = [truth(self.value(test, inner)) for test in generator.ifs]
                if None in tests or (all(tests) and not rounds(depth + 1)):
                    return False
            return True

        return out if rounds(0) else UNKNOWN

    def _bind_pattern(self, targets: list[ast.expr], value: Any, scope: Scope) -> None:
        items = self.items(value)
        values = list(items) if items is not None else []
        starred = any(isinstance(target, ast.Starred) for target in targets)
        if starred or len(values) != len(targets):
            values = [UNKNOWN] * len(targets)
        for target, item in zip(targets, values, strict=True):
            self.bind(target.value if isinstance(target, ast.Starred) else target, item, scope)


_PATH_PARTS = ("parent", "parents", "name", "stem", "suffix", "parts")


def _can_hold(container: Any, key: Any) -> bool:
    if isinstance(container, dict):
        return isinstance(key, (str, int, bytes))
    return isinstance(container, (list, bytearray)) and isinstance(key, int)


def truth(value: Any) -> bool | None:
    """Whether a known value is true; None for one that is not known."""
    return bool(value) if is_known(value) else None


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value; UNKNOWN where the evaluated code would fail."""
    try:
        return function(*arguments)
    except TooLarge:
        raise
    except Exception:  # whatever a harmless function raises for strange constants
        return UNKNOWN


def _check_operands(op: ast.operator, left: Any, right: Any) -> None:
    """Refuses what could build a huge value from small ones."""
    sequences = (str, bytes, bytearray, list, tuple)
    if isinstance(op, ast.Mult):
        for text, times in ((left, right), (right, left)):
            if isinstance(text, sequences) and isinstance(times, int):
                weight = 64 if isinstance(text, (list, tuple)) else 1
                checked_size(len(text) * max(times, 0) * weight)
        if isinstance(left, int) and isinstance(right, int):
            checked_size(left.bit_length() + right.bit_length())
    elif isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
        checked_size(left.bit_length() * abs(right) * 8)
    elif isinstance(op, ast.LShift) and isinstance(left, int) and isinstance(right, int):
        checked_size(left.bit_length() + max(right, 0))
    elif isinstance(op, ast.Add) and isinstance(left, sequences) and isinstance(right, sequences):
        checked_size(len(left) + len(right))
