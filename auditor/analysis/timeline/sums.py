"""What sums over positions: reductions, normalisations, products of matrices."""

from __future__ import annotations

from dataclasses import replace

from auditor.analysis.graph import Node
from auditor.analysis.scores import last_name
from auditor.analysis.timeline import axes as ax
from auditor.analysis.timeline.axes import (
    KEYS,
    MASKED,
    OTHER,
    TIME,
    Axes,
    argument,
    integer,
    integers,
    place,
)
from auditor.analysis.timeline.moves import Moves
from auditor.analysis.timeline.states import Along, State, Upto, Whole, with_axes

_MATRICES = frozenset("Linear Parameter randn empty zeros".split())
LAST_AXES = frozenset("layer_norm rms_norm LayerNorm() RMSNorm()".split())


class Sums(Moves):
    """A sum over time is a summary of the whole; a matrix over time mixes it."""

    def _reduced(self, node: Node, given: Along) -> State | None:
        """A reduction: over time it sums up the whole stretch."""
        dims = dims_of(node, 1)
        if dims is None:
            return self._whole(given, node) if _reduces_all(node) else None
        gone = [p for d in dims if (p := place(d, len(given.axes))) is not None]
        kept = node.keyword("keepdim") or node.keyword("keepdims")
        if any(given.axes[p] == TIME for p in gone):
            return None if KEYS in given.axes else self._whole(given, node)
        keep = kept is not None and kept.data is True
        if kept is None and len(node.positional) > 2:
            keep = node.positional[2].op == "const" and node.positional[2].data is True
        return with_axes(given, ax.without(given.axes, gone, keep=keep))

    def _normalised(self, node: Node, given: Along) -> State | None:
        """Softmax and its kin: over time they mix in every position."""
        dims = dims_of(node, 2 if last_name(node) == "normalize" else 1)
        if dims is None:
            dims = [1] if last_name(node) == "normalize" and len(node.positional) == 1 else None
        for dim in dims or ():
            at = place(dim, len(given.axes))
            scores = KEYS in given.axes or MASKED in given.axes
            if at is not None and given.axes[at] == TIME and not scores:
                self._leak("norm", node)
        return given

    def _standardised(self, node: Node, name: str, given: Along) -> State | None:
        at = given.time
        if at is not None and len(given.axes) > 2:
            last = at == len(given.axes) - 1
            if last if name in LAST_AXES else at != 1:
                self._leak("norm", node)
        return given

    def _linear(self, node: Node, given: Along, weight: Node | None) -> State | None:
        if given.axes[-1] == TIME and len(given.axes) > 2:
            if weight is not None and is_plain(weight):
                self._leak("matrix", node)
            return None
        return given if given.axes[-1] == OTHER else None

    def _spectral(self, node: Node, given: Along) -> State | None:
        sizes = argument(node, 1, "n")
        dim = integer(argument(node, 2, "dim"))
        at = place(-1 if dim is None else dim, len(given.axes))
        padded = sizes is not None and not (sizes.op == "const" and sizes.data is None)
        if padded or at != given.time:
            return None
        self._leak("fft", node)
        return None

    def _product(self, node: Node, left: Node, right: Node) -> State | None:
        one, other = self._seen(left, node), self._seen(right, node)
        if isinstance(one, Along) and isinstance(other, Along):
            made = ax.product(one.axes, other.axes)
            if made is None:
                return None
            return self._summed(node, made[0], {made[1], made[2]}, one, other)
        if isinstance(one, Along) or isinstance(other, Along):
            given, weight = (one, right) if isinstance(one, Along) else (other, left)
            assert isinstance(given, Along)
            if isinstance(other if given is one else one, (Whole, Upto)):
                self._check_return(node, [s for s in (one, other) if s is not None])
                return given if given.axes[-1] != TIME else None
            axis = -1 if given is one else -2
            if len(given.axes) >= 2 and given.axes[axis] == TIME:
                if is_plain(weight):
                    self._leak("matrix", node)
                return None
            return given if given is one and given.axes[-1] == OTHER else None
        return self._pointwise(node, (left, right))

    def _summed(
        self, node: Node, axes: Axes, gone: set[str], one: Along, other: Along
    ) -> State | None:
        """The product of two sequences, summed over axes with the marks ``gone``."""
        if gone == {TIME}:
            return self._whole(one, node) if TIME not in axes else None
        if gone == {KEYS, TIME}:
            if one.frame is other.frame:
                self._leak("attention", node)
            return with_axes(one, axes)
        if gone in ({OTHER}, {MASKED, TIME}, set()):
            return replace(one, axes=axes) if axes.count(TIME) == 1 else None
        return None

    def _einsum(self, node: Node) -> State | None:
        equation = node.args[0] if node.args else None
        if equation is None or equation.op != "const" or not isinstance(equation.data, str):
            return None
        text = equation.data.replace(" ", "")
        sides = text.split("->")
        terms = sides[0].split(",")
        operands = node.positional[1:]
        if len(sides) != 2 or "." in text or len(terms) != len(operands):
            return None
        states = [self._seen(o, node) for o in operands]
        self._check_return(node, [s for s in states if s is not None])
        marks: dict[str, set[str]] = {}
        timed: list[tuple[str, Along]] = []
        for term, state in zip(terms, states, strict=True):
            if not isinstance(state, Along):
                continue
            if len(term) != len(state.axes):
                return None
            timed.append((term, state))
            for letter, mark in zip(term, state.axes, strict=True):
                marks.setdefault(letter, set()).add(mark)
        if not timed:
            return next((s for s in states if isinstance(s, (Whole, Upto))), None)
        first = timed[0][1]
        axes: list[str] = []
        for letter in sides[1]:
            found = marks.get(letter, {OTHER})
            mark = next((m for m in (KEYS, MASKED, TIME) if m in found), OTHER)
            axes.append(KEYS if mark == TIME and TIME in axes else mark)
        for letter in set("".join(terms)) - set(sides[1]):
            found = marks.get(letter, {OTHER}) - {OTHER}
            users = [o for t, o in zip(terms, operands, strict=True) if letter in t]
            unknown = [o for o in users if not isinstance(self._seen(o, node), Along)]
            if found == {TIME} and unknown:
                if all(map(is_plain, unknown)) and TIME not in axes:
                    self._leak("matrix", node)
                return None
            if found:
                return self._summed(node, tuple(axes), found, first, timed[-1][1])
        return with_axes(first, tuple(axes)) if TIME in axes else None


def dims_of(node: Node, at: int) -> list[int] | None:
    found = argument(node, at, "dim") or node.keyword("axis")
    if found is None or (found.op == "const" and found.data is None):
        return None
    return integers([found])


def _reduces_all(node: Node) -> bool:
    """Whether a reduction names no axis (an unreadable one says nothing)."""
    return len(node.positional) == 1 and not node.keyword("dim") and not node.keyword("axis")


def is_plain(weight: Node) -> bool:
    """A learned matrix as it is: nothing was masked out of it."""
    for _ in range(8):
        name = last_name(weight)
        if weight.op == "call" and name in _MATRICES:
            return True
        cast = weight.op in ("method", "call") and name in ("to", "type_as", "float", "t")
        if not cast and not (weight.op == "attr" and weight.data in ("weight", "T", "mT")):
            return False
        weight = weight.args[0]
    return False
