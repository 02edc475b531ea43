"""The three kinds of value along a sequence, and what is noted where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from auditor.analysis.graph import Loop, Node
from auditor.analysis.timeline import axes as ax
from auditor.analysis.timeline.axes import TIME, Axes


@dataclass(frozen=True, eq=False)
class Frame:
    """A stretch of positions: the model's input, or a part of it that was cut out."""

    node: Node
    parent: Frame | None = None
    loop: Loop | None = None  # the loop whose turns cut out one part after the other

    def within(self, other: Frame) -> bool:
        return self is other or (self.parent is not None and self.parent.within(other))


@dataclass(frozen=True)
class Along:
    """One entry per position: entry i has seen the positions from i + ``low`` to i + ``high``.

    Attention's reach to the left is not counted. ``length`` is relative to the frame's, ``fixed`` is
    an absolute one.
    """

    axes: Axes
    frame: Frame
    low: int = 0
    high: int = 0
    length: int | None = 0
    fixed: int | None = None

    @property
    def time(self) -> int | None:
        return ax.time_of(self.axes)

    @property
    def from_end(self) -> int | None:
        at = self.time
        return None if at is None else at - len(self.axes)


@dataclass(frozen=True)
class Upto:
    """What the turns of ``loop`` so far have carried along."""

    loop: Loop
    frame: Frame


@dataclass(frozen=True)
class Whole:
    """Made from all positions of ``frame``, at ``origin``."""

    frame: Frame
    origin: Node


State = Along | Upto | Whole


@dataclass(frozen=True)
class Leak:
    """Where a position sees later ones. ``origin`` is where the whole sequence was summed up, if it was."""

    kind: str
    node: Node
    origin: Node | None = None
    carried: Node | None = None  # the state, as the second pass is given it


@dataclass(frozen=True)
class Shift:
    """Where each position takes in the ones before it, by ``reach`` places."""

    node: Node
    reach: int


def with_axes(state: State | None, axes: Axes | None) -> State | None:
    if not isinstance(state, Along) or axes is None or TIME not in axes:
        return None
    return replace(state, axes=axes)


def merged(states: Sequence[State]) -> State | None:
    """What a combination of values has: the farthest reach, and the one time axis that they share."""
    along = [s for s in states if isinstance(s, Along)]
    if not along:
        return next((s for s in states if isinstance(s, Whole)), states[0] if states else None)
    widest = max(along, key=lambda s: len(s.axes))
    same = [s for s in along if s.fixed is None] or along
    if any(s.from_end != widest.from_end for s in along if s.time is not None):
        return None
    inner = next((s.frame for s in along if s.frame.within(widest.frame)), widest.frame)
    if any(not inner.within(s.frame) for s in along):
        return None
    lengths = {s.length for s in same if s.length is not None}
    return replace(
        widest,
        frame=inner,
        low=min(s.low for s in same),
        high=max(s.high for s in same),
        length=lengths.pop() if len(lengths) == 1 else None,
        fixed=same[0].fixed,
    )
