"""Python grammar newer than the running interpreter's, brought down to a tree it knows.

libcst's parser reads the newest grammar whatever runs it. What this interpreter lacks is rewritten
in the text, keeping every line where it is: f-strings with nested quotes, backslashes or comments
(3.12) become calls of a marker, which turn into ``JoinedStr`` nodes once ``ast`` has read them;
type parameters and ``type`` statements (3.12) and ``except A, B`` (3.14) become older spellings.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import cast

import libcst as cst

MARKER = "__fstring__"
_SECONDS = 60
# Deep nesting overflows the stack of libcst's native parser and ends the process: it gets its own.
_CHILD = (
    "import sys; sys.path[:] = {path!r}; from auditor.analysis import newer_grammar as n; n.main()"
)
_NOT_PYTHON = 3
_GLUED = re.compile(
    r"(?:(?<![\w.])(?:\d+\.?\d*|\.\d+)|[)\]}])(?=(?:and|else|for|if|in|is|not|or)\b)"
)


class NotPython(Exception):
    """No Python that libcst knows either."""


class CannotRewrite(Exception):
    """Python perhaps, but too deep or too large for the rewriting."""


def rewrite(text: str) -> str:
    """``text`` in older grammar, line for line. Raises NotPython or CannotRewrite."""
    child = _CHILD.format(path=[entry for entry in sys.path if entry])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", child],
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRewrite from error
    if done.returncode == _NOT_PYTHON:
        raise NotPython
    if done.returncode != 0:
        raise CannotRewrite
    return done.stdout.decode("utf-8")


def main() -> None:
    """The child process: text on standard input, rewritten text on standard output."""
    text = sys.stdin.buffer.read().decode("utf-8")
    try:
        module = cst.parse_module(_spaced(text))
    except (cst.ParserSyntaxError, cst.CSTValidationError):
        sys.exit(_NOT_PYTHON)
    sys.stdout.buffer.write(module.visit(_Rewriter()).code.encode("utf-8"))


def _spaced(text: str) -> str:
    """With a blank before keywords that are glued to a number or bracket, as libcst wants it."""
    return _GLUED.sub(r"\g<0> ", text)


def restore(tree: ast.Module) -> ast.Module:
    """The tree of rewritten text with its f-strings back in place."""
    restored = _Restorer().visit(tree)
    assert isinstance(restored, ast.Module)
    return restored


class _Rewriter(cst.CSTTransformer):
    """Replaces newer constructs by older ones that take the same lines."""

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return False  # _call renders what is inside

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return False

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.BaseExpression:
        return _call(original_node) if _is_newer(original_node) else original_node

    def leave_ConcatenatedString(
        self, original_node: cst.ConcatenatedString, updated_node: cst.ConcatenatedString
    ) -> cst.BaseExpression:
        newer = any(
            isinstance(p, cst.FormattedString) and _is_newer(p) for p in _flat(original_node)
        )
        return _call(original_node) if newer else original_node

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        return updated_node.with_changes(type_parameters=None)

    def leave_TypeAlias(
        self, original_node: cst.TypeAlias, updated_node: cst.TypeAlias
    ) -> cst.BaseSmallStatement:
        return cst.Assign([cst.AssignTarget(updated_node.name)], updated_node.value)


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _flat(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    if isinstance(node, cst.ConcatenatedString):
        return [*_flat(node.left), *_flat(node.right)]
    return [node]


def _is_newer(node: cst.FormattedString) -> bool:
    """Whether Python 3.11 would refuse an expression of this f-string."""
    triple = len(node.quote) == 3
    for part in node.parts:
        if isinstance(part, cst.FormattedStringExpression):
            code = _code(part)
            if node.quote in code or "\\" in code or "#" in code or ("\n" in code and not triple):
                return True
            if '"' in code and "'" in code and not triple:
                return True
    return False


def _call(node: cst.BaseExpression) -> cst.BaseExpression:
    """``MARKER(...)``: a string for each text, a tuple for each expression, line for line."""
    pieces = _Pieces()
    for part in _flat(node):
        if isinstance(part, cst.FormattedString):
            pieces.formatted(part.parts, "r" in part.prefix.lower())
        else:
            pieces.add(_code(part), 0)
    call = f"{MARKER}({pieces.text}"
    missing = _code(node).count("\n") - call.count("\n")
    return cst.parse_expression(call + "\n" * max(missing, 0) + ")")


class _Pieces:
    """The marker's arguments, built in source order."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, argument: str, newlines: int) -> None:
        self.text += argument + "," + "\n" * newlines

    def formatted(self, parts: object, raw: bool) -> None:
        for part in parts:  # type: ignore[attr-defined]
            if isinstance(part, cst.FormattedStringText):
                self.add(repr(_plain(part.value, raw)), part.value.count("\n"))
            else:
                self._expression(part, raw)

    def _expression(self, part: cst.FormattedStringExpression, raw: bool) -> None:
        before, after = (
            _newlines(part.whitespace_before_expression),
            _newlines(part.whitespace_after_expression),
        )
        inner = cast("cst.BaseExpression", part.expression.visit(_Rewriter()))
        if part.equal is not None:
            self.add(repr(_code(part.expression) + "="), 0)
        self.text += "(" + "\n" * before + f"({_code(inner)})" + "\n" * after
        self.text += f",{part.conversion or ''!r},"
        if part.format_spec:
            spec = _Pieces()
            spec.formatted(part.format_spec, raw)
            self.text += f"{MARKER}({spec.text})"
        self.text += "),"


def _newlines(space: cst.CSTNode) -> int:
    return _code(space).count("\n")


def _plain(text: str, raw: bool) -> str:
    """The characters that an f-string's literal text stands for."""
    text = text.replace("{{", "{").replace("}}", "}")
    if raw or "\\" not in text:
        return text
    try:
        quoted = text.replace("\n", "\\n").replace('"', '\\"') if '\\"' not in text else text
        value = ast.literal_eval(f'"""{quoted}"""')
    except (SyntaxError, ValueError):
        return text
    return value if isinstance(value, str) else text


class _Restorer(ast.NodeTransformer):
    """Turns marker calls into the ``JoinedStr`` that they stand for."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id == MARKER):
            return node
        values = [self._value(argument) for argument in node.args]
        return ast.copy_location(ast.JoinedStr(values), node)

    def _value(self, node: ast.expr) -> ast.expr:
        if not isinstance(node, ast.Tuple):
            return node
        expression, conversion, *spec = node.elts
        letter = conversion.value if isinstance(conversion, ast.Constant) else ""
        made = ast.FormattedValue(
            expression,
            ord(str(letter)) if letter else -1,
            spec[0] if spec else None,
        )
        return ast.copy_location(made, expression)
