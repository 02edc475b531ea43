"""Edges of the value graph in both directions, memory included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from auditor.analysis.graph import Node, Store, inputs, may_precede, roots, shares_loop
from auditor.analysis.trace.core import Core

_SHAPE_ONLY = frozenset(
    "device dtype shape ndim size numel dim nelement element_size is_cuda stride __len__ len "
    "torch.zeros_like torch.empty_like torch.ones_like torch.full_like torch.randn_like "
    "torch.rand_like numpy.zeros_like numpy.empty_like numpy.ones_like numpy.full_like new_zeros "
    "new_empty new_full new_ones torch.numel numpy.shape numpy.size get_device isinstance issubclass "
    "hasattr callable torch.is_tensor is_floating_point training requires_grad".split()
)
"""Attributes, methods and calls that take form, not content, from what they are asked of."""


_STATELESS = frozenset("const ext binop unop compare bool function class loopvar env slice".split())
"""Values that are no allocation and no view of one: nothing updates them in place."""

_ASKING = frozenset(("attr", "method", "call"))
_OPENED = frozenset("tuple list dict set proj elem index".split())  # `inputs` opens these


def takes_content(node: Node) -> bool:
    """Whether the node's value depends on the values it is made from, not just on their form."""
    return not (node.op in _ASKING and node.data in _SHAPE_ONLY)


class Flow:
    """Who is made from what, through values and through in-place updates."""

    def __init__(self, tracer: Core) -> None:
        self.tracer = tracer
        self.nodes = tracer.nodes
        self._roots: dict[int, list[Node]] = {}
        self._updates: dict[int, list[Store]] = {}
        self._users: dict[int, list[Node]] | None = None
        self._stored: dict[int, list[Store]] | None = None
        self._picked: list[Node] | None = None

    def roots(self, node: Node) -> list[Node]:
        found = self._roots.get(node.uid)
        if found is None:
            found = self._roots[node.uid] = roots(node)
        return found

    def stores(self, node: Node) -> list[Store]:
        """In-place updates of the allocations behind ``node``."""
        found = self._updates.get(node.uid)
        if found is None:
            table = self.tracer.stores
            found = self._updates[node.uid] = []
            for root in self.roots(node):
                found.extend(table.get(root.uid, ()))
        return found

    def contents(self, node: Node, at: Node) -> Iterator[Store]:
        """The updates of ``node`` that ``at`` may see."""
        for store in self.stores(node):
            if may_precede(store.at, at):
                yield store

    @property
    def users(self) -> dict[int, list[Node]]:
        """uid -> the nodes made directly from it."""
        if self._users is None:
            table: dict[int, list[Node]] = {}
            for node in self.nodes:
                for source in inputs(node) if node.op in _OPENED else node.args:
                    table.setdefault(source.uid, []).append(node)
            self._users = table
        return self._users

    @property
    def stored(self) -> dict[int, list[Store]]:
        """uid -> the updates that store it as their value."""
        if self._stored is None:
            table: dict[int, list[Store]] = {}
            for stores in self.tracer.stores.values():
                for store in stores:
                    table.setdefault(store.value.uid, []).append(store)
            self._stored = table
        return self._stored

    def backward(
        self,
        start: Iterable[Node],
        through: Callable[[Node], bool] | None = None,
        *,
        memory: bool = True,
        keys: bool = False,
        places: bool = False,
        limit: int = 60_000,
    ) -> Iterator[Node]:
        """Every node whose value may have gone into ``start``.

        ``through`` says which nodes to look behind (all by default); ``memory`` follows in-place
        updates, ``keys`` also where they were made, ``places`` also what picks an element or a part
        of a container.
        """
        seen: set[int] = set()
        todo = list(start)
        updates = self._updates
        while todo and len(seen) < limit:  # the hottest loop of an audit
            node = todo.pop()
            if node.uid in seen:
                continue
            seen.add(node.uid)
            yield node
            op = node.op
            if op in _ASKING and node.data in _SHAPE_ONLY:  # takes_content, without the call
                continue
            if through is not None and not through(node):
                continue
            if places:
                todo.extend(a for a in node.args if a.uid not in seen)
            for source in inputs(node) if op in _OPENED else node.args:
                uid = source.uid
                if uid not in seen:
                    todo.append(source)
                if memory and source.op not in _STATELESS:
                    known = updates.get(uid)
                    if known is None:
                        known = self.stores(source)
                    for store in known:
                        if store.at.uid > node.uid and not shares_loop(store.at, node):
                            continue
                        if store.value.uid not in seen:
                            todo.append(store.value)
                        if keys and store.key is not None and store.key.uid not in seen:
                            todo.append(store.key)

    def forward(
        self,
        start: Iterable[Node],
        step: Callable[[Node, Node], bool] | None = None,
        *,
        limit: int = 60_000,
        stores: Callable[[Store], bool] | None = None,
    ) -> dict[int, Node | None]:
        """Every node that ``start`` flows into, each with the node that it was reached from.

        ``step(source, user)`` may refuse an edge; for what was stored in place, ``source`` is the
        updated allocation, as ``user`` sees it. ``stores`` says which updates to follow (all by default).
        """
        reached: dict[int, Node | None] = {node.uid: None for node in start}
        todo = [self.nodes[uid] for uid in reached]
        while todo and len(reached) < limit:
            node = todo.pop()
            for source, user in self._successors(node, stores):
                if (
                    user.uid in reached
                    or not takes_content(user)
                    or (step is not None and not step(source, user))
                ):
                    continue
                reached[user.uid] = node
                todo.append(user)
        return reached

    def chosen_by(self, test: Node) -> list[Node]:
        """The values that were picked by ``test``: joins of branches, conditional expressions."""
        if self._picked is None:
            self._picked = [n for n in self.nodes if n.op == "phi" and isinstance(n.data, Node)]
        return [n for n in self._picked if rests_on(n.data, test)]

    def _successors(
        self, node: Node, stores: Callable[[Store], bool] | None
    ) -> Iterator[tuple[Node, Node]]:
        for user in self.users.get(node.uid, ()):
            yield node, user
        for store in self.stored.get(node.uid, ()):
            if store.root.uid != node.uid and (stores is None or stores(store)):
                yield from self._content_users(store)

    def _content_users(self, store: Store) -> Iterator[tuple[Node, Node]]:
        """Nodes that read the updated allocation afterwards, each with the view of it that it reads."""
        seen = {store.root.uid}
        todo = [store.root]
        while todo:
            base = todo.pop()
            for user in self.users.get(base.uid, ()):
                if user.uid in seen:
                    continue
                seen.add(user.uid)
                if any(r is store.root for r in self.roots(user)):
                    todo.append(user)
                if may_precede(store.at, user):
                    yield base, user


def rests_on(test: Node, part: Node) -> bool:
    """Whether ``part`` is the test, negated or joined with others."""
    return test is part or (
        test.op in ("bool", "unop") and any(rests_on(a, part) for a in test.args)
    )


def path_to(reached: dict[int, Node | None], node: Node, nodes: list[Node]) -> list[Node]:
    """The chain from a start of ``reached`` to ``node``, first to last."""
    chain = [node]
    previous = reached.get(node.uid)
    while previous is not None and len(chain) < 400:
        chain.append(previous)
        previous = reached.get(previous.uid)
    return chain[::-1]
