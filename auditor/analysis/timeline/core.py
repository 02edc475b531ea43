"""States of the values behind a model's output: loops, joins, and where a summary comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from auditor.analysis.flow import Flow, takes_content
from auditor.analysis.graph import Loop, Node
from auditor.analysis.learning import Learning
from auditor.analysis.scores import last_name
from auditor.analysis.timeline.axes import KEYS, MASKED, OTHER, TIME, Axes, adds_axis
from auditor.analysis.timeline.states import (
    Along,
    Frame,
    Leak,
    Shift,
    State,
    Upto,
    Whole,
    merged,
    with_axes,
)
from auditor.analysis.tokens import Tokens

_PASSES = 4


class Core:
    """The states, their fixed point over loops, and what was noted on the way."""

    def __init__(
        self,
        flow: Flow,
        tokens: Tokens,
        learning: Learning,
        outputs: Iterable[Node],
        stream: str = "val",
    ) -> None:
        self.flow = flow
        self.tokens = tokens
        self.learning = learning
        self.stream = stream
        self._states: dict[int, State | None] = {}
        self._frames: dict[int, Frame] = {}
        self._varies: dict[tuple[int, int], bool] = {}
        self._leaks: dict[int, Leak] = {}
        self._shifts: dict[int, Shift] = {}
        self.nodes = sorted(
            flow.backward(outputs, lambda n: not tokens.of(n), memory=False, limit=30_000),
            key=lambda n: n.uid,
        )
        self.uids = frozenset(n.uid for n in self.nodes)
        roots = [n for n in self.nodes if stream in tokens.of(n)]
        self.root = Frame(roots[0]) if roots else None
        self.inputs = roots  # the tokens that go in
        self._settled = self.root is None

    @property
    def leaks(self) -> list[Leak]:
        self._settle()
        return [self._leaks[uid] for uid in sorted(self._leaks)]

    @property
    def shifts(self) -> list[Shift]:
        self._settle()
        return [self._shifts[uid] for uid in sorted(self._shifts)]

    def state(self, node: Node) -> State | None:
        self._settle()
        return self._states.get(node.uid)

    def _settle(self) -> None:
        """Follow the values, loops as often as it takes; once, when first asked."""
        root = self.root
        if self._settled or root is None:
            return
        self._settled = True
        for token in self.inputs:
            self._states[token.uid] = Along((OTHER,) * ((rank_of(token) or 2) - 1) + (TIME,), root)
        first = root.node.uid
        todo = [
            n
            for n in self.nodes
            if n.uid > first and n.uid not in self._states and takes_content(n)
        ]
        for _ in range(_PASSES):
            changed = False
            self._leaks.clear()
            self._shifts.clear()
            for node in todo:
                state = self._made(node)
                if state != self._states.get(node.uid):
                    self._states[node.uid] = state
                    changed = True
            if not changed:
                return

    def _made(self, node: Node) -> State | None:
        raise NotImplementedError

    # -- views of a state ---------------------------------------------------------------------------

    def _seen(self, node: Node, by: Node) -> State | None:
        """The state of ``node`` where ``by`` takes it: behind its loop, a carried state is whole."""
        state = self._states.get(node.uid)
        loops = by.ctx.loops
        if isinstance(state, Upto) and state.loop not in loops:
            return Whole(state.frame, node)
        while isinstance(state, Whole) and state.frame.loop and state.frame.loop not in loops:
            assert state.frame.parent is not None
            state = Whole(state.frame.parent, state.origin)
        if isinstance(state, Along) and state.frame.loop and state.frame.loop not in loops:
            return None
        return state

    def _axes(self, node: Node) -> Axes | None:
        state = self._states.get(node.uid)
        return state.axes if isinstance(state, Along) else None

    def _first(self, nodes: Iterable[Node], by: Node) -> State | None:
        return next((s for n in nodes if (s := self._seen(n, by)) is not None), None)

    # -- joins ---------------------------------------------------------------------------------------

    def _joined(self, node: Node) -> State | None:
        """A value that is one of several, or that a loop carries from turn to turn."""
        if node.data == "open" and len(node.args) > 1 and node.args[1].uid < node.uid:
            return None  # an attribute that an earlier run of the model may have set
        loop = node.ctx.loops[-1] if node.data == "open" and node.ctx.loops else None
        found: list[State] = []
        for argument in node.args:
            state = self._seen(argument, node)
            if loop is not None and state is not None and argument.uid > node.uid:
                state = self._carried(state, loop)
            if state is not None:
                found.append(state)
        wholes = [s for s in found if isinstance(s, Whole)]
        if wholes:
            return wholes[0]
        joined = merged(found)
        first = self._seen(node.args[0], node) if loop is not None and node.args else None
        if isinstance(joined, Along) and isinstance(first, Along):
            return replace(joined, low=first.low)  # what each turn adds to it is counted there
        return joined

    def _carried(self, state: State, loop: Loop) -> State | None:
        """What the next turn of ``loop`` finds: where each turn has its own positions, the past."""
        if isinstance(state, Upto) or not self._changes(state.frame, loop):
            return state
        return Upto(loop, state.frame.parent or state.frame) if isinstance(state, Whole) else None

    def _changes(self, frame: Frame, loop: Loop) -> bool:
        """Whether each turn of the loop has other positions."""
        if frame.loop is loop:
            return True
        key = (id(frame), id(loop))
        known = self._varies.get(key)
        if known is None:
            nodes = self.inputs if frame.parent is None else [frame.node]
            known = self._varies[key] = any(self.learning.varies(n, loop) for n in nodes)
        return known

    def _pointwise(self, node: Node, operands: Sequence[Node]) -> State | None:
        states = [s for o in operands if (s := self._seen(o, node)) is not None]
        if not states:
            return None
        self._check_return(node, states)
        result = merged(states)
        if isinstance(result, Along) and KEYS in result.axes:
            others = [o for o in operands if o.op != "const" and self._axes(o) != result.axes]
            if others or self.flow.tracer.stores.get(node.uid):
                return with_axes(result, tuple(MASKED if a == KEYS else a for a in result.axes))
        return result

    def _check_return(self, node: Node, states: Sequence[State]) -> None:
        """A summary of all positions that comes back into one of them."""
        for whole in states:
            if isinstance(whole, Whole) and any(
                isinstance(s, (Along, Upto)) and s.frame.within(whole.frame) for s in states
            ):
                self._leak("pool", node, whole.origin)

    def _leak(
        self, kind: str, node: Node, origin: Node | None = None, carried: Node | None = None
    ) -> None:
        self._leaks.setdefault(node.uid, Leak(kind, node, origin, carried))

    def _whole(self, given: Along, node: Node) -> Whole | None:
        """A summary; that of a beginning of known length is none of the whole."""
        return Whole(given.frame, node) if given.fixed is None else None

    def _sequence(self, node: Node) -> Along | None:
        """The sequence that a call works on: its first argument that has an entry per position."""
        for argument in node.args:
            state = self._seen(argument, node)
            if isinstance(state, Along) and state.time is not None:
                return state
        return None


def rank_of(node: Node) -> int | None:
    """How many axes a tensor of tokens has, as far as the calls that shaped it show."""
    extra = 0
    for _ in range(16):
        name = last_name(node)
        if node.op in ("call", "method") and name in ("view", "reshape"):
            sizes = list(node.positional[1:])
            if len(sizes) == 1 and sizes[0].op in ("tuple", "list"):
                sizes = sizes[0].data.items
            return max(1, len(sizes) + extra)
        if node.op in ("call", "method") and name in ("stack", "unsqueeze"):
            extra += 1
        elif node.op == "index":
            keys = node.args[1].data.items if node.args[1].op == "tuple" else [node.args[1]]
            extra += sum(adds_axis(k) for k in keys)
        elif not (node.op in ("call", "method") and node.args):
            break
        node = node.args[0]
    return 2 if extra else None
