"""Which values are tokens of which stream, and at which position of it.

A stream is what is read from files whose pattern says ``val`` or ``train``; a value is token data when it
holds elements of a stream unchanged (sliced, copied, cast, stored into a buffer). Positions are linear
forms over loop counters, window starts and so on, plus IOTA, the running index along the last axis.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.analysis.flow import Flow
from auditor.analysis.graph import PASS_CALLS, VIEWS, Node, alternatives, container_all, is_place
from auditor.analysis.library import constant_text

IOTA = "iota"
_READS = re.compile(
    r"(^|\.)(fromfile|memmap|frombuffer|from_file|load|open|load_file|read_bytes|read|readinto|loadtxt|glob|iglob)(\(\))?$"
)
_DOCUMENT_READS = frozenset(("open", "json.load", "json.loads"))
_DOCUMENTS = re.compile(r"\.(?:jsonl?|ya?ml|toml|txt|md)$", re.MULTILINE)
_KEEPING_CALLS = PASS_CALLS | frozenset(
    "torch.cat torch.stack torch.concat torch.hstack torch.vstack numpy.concatenate numpy.stack "
    "numpy.hstack numpy.vstack torch.nn.functional.pad numpy.pad torch.where numpy.where torch.roll "
    "numpy.roll numpy.clip torch.clamp numpy.lib.stride_tricks.sliding_window_view torch.narrow "
    "torch.index_select numpy.take torch.take torch.empty_like reversed enumerate zip "
    "torch.split torch.chunk numpy.split torch.unfold torch.as_strided".split()
)
_ALLOCATIONS = frozenset(
    "torch.zeros torch.empty torch.full numpy.zeros numpy.empty torch.ones".split()
)
_JOINS = frozenset("cat concat concatenate hstack stack column_stack".split())
_PURE = frozenset("elem proj binop unop call method index slice attr".split())
_KEEPING_METHODS = VIEWS | frozenset(
    "unfold index_select take split chunk roll clamp clip pad narrow masked_select gather numpy pop "
    "popleft get items values __getitem__ tolist as_strided result".split()
)


class Form(dict[object, int]):
    """A linear form: atom -> coefficient; the constant under None; IOTA for the running index."""

    def __add__(self, other: Form) -> Form:
        return self.combined(other, 1)

    def __sub__(self, other: Form) -> Form:
        return self.combined(other, -1)

    def combined(self, other: Form, factor: int) -> Form:
        result = Form(self)
        for atom, coefficient in other.items():
            total = result.get(atom, 0) + factor * coefficient
            if total:
                result[atom] = total
            else:
                result.pop(atom, None)
        return result

    def times(self, factor: int) -> Form:
        return Form({a: c * factor for a, c in self.items()}) if factor else Form()

    @property
    def constant(self) -> int | None:
        """The value, if the form has no atoms."""
        if not self:
            return 0
        return self[None] if set(self) == {None} else None

    def key(self) -> frozenset[tuple[object, int]]:
        return frozenset(self.items())


@dataclass(frozen=True)
class Position:
    """Element IOTA of a value is element ``form`` of the stream read at ``source``."""

    source: int
    form: Form

    def shifted(self, form: Form) -> Position:
        return Position(self.source, self.form + form)

    def key(self) -> tuple[int, frozenset[tuple[object, int]]]:
        """Equal for the same positions; a loop over single elements counts as the running index."""
        form = self.form
        if IOTA not in form:
            counters = [a for a, c in form.items() if c == 1 and isinstance(a, tuple)]
            if len(counters) == 1:
                form = Form(form)
                del form[counters[0]]
                form[IOTA] = 1
        return self.source, form.key()


class Tokens:
    """Token data in one traced program."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._keys: dict[int, int] = {}
        self._names: dict[tuple[object, ...], int] = {}
        self._forms: dict[int, Form | None] = {}
        self._positions: dict[int, Position | None] = {}
        self._busy: set[int] = set()
        self._asked: set[int] = set()
        self._unknown: list[int] = []
        self._circular = False

    # -- streams ---------------------------------------------------------------------------------

    @cached_property
    def kinds(self) -> dict[int, frozenset[str]]:
        """uid -> the streams whose elements the value holds unchanged."""
        kinds: dict[int, set[str]] = {}
        # An entry put into a dictionary leaves the entries beside it alone.
        entries = {
            store.at.uid
            for stores in self.flow.tracer.stores.values()
            for store in stores
            if store.root.op == "dict" and store.how == "="
        }
        for kind, starts in self._reads().items():
            for uid in self._held(starts):
                kinds.setdefault(uid, set()).add(kind)
                for store in self.flow.stored.get(uid, ()):  # buffers that were filled with them
                    if store.root.op in ("call", "method") and store.at.uid not in entries:
                        kinds.setdefault(store.root.uid, set()).add(kind)
        return {uid: frozenset(names) for uid, names in kinds.items()}

    def _held(self, starts: list[Node]) -> dict[int, Node | None]:
        """What holds elements of ``starts``; a cache gives back what it was given under the key."""
        cached = self._cached

        def step(source: Node, user: Node) -> bool:
            return keeps(source, user) and (source.op != "dict" or user.uid not in cached)

        while True:
            # What is put into a dictionary is in its contents: the update need not be followed too.
            reached = self.flow.forward(starts, step, stores=lambda s: s.root.op != "dict")
            more = [
                self.flow.nodes[read]
                for read, values in cached.items()
                if read not in reached and any(value.uid in reached for value in values)
            ]
            if not more:
                return reached
            starts = [*starts, *more]

    @cached_property
    def _cached(self) -> dict[int, list[Node]]:
        """Reads of a dictionary under a key that the same call stores: uid -> what it stores."""
        stored: dict[tuple[int, int], list[Node]] = {}
        for root, stores in self.flow.tracer.stores.items():
            for store in stores:
                if store.key is not None and store.key.op != "const" and store.root.op == "dict":
                    stored.setdefault((root, store.key.uid), []).append(store.value)
        return {
            node.uid: stored[key]
            for node in self.flow.nodes
            if node.op == "index" and (key := (node.args[0].uid, node.args[1].uid)) in stored
        }

    def val_reads(self) -> list[Node]:
        """Where the validation stream is read from its files."""
        return self._reads()["val"]

    def _reads(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {"val": [], "train": []}
        for node in self.flow.nodes:
            if node.op not in ("call", "method") or not isinstance(node.data, str):
                continue
            if not _READS.search(node.data) or node.data in ("glob.glob", "glob", "rglob", "iglob"):
                continue
            text = constant_text(node)
            if node.data in _DOCUMENT_READS and _DOCUMENTS.search(text):
                continue  # what lies beside the shards is not a stream
            for kind in stream_kinds(text):
                found[kind].append(node)
        return found

    def of(self, node: Node) -> frozenset[str]:
        return self.kinds.get(node.uid, frozenset())

    def is_val(self, node: Node) -> bool:
        return "val" in self.of(node)

    # -- linear forms ------------------------------------------------------------------------------

    def key(self, node: Node) -> int:
        """A structural name: equal for values computed the same way from the same things.

        Elements of one container seen by two loops count as the same generic element.
        """
        known = self._keys.get(node.uid)
        if known is None:
            self._keys[node.uid] = -1 - node.uid  # a cycle is named by where it is entered
            known = self._keys[node.uid] = self._named(node)
        return known

    def _named(self, node: Node) -> int:
        op = node.op
        if op == "const":
            name: tuple[object, ...] = ("const", repr(node.data))
        elif op == "loopvar":
            if not node.args:
                return -1 - node.uid
            name = ("loop", *(self.key(a) for a in node.args))
        elif op in _PURE and node.data not in ("<unknown>", "<recursion>"):
            data = node.data if isinstance(node.data, (str, int)) else None
            name = (op, data, *(self.key(a) for a in node.args))
        else:
            return -1 - node.uid
        return self._names.setdefault(name, len(self._names))

    def form(self, node: Node) -> Form | None:
        """The linear form of an integer (array) value; unknown values are atoms of their own."""
        if node.uid in self._forms:
            return self._forms[node.uid]
        if node.uid in self._busy:
            return Form({self.key(node): 1})
        self._busy.add(node.uid)
        result = self._form(node)
        self._busy.discard(node.uid)
        self._forms[node.uid] = result
        return result

    def _form(self, node: Node) -> Form | None:
        op = node.op
        if op == "const":
            value = node.data
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or value != int(value)
            ):
                return None
            return Form({None: int(value)}) if value else Form()
        if op == "binop":
            return self._arithmetic(node)
        if op == "unop" and node.data == "-":
            inner = self.form(node.args[0])
            return inner.times(-1) if inner is not None else None
        if op == "call" and node.data in ("torch.arange", "numpy.arange"):
            args = node.positional
            start = self.form(args[0]) if len(args) > 1 else Form()
            return None if start is None else start + Form({IOTA: 1})
        if op == "loopvar" and node.data == "range":
            return self._counter(node)
        if op == "loopvar" and node.data == "count":
            return Form({self.key(node): 1})
        if (op == "method" and node.data in VIEWS) or (op == "call" and node.data in PASS_CALLS):
            return self.form(node.args[0]) if node.args else None
        if (
            op == "call"
            and node.data in ("numpy.clip", "torch.clamp", "numpy.maximum", "torch.clip")
            and node.args
        ):
            return self.form(node.args[0])
        if op == "method" and node.data in ("clamp", "clamp_min", "clip"):
            return self.form(node.args[0])
        if op == "call" and node.data in ("numpy.where", "torch.where") and len(node.args) == 3:
            forms = [f for f in map(self.form, node.args[1:]) if f is not None and IOTA in f]
            return forms[0] if len(forms) == 1 else Form({self.key(node): 1})
        if _where_holds(node):
            return Form({IOTA: 1})  # some of the running index's values
        if op == "index":
            return self._selected(node)
        if op == "phi":
            return self._same(node)
        return Form({self.key(node): 1})

    def _arithmetic(self, node: Node) -> Form | None:
        left, right = (self.form(a) for a in node.args)
        if left is None or right is None:
            return None
        if node.data == "+":
            return left + right
        if node.data == "-":
            return left - right
        if node.data == "*":
            if right.constant is not None:
                return left.times(right.constant)
            if left.constant is not None:
                return right.times(left.constant)
        return Form({self.key(node): 1})

    def _counter(self, node: Node) -> Form:
        args = node.args
        start = self.form(args[0]) if len(args) > 1 else Form()
        step = self.form(args[2]).constant if len(args) > 2 and self.form(args[2]) else 1  # type: ignore[union-attr]
        atom = Form({("range", node.uid, self.key(node)): 1 if step is None else step})
        return (start or Form()) + atom

    def _selected(self, node: Node) -> Form | None:
        """An array of positions, filtered: still some of the same positions."""
        base, key = node.args
        inner = self.form(base)
        if inner is not None and IOTA in inner:
            if key.op == "slice":
                low = (
                    self.form(key.args[0])
                    if key.args[0].data is not None or key.args[0].op != "const"
                    else Form()
                )
                return None if low is None else inner + low
            return inner
        return Form({self.key(node): 1})

    def _same(self, node: Node) -> Form | None:
        forms = []
        for value in alternatives(node, 4):
            if value.op == "phi" or (value.op == "const" and value.data is None):
                continue
            form = self.form(value)
            if form is not None and form not in forms:
                forms.append(form)
        if len(forms) == 1 and node.data != "open":
            return forms[0]
        return Form({self.key(node): 1})

    # -- positions -----------------------------------------------------------------------------------

    def position(self, node: Node) -> Position | None:
        """Where in its stream a token value (or a per-token score) lies."""
        if node.uid in self._asked:
            self._circular = True
            return None  # cycles give no position
        if node.uid in self._positions:
            return self._positions[node.uid]
        self._asked.add(node.uid)
        try:
            result = self._positions[node.uid] = self._position(node)
        finally:
            self._asked.discard(node.uid)
        if result is None:
            self._unknown.append(node.uid)
        if not self._asked:
            self._forget()
        return result

    def _forget(self) -> None:
        """Drop what was only unknown because it was asked for in the middle of a cycle."""
        if self._circular:
            for uid in self._unknown[:-1]:
                self._positions.pop(uid, None)
        self._circular = False
        self._unknown.clear()

    def _position(self, node: Node) -> Position | None:
        op = node.op
        if op in ("call", "method"):
            return self._called(node)
        if op == "index":
            return self._indexed(node)
        if op in ("phi", "proj", "elem"):
            return self._merged(node)
        if op == "list" or op == "tuple":
            return self._first(container_all(node.data))
        if op in ("attr", "forward"):
            return self.position(node.args[0]) if node.args else None
        if op == "unop":
            return self.position(node.args[0])
        if op == "binop":
            return self._first(node.args)
        return None

    def _called(self, node: Node) -> Position | None:
        name, args = node.data, node.positional
        written = self._written(node)
        if written is not None:
            return written
        if node.op == "call" and _READS.search(name) and self.of(node):
            return Position(0 if self.is_val(node) else 1, Form({IOTA: 1}))
        last = name.rpartition(".")[2]
        if last == "cross_entropy" or last == "nll_loss":
            return self.position(args[1]) if len(args) > 1 else None
        if last == "gather" and args:
            return self._first(args[1:] if node.op == "method" else args[2:])
        if last == "roll" and len(args) > 1:
            base, by = self.position(args[0]), self.form(args[1])
            return base.shifted(by.times(-1)) if base and by is not None else None
        if last in ("cat", "concatenate", "concat") and args:
            return self._joined(args[0])
        if last == "where" and len(args) == 3:
            return self._first(args[1:])
        if last == "sliding_window_view" or last == "unfold":
            return self.position(args[0]) if args else None
        if (
            last in ("exp", "log", "neg", "stack", "pad")
            or name in _KEEPING_CALLS
            or node.op == "method"
        ):
            return self.position(args[0]) if args else None
        return None

    def _joined(self, parts: Node) -> Position | None:
        """cat([filler, x]): x shifted to the right by the filler's length."""
        if parts.op not in ("list", "tuple"):
            return self.position(parts)
        values = container_all(parts.data)
        if not parts.data.exact or len(values) != 2:
            return self._first(values)
        filler, rest = values
        position = self.position(rest)
        if position is None:
            return self.position(filler)
        length = self._length(filler)
        return position.shifted(Form({None: -length})) if length else None

    def _length(self, node: Node) -> int | None:
        """The length along the last axis, where constants give it; a filler that is no token is 1 long."""
        if not self.of(node):
            return 1
        high, position = self.upper(node), self.position(node)
        if high is None or position is None:
            return None
        start = Form(position.form)
        start.pop(IOTA, None)
        return (high - start).constant

    def upper(self, node: Node) -> Form | None:
        """The stream position behind the last element of a slice of the stream, if slices give it."""
        if (node.op == "method" and node.data in VIEWS) or (
            node.op == "call" and node.data in PASS_CALLS
        ):
            return self.upper(node.args[0]) if node.args else None
        if node.op != "index":
            return None
        base, bounds = node.args
        if bounds.op == "tuple" and bounds.data.items:
            bounds = bounds.data.items[-1]
        if bounds.op == "const" and bounds.data is None:
            return self.upper(base)
        if bounds.op != "slice":
            return None
        high = bounds.args[1]
        if high.op == "const" and high.data is None:
            return self.upper(base)
        if high.op == "const" and isinstance(high.data, int) and high.data < 0:
            whole = self.upper(base)
            return None if whole is None else whole + Form({None: high.data})
        start, bound = self.position(base), self.form(high)
        if start is None or bound is None:
            return None
        offset = Form(start.form)
        offset.pop(IOTA, None)
        return offset + bound

    def _written(self, node: Node) -> Position | None:
        """A buffer's position is that of what was stored in it."""
        for store in self.flow.tracer.stores.get(node.uid, ()):
            if not (self.of(store.value) or store.value.op in ("index", "call", "method")):
                continue
            position = self.position(store.value)
            if position is None:
                continue
            low = self._low(store.key)
            if low is not None:
                return position.shifted(low.times(-1))
        return None

    def _low(self, key: Node | None) -> Form | None:
        """Where along the last axis a slice begins."""
        if key is None:
            return Form()
        if key.op in ("tuple", "list") and key.data.items:
            slices = [k for k in key.data.items if k.op == "slice"]
            key = slices[-1] if slices else key.data.items[-1]
        if key.op == "slice":
            low = key.args[0]
            return Form() if low.op == "const" and low.data is None else self.form(low)
        if key.op == "loopvar" or key.op == "elem":
            return Form()
        return Form() if key.op == "const" else self.form(key)

    def _indexed(self, node: Node) -> Position | None:
        position = self.position(node.args[0])
        return self.part(position, node) if position else self._by_position(*node.args)

    def part(self, position: Position, node: Node) -> Position | None:
        """The position of ``node`` = base[key], where the base lies at ``position``."""
        base, key = node.args
        if key.op in ("tuple", "list") and key.data.items:
            inner = [k for k in key.data.items if k.op == "slice" or not self._row(k)]
            if not inner:
                return position
            key = inner[-1]
        if _counts_from_end(key):
            return self._from_end(position, base, key)
        if key.op == "slice":
            low = self._low(key)
            return None if low is None else position.shifted(low)
        form = self.form(key)
        if form is None or (IOTA not in form and (_is_filter(key) or _is_matrix(base))):
            return position
        start = Form(position.form)
        start.pop(IOTA, None)
        return Position(position.source, start + form)

    def _from_end(self, position: Position, base: Node, key: Node) -> Position | None:
        """``base[-k]`` and ``base[-k:]``, where it is known at which position the base ends."""
        end = self.upper(base)
        if end is None:
            return None
        single = key.op == "const"
        start = end + Form({None: (key if single else key.args[0]).data})
        return Position(position.source, start if single else start + Form({IOTA: 1}))

    def _by_position(self, base: Node, key: Node) -> Position | None:
        """A per-vocabulary value picked at a token: it belongs to that token's position."""
        keys = key.data.items if key.op in ("tuple", "list") else [key]
        return self._first([k for k in reversed(keys) if self.of(k)])

    def _row(self, key: Node) -> bool:
        return key.op in ("loopvar", "const", "elem", "proj") or (key.op == "phi")

    def _merged(self, node: Node) -> Position | None:
        values = [a for a in alternatives(node, 6) if a is not node and a.op != "const"]
        if values:
            return self._first(values)
        return self.position(node.args[0]) if node.args and node.op == "elem" else None

    def _first(self, nodes: Iterable[Node]) -> Position | None:
        for node in nodes:
            position = self.position(node)
            if position is not None:
                return position
        return None


