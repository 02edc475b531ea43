"""What is known only once the realised token is known: its class, its counts, its score.

A score may be computed from these, but what chooses or weighs the experts may not. "In the same
iteration" is decided by program order: a value that comes round through a loop-carried name belongs
to an earlier token, which is history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from auditor.analysis.flow import Flow, takes_content
from auditor.analysis.graph import VIEWS, Node, Store, alternatives, container_all, inputs
from auditor.analysis.scores import Scores, as_value, last_name
from auditor.analysis.tables import Tables
from auditor.analysis.tokens import Tokens, keeps

_ORDERINGS = frozenset(("<", "<=", ">", ">="))
_LOGS = frozenset("log log2 log1p logaddexp log10 logsumexp log_ logaddexp2".split())
_NO_SCORE = frozenset("forward function class object module bound event compare bool slice".split())
_ALLOCATIONS = frozenset("call method set object attr".split())
_GRADIENTS = frozenset(("torch.autograd.grad", "torch.func.grad"))
_BOXES = frozenset(("list", "tuple", "dict", "set"))
_SUMS = frozenset("sum mean nansum nanmean fsum".split())


class Gold:
    """Values of one traced program that exist only after the token that they are about."""

    def __init__(self, flow: Flow, tokens: Tokens, scores: Scores, tables: Tables) -> None:
        self.flow = flow
        self.tokens = tokens
        self.scores = scores
        self.tables = tables
        self._behind: dict[int, Node | None] = {}

    # -- the realised token --------------------------------------------------------------------

    @cached_property
    def _stream(self) -> dict[int, Node | None]:
        """uids of stream elements themselves; a token that was found in a table is a guess."""
        return self.flow.forward(self.tokens.val_reads(), self._moves, stores=self.kept)

    def _moves(self, source: Node, user: Node) -> bool:
        return keeps(source, user) and not self._looked_up(source, user)

    def _looked_up(self, source: Node, user: Node) -> bool:
        """Whether ``user`` finds ``source`` in a table, under a key made from tokens."""
        if user.op == "dict":
            return True
        if user.op in ("proj", "elem") and source is not user.args[0]:
            return _from_mapping(user.args[0])
        if user.op == "index" and user.data in ("get", "dict"):
            return user.args[0] is source and user.args[1].op != "const"
        return user.op == "method" and user.data == "get" and user.args[0] is source

    def kept(self, store: Store) -> bool:
        """Whether an update goes into a buffer, by position, and not into a table."""
        return store.at.uid not in self._filings

    @cached_property
    def _filings(self) -> frozenset[int]:
        """uids of the updates that are made under keys made from tokens."""
        return frozenset(
            store.at.uid
            for stores in self.flow.tracer.stores.values()
            for store in stores
            if store.root.op == "dict" or (store.root.op in _ALLOCATIONS and self._by_tokens(store))
        )

    def _by_tokens(self, store: Store) -> bool:
        key = store.key
        if key is None or key.op in ("const", "slice", "loopvar", "compare"):
            return False
        return any(True for _ in self.tables.key_tokens(key))

    def is_token(self, node: Node) -> bool:
        """Whether the node is the token that is being scored."""
        if node.uid not in self._stream:
            return False
        if node.uid in self.scores.target_values:
            return True
        position = self.tokens.position(node)
        return position is not None and position.key() in self.scores.scored_positions

    # -- its counts and scores -----------------------------------------------------------------

    @cached_property
    def neural(self) -> dict[int, Node | None]:
        """What is computed from the model's score of the realised token, and from where."""
        return self.flow.forward(self._scored, self.scores_on, stores=self.kept)

    @cached_property
    def _scored(self) -> list[Node]:
        return [n for n in self._gathered if not self.learns(n)]

    @cached_property
    def _gathered(self) -> list[Node]:
        return [n for n, t in self.scores.val_losses if t.uid in self._stream]

    @cached_property
    def counts(self) -> list[Node]:
        """Reads of one count: that of the realised token under its context."""
        return [n for n in self.flow.nodes if self._counts(n)]

    def _counts(self, node: Node) -> bool:
        if node.op == "index" and node.uid not in self.scores_of_models:
            return self._names_token(node.args[1])
        return (
            node.op == "method"
            and node.data == "get"
            and len(node.args) > 1
            and self._names_token(node.args[1])
        )

    @cached_property
    def scores_of_models(self) -> frozenset[int]:
        return frozenset(n.uid for n, _ in self.scores.losses)

    def _names_token(self, key: Node) -> bool:
        parts = key.data.items if key.op == "tuple" else [key]
        return any(self.is_token(part) for part in parts)

    @cached_property
    def values(self) -> dict[int, Node | None]:
        """What is computed from the realised token's scores or counts."""
        return self.flow.forward([*self._scored, *self.tabled], self.scores_on, stores=self.kept)

    def is_value(self, node: Node) -> bool:
        """Whether the node is in ``values``, or a buffer that was filled with such."""
        return self._in(node, self.values)

    def is_scored(self, node: Node) -> bool:
        """The same for ``neural``."""
        return self._in(node, self.neural)

    def _in(self, node: Node, values: dict[int, Node | None]) -> bool:
        if node.uid in values:
            return True
        stores: Iterable[Store] = self.flow.tracer.stores.get(node.uid, ())
        return any(s.value.uid in values and self.kept(s) for s in stores)

    @cached_property
    def tabled(self) -> list[Node]:
        """Those of ``counts`` that read a table which learns from the stream."""
        return [n for n in (*self.counts, *self._gathered) if self.learns(n)]

    def learns(self, read: Node) -> bool:
        """Whether the table behind a read accumulates from tokens."""
        todo: list[Node] = [read.args[0]]
        seen: set[int] = set()
        while todo and len(seen) < 40:
            node = todo.pop()
            if node.uid in seen:
                continue
            seen.add(node.uid)
            if node.uid in self.tables.counting or self._filled(node):
                return True
            if node.op in ("index", "method", "attr"):
                todo.append(node.args[0])
            elif node.op in ("phi", "elem", "proj", "list", "tuple"):
                todo.extend(inputs(node))
        return False

    def _filled(self, node: Node) -> bool:
        """A container that is updated under keys made from tokens."""
        if node.op not in ("dict", "call"):
            return False
        stores: Iterable[Store] = self.flow.tracer.stores.get(node.uid, ())
        return any(self._by_tokens(store) for store in stores)

    def scores_on(self, source: Node, user: Node) -> bool:
        """Whether a score's value goes on into ``user``."""
        if user.op == "forward":
            return user.args[0] is source
        if user.op in _NO_SCORE or user.data in _GRADIENTS or not as_value(source, user):
            return False
        return not self._looked_up(source, user)

    # -- control and weight --------------------------------------------------------------------

    def behind(self, test: Node) -> Node | None:
        """What about the realised token decides ``test``, if anything does.

        A comparison of the token with a guess is how a tilt is scored and decides nothing.
        """
        if test.uid not in self._behind:
            self._behind[test.uid] = next(self._facts(test), None)
        return self._behind[test.uid]

    def _facts(self, start: Node) -> Iterator[Node]:
        seen: set[int] = set()
        todo = [(start, False)]  # a node, and whether an ordering was asked of it
        while todo and len(seen) < 300:
            node, ordered = todo.pop()
            if node.uid in seen or not _same_pass(node, start):
                continue
            seen.add(node.uid)
            if all(v.op in _BOXES for v in alternatives(node, 4)):
                continue  # whether it's empty, not what it holds
            if node.uid in self.values or (not ordered and self._class_of_token(node)):
                yield node
            elif _asks_for_none(node):  # not what the value is, but which branch made it
                todo.extend((t, False) for a in node.args for t in _tests(a))
            elif not self._opaque(node):
                ordered = ordered or (node.op == "compare" and node.data in _ORDERINGS)
                todo.extend((a, ordered) for a in self.sources(node) if a.uid < node.uid)

    def _opaque(self, node: Node) -> bool:
        """Whether what a value is made from says nothing about the value's dependence."""
        if node.op in ("forward", "const", "ext") or not takes_content(node):
            return True
        if node.op in ("call", "method") and last_name(node) in ("any", "len"):
            return True  # whether there is work to do, for any token
        return self.is_token(node)

    def sources(self, node: Node) -> Iterator[Node]:
        """What a value is made from in the same iteration, updates before it included."""
        yield from _arguments(node)
        if node.op in ("index", "method"):
            for store in self.flow.tracer.stores.get(node.args[0].uid, ()) if node.args else ():
                if (
                    store.at.uid < node.uid
                    and store.at.ctx.loops[: len(node.ctx.loops)] == node.ctx.loops
                ):
                    yield store.value

    def _class_of_token(self, node: Node) -> bool:
        """A property looked up for the token; where an ordering is asked, a length or a count."""
        if node.op != "index" or node.uid in self.scores_of_models:
            return False
        return self.is_token(node.args[1])

    def properties(self, test: Node) -> Iterator[tuple[Node, Node]]:
        """(token, looked-up property) for stream tokens of this iteration behind ``test``."""
        for node in self.flow.backward(
            [test], lambda n: n.op != "forward", memory=False, limit=120
        ):
            looked_up = (
                node.op == "index" and node.data is None and node.uid not in self.scores_of_models
            )
            if looked_up and node.args[1].uid in self._stream:
                yield plain(node.args[1]), node

    def made_from(self, update: Store, token: Node) -> bool:
        """Whether an update is keyed by the token or stores it."""
        starts = [n for n in (update.key, update.value) if n is not None]
        return any(
            n is token or plain(n) is token
            for n in self.flow.backward(starts, memory=False, limit=40)
        )

    def compared(self, test: Node) -> Node | None:
        """The comparison of two scores of the realised token that decides ``test``, if one does."""
        for node in self.flow.backward(
            [test], lambda n: n.op not in ("forward", "index") or n is test, memory=False, limit=80
        ):
            if (
                node.op == "compare"
                and node.data in _ORDERINGS
                and all(self.is_value(a) for a in node.args)
            ):
                return node
        return None

    # -- onwards -------------------------------------------------------------------------------

    def to_score(self, start: Node) -> list[Node] | None:
        """The chain from a value, as this iteration has it, through a log to an output."""
        before = self.flow.forward(_with_parts(start), self._onward, limit=4000, stores=self.kept)
        logs = [self.flow.nodes[u] for u in before if self.flow.nodes[u].op in ("call", "method")]
        for log in sorted((n for n in logs if last_name(n) in _LOGS), key=lambda n: n.uid):
            output = self.scores.reaches_output(log)
            if output is not None:
                return [*chain(before, log, self.flow.nodes), output]
        return None

    def _onward(self, source: Node, user: Node) -> bool:
        if user.uid < source.uid and user.uid not in self._summaries:
            return False
        return as_value(source, user) and not self._looked_up(source, user)

    @cached_property
    def _summaries(self) -> frozenset[int]:
        """uids of the phis that stand for all elements of a container."""
        boxes = (n.data for n in self.flow.nodes if n.op in ("list", "tuple", "set"))
        return frozenset(b.summary.uid for b in boxes if b.summary is not None)

    def _adds_up(self, node: Node) -> bool:
        """``total = total + x``: the sum goes round into one of its own terms."""
        return any(
            self.is_running(a) and any(v is node for v in alternatives(a, 12)) for a in node.args
        )

    def sums(self, node: Node) -> bool:
        """Whether the node adds up values of many positions."""
        if node.op in ("call", "method"):
            return last_name(node) in _SUMS
        return node.op == "binop" and node.data in "+-" and self._adds_up(node)

    @staticmethod
    def is_running(node: Node) -> bool:
        """Whether the node is a loop-carried value, such as a running total."""
        return node.op == "phi" and node.data == "open"

    def accumulates(self, start: Node) -> Node | None:
        """Where ``start`` is added up over positions on its way to an output, if it is."""
        for total in self.totals(start):
            output = self.scores.reaches_output(total)
            if output is not None:
                return output
        return None

    def totals(self, start: Node) -> Iterator[Node]:
        """The sums that ``start`` goes into."""
        reached = self.flow.forward([start], self.scores_on, limit=4000, stores=self.kept)
        nodes = (self.flow.nodes[uid] for uid in sorted(reached))
        return (node for node in nodes if self.sums(node))


