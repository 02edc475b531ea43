"""The training loop that a clock ends, and the training data that is still read after it."""

from __future__ import annotations

from functools import cached_property

from auditor.analysis.flow import Flow
from auditor.analysis.graph import Loop, Node
from auditor.analysis.learning import Learning
from auditor.analysis.tokens import Tokens


class Training:
    """The timed training of one traced program."""

    def __init__(self, flow: Flow, tokens: Tokens, learning: Learning) -> None:
        self.flow = flow
        self.tokens = tokens
        self.learning = learning

    @cached_property
    def loop(self) -> Loop | None:
        """The last loop that learns from training tokens and reads a clock, None if there is none."""
        clocked = {n.ctx.loops[0] for n in self.flow.nodes if n.ctx.loops and _is_clock(n)}
        reading = {n.ctx.loops[0] for n in self.flow.nodes if n.ctx.loops and self._runs(n)}
        learning = (e.at.ctx.loops for e in self.flow.tracer.events if e.kind == "backward")
        found = [loops[0] for loops in learning if loops and loops[0] in clocked & reading]
        return found[-1] if found else None

    @cached_property
    def end(self) -> Node | None:
        """The last value that is made in the loop."""
        inside = (n for n in reversed(self.flow.nodes) if n.ctx.loops)
        return next((n for n in inside if n.ctx.loops[0] is self.loop), None)

    @cached_property
    def late(self) -> list[Node]:
        """Where a model runs on training tokens after the loop and before the headline score."""
        if self.end is None:
            return []
        nodes = self.flow.nodes
        headline = min((s.at.uid for s in self.learning.headline), default=len(nodes))
        return [node for node in nodes[self.end.uid + 1 : headline] if self._runs(node)]

    def runs_until(self, limit: float) -> bool:
        """Whether the clock is compared with the whole of ``limit``, in seconds or milliseconds."""
        for node in self.flow.nodes:
            if node.op == "compare" and node.ctx.loops and node.ctx.loops[0] is self.loop:
                numbers = (a for a in node.args if a.op == "const")
                values = {a.data for a in numbers if type(a.data) in (int, float)}
                if values & {limit, 1000 * limit} and any(
                    _is_clock(part) for part in self.flow.backward(node.args, limit=400)
                ):
                    return True
        return False

    def _runs(self, node: Node) -> bool:
        """Whether a model runs on training tokens here."""
        return node.op == "forward" and any(self.tokens.of(a) == {"train"} for a in node.args[1:])


def _is_clock(node: Node) -> bool:
    return node.op == "call" and str(node.data).startswith("time.")
