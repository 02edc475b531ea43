"""Where realised tokens meet the model's output, and what reaches the printed score."""

from __future__ import annotations

from functools import cached_property

from auditor.analysis.flow import Flow, path_to
from auditor.analysis.graph import VIEWS, Node, is_place
from auditor.analysis.tokens import Tokens

LOSSES = frozenset(
    ("cross_entropy", "nll_loss", "linear_cross_entropy", "fused_linear_cross_entropy")
)
_ELEMENTWISE = frozenset(
    "exp neg negative log abs clamp clip minimum maximum float double reshape view to cpu numpy mul "
    "add sub div where nan_to_num log2 exp2 pow sqrt".split()
)
_LOGS = frozenset(("log", "log2", "log1p", "logaddexp", "log10", "logsumexp", "log_", "logaddexp2"))


def last_name(node: Node) -> str:
    """The last part of a call's or method's name."""
    return node.data.rpartition(".")[2] if isinstance(node.data, str) else ""


class Scores:
    """Score values of one traced program."""

    def __init__(self, flow: Flow, tokens: Tokens) -> None:
        self.flow = flow
        self.tokens = tokens

    @cached_property
    def losses(self) -> list[tuple[Node, Node]]:
        """(score value, realised tokens) wherever a model's output is compared with tokens."""
        found = []
        for node in self.flow.nodes:
            if node.op not in ("call", "method", "index"):
                continue
            target = self._target(node)
            if target is not None and self.tokens.of(target):
                found.append((node, target))
        return found

    def _target(self, node: Node) -> Node | None:
        if node.op == "index":
            return self._picked(node)
        name = last_name(node)
        if name in LOSSES:
            args = node.positional
            place = 2 if "linear" in name else 1  # those take the weight matrix, too
            return (
                node.keyword("target")
                or node.keyword("targets")
                or (args[place] if len(args) > place else None)
            )
        if name in ("gather", "take_along_dim", "take_along_axis"):
            args = node.positional
            index = node.keyword("index") or node.keyword("indices")
            if index is None:
                candidates = [a for a in args[1:] if self.tokens.of(a)]
                index = candidates[-1] if candidates else None
            if index is not None and args and not self.tokens.of(args[0]):
                return index
        return None

    def _picked(self, node: Node) -> Node | None:
        """``log_probs[rows, tokens]``: a score picked by advanced indexing."""
        base, key = node.args
        if key.op not in ("tuple", "list") or self.tokens.of(base) or node.data in ("get", "dict"):
            return None  # a tuple names a place in an array, but is one key of a mapping
        picked = [k for k in key.data.items if k.op != "slice" and self.tokens.of(k)]
        return picked[-1] if picked else None

    @cached_property
    def val_losses(self) -> list[tuple[Node, Node]]:
        return [(n, t) for n, t in self.losses if "val" in self.tokens.of(t)]

    @cached_property
    def scored_positions(self) -> set[object]:
        """Keys of the stream positions that scores of validation tokens stand for."""
        keys: set[object] = set()
        starts = [n for n, _ in self.val_losses] + [t for _, t in self.val_losses]
        for node, target in self.val_losses:
            for one in (node, target):
                position = self.tokens.position(one)
                if position is not None:
                    keys.add(position.key())
        for uid in self.flow.forward(starts, _elementwise, limit=4000):
            node = self.flow.nodes[uid]
            if node.op == "index":
                position = self.tokens.position(node)
                if position is not None:
                    keys.add(position.key())
        return keys

    @cached_property
    def target_values(self) -> set[int]:
        """uids of values that are the realised tokens themselves, under any name or cast."""
        starts = [t for _, t in self.val_losses]
        found = set()
        for start in starts:
            for node in self.flow.backward([start], _same_elements, memory=False, limit=60):
                if self.tokens.is_val(node):
                    found.add(node.uid)
        grown = self.flow.forward([self.flow.nodes[u] for u in found], _renamed, limit=4000)
        return set(grown)

    @cached_property
    def outputs(self) -> dict[int, Node]:
        """Values that are printed, logged, written or reduced over ranks: uid -> where first."""
        found: dict[int, Node] = {}
        for event in self.flow.tracer.events:
            if event.kind == "output":
                for value in event.args:
                    found.setdefault(value.uid, event.at)
        return found

    def path_to_score(
        self, start: Node, blocked: frozenset[int] = frozenset()
    ) -> list[Node] | None:
        """The chain of values from ``start`` as a probability through a log to an output, if any."""
        before = self.flow.forward(
            [start], lambda s, u: u.uid not in blocked and as_value(s, u), limit=6000
        )
        logs = [self.flow.nodes[u] for u in before if self.flow.nodes[u].op in ("call", "method")]
        for log in sorted((n for n in logs if last_name(n) in _LOGS), key=lambda n: n.uid):
            after = self.reaches_output(log)
            if after is not None:
                chain = path_to(before, log, self.flow.nodes)
                return [*chain, after]
        return None

    def values_from(self, start: Node) -> dict[int, Node | None]:
        """What is computed from ``start``, not merely chosen by it: uid -> predecessor."""
        return self.flow.forward([start], as_value, limit=6000)

    def reaches_output(self, start: Node) -> Node | None:
        chain = self.path_to_output(start)
        return chain[-1] if chain else None

    def path_to_output(self, start: Node) -> list[Node]:
        """The chain of values from ``start`` to the first thing printed that is made from it."""
        reached = self.flow.forward([start], as_value, limit=6000)
        for uid in reached:
            if uid in self.outputs:
                return path_to(reached, self.flow.nodes[uid], self.flow.nodes)
        for uid in reached:  # a buffer that holds it is printed as a whole
            for store in self.flow.stored.get(uid, ()):
                if store.root.uid in self.outputs:
                    return [*path_to(reached, self.flow.nodes[uid], self.flow.nodes), store.root]
        return []


def as_value(source: Node, user: Node) -> bool:
    """Whether ``user``'s value is computed from ``source``'s, not merely chosen by it."""
    if is_place(source, user):
        return False
    if user.op in ("compare", "slice"):
        return False
    if user.op in ("call", "method"):
        name = last_name(user)
        if (
            name in ("where",)
            and user.positional
            and user.positional[0] is source
            and len(user.positional) == 3
        ):
            return False
        if name in (
            "nonzero",
            "argmax",
            "argsort",
            "searchsorted",
            "flatnonzero",
            "range",
            "zeros",
            "isfinite",
        ):
            return False
    return True


def _elementwise(source: Node, user: Node) -> bool:
    if user.op == "index":
        return user.args[0] is source
    if user.op in ("phi", "proj", "unop", "binop", "attr"):
        return True
    if user.op in ("call", "method"):
        return last_name(user) in _ELEMENTWISE or user.data in VIEWS
    return False


def _same_elements(node: Node) -> bool:
    """Look behind casts and reshapes, but not behind slices."""
    return (
        node.op in ("phi", "proj", "elem")
        or (node.op == "method" and node.data in VIEWS)
        or node.op == "call"
    )


def _renamed(source: Node, user: Node) -> bool:
    if user.op in ("phi", "tuple", "list", "proj", "elem"):
        return True
    if user.op == "index":
        return user.args[0] is source and user.args[1].op != "slice"
    if user.op == "method":
        return user.data in VIEWS and user.args[0] is source
    if user.op == "call":
        return last_name(user) in (
            "clip",
            "clamp",
            "where",
            "asarray",
            "array",
            "from_numpy",
            "int",
            "uint64",
            "int64",
            "as_tensor",
            "tensor",
        )
    return False
