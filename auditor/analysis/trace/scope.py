"""Names that a piece of syntax binds, asked once per syntax node."""

from __future__ import annotations

import ast
from functools import cache

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@cache
def assigned_in(loop: ast.For | ast.AsyncFor | ast.While) -> frozenset[str]:
    """Local names that the loop's target or body may bind, nested scopes left out."""
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
        todo.extend(ast.iter_child_nodes(node))
    return frozenset(names)


@cache
def declared(function: ast.AST) -> tuple[frozenset[str], frozenset[str], bool]:
    """(global names, nonlocal names, is a generator) of a function's own body."""
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
        elif isinstance(node, (ast.Yield, ast.YieldFrom)):
            generator = True
        todo.extend(ast.iter_child_nodes(node))
    return frozenset(global_names), frozenset(nonlocal_names), generator


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
            if isinstance(current, ast.Attribute) and isinstance(current.ctx, ast.Store):
                if inside:
                    attributes.add(current.attr)
                continue
            if isinstance(current, ast.Subscript) and isinstance(current.ctx, ast.Store):
                if inside and isinstance(current.slice, ast.Constant):
                    keys.add(current.slice.value)
                continue
            if isinstance(current, ast.Global):
                global_names.update(current.names)
            if isinstance(current, ast.ClassDef):
                for child in current.body:
                    is_method = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                    late = is_method and child.name != "__init__"  # type: ignore[attr-defined]
                    todo.append((child, late))
                continue
            if isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                todo.extend((child, inside) for child in ast.iter_child_nodes(current))
                continue
            if isinstance(current, (ast.For, ast.AsyncFor, ast.While)):
                inside = True
            todo.extend((child, inside) for child in ast.iter_child_nodes(current))

    visit(tree, False)
    return frozenset(attributes), frozenset(global_names), frozenset(keys)
