"""The training loop that a clock ends, and the training data that is still read after it."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.analysis.graph import Event, Loop, Node
from auditor.analysis.program import Program


def clocked_loop(program: Program) -> Loop | None:
    """The last loop that learns from training tokens and reads a clock, None if there is none."""
    clocked = {n.ctx.loops[0] for n in program.flow.nodes if n.ctx.loops and _is_clock(n)}
    ends = [e for e in program.tracer.events if e.kind == "backward" and e.at.ctx.loops]
    loops = [e.at.ctx.loops[0] for e in ends if e.at.ctx.loops[0] in clocked and _on(program, e)]
    return loops[-1] if loops else None


def loop_end(program: Program, loop: Loop) -> Node:
    """The last value that is made in the loop."""
    inside = (n for n in program.flow.nodes if n.ctx.loops and n.ctx.loops[0] is loop)
    return max(inside, key=lambda n: n.uid)


def late_reads(program: Program, loop: Loop) -> Iterator[Node]:
    """Where a model runs on training tokens after ``loop`` and before the headline score."""
    nodes = program.flow.nodes
    end = loop_end(program, loop).uid
    headline = min((s.at.uid for s in program.learning.headline), default=len(nodes))
    for node in nodes[end + 1 : headline]:
        if node.op == "forward" and any(_is_train(program, a) for a in node.args[1:]):
            yield node


def _on(program: Program, backward: Event) -> bool:
    """Whether the loss is one of training tokens."""
    behind = program.flow.backward(
        backward.args[:1], lambda n: not program.tokens.of(n), limit=20_000
    )
    return any(_is_train(program, node) for node in behind)


def _is_train(program: Program, node: Node) -> bool:
    return program.tokens.of(node) == {"train"}


def _is_clock(node: Node) -> bool:
    return node.op == "call" and str(node.data).startswith("time.")


def runs_until(program: Program, loop: Loop, limit: float) -> bool:
    """Whether the loop's clock is compared with the whole of ``limit``, in seconds or milliseconds."""
    for node in program.flow.nodes:
        if node.op == "compare" and node.ctx.loops and node.ctx.loops[0] is loop:
            values = {a.data for a in node.args if a.op == "const" and type(a.data) in (int, float)}
            if values & {limit, 1000 * limit} and any(
                _is_clock(part) for part in program.flow.backward(node.args, limit=400)
            ):
                return True
    return False