def behind(node: Node) -> Iterator[Node]:
    """The value and those that it is a part or a view of, outwards."""
    yield node
    for _ in range(12):
        part = node.op == "index" or (node.op == "method" and node.data in VIEWS)
        if not part and not (node.op == "call" and node.data in PASS_CALLS and node.args):
            return
        node = node.args[0]
        yield node


def joined(node: Node) -> list[Node]:
    """The pieces of a known concatenation that a value is taken from, else the value itself."""
    for whole in behind(node):
        if whole.op == "call" and whole.data.rpartition(".")[2] in _JOINS and whole.args:
            pieces = whole.args[0]
            if pieces.op in ("list", "tuple") and pieces.data.exact and len(pieces.data.items) > 1:
                return [p for piece in pieces.data.items for p in joined(piece)]
    return [node]


def stream_kinds(text: str) -> set[str]:
    """The streams that a file pattern names; a text that names both says nothing."""
    words = re.findall(r"[a-z]+", text.lower())
    kinds = set()
    if any(w in ("val", "valid", "validation", "vals") for w in words):
        kinds.add("val")
    if any(w in ("train", "training") for w in words):
        kinds.add("train")
    return kinds


def _is_matrix(node: Node) -> bool:
    """Whether a value has rows, as far as the call that shaped it shows."""
    for _ in range(12):
        if (
            node.op == "method" and node.data in ("reshape", "view", "expand")
        ) or node.data in _ALLOCATIONS:
            sizes = node.positional[1:] if node.op == "method" else node.positional
            if len(sizes) == 1 and sizes[0].op in ("tuple", "list"):
                return len(sizes[0].data.items) > 1
            return len(sizes) > 1
        if node.op in ("call", "method") and node.data in (
            "unsqueeze",
            "torch.stack",
            "numpy.stack",
        ):
            return True
        if not node.args or not (
            (node.op == "method" and node.data in VIEWS)
            or (node.op == "call" and node.data in PASS_CALLS)
            or node.op == "unop"
        ):
            return False
        node = node.args[0]
    return False


