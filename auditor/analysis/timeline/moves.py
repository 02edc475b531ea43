"""What moves entries along the sequence: slices, concatenations, padding, convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditor.analysis.graph import Loop, Node, container_all
from auditor.analysis.scores import last_name
from auditor.analysis.timeline import axes as ax
from auditor.analysis.timeline.axes import (
    OTHER,
    TIME,
    Axes,
    adds_axis,
    argument,
    integer,
    integers,
    place,
)
from auditor.analysis.timeline.core import Core, rank_of
from auditor.analysis.timeline.states import (
    Along,
    Frame,
    Shift,
    State,
    Upto,
    Whole,
    merged,
    with_axes,
)

_FILLERS = frozenset("zeros ones full empty new_zeros new_ones new_full new_empty randn".split())
_LIKES = frozenset("zeros_like ones_like full_like empty_like".split())


class Moves(Core):
    """Entries keep count of the positions that they have seen, however they are moved."""

    def _moved(self, node: Node, name: str, axes: Axes) -> Axes | None:
        """Axes behind calls that only rearrange."""
        rest = list(node.positional[1:])
        if name in ("view", "reshape", "_unsafe_view"):
            given = node.keyword("shape") or node.keyword("size")
            return ax.reshaped(axes, ax.sizes_of([given] if given else rest, self._axes))
        if name in ("transpose", "swapaxes", "swapdims", "t"):
            one, other = (integer(n) for n in rest[:2]) if len(rest) >= 2 else (0, 1)
            return ax.swapped(axes, one, other)
        if name == "permute":
            return ax.permuted(axes, integers(rest))
        if name == "unsqueeze":
            return ax.unsqueezed(axes, integer(rest[0]) if rest else None)
        if name == "squeeze":
            dim = integer(rest[0]) if rest else None
            at = None if dim is None else place(dim, len(axes))
            return None if at is None or axes[at] != OTHER else ax.without(axes, [at])
        if name == "flatten":
            bounds = [integer(n) for n in rest] + [0, -1][len(rest) :]
            return None if None in bounds else ax.flattened(axes, bounds[0] or 0, bounds[1] or -1)
        if name == "expand":
            return axes if len(rest) == len(axes) else None
        if name in (
            "repeat_interleave",
            "chunk",
            "split",
            "topk",
            "sort",
            "unfold",
            "index_select",
        ):
            dim = integer(argument(node, 2, "dim"))
            at = None if dim is None else place(dim, len(axes))
            return axes if at is not None and axes[at] == OTHER else None
        if name == "unbind":
            dim = integer(argument(node, 1, "dim")) or 0
            at = place(dim, len(axes))
            return None if at is None or axes[at] != OTHER else ax.without(axes, [at])
        return None

    def _indexed(self, node: Node) -> State | None:
        base, key = node.args
        given = self._seen(base, node)
        if not isinstance(given, Along):
            return self._picked(key, node) if given is None else given
        axes: list[str] = []
        state: State = given
        for one, mark in _aligned(key, given.axes):
            if mark is None:
                axes.append(OTHER)
            elif one is None or one.op == "slice":
                axes.append(mark)
                if one is not None and mark == TIME and isinstance(state, Along):
                    cut = self._cut(state, one, node)
                    if cut is None:
                        return None
                    state = cut
            elif mark == TIME:
                return self._at(given, one, node)
            elif one.op != "const" and mark != OTHER:
                return None
        return with_axes(state, tuple(axes)) if isinstance(state, Along) else state

    def _picked(self, key: Node, node: Node) -> State | None:
        """``weight[tokens]``: an embedding by another name."""
        state = self._seen(key, node)
        if self.stream not in self.tokens.of(key) or rank_of(key) is None:
            return None
        return with_axes(state, (*state.axes, OTHER)) if isinstance(state, Along) else None

    def _cut(self, state: Along, key: Node, node: Node) -> Along | Whole | None:
        """A slice along time."""
        low, high, step = key.args
        if not (step.op == "const" and step.data in (None, 1)):
            return None
        start = 0 if low.op == "const" and low.data is None else integer(low)
        if start is None:
            return self._framed(state, node)
        if start == -1:
            return Whole(state.frame, node)  # the last position has seen all
        if start < 0:
            return replace(state, frame=Frame(node, state.frame), low=0, high=0, length=None)
        state = replace(state, low=state.low + start, high=state.high + start)
        length = None if state.length is None else state.length - start
        if high.op == "const" and high.data is None:
            fixed = None if state.fixed is None else max(0, state.fixed - start)
            return replace(state, length=length, fixed=fixed)
        end = integer(high)
        if end is not None and end < 0:
            return replace(state, length=None if length is None else length + end)
        if end is not None:
            return replace(state, length=None, fixed=max(0, end - start))
        if ax.size_of(high, self._axes) == TIME:
            return replace(state, length=-start)
        return self._framed(state, node)

    def _framed(self, state: Along, node: Node) -> Along:
        """A part of the stretch whose bounds change from turn to turn, or aren't known."""
        frame = self._frames.get(node.uid)
        if frame is None or frame.parent is not state.frame:
            loop = self._turns(node.args[1], node)
            frame = self._frames[node.uid] = Frame(node, state.frame, loop)
        return replace(state, frame=frame, low=0, high=0, length=0, fixed=None)

    def _turns(self, key: Node, node: Node) -> Loop | None:
        """The innermost loop around ``node`` that makes ``key`` change."""
        for loop in reversed(node.ctx.loops):
            if self.learning.varies(key, loop):
                return loop
        return None

    def _at(self, given: Along, key: Node, node: Node) -> State | None:
        """The entry of one position."""
        value = integer(key)
        if value is not None:
            return Whole(given.frame, node) if value < 0 else None
        loop = self._turns(key, node) if key.op in ("loopvar", "binop", "elem", "proj") else None
        return Upto(loop, given.frame) if loop is not None and not _backwards(key) else None

    # -- shifts --------------------------------------------------------------------------------------

    def _concatenated(self, node: Node, name: str) -> State | None:
        parts = node.args[0] if node.args else None
        if parts is None or parts.op not in ("list", "tuple"):
            return None
        pieces = container_all(parts.data)
        states = [self._states.get(p.uid) for p in pieces]
        dim = integer(argument(node, 1, "dim") or node.keyword("axis")) or 0
        if name == "stack":
            return self._stacked(node, states, dim)
        along = [s for s in states if isinstance(s, Along)]
        if not along:
            return self._first(pieces, node)
        at = place(dim, len(along[0].axes))
        if at is None or along[0].axes[at] != TIME:
            return merged([s for s in states if s is not None])
        if not parts.data.exact:  # chunks that a loop has collected
            frame = along[0].frame
            return replace(along[0], frame=frame.parent or frame, length=0, fixed=None)
        return self._appended(node, pieces, states, along[0], at)

    def _appended(
        self,
        node: Node,
        pieces: Sequence[Node],
        states: Sequence[State | None],
        model: Along,
        at: int,
    ) -> State | None:
        """Pieces one after the other along time: each is moved by the length of those before it."""
        offset: int | None = 0
        total: int | None = 0
        lows, highs, free = [], [], 0
        for piece, state in zip(pieces, states, strict=True):
            own = state if isinstance(state, Along) else None
            if own is not None and own.frame is not model.frame:
                return None
            if own is not None:
                moved = -1 if offset is None else -offset
                lows.append(own.low + moved)
                highs.append(min(0, own.high) if offset is None else own.high + moved)
            fixed = own.fixed if own is not None else self._filler(piece, at)
            if fixed is not None:
                offset = None if offset is None else offset + fixed
                total = None if total is None else total + fixed
            else:
                free += own is not None
                offset = None
                total = (
                    None
                    if own is None or own.length is None or total is None
                    else total + own.length
                )
        length = total if free == 1 else None
        before = min(s.low for s in states if isinstance(s, Along))
        self._looks_back(node, before, min(lows))
        result = replace(model, low=min(lows), high=max(highs), length=length, fixed=None)
        return self._checked(node, result)

    def _filler(self, node: Node, at: int) -> int | None:
        """How many places a piece that is no part of the sequence takes up."""
        name = last_name(node)
        if node.op in ("call", "method") and name in _LIKES and node.args:
            like = node.args[0]  # only its form goes in, so it may not have been followed
            state = self._indexed(like) if like.op == "index" else self._states.get(like.uid)
            return state.fixed if isinstance(state, Along) else None
        if node.op in ("call", "method") and name in _FILLERS:
            sizes = list(node.positional[node.op == "method" :])
            if len(sizes) >= 1 and sizes[0].op in ("tuple", "list"):
                sizes = sizes[0].data.items if sizes[0].data.exact else []
            return integer(sizes[at]) if at < len(sizes) else None
        return None

    def _stacked(self, node: Node, states: Sequence[State | None], dim: int) -> State | None:
        found = [s for s in states if s is not None]
        if found and isinstance(found[0], Upto):
            rank = max(dim + 1, 3)
            at = dim if dim >= 0 else rank + dim
            axes = tuple(TIME if i == at else OTHER for i in range(rank))
            return Along(axes, found[0].frame)
        one = merged(found)
        return with_axes(one, ax.unsqueezed(one.axes, dim)) if isinstance(one, Along) else None

    def _checked(self, node: Node, state: Along) -> Along:
        """A full-length value whose entries reach ahead of themselves, or behind."""
        if state.length is not None and state.length >= 0 and state.high > 0:
            self._leak("shift", node)
            state = replace(state, high=0)
        return state

    def _looks_back(self, node: Node, before: int, after: int) -> None:
        """Notes where values take in earlier positions than what they are made from."""
        if after < before:
            self._shifts.setdefault(node.uid, Shift(node, before - after))

    def _padded(self, node: Node, given: Along) -> State | None:
        at = given.time
        widths = integers([w]) if (w := argument(node, 1, "pad")) else None
        if at is None:
            return None
        slot = 2 * (len(given.axes) - 1 - at)
        if widths is None or len(widths) <= slot + 1:
            return replace(given, length=None) if widths is None else given
        left, right = widths[slot], widths[slot + 1]
        length = None if given.length is None else given.length + left + right
        fixed = None if given.fixed is None else given.fixed + left + right
        moved = replace(given, low=given.low - left, high=given.high - left, length=length)
        self._looks_back(node, given.low, moved.low)
        return self._checked(node, replace(moved, fixed=fixed))

    def _rolled(self, node: Node, given: Along) -> State | None:
        by = integers([s]) if (s := argument(node, 1, "shifts")) else None
        dims = integers([d]) if (d := argument(node, 2, "dims")) else None
        if by is None or dims is None or len(by) != 1 or len(dims) != 1:
            return None
        if place(dims[0], len(given.axes)) != given.time:
            return given
        moved = replace(given, low=given.low - by[0], high=given.high - by[0])
        self._looks_back(node, given.low, moved.low)
        return self._checked(node, moved)

    def _flipped(self, node: Node, given: Along) -> State | None:
        named = node.keyword("dims")
        dims = integers(node.args[1:] if named is None else [named])
        if given.time in [place(d, len(given.axes)) for d in dims or ()]:
            self._leak("flip", node)
        return given

    def _convolved(self, node: Node, given: Along, made: Node | None) -> State | None:
        """A convolution along time, which is the last axis."""
        at = given.time
        if at != len(given.axes) - 1:
            return None
        if made is None:
            return replace(given, length=None) if len(node.args) > 1 else None
        options = {
            name: integer(
                made.keyword(name) or (made.positional[i] if len(made.positional) > i else None)
            )
            for i, name in ((2, "kernel_size"), (3, "stride"), (4, "padding"), (5, "dilation"))
        }
        padding = made.keyword("padding") or (
            made.positional[4] if len(made.positional) > 4 else None
        )
        kernel, dilation = options["kernel_size"], options["dilation"] or 1
        if kernel is None or options["stride"] not in (None, 1):
            return replace(given, length=None)
        reach = dilation * (kernel - 1)
        if padding is None:
            before = 0
        elif padding.op == "const" and padding.data == "same":
            before = reach // 2
        elif options["padding"] is not None:
            before = options["padding"]
        else:
            return replace(given, length=None)
        after = reach - before if padding is not None and padding.data == "same" else before
        length = None if given.length is None else given.length + before + after - reach
        high = given.high + reach - before
        result = replace(given, low=given.low - before, high=high, length=length)
        self._looks_back(node, given.low, result.low)
        if length is not None and length >= 0 and high > 0:
            self._leak("conv", node)
            result = replace(result, high=0)
        return result


def _aligned(key: Node, axes: Axes) -> list[tuple[Node | None, str | None]]:
    """(key, mark) per axis: no key for an axis that is taken whole, no mark for one that is new."""
    keys = list(key.data.items) if key.op == "tuple" and key.data.exact else [key]
    dots = [i for i, k in enumerate(keys) if k.op == "const" and k.data is Ellipsis]
    taken = sum(not adds_axis(k) for k in keys) - len(dots)
    at = dots[0] if dots else len(keys)
    wanted: list[Node | None] = [*keys]
    wanted[at : at + len(dots)] = [None] * max(0, len(axes) - taken)
    marks = iter(axes)
    return [
        (k, None) if k is not None and adds_axis(k) else (k, next(marks, OTHER)) for k in wanted
    ]


def _backwards(key: Node) -> bool:
    """Whether a counter runs from the end to the beginning."""
    steps = key.args[2] if key.op == "loopvar" and len(key.args) > 2 else None
    value = integer(steps)
    return key.op != "loopvar" or (steps is not None and (value is None or value < 0))
