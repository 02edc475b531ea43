"""Passes over the sequence by one call: attention and recurrences."""

from __future__ import annotations

from auditor.analysis.graph import Node, inputs
from auditor.analysis.scores import last_name
from auditor.analysis.timeline.axes import argument, integers
from auditor.analysis.timeline.states import Along, State, Whole
from auditor.analysis.timeline.sums import Sums

_SCANS = frozenset("chunk fused_chunk fused_recurrent recurrent parallel".split())
_ATTENTION = frozenset(
    ("scaled_dot_product_attention", "flex_attention", "memory_efficient_attention")
)
RECURRENT = frozenset("GRU() LSTM() RNN()".split())


class Passes(Sums):
    """Attention reads the keys of all positions, unless masked; a scan hands on its last state."""

    def _attention(self, node: Node, name: str) -> State | None:
        query = argument(node, 0, "query") or node.keyword("q")
        keys = argument(node, 1, "key") or node.keyword("k")
        given = self._seen(query, node) if query is not None else None
        other = self._seen(keys, node) if keys is not None else None
        if not isinstance(given, Along):
            if isinstance(other, Along) and _sees_ahead(node, name):
                return self._whole(other, node)  # learned queries read the whole sequence
            return None
        if isinstance(other, Whole):
            self._check_return(node, [given, other])
        at = -2 if name in ("scaled_dot_product_attention", "flex_attention") else -3
        alike = isinstance(other, Along) and all(
            s.from_end == at and s.frame is given.frame for s in (given, other)
        )
        if alike and _sees_ahead(node, name):
            self._leak("attention", node)
        return given

    def _scan(self, node: Node) -> State | None:
        given = self._sequence(node)
        if given is not None:
            for carried in node.args:
                self._check_carried(node, carried, given)
        return given

    def _recurrent(self, node: Node, given: Along) -> State | None:
        turned = node.args[0].keyword("bidirectional")
        if turned is not None and turned.op == "const" and turned.data is True:
            self._leak("bidirectional", node)
        if len(node.args) > 2:
            for one in inputs(node.args[2]) if node.args[2].op == "tuple" else [node.args[2]]:
                self._check_carried(node, one, given)
        return given

    def _check_carried(self, node: Node, carried: Node, given: Along) -> None:
        """A pass over the sequence that begins where another one over the same positions ended."""
        state = self._seen(carried, node)
        if isinstance(state, Whole) and given.frame.within(state.frame):
            self._leak("state", node, state.origin, carried)

    def _part(self, node: Node) -> State | None:
        """An element of what a call returns."""
        whole = node.args[0]
        if whole.op in ("call", "method"):
            name = last_name(whole)
            if node.data == 1 and (scans(whole) or name in RECURRENT):
                state = self._sequence(whole)
                return None if state is None else Whole(state.frame, whole)
            return self._seen(whole, node)
        return self._first(inputs(node), node)


def attends(node: Node) -> bool:
    """Whether a call is attention, by the name of a library's function."""
    name = last_name(node)
    return node.op == "call" and (
        name in _ATTENTION or (name.startswith("flash_attn") and name.endswith("func"))
    )


def _sees_ahead(node: Node, name: str) -> bool:
    """Whether an attention call has neither a mask nor a causal flag."""
    if name == "scaled_dot_product_attention":
        return _is_off(argument(node, 3, "attn_mask")) and _is_off(argument(node, 5, "is_causal"))
    if name == "flex_attention":
        return _is_off(argument(node, 3, "score_mod")) and _is_off(argument(node, 4, "block_mask"))
    if name == "memory_efficient_attention":
        return _is_off(argument(node, 3, "attn_bias"))
    least = 7 if "varlen" in name else 3
    causal, window = node.keyword("causal"), node.keyword("window_size")
    if window is not None and not _is_off(window):
        sides = integers([window])
        if sides is None or (len(sides) == 2 and sides[1] == 0):
            return False
    if causal is None:
        return len(node.positional) <= least and "**" not in node.kw
    return causal.op == "const" and causal.data is False


def _is_off(node: Node | None) -> bool:
    return node is None or (node.op == "const" and node.data in (None, False))


def scans(node: Node) -> bool:
    """A recurrence over the sequence that may return its last state."""
    name = last_name(node)
    if node.op != "call" or name.endswith("()"):
        return False
    begins = name.partition("_")[0]
    known = any(k in node.kw for k in ("initial_state", "output_final_state", "return_last_state"))
    return known or (begins in _SCANS and node.data.startswith("fla."))
