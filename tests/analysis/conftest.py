"""Traces small scripts, and what they show of their values.

A script calls ``show(x, …)``, which nothing defines: the trace keeps the call with its arguments, so a
test can ask what ``x`` is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest

from auditor.analysis.graph import Node, alternatives
from auditor.analysis.program import Program
from auditor.submission.model import Claim, SourceFile, Submission


@dataclass(frozen=True)
class Traced:
    program: Program

    @property
    def shown(self) -> list[Node]:
        """What the live calls of ``show`` were given, in program order."""
        return [a for n in self.calls("show") for a in n.args]

    @property
    def values(self) -> list[Any]:
        """The same as values: a constant itself, otherwise the set of what it may be."""
        return [_value(node) for node in self.shown]

    def calls(self, name: str) -> list[Node]:
        """The live calls of an external function or method."""
        nodes = self.program.tracer.nodes
        return [n for n in nodes if n.op in ("call", "method") and n.data == name]

    def lines(self, name: str) -> list[int]:
        return [n.line for n in self.calls(name)]

    def stores(self, node: Node) -> list[tuple[str, Any]]:
        """(how, value) of the in-place updates of what ``node`` is."""
        return [(s.how, _value(s.value)) for s in self.program.flow.stores(node)]

    def made_from(self, node: Node) -> set[Any]:
        """The constants, and the names of the external calls, that went into a value."""
        found = self.program.flow.backward([node])
        return {n.data for n in found if n.op in ("const", "call", "method", "loopvar")}


def _value(node: Node) -> Any:
    choices = {v.data if v.op == "const" else f"<{v.op}>" for v in alternatives(node, 40)}
    return choices.pop() if len(choices) == 1 else choices


Trace = Callable[..., Traced]


@pytest.fixture
def trace() -> Trace:
    def build(
        text: str,
        *,
        logs: Sequence[str] = (),
        claims: Mapping[str, str] | Sequence[Claim] = (),
        modules: Mapping[str, str] | None = None,
        payloads: Mapping[str, Sequence[str]] | None = None,
    ) -> Traced:
        """Trace ``text``; claims given as a mapping are those of a README's command."""
        if isinstance(claims, Mapping):
            claims = [
                Claim(name, value, "readme", "README.md", 1) for name, value in claims.items()
            ]
        unpacked = {
            host: tuple(
                SourceFile(f"{host}!payload-{i}", dedent(one), host=host, host_line=i)
                for i, one in enumerate(texts, 1)
            )
            for host, texts in (payloads or {}).items()
        }
        submission = Submission(
            "",
            SourceFile("train_gpt.py", dedent(text)),
            modules={
                name: SourceFile(f"{name.replace('.', '/')}.py", dedent(code))
                for name, code in (modules or {}).items()
            },
            payloads=unpacked,
            logs=tuple(SourceFile(f"run{i}.log", log, "text") for i, log in enumerate(logs)),
            claims=tuple(claims),
        )
        return Traced(Program.build(submission))

    return build
