"""Where an evaluation leaves validation tokens out: cuts, draws and clocks on the way to a score."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.analysis.graph import Loop, Node, alternatives
from auditor.analysis.learning import Scoring, is_clock
from auditor.analysis.logproof import beginning
from auditor.analysis.program import Program
from auditor.analysis.scores import last_name
from auditor.analysis.windows import bounds, is_none

LEAST_CUT = 10_000  # tokens; shorter slices cut windows and documents, not the stream
WHOLE = 36_000_000  # tokens; no known vocabulary needs fewer for the whole set
_DRAWS = frozenset(
    "randint randrange integers choice choices sample rand random multinomial".split()
)
_ENDS = (ast.Break, ast.Return)
_NESTED = (ast.For, ast.While, ast.FunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True)
class Cut:
    """A slice that keeps the first ``kept`` tokens, or scores, of the stream."""

    at: Node
    kept: int


@dataclass(frozen=True)
class Stop:
    """An exit from the evaluation's loop that a clock decides, and what it prints on its way."""

    path: str
    line: int
    column: int
    texts: tuple[str, ...]


def cuts(program: Program, scoring: Scoring) -> Iterator[Cut]:
    """Constant cuts of the tokens that are scored, and of their scores before they are added up.

    A cut inside a loop takes a batch, and the next turn takes another.
    """
    behind = [n for n in _stream(program, scoring.target) if n.op == "index"]
    later = [program.flow.nodes[uid] for uid in program.scores.values_from(scoring.at)]
    scores = [n for n in later if n.op == "index"]
    for node in (*behind, *scores):
        limits = None if node.ctx.loops else bounds(node.args[1])
        if limits is not None and _from_start(limits[0]):
            kept = _constant(limits[1])
            if kept is not None and LEAST_CUT <= kept < WHOLE and _always(program, node, scoring):
                yield Cut(node, kept)


def draws(program: Program, scoring: Scoring) -> Iterator[Node]:
    """Random numbers that choose which tokens are scored.

    Not those that are compared first: such a mask may be the task itself, as in a model that fills
    in hidden tokens.
    """
    for node in _stream(program, scoring.target):
        if node.op == "index":
            behind = program.flow.backward(
                [node.args[1]], lambda n: n.op != "compare", memory=False, limit=200
            )
            for part in behind:
                drawn = part.op in ("call", "method") and last_name(part) in _DRAWS
                if drawn and _always(program, part, scoring):
                    yield part


def _always(program: Program, node: Node, scoring: Scoring) -> bool:
    """Whether no undecided branch lies around ``node`` that doesn't lie around the score."""
    if scoring.at.uid in program.learning.learned_losses:
        return False  # the loss of a training step
    return set(node.ctx.branches) <= set(scoring.at.ctx.branches)


def _stream(program: Program, target: Node) -> Iterator[Node]:
    """The validation tokens that the target was taken from."""
    return program.flow.backward([target], program.tokens.is_val, limit=600)


def _from_start(low: Node) -> bool:
    return is_none(low) or (low.op == "const" and low.data == 0)


def _constant(high: Node) -> int | None:
    """The number that ``high`` is, or that it is limited to by ``min``."""
    values = [high]
    if high.op == "call" and high.data == "min":
        values = list(high.positional)
    found = [one.data for v in values for one in alternatives(v, 4) if one.op == "const"]
    numbers = [n for n in found if type(n) is int]
    return min(numbers) if numbers and len(numbers) == len(found) else None


def clock_stops(program: Program, scoring: Scoring) -> Iterator[Stop]:
    """Exits by the clock from the loops in which the tokens of the score go by."""
    for loop in scoring.at.ctx.loops:
        if isinstance(loop.at, (ast.For, ast.While)) and program.learning.varies(
            scoring.target, loop
        ):
            yield from _stops(program, loop)


def _stops(program: Program, loop: Loop) -> Iterator[Stop]:
    exits = [s for s in _own(loop.at) if isinstance(s, ast.If) and _leaves(s)]
    if not exits:
        return
    tests = {id(s.test): s for s in exits}
    for node in program.flow.nodes:
        statement = tests.get(id(node.at))
        if statement is None or loop not in node.ctx.loops:
            continue
        if any(is_clock(part) for part in program.flow.backward([node], limit=400)):
            del tests[id(node.at)]
            where = (loop.path, statement.lineno, statement.col_offset)
            yield Stop(*where, tuple(_printed(statement)))


def _own(loop: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a loop's body, those of loops and functions inside it left out."""
    todo: list[ast.AST] = [loop]
    while todo:
        node = todo.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt) and not isinstance(child, _NESTED):
                yield child
                todo.append(child)


def _leaves(statement: ast.If) -> bool:
    return any(isinstance(s, _ENDS) for s in statement.body)


def _printed(statement: ast.If) -> Iterator[str]:
    """What the branch prints: the constant beginnings of its texts."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and node.args:
            text = (beginning(node.args[0]) or "").strip()
            if re.search(r"[A-Za-z]{3}", text):
                yield text
