"""Count tables: what accumulates from tokens, how it is keyed, and where it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.analysis.flow import Flow, takes_content
from auditor.analysis.graph import Node, Store, inputs
from auditor.analysis.scores import last_name
from auditor.analysis.tokens import Tokens

_LOSSY_OPS = frozenset(("%", "&", "^", ">>"))
_LOSSY_CALLS = frozenset(
    "bitwise_xor bitwise_and remainder fmod hash mod logical_xor crc32 adler32 xxh64 md5 "
    "bitwise_right_shift right_shift".split()
)
_READERS = frozenset("gather index_select take take_along_dim take_along_axis embedding".split())
_PLACES = _READERS | frozenset("argmax topk argsort len multinomial".split())
_NO_ARITHMETIC = frozenset(
    "forward const ext loopvar compare bool function object slice".split()
)  # what no key is computed through
_COUNTS = frozenset("bincount unique histogram histc Counter add_at".split())
_HISTOGRAMS = frozenset("bincount histogram histc Counter".split())
_FILLED = frozenset("load load_file frombuffer read open fromfile loads unpack decompress".split())


@dataclass(frozen=True)
class KeyToken:
    """A token that goes into a key, and whether a lossy step (hash, mask) lies between them."""

    node: Node
    lossy: bool
    steps: tuple[Node, ...]  # from the key down to the token


@dataclass(frozen=True)
class Read:
    """One read of a table: ``node`` = ``table[key]``."""

    node: Node
    base: Node
    key: Node
    tokens: tuple[KeyToken, ...]


class Tables:
    """Tables of one traced program."""

    def __init__(self, flow: Flow, tokens: Tokens) -> None:
        self.flow = flow
        self.tokens = tokens
        self._from_file: dict[int, bool] = {}

    @cached_property
    def counting(self) -> dict[int, list[Store]]:
        """root uid -> the updates by which it accumulates from tokens."""
        found: dict[int, list[Store]] = {}
        for uid, stores in self.flow.tracer.stores.items():
            counts = [s for s in stores if self._counts(s)]
            if counts:
                found[uid] = counts
        return found

    def _counts(self, store: Store) -> bool:
        if store.root.op not in (
            "call",
            "method",
            "dict",
            "set",
            "object",
            "index",
            "attr",
            "unknown",
            "binop",
        ):
            return False
        if store.key is not None:
            if self.tokens.of(store.key) and store.how in ("=", ".="):
                return False
            if store.how in ("=", "copy_", "setdefault") and not self._accumulates(store):
                return False
        elif not ("=" in store.how or store.how.endswith("_")):
            return False
        return any(True for _ in self.counted(store))

    def counted(self, store: Store) -> Iterator[KeyToken]:
        """The tokens that an update counts, by its key or through a histogram of keys."""
        if store.key is not None:
            yield from self.key_tokens(store.key)
            return
        for node in self.flow.backward([store.value], memory=False, limit=40):
            if node.op in ("call", "method") and last_name(node) in _COUNTS:
                for arg in node.args:
                    yield from self.key_tokens(arg)

    def _accumulates(self, store: Store) -> bool:
        """``t[k] = t[k] + 1``: the stored value is made from what was there."""
        for node in self.flow.backward([store.value], memory=False, limit=60):
            if node.op in ("index", "call", "method", "phi") and node is not store.root:
                if node.op == "index" and any(
                    r is store.root for r in self.flow.roots(node.args[0])
                ):
                    return True
                if node.op in ("call", "method") and last_name(node) in _COUNTS:
                    return True
        return False

    def key_tokens(self, key: Node) -> Iterator[KeyToken]:
        """The tokens that a key is computed from, arithmetic and buffers followed."""
        todo: list[tuple[Node, bool, tuple[Node, ...]]] = [(key, False, ())]
        seen: set[tuple[int, bool]] = set()
        while todo and len(seen) < 600:
            node, lossy, steps = todo.pop()
            if (node.uid, lossy) in seen:
                continue
            seen.add((node.uid, lossy))
            if self.tokens.of(node):
                yield KeyToken(node, lossy, (*steps, node))
                continue
            if node.op in _NO_ARITHMETIC or not takes_content(node):
                continue
            name = last_name(node) if node.op in ("call", "method") else ""
            if name in _PLACES:
                continue
            deeper = lossy or (node.op == "binop" and node.data in _LOSSY_OPS)
            deeper = deeper or name.rstrip("_") in _LOSSY_CALLS
            trail = (*steps, node) if len(steps) < 12 else steps
            sources = node.args[:1] if node.op == "index" else inputs(node)
            for source in sources:
                todo.append((source, deeper, trail))
                if source.op not in ("const", "ext") and not self.tokens.of(source):
                    for store in self.flow.contents(source, node):
                        how = store.how
                        mixed = (
                            deeper
                            or how.startswith(("^", "%", "&"))
                            or how in ("bitwise_xor_", "remainder_")
                        )
                        todo.append((store.value, mixed, trail))

    def candidates(self, key: Node) -> Node | None:
        """The enumeration (``arange(V)``) that is hashed into a key, if there is one."""
        todo = [(key, False)]
        seen: set[int] = set()
        while todo and len(seen) < 200:
            node, hashed = todo.pop()
            if node.uid in seen or self.tokens.of(node):
                continue
            seen.add(node.uid)
            if node.op == "call" and node.data in ("torch.arange", "numpy.arange"):
                if hashed:
                    return node
                continue
            hashed = hashed or (node.op == "binop" and node.data in _LOSSY_OPS)
            sources = node.args[:1] if node.op in ("index", "method") else inputs(node)
            todo.extend((s, hashed) for s in sources if node.op not in ("const", "ext", "slice"))
        return None

    @cached_property
    def reads(self) -> list[Read]:
        """Reads of accumulated or unpacked tables whose key is made from tokens."""
        found = []
        for node in self.flow.nodes:
            base, key = _read_of(node)
            if base is None or key is None or self.tokens.of(node):
                continue
            if not self.is_table(base) or self._written_back(node, key):
                continue
            for part in _parts(key):
                tokens = tuple(self.key_tokens(part))
                if tokens:
                    found.append(Read(node, base, part, tokens))
        return found

    def _written_back(self, node: Node, key: Node) -> bool:
        """The read half of ``table[key] += 1``."""
        return any(
            store.key is not None
            and store.value.op == "binop"
            and self.tokens.key(store.key) == self.tokens.key(key)
            and any(arg is node for arg in store.value.args)
            for store in self.flow.stores(node.args[0] if node.args else node)
        )

    def is_table(self, base: Node) -> bool:
        """Whether ``base`` counts tokens or comes out of a file (the shipped artifact)."""
        return any(
            root.uid in self.counting or self._unpacked(root) for root in self.flow.roots(base)
        )

    def _unpacked(self, root: Node) -> bool:
        known = self._from_file.get(root.uid)
        if known is None:
            made_from = self.flow.backward([root], memory=False, limit=60)
            known = any(
                n.op in ("call", "method")
                and (last_name(n).rstrip("()") in _FILLED or self._histogram(n))
                for n in made_from
            )
            self._from_file[root.uid] = known
        return known

    def _histogram(self, node: Node) -> bool:
        """Counts of all keys at once."""
        return last_name(node) in _HISTOGRAMS and any(
            True for arg in node.args for _ in self.key_tokens(arg)
        )


def _parts(key: Node) -> list[Node]:
    """The separate axes of a key."""
    if key.op in ("tuple", "list") and key.data.exact and key.op == "tuple":
        return [k for k in key.data.items if k.op != "slice"]
    return [] if key.op == "slice" else [key]


def _read_of(node: Node) -> tuple[Node | None, Node | None]:
    if node.op == "index":
        return node.args[0], node.args[1]
    if node.op in ("call", "method") and last_name(node) in _READERS:
        args = node.positional
        if last_name(node) == "embedding" and node.op == "call" and len(args) >= 2:
            return args[1], args[0]
        index = (
            node.keyword("index")
            or node.keyword("indices")
            or (args[-1] if len(args) >= 2 else None)
        )
        return (args[0] if args else None), index
    return None, None
