"""Along which axis of a tensor time runs, and what reshapes do to it.

``Axes`` has one mark per axis: TIME, KEYS (the second time axis of attention scores), MASKED (the same
behind a mask) or OTHER. Each function gives the axes of a result, or None where the code doesn't tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auditor.analysis.graph import Node

TIME, KEYS, MASKED, OTHER = "t", "k", "m", "."
Axes = tuple[str, ...]
AxesOf = Callable[[Node], "Axes | None"]

_UNKNOWN = "?"
_DEEPEST = 12  # terms of one size that are looked at
Size = int | str  # a constant, or the mark of the axis that has this size


def integer(node: Node | None) -> int | None:
    """The value of a constant integer."""
    if node is None or node.op != "const" or type(node.data) is not int:
        return None
    return int(node.data)


def integers(nodes: Sequence[Node]) -> list[int] | None:
    """Constant integers given one by one, or as one tuple."""
    if len(nodes) == 1 and nodes[0].op in ("tuple", "list"):
        if not nodes[0].data.exact:
            return None
        nodes = nodes[0].data.items
    values = [integer(n) for n in nodes]
    return None if None in values else [v for v in values if v is not None]


def place(dim: int, rank: int) -> int | None:
    """A dimension counted from the front."""
    at = dim + rank if dim < 0 else dim
    return at if 0 <= at < rank else None


def time_of(axes: Axes) -> int | None:
    """The only time axis, counted from the front."""
    return axes.index(TIME) if axes.count(TIME) == 1 else None


def without(axes: Axes, gone: Sequence[int], *, keep: bool = False) -> Axes:
    """The axes when those at ``gone`` are reduced; ``keep``: to a length of one."""
    return tuple(OTHER if i in gone else a for i, a in enumerate(axes) if keep or i not in gone)


def swapped(axes: Axes, one: int | None, other: int | None) -> Axes | None:
    if one is None or other is None:
        return None
    a, b = place(one, len(axes)), place(other, len(axes))
    if a is None or b is None:
        return None
    moved = list(axes)
    moved[a], moved[b] = moved[b], moved[a]
    return tuple(moved)


def permuted(axes: Axes, order: Sequence[int] | None) -> Axes | None:
    if order is None or len(order) != len(axes):
        return None
    places = [place(d, len(axes)) for d in order]
    if None in places:
        return None
    return tuple(axes[p] for p in places if p is not None)


def unsqueezed(axes: Axes, dim: int | None) -> Axes | None:
    at = None if dim is None else place(dim, len(axes) + 1)
    return None if at is None else (*axes[:at], OTHER, *axes[at:])


def flattened(axes: Axes, start: int, end: int) -> Axes | None:
    first, last = place(start, len(axes)), place(end, len(axes))
    if first is None or last is None:
        return None
    merged = axes[first : last + 1]
    marks = [a for a in merged if a != OTHER]
    return (*axes[:first], marks[0] if marks else OTHER, *axes[last + 1 :])


def reshaped(axes: Axes, sizes: Sequence[Size] | None) -> Axes | None:
    """``view`` and ``reshape``: the time axis is where its size is, or in what ``-1`` takes up."""
    at = time_of(axes)
    if sizes is None or at is None or KEYS in axes or MASKED in axes:
        return None
    named = [i for i, s in enumerate(sizes) if s == TIME]
    if not named and -1 in sizes and _UNKNOWN not in sizes:
        rest = sizes.index(-1)
        inner = at == len(axes) - 1 or rest < len(sizes) - 1
        named = [rest] if rest <= at and inner else []
    if len(named) != 1:
        return None
    return tuple(TIME if i == named[0] else OTHER for i in range(len(sizes)))


def sizes_of(nodes: Sequence[Node], axes_of: AxesOf) -> list[Size] | None:
    """Sizes given one by one, as a tuple, or as a part of another tensor's shape."""
    if len(nodes) == 1 and nodes[0].op in ("tuple", "list"):
        if not nodes[0].data.exact:
            return None
        nodes = nodes[0].data.items
    found: list[Size] = []
    for node in nodes:
        shape = _shape(node, axes_of)
        if shape is not None:
            found.extend(shape)
        elif _is_shape(node):
            return None
        else:
            found.append(size_of(node, axes_of))
    return found