def _from_mapping(node: Node, depth: int = 6) -> bool:
    """Whether a container was found in a mapping, under a key that varies."""
    if node.op == "index" and node.data in ("get", "dict"):
        return bool(node.args[1].op != "const")
    if node.op not in ("phi", "proj", "elem") or not depth:
        return False
    return any(_from_mapping(a, depth - 1) for a in node.args if a.uid < node.uid)


def _with_parts(node: Node) -> list[Node]:
    """A value, and what it holds where it is a tuple: parts are taken out of it one by one."""
    boxes = [v for v in alternatives(node, 6) if v.op == "tuple"] if node.op == "phi" else []
    return [
        node,
        *(part for box in boxes for part in container_all(box.data) if part.op != "const"),
    ]


def _same_pass(node: Node, test: Node) -> bool:
    """Whether one lies within the other's loops: what an earlier loop left behind is history."""
    shared = min(len(node.ctx.loops), len(test.ctx.loops))
    return node.ctx.loops[:shared] == test.ctx.loops[:shared]


def _asks_for_none(node: Node) -> bool:
    return node.op == "compare" and any(a.op == "const" and a.data is None for a in node.args)


def _tests(node: Node) -> list[Node]:
    """The tests that decide which of its values a joined value has."""
    if node.op != "phi":
        return []
    own = [node.data] if isinstance(node.data, Node) else []
    return own + [t for a in node.args if a.uid < node.uid for t in _tests(a)]


def _arguments(node: Node) -> Iterable[Node]:
    if node.op in ("proj", "elem", "phi", "list", "tuple", "index"):
        return inputs(node)
    return node.args  # type: ignore[no-any-return]


def chain(reached: dict[int, Node | None], node: Node, nodes: list[Node]) -> list[Node]:
    """The way from a start of ``reached`` to ``node``."""
    from auditor.analysis.flow import path_to

    return path_to(reached, node, nodes)


def plain(node: Node) -> Node:
    """The value behind casts, reshapes and single-valued joins."""
    for _ in range(20):
        if node.op == "method" and node.data in VIEWS:
            node = node.args[0]
            continue
        if node.op in ("phi", "proj", "elem"):
            values = [v for v in alternatives(node, 4) if v is not node and v.op != "const"]
            if len(values) == 1 and values[0].op not in ("phi", "proj", "elem"):
                node = values[0]
                continue
        break
    return node


__all__ = ["Gold", "chain", "plain"]
