"""Proof from logs that a branch ran: a line that only this branch prints stands in them.

Settings that no command shows still leave traces: `if args.ttt: log(f"ttt pass 1 …")` is live when the
submission's logs hold lines that begin with that text and nothing else in the module prints it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from auditor.submission.model import SourceFile

MIN_LENGTH = 10
_CONTENT = re.compile(r"[A-Za-z]{3}.*[A-Za-z_:]", re.DOTALL)


class LogProof:
    """The texts that one module prints, looked up in the submission's logs."""

    def __init__(self, logs: Sequence[SourceFile]) -> None:
        self.logs = ["\n" + log.text for log in logs]
        self._printed: dict[int, dict[str, int]] = {}

    def ran(self, tree: ast.Module, block: Iterable[ast.stmt]) -> bool:
        """Whether most logs hold a line that only ``block`` of ``tree`` prints."""
        if not self.logs:
            return False
        everywhere = self._counted(tree)
        here: dict[str, int] = {}
        for statement in block:
            for text in printed(statement):
                here[text] = here.get(text, 0) + 1
        return any(
            not self._printed_elsewhere(text, count, everywhere) and self._in_most_logs(text)
            for text, count in here.items()
        )

    def _counted(self, tree: ast.Module) -> dict[str, int]:
        known = self._printed.get(id(tree))
        if known is None:
            known = self._printed[id(tree)] = {}
            for text in printed(tree):
                known[text] = known.get(text, 0) + 1
        return known

    @staticmethod
    def _printed_elsewhere(text: str, count: int, everywhere: dict[str, int]) -> bool:
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