def size_of(node: Node, axes_of: AxesOf, depth: int = 0) -> Size:
    """One size: a constant, the mark of the axis that it is the size of, or unknown."""
    if depth > _DEEPEST:
        return _UNKNOWN
    value = integer(node)
    if value is not None:
        return value
    if node.op == "method" and node.data == "size" and len(node.args) == 2:
        return _mark(axes_of(node.args[0]), integer(node.args[1]))
    if node.op == "proj":
        return _mark(_shape(node.args[0], axes_of), node.data)
    if node.op == "index":
        return _mark(_shape(node.args[0], axes_of), integer(node.args[1]))
    if node.op == "binop" and node.data == "*":
        parts = [size_of(a, axes_of, depth + 1) for a in node.args]
        return TIME if TIME in parts else OTHER
    if node.op == "binop":
        return _UNKNOWN if TIME in [size_of(a, axes_of, depth + 1) for a in node.args] else OTHER
    if node.op == "phi":
        parts = [size_of(a, axes_of, depth + 1) for a in node.args if a.op != "phi"]
        return parts[0] if parts and all(p == parts[0] for p in parts) else _UNKNOWN
    return OTHER


def _mark(axes: Sequence[Size] | None, at: object) -> Size:
    if axes is None:
        return OTHER
    if not isinstance(at, int) or not -len(axes) <= at < len(axes):
        return _UNKNOWN
    return axes[at]


def _is_shape(node: Node) -> bool:
    return (
        (node.op == "attr" and node.data == "shape")
        or (node.op == "method" and node.data == "size" and len(node.args) == 1)
        or (node.op == "elem" and node.data == "star")
        or (node.op == "index" and node.args[1].op == "slice")
    )


def _shape(node: Node, axes_of: AxesOf) -> list[Size] | None:
    """The marks of a whole shape: ``x.shape``, ``x.size()``, ``*x.shape[:-1]`` and sums of these."""
    if (node.op == "attr" and node.data == "shape") or (
        node.op == "method" and node.data == "size" and len(node.args) == 1
    ):
        axes = axes_of(node.args[0])
        return None if axes is None else list(axes)
    if node.op == "elem" and node.data == "star":
        return _shape(node.args[0], axes_of)
    if node.op == "index" and node.args[1].op == "slice":
        whole = _shape(node.args[0], axes_of)
        bounds = node.args[1].args
        if whole is None or any(b.op != "const" for b in bounds):
            return None
        return whole[slice(*(b.data for b in bounds))]
    if node.op == "binop" and node.data == "+":
        parts = [_shape(a, axes_of) for a in node.args]
        if parts[0] is not None and node.args[1].op in ("tuple", "list"):
            rest = sizes_of([node.args[1]], axes_of)
            return None if rest is None else parts[0] + rest
    return None


def product(left: Axes, right: Axes) -> tuple[Axes, str, str] | None:
    """``left @ right``: the axes of the result, and the marks of the two axes that are summed over."""
    if len(left) < 2 or len(right) < 2:
        return None
    rows, columns = left[-2], right[-1]
    if rows == TIME and columns == TIME:
        columns = KEYS
    outer = left[:-2] if len(left) >= len(right) else right[:-2]
    return (*outer, rows, columns), left[-1], right[-2]


def argument(node: Node, at: int, name: str) -> Node | None:
    found = node.keyword(name)
    if found is not None:
        return found
    given = node.positional
    return given[at] if len(given) > at else None


def adds_axis(key: Node) -> bool:
    return key.op == "const" and key.data is None
