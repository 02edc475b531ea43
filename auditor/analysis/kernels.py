"""Native code that the traced program calls: which sources, which functions, with which arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.analysis.flow import Flow
from auditor.analysis.graph import Node, alternatives
from auditor.analysis.native import Native
from auditor.analysis.scores import last_name
from auditor.submission.model import Submission

_POINTERS = frozenset("data_as data_ptr ctypes data astype contiguous cpu numpy".split())


@dataclass(frozen=True, eq=False)
class Kernel:
    """One native source: a file, or a string on the live path."""

    path: str
    first: int  # the line in ``path`` on which its line 1 stands
    code: Native
    spread: bool = True  # over as many lines as the code has

    def line(self, line: int) -> int:
        """The line in ``path``; all of a string that is written on one line stands there."""
        return self.first + line - 1 if self.spread else self.first


class Kernels:
    def __init__(self, submission: Submission, flow: Flow) -> None:
        self.submission = submission
        self.flow = flow

    @cached_property
    def sources(self) -> list[Kernel]:
        files = (s for s in self.submission.natives if s.host is None)
        return [*(Kernel(s.path, 1, Native(s.text)) for s in files), *self._strings()]

    def _strings(self) -> Iterator[Kernel]:
        from auditor.submission.natives import native_language

        seen: set[str] = set()
        for node in self.flow.nodes:
            text = node.data
            if node.op != "const" or not isinstance(text, str) or len(text) < 200 or text in seen:
                continue
            seen.add(text)
            if native_language(text):
                lines = getattr(node.at, "end_lineno", node.line) - node.line
                yield Kernel(node.path, node.line, Native(text), lines >= text.count("\n") > 0)

    @cached_property
    def _calls(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.flow.nodes:
            if node.op in ("call", "method"):
                found.setdefault(last_name(node), []).append(node)
        return found

    def calls(self, function: str) -> list[Node]:
        """The traced calls of a native function, by its name."""
        return self._calls.get(function, [])

    def arguments(self, call: Node) -> list[Node]:
        """What was handed over, without the receiver of a method."""
        return list(call.args[1:] if call.op == "method" else call.args)

    def array(self, argument: Node) -> Node:
        """The array behind a pointer that was handed over."""
        node = argument
        for _ in range(12):
            values = [v for v in alternatives(node, 3) if v.op != "const"]
            node = values[0] if len(values) == 1 else node
            inner = node.op in ("method", "attr") and node.data in _POINTERS
            inner = inner or (
                node.op == "call" and str(node.data).startswith(("ctypes.", "numpy.ascontiguous"))
            )
            if not inner or not node.args:
                break
            node = node.args[0]
        return node
