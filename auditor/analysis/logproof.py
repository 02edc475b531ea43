"""Proof from logs that a branch ran: a line that only this branch prints stands in them.

Settings that no command shows still leave traces: `if args.ttt: log(f"ttt pass 1 …")` is live when the
submission's logs hold lines that begin with that text and nothing else in the module prints it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from functools import cached_property

from auditor.analysis.trace.scope import children, statements
from auditor.submission.model import SourceFile

MIN_LENGTH = 10
_CONTENT = re.compile(r"[A-Za-z]{3}.*[A-Za-z_:]", re.DOTALL)


Spot = tuple[int, int]  # line, column


class LogProof:
    """The texts that one module prints, looked up in the submission's logs."""

    def __init__(self, logs: Sequence[SourceFile]) -> None:
        self.logs = ["\n" + log.text for log in logs]
        self._modules: dict[int, _Printing] = {}

    def ran(self, tree: ast.Module, block: Sequence[ast.stmt]) -> bool:
        """Whether most logs hold a line that only ``block`` of ``tree`` prints."""
        if not self.logs or not block:
            return False
        module = self._modules.get(id(tree))
        if module is None:
            module = self._modules[id(tree)] = _Printing(tree, self._in_most_logs)
        return module.proves(block)

    def _in_most_logs(self, text: str) -> bool:
        hits = sum(f"\n{text}" in log for log in self.logs)
        return hits * 2 >= len(self.logs)


class _Printing:
    """Where a module prints what the logs hold, and where it uses the functions that print it."""

    def __init__(self, tree: ast.Module, logged: Callable[[str], bool]) -> None:
        self.tree = tree
        self.printed: dict[str, list[Spot]] = {}
        functions: list[ast.FunctionDef] = []
        todo: list[ast.AST] = [tree]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.FunctionDef):
                functions.append(node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self._add(node.value)
            todo.extend(statements(node))
        self.proofs = [
            spots for text, spots in self.printed.items() if self._unlike(text) and logged(text)
        ]
        self.functions = {
            f.name: f
            for f in functions
            if any(_within(s, [_region(f, f)]) for spots in self.proofs for s in spots)
        }

    @cached_property
    def mentions(self) -> dict[str, list[Spot]]:
        """Where the names of those functions stand."""
        found: dict[str, list[Spot]] = {}
        todo: list[ast.AST] = [self.tree]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Name) and node.id in self.functions:
                found.setdefault(node.id, []).append((node.lineno, node.col_offset))
            todo.extend(children(node))
        return found

    def _add(self, call: ast.Call) -> None:
        if not call.args:
            return
        text = beginning(call.args[0])
        if text is not None and len(text) >= MIN_LENGTH and _CONTENT.search(text):
            self.printed.setdefault(text, []).append((call.lineno, call.col_offset))

    def _unlike(self, text: str) -> bool:
        """Whether a logged line that begins with ``text`` can't be another print's."""
        return not any(
            other != text and (other.startswith(text) or text.startswith(other))
            for other in self.printed
        )

    def proves(self, block: Sequence[ast.stmt]) -> bool:
        """Whether a logged text is printed by ``block``, and functions used by it alone, only."""
        regions = [_region(block[0], block[-1])]
        if any(all(_within(spot, regions) for spot in spots) for spots in self.proofs):
            return True
        if not self.functions:
            return False
        entered: set[str] = set()
        grown = True
        while grown:
            grown = False
            for name, function in self.functions.items():
                spots = self.mentions.get(name)
                if name not in entered and spots and all(_within(s, regions) for s in spots):
                    entered.add(name)
                    regions.append(_region(function, function))
                    grown = True
        return any(all(_within(spot, regions) for spot in spots) for spots in self.proofs)


def _region(first: ast.stmt, last: ast.stmt) -> tuple[Spot, Spot]:
    end = (last.end_lineno or last.lineno, last.end_col_offset or 0)
    return (first.lineno, first.col_offset), end


def _within(spot: Spot, regions: list[tuple[Spot, Spot]]) -> bool:
    return any(start <= spot < end for start, end in regions)


def beginning(argument: ast.expr) -> str | None:
    """The text that a string expression surely begins with."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value.lstrip("\n")
    if isinstance(argument, ast.JoinedStr) and argument.values:
        return beginning(argument.values[0])
    if isinstance(argument, ast.BinOp) and isinstance(argument.op, (ast.Add, ast.Mod)):
        text = beginning(argument.left)
        return text.partition("%")[0] if text and isinstance(argument.op, ast.Mod) else text
    return None
