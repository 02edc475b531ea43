"""Code that is switched on by its settings, but of which the record's logs show nothing.

A log that reaches a branch, or what comes after it, holds what the branch printed. Where it lacks the
lines that the branch always prints, the run that it shows did not take it, whatever the code's defaults
say now.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from auditor.analysis.logproof import MIN_LENGTH, beginning
from auditor.analysis.parse import Unparseable, parse
from auditor.submission.model import SourceFile

_DEEPEST_CALL = 2
_LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)


@dataclass(frozen=True)
class Print:
    """A call that prints a text with a known beginning: ``log0(f"done after {t}s")``."""

    by: str
    text: str
    line: int


class Unlogged:
    """The lines of one source that the logs contradict."""

    def __init__(
        self, source: SourceFile, logs: Sequence[SourceFile], taken: list[list[ast.stmt]]
    ) -> None:
        """``taken`` are the blocks that settings switch on."""
        self.logs = [log.text for log in logs]
        try:
            self.tree: ast.Module | None = parse(source)
        except Unparseable:
            self.tree = None
        self._taken = taken

    def at(self, line: int) -> Print | None:
        """A line that code around ``line`` always prints and no log holds."""
        for missing, regions in self._regions:
            if any(first <= line <= last for first, last in regions):
                return missing
        return None

    @cached_property
    def _regions(self) -> list[tuple[Print, list[tuple[int, int]]]]:
        found = []
        for block in self._taken if self.tree is not None and self.logs else ():
            missing = self._missing(block)
            if missing is not None:
                found.append((missing, self._only_from(block)))
        return found

    def _missing(self, block: list[ast.stmt]) -> Print | None:
        always = list(self._always(block, 0))
        if not always or any(self._logged(p.text) for p in always):
            return None
        printers = {p.by for p in always}
        first, last = self._function(block[0].lineno)
        beside = [p for p in self._prints if first <= p.line <= last and p.by in printers]
        before = [p for p in beside if p.line < block[0].lineno][-1:]
        after = [p for p in beside if p.line > _end(block)]
        reached = any(self._logged(p.text) for p in (*before, *after))
        return always[0] if reached else None

    def _always(self, block: Sequence[ast.stmt], depth: int) -> Iterator[Print]:
        """What a block prints whenever it runs, up to where it may be left."""
        for statement in block:
            if isinstance(statement, ast.With):
                yield from self._always(statement.body, depth)
            if isinstance(statement, (ast.Expr, ast.Assign)):
                call = statement.value
                if isinstance(call, ast.Call):
                    yield from _printed(call)
                    function = self._functions.get(getattr(call.func, "id", ""))
                    if function is not None and depth < _DEEPEST_CALL:
                        yield from self._always(function.body, depth + 1)
            if any(isinstance(node, _LEAVES) for node in ast.walk(statement)):
                return

    def _only_from(self, block: Sequence[ast.stmt]) -> list[tuple[int, int]]:
        """The lines of ``block`` and of the functions that nothing else uses."""
        regions = [(block[0].lineno, _end(block))]
        waiting = dict(self._functions)
        while True:
            entered = [
                name
                for name in waiting
                if (lines := self._mentions.get(name))
                and all(any(a <= n <= b for a, b in regions) for n in lines)
            ]
            if not entered:
                return regions
            for function in map(waiting.pop, entered):
                regions.append((function.lineno, function.end_lineno or function.lineno))

    def _logged(self, text: str) -> bool:
        """Whether a log holds the text, other than in the source that many runs print first."""
        pattern = re.compile(rf"(?<![\"'n]){re.escape(text)}")
        return any(text in log and pattern.search(log) for log in self.logs)

    def _function(self, line: int) -> tuple[int, int]:
        """The first and last line of the function around ``line``, or of the module."""
        around = [
            (f.lineno, f.end_lineno or 0)
            for f in self._functions.values()
            if f.lineno <= line <= (f.end_lineno or 0)
        ]
        return max(around, default=(0, max((p.line for p in self._prints), default=0)))

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree)) if self.tree is not None else []

    @cached_property
    def _functions(self) -> dict[str, ast.FunctionDef]:
        return {n.name: n for n in self._nodes if isinstance(n, ast.FunctionDef)}

    @cached_property
    def _mentions(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for node in self._nodes:
            if isinstance(node, (ast.Name, ast.Attribute)):
                name = node.id if isinstance(node, ast.Name) else node.attr
                found.setdefault(name, []).append(node.lineno)
        return found

    @cached_property
    def _prints(self) -> list[Print]:
        found = [p for n in self._nodes if isinstance(n, ast.Call) for p in _printed(n)]
        return sorted(found, key=lambda p: p.line)


def _end(block: Sequence[ast.stmt]) -> int:
    return block[-1].end_lineno or block[-1].lineno


def _printed(call: ast.Call) -> Iterator[Print]:
    text = beginning(call.args[0]) if call.args else None
    if text is not None and len(text) >= MIN_LENGTH and re.search(r"[A-Za-z]{3}", text):
        yield Print(ast.unparse(call.func), text, call.lineno)
