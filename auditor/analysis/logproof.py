"""Proof from logs that a branch ran: a line that only this branch prints stands in them.

Settings that no command shows still leave traces: `if args.ttt: log(f"ttt pass 1 …")` is live when the
submission's logs hold lines that begin with that text and nothing else in the module prints it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from auditor.submission.model import SourceFile

MIN_LENGTH = 10
_CONTENT = re.compile(r"[A-Za-z]{3}.*[A-Za-z_:]", re.DOTALL)


class LogProof:
    """The texts that one module prints, looked up in the submission's logs."""

    def __init__(self, logs: Sequence[SourceFile]) -> None:
        self.logs = ["\n" + log.text for log in logs]
        self._modules: dict[int, _Printing] = {}

    def ran(self, tree: ast.Module, block: Iterable[ast.stmt]) -> bool:
        """Whether most logs hold a line that only ``block`` of ``tree`` prints."""
        if not self.logs:
            return False
        module = self._modules.get(id(tree))
        if module is None:
            module = self._modules[id(tree)] = _Printing(tree)
        return any(
            not self._printed_elsewhere(text, count, module.texts) and self._in_most_logs(text)
            for text, count in module.of(block).items()
        )

    @staticmethod
    def _printed_elsewhere(text: str, count: int, everywhere: Counter[str]) -> bool:
        for other, total in everywhere.items():
            if other == text:
                if total > count:
                    return True
            elif other.startswith(text) or (text.startswith(other) and len(other) >= MIN_LENGTH):
                return True
        return False

    def _in_most_logs(self, text: str) -> bool:
        hits = sum(f"\n{text}" in log for log in self.logs)
        return hits * 2 > len(self.logs) or (hits > 0 and hits * 2 == len(self.logs))


class _Printing:
    """What a module prints, and which of it belongs to one block alone."""

    def __init__(self, tree: ast.Module) -> None:
        self.texts = Counter(printed(tree))
        self.functions = {
            node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        }
        self.mentions = _mentions(tree)

    def of(self, block: Iterable[ast.stmt]) -> Counter[str]:
        """The texts of ``block`` and of the functions that nothing outside it uses."""
        found: Counter[str] = Counter()
        inside: Counter[str] = Counter()
        todo: list[ast.AST] = list(block)
        entered: set[str] = set()
        while todo:
            node = todo.pop()
            found.update(printed(node))
            inside.update(_mentions(node))
            for name, function in self.functions.items():
                if name not in entered and inside[name] and inside[name] == self.mentions[name]:
                    entered.add(name)
                    todo.append(function)
        return found


def _mentions(tree: ast.AST) -> Counter[str]:
    return Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))


def printed(tree: ast.AST) -> Iterable[str]:
    """The constant beginnings of the texts that calls under ``tree`` are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            text = beginning(node.args[0])
            if text is not None and len(text) >= MIN_LENGTH and _CONTENT.search(text):
                yield text


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