def _counts_from_end(key: Node) -> bool:
    """Whether an index, or the beginning of a slice, is a negative constant."""
    first = key.args[0] if key.op == "slice" else key
    return first.op == "const" and isinstance(first.data, int) and first.data < 0


def _where_holds(node: Node) -> bool:
    """The indices where a mask holds, or a part of them."""
    if node.op == "call":
        return bool(node.data.rpartition(".")[2] == "flatnonzero")
    if node.op == "proj" or (node.op == "index" and node.args[1].op == "const"):
        made = node.args[0]
        name = made.data.rpartition(".")[2] if made.op in ("call", "method") else ""
        return name == "nonzero" or (name == "where" and len(made.positional) == 1)
    return node.op == "index" and _where_holds(node.args[0])


def _is_filter(key: Node) -> bool:
    """A mask, or the indices where a mask holds: some of the same elements."""
    if key.op in ("compare", "bool", "unop"):
        return True
    if key.op == "binop" and key.data in ("&", "|", "^"):
        return True
    if key.op == "proj" or (key.op == "index" and key.args[1].op == "const"):
        inner = key.args[0]
        return inner.op == "call" and inner.data.rpartition(".")[2] in (
            "nonzero",
            "where",
            "flatnonzero",
        )
    if key.op == "call" and key.data.rpartition(".")[2] in (
        "nonzero",
        "flatnonzero",
        "isin",
        "isfinite",
    ):
        return True
    if key.op == "index":
        return _is_filter(key.args[0]) or _is_filter(key.args[1])
    if key.op == "phi":
        values = alternatives(key, 4)
        return bool(values) and all(_is_filter(v) for v in values if v is not key)
    return False


