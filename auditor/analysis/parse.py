"""From source text to a syntax tree, whatever the running Python can or can't parse itself."""

from __future__ import annotations

import ast
import re
import sys
import threading
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from auditor.submission.model import Party, Problem, SourceFile

MAX_DEPTH = 400  # levels of nesting in the tree that is handed out
MAX_TOKENS = 1_000_000
_STACK = 512 * 1024 * 1024  # bytes; address space only, until it is used
_RECURSION = 250_000
# f-strings (3.12), type statements and parameters (3.12), except groups (3.11, 3.14), a[*b] (3.11)
_MAY_BE_NEWER = re.compile(
    r"""\b(?i:f|rf|fr|t)['"]|^\s*type\s+\w|\b(?:def|class)\s+\w+\s*\[|\bexcept\b[^:\n]*[*,]|\[\s*\*""",
    re.MULTILINE,
)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")


class Unparseable(Exception):
    """Text that is no Python; ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse(source: SourceFile) -> ast.Module:
    """The syntax tree of ``source``; treat it as read-only, equal texts share one.

    Grammar that is newer than the running Python is read with libcst and brought down to what
    ``ast`` knows here; line numbers stay. Long chains of operators, which would be deep trees, come
    back balanced. Raises Unparseable.
    """
    outcome = _parse(source.text)
    if isinstance(outcome, ast.Module):
        return outcome
    what, party = outcome
    remedy = {
        Party.SUBMISSION: "hand in a script that Python can parse",
        Party.TOOL: "read this file by hand",
    }[party]
    raise Unparseable(Problem(f"not checked: {what}", source.path, party, remedy))


@lru_cache(maxsize=16)
def _parse(text: str) -> ast.Module | tuple[str, Party]:
    # NUL bytes stop the parser; blanks in their place keep every column.
    text = text.removeprefix("\ufeff").replace("\0", " ").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_TOKENS and sum(map(text.count, "=,(.:+-*")) > MAX_TOKENS:
        return f"more than {MAX_TOKENS:,} tokens", Party.SUBMISSION
    try:
        tree = _tree(text)
    except SyntaxError as error:
        return _parse_newer(text, error)
    except (RecursionError, MemoryError):
        return "nested too deeply to parse", Party.SUBMISSION
    except ValueError as error:  # such as an integer beyond the digit limit
        return f"no tree: {error}", Party.TOOL
    return _bounded(tree)


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the author's business
        try:
            return ast.parse(text)
        except (RecursionError, MemoryError):
            return _with_big_stack(lambda: _balanced(ast.parse(text)))


def _parse_newer(text: str, error: SyntaxError) -> ast.Module | tuple[str, Party]:
    where = f"line {error.lineno}: {error.msg}"
    if not _MAY_BE_NEWER.search(text):
        return f"no valid Python, {where}", Party.SUBMISSION
    from auditor.analysis import newer_grammar

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        rewritten = newer_grammar.rewrite(text)
        return _bounded(newer_grammar.restore(_tree(rewritten)))
    except newer_grammar.NotPython:
        return f"no valid Python, {where}", Party.SUBMISSION
    except (newer_grammar.CannotRewrite, SyntaxError, RecursionError, MemoryError, ValueError):
        return f"not the grammar of Python {version}, {where}", Party.TOOL


def statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, int]]:
    """Every statement, outer ones first, with its level of nesting. Much cheaper than ast.walk."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        inner: list[ast.AST] = []
        for node in level:
            for field in _BLOCKS:
                for child in getattr(node, field, ()):
                    inner.append(child)
                    if isinstance(child, ast.stmt):
                        yield child, depth
        level = inner


def nodes_on(tree: ast.Module, lines: Iterable[int]) -> Iterator[ast.AST]:
    """The nodes whose text covers one of these lines; what lies elsewhere is not looked into."""
    wanted = sorted(set(lines))
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        first = getattr(node, "lineno", None)
        if first is not None:
            decorators = getattr(node, "decorator_list", ())  # above the line of the definition
            at = bisect_left(wanted, min([first, *(d.lineno for d in decorators)]))
            if at == len(wanted) or wanted[at] > (getattr(node, "end_lineno", None) or first):
                continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def _bounded(tree: ast.Module) -> ast.Module | tuple[str, Party]:
    if not _too_deep(tree):
        return tree
    tree = _balanced(tree)
    if not _too_deep(tree):
        return tree
    return f"nested more than {MAX_DEPTH} levels deep", Party.SUBMISSION


def _too_deep(tree: ast.Module) -> bool:
    for statement, depth in statements(tree):
        if depth > MAX_DEPTH:
            return True
        for child in ast.iter_child_nodes(statement):
            if (
                isinstance(child, ast.expr)
                and _is_long(child)
                and depth + _depth(child) > MAX_DEPTH
            ):
                return True
    return False


def _is_long(node: ast.expr) -> bool:
    """Whether the text is long enough to nest MAX_DEPTH levels; a level takes one character."""
    if node.end_lineno != node.lineno:
        return (node.end_lineno or node.lineno) - node.lineno > 2
    return (node.end_col_offset or 0) - node.col_offset > MAX_DEPTH // 2


def _depth(node: ast.AST) -> int:
    level = [node]
    depth = 0
    while level:
        depth += 1
        level = [child for parent in level for child in ast.iter_child_nodes(parent)]
    return depth


def _balanced(tree: ast.Module) -> ast.Module:
    """Rewrites left-leaning operator chains as balanced trees: the same operands in the same order.

    What flows into a chain flows out of it either way, and that is all the analysis asks.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name, child in ast.iter_fields(node):
            if isinstance(child, ast.BinOp):
                setattr(node, name, _balance(child))
            elif isinstance(child, list):
                child[:] = [_balance(c) if isinstance(c, ast.BinOp) else c for c in child]
        waiting.extend(ast.iter_child_nodes(node))
    return tree


def _balance(node: ast.BinOp) -> ast.expr:
    operands: list[ast.expr] = []
    operators: list[ast.operator] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp):
        operands.append(left.right)
        operators.append(left.op)
        left = left.left
    if len(operators) < 50:
        return node
    operands.append(left)
    operands.reverse()
    operators.reverse()

    def build(low: int, high: int) -> ast.expr:
        if high - low == 1:
            return operands[low]
        middle = (low + high) // 2
        made = ast.BinOp(build(low, middle), operators[middle - 1], build(middle, high))
        last = operands[high - 1]
        ast.copy_location(made, operands[low])
        made.end_lineno, made.end_col_offset = last.end_lineno, last.end_col_offset
        return made

    return build(0, len(operands))


def _with_big_stack(work: Callable[[], ast.Module]) -> ast.Module:
    """Runs ``work`` in a thread whose stack holds deeply nested code. Raises what it raises."""
    outcome: list[ast.Module | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    before_limit, before_size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    sys.setrecursionlimit(_RECURSION)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before_size)
        sys.setrecursionlimit(before_limit)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
