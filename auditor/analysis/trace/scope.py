"""Names that a piece of syntax binds, asked once per syntax node."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


# Fields that hold no syntax to look into: operators, contexts, plain values.
_PLAIN = frozenset("ctx op ops id attr arg asname level kind type_comment".split())
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}


def children(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes directly under ``node``, but for operators; much faster than `ast.iter_child_nodes`."""
    kind = type(node)
    fields = _FIELDS.get(kind)
    if fields is None:
        own = () if kind is ast.Constant else node._fields
        fields = _FIELDS[kind] = tuple(f for f in own if f not in _PLAIN)
    for name in fields:
        value: object = getattr(node, name, None)
        if isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield item
        elif isinstance(value, ast.AST):
            yield value


def assigned_in(loop: ast.For | ast.AsyncFor | ast.While) -> frozenset[str]:
    """Local names that the loop's target or body may bind, nested scopes left out."""
    known: frozenset[str] | None = loop.__dict__.get("bound_names")
    if known is None:
        known = loop.__dict__["bound_names"] = _assigned_in(loop)
    return known


def _assigned_in(loop: ast.For | ast.AsyncFor | ast.While) -> frozenset[str]:
    names: set[str] = set()
    todo: list[ast.AST] = [*loop.body, *loop.orelse]
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        todo.append(loop.target)
    else:
        todo.append(loop.test)
    while todo:
        node = todo.pop()
        if isinstance(node, _SCOPES):
            if not isinstance(node, ast.Lambda):
                names.add(node.name)
            continue
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                names.add(node.id)
            continue
        todo.extend(children(node))
    return frozenset(names)


Declared = tuple[frozenset[str], frozenset[str], bool]


def declared(function: ast.AST) -> Declared:
    """(global names, nonlocal names, is a generator) of a function's own body."""
    known: Declared | None = function.__dict__.get("declared_names")
    if known is None:
        known = function.__dict__["declared_names"] = _declared(function)
    return known


def _declared(function: ast.AST) -> Declared:
    global_names: set[str] = set()
    nonlocal_names: set[str] = set()
    generator = False
    body = function.body  # type: ignore[attr-defined]
    todo: list[ast.AST] = list(body) if isinstance(body, list) else [body]
    while todo:
        node = todo.pop()
        if isinstance(node, _SCOPES):
            continue
        if isinstance(node, ast.Global):
            global_names.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            nonlocal_names.update(node.names)
        elif isinstance(node, (ast.Expr, ast.Assign, ast.Return, ast.AugAssign)):
            generator = generator or isinstance(node.value, (ast.Yield, ast.YieldFrom))
        todo.extend(statements(node))
    return frozenset(global_names), frozenset(nonlocal_names), generator


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements (and the handlers and cases that hold some) directly under ``node``."""
    for name in _BLOCKS:
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield from block


def _targets(statement: ast.AST) -> Iterator[ast.AST]:
    """What a statement stores to, tuples opened."""
    found: list[ast.AST] = list(getattr(statement, "targets", ()))
    target = getattr(statement, "target", None)
    if target is not None:
        found.append(target)
    for item in getattr(statement, "items", ()):
        if item.optional_vars is not None:
            found.append(item.optional_vars)
    while found:
        one = found.pop()
        if isinstance(one, (ast.Tuple, ast.List)):
            found.extend(one.elts)
        elif isinstance(one, ast.Starred):
            found.append(one.value)
        else:
            yield one


def _constant(target: ast.Subscript) -> bool:
    return isinstance(target.slice, ast.Constant)


def changing_names(
    tree: ast.Module,
) -> tuple[frozenset[str], frozenset[str], frozenset[object]]:
    """(attributes, globals, constant keys) whose value may change while loops run.

    An attribute or key counts when it is stored inside a loop, or by a method other than
    ``__init__`` on its own object: its first value then says nothing about what later iterations
    see.
    """
    attributes: set[str] = set()
    global_names: set[str] = set()
    keys: set[object] = set()

    def visit(node: ast.AST, changing: bool) -> None:
        todo: list[tuple[ast.AST, bool]] = [(node, changing)]
        while todo:
            current, inside = todo.pop()
            if isinstance(current, ast.Global):
                global_names.update(current.names)
            if isinstance(current, ast.ClassDef):
                for child in current.body:
                    is_method = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                    late = is_method and child.name != "__init__"  # type: ignore[attr-defined]
                    todo.append((child, late))
                continue
            if isinstance(current, (ast.For, ast.AsyncFor, ast.While)):
                inside = True
            if inside:
                for target in _targets(current):
                    if isinstance(target, ast.Attribute):
                        attributes.add(target.attr)
                    elif isinstance(target, ast.Subscript) and _constant(target):
                        keys.add(target.slice.value)  # type: ignore[attr-defined]
            todo.extend((child, inside) for child in statements(current))

    visit(tree, False)
    return frozenset(attributes), frozenset(global_names), frozenset(keys)