def keeps(source: Node, user: Node) -> bool:
    """Whether ``user`` holds elements of ``source`` unchanged."""
    op = user.op
    if is_place(source, user):
        return False
    if op == "phi":  # a hash that starts as a token is no token
        return not any(v.op in ("binop", "forward", "compare") for v in alternatives(user, 8))
    if op in ("proj", "elem", "tuple", "list", "dict", "set"):
        return True
    if op == "index":
        return user.args[0] is source or (
            user.args[0].uid != user.args[1].uid and _holds(user.args[0], source)
        )
    if op == "method":
        given = user.args[0] is not source and any(a is source for a in user.args[1:])
        return user.data in _KEEPING_METHODS and not given and _holds(user.args[0], source)
    if op == "call":
        if user.data in _KEEPING_CALLS:
            return True
        return bool(_READS.search(user.data)) and "load" not in user.data
    if op == "attr":
        return user.data in ("T", "data", "mT")
    if op == "binop":  # unpacking and masking of raw shards, and moving a byte order
        other = user.args[1] if user.args[0] is source else user.args[0]
        return (
            other.op == "const"
            and user.data in ("&", "|", "+", "-")
            and isinstance(other.data, int)
        )
    return False


def _holds(base: Node, source: Node) -> bool:
    """Edges from updates of ``base`` count as edges from ``base`` itself."""
    return base is source or base.op in (
        "call",
        "method",
        "index",
        "phi",
        "proj",
        "elem",
        "list",
        "tuple",
        "attr",
        "dict",
    )
