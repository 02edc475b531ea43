"""The whole: which operation is which."""

from __future__ import annotations

from auditor.analysis.graph import Node, inputs
from auditor.analysis.scores import last_name
from auditor.analysis.timeline import axes as ax
from auditor.analysis.timeline.axes import OTHER, argument
from auditor.analysis.timeline.passes import RECURRENT, Passes, attends, scans
from auditor.analysis.timeline.states import Along, State, Upto, Whole, with_axes
from auditor.analysis.timeline.sums import LAST_AXES
from auditor.analysis.tokens import Tokens

_POINTWISE = frozenset(
    "to float half bfloat16 double type type_as clone contiguous detach cuda abs neg exp log log1p sqrt "
    "rsqrt square pow sigmoid tanh relu silu gelu softplus elu leaky_relu relu6 mish hardtanh clamp clip "
    "clamp_min clamp_max mul add sub div true_divide masked_fill masked_fill_ where lerp addcmul dropout "
    "cumsum cumprod cummax logcumsumexp cummin minimum maximum sin cos erf logsigmoid nan_to_num "
    "requires_grad_ mul_ add_ sub_ div_ clamp_ copy_ zero_ tril triu tril_ triu_ glu selu celu expm1 "
    "sign round floor ceil eq ne lt gt le ge logical_and logical_or logical_not bitwise_xor fmod "
    "remainder quantize dequantize index_fill softcap masked_fill embedding_bag square_ rms_norm_ "
    "sigmoid_ tanh_ relu_ silu_ logit reciprocal".split()
)
_REDUCTIONS = frozenset(
    "mean sum amax amin max min std var norm logsumexp median prod any all nanmean std_mean var_mean "
    "vector_norm argmax argmin count_nonzero aminmax".split()
)
_NORMS = frozenset("softmax log_softmax normalize gumbel_softmax softmin".split())
_CHANNELS = frozenset("GroupNorm() InstanceNorm1d() group_norm instance_norm".split())
_KEEPING_LAYERS = frozenset(
    "Dropout() GELU() SiLU() ReLU() Sigmoid() Tanh() Identity() LeakyReLU() Softplus() Hardswish() "
    "Mish() ELU() PReLU() <layer>".split()
)
_FILLERS = frozenset("zeros ones full empty new_zeros new_ones new_full new_empty randn".split())
_FORMS = frozenset("size dim arange range linspace eye".split()) | _FILLERS
_SPECTRAL = frozenset("fft rfft ifft irfft hfft ihfft fft2 fftn rfft2 rfftn dct".split())


class Timeline(Passes):
    """The states of the values behind one or more model outputs."""

    def _made(self, node: Node) -> State | None:
        op = node.op
        if op == "phi":
            return self._joined(node)
        if op == "binop" and node.data == "@":
            return self._product(node, *node.args)
        if op in ("binop", "unop", "compare", "bool"):
            return self._pointwise(node, node.args)
        if op == "index":
            return self._indexed(node)
        if op in ("call", "method"):
            return self._called(node)
        if op == "proj":
            return self._part(node)
        if op == "elem":
            return self._first(inputs(node), node)
        if op == "forward":
            return self._seen(node.args[0], node)
        if op == "attr" and node.data in ("T", "mT", "data", "values", "last_hidden_state"):
            inner = self._seen(node.args[0], node)
            if node.data in ("T", "mT") and isinstance(inner, Along):
                return with_axes(inner, ax.swapped(inner.axes, -1, -2))
            return inner
        return None

    def _called(self, node: Node) -> State | None:
        name = last_name(node)
        if node.op == "call" and (name == "embedding" or name == "Embedding()"):
            return self._embedded(node)
        if name in _POINTWISE:
            return self._pointwise(node, node.args)
        if name.endswith("()") and node.op == "call":
            return self._layer(node, name)
        if attends(node):
            return self._attention(node, name)
        if scans(node):
            return self._scan(node)
        given = self._seen(node.args[0], node) if node.args else None
        if name in ("cat", "concat", "concatenate", "stack", "hstack"):
            return self._concatenated(node, name)
        if name in ("matmul", "bmm", "__matmul__", "mm") and len(node.args) >= 2:
            return self._product(node, *node.args[:2])
        if name == "einsum":
            return self._einsum(node)
        if name in ("zeros_like", "ones_like", "checkpoint"):
            return None
        if not isinstance(given, Along):
            if isinstance(given, Whole) and name not in _FORMS:
                return self._pointwise(node, node.args)
            return given if isinstance(given, Upto) else None
        return self._changed(node, name, given)

    def _changed(self, node: Node, name: str, given: Along) -> State | None:
        """A call on a value with one entry per position."""
        axes = given.axes
        if name in _REDUCTIONS:
            return self._reduced(node, given)
        if name in _NORMS:
            return self._normalised(node, given)
        if name == "linear":
            return self._linear(node, given, argument(node, 1, "weight"))
        if name in LAST_AXES or name in _CHANNELS:
            return self._standardised(node, name, given)
        if name == "conv1d":
            return self._convolved(node, given, None)
        if name == "pad":
            return self._padded(node, given)
        if name == "flip":
            return self._flipped(node, given)
        if name == "roll":
            return self._rolled(node, given)
        if name in _SPECTRAL:
            return self._spectral(node, given)
        return with_axes(given, self._moved(node, name, axes))

    def _embedded(self, node: Node) -> State | None:
        looked_up = node.args[-1] if last_name(node) == "Embedding()" else node.args[0]
        state = self._seen(looked_up, node)
        return with_axes(state, (*state.axes, OTHER)) if isinstance(state, Along) else None

    def _layer(self, node: Node, name: str) -> State | None:
        """A layer of torch, called: ``args[0]`` made it, ``args[1]`` goes in."""
        given = self._seen(node.args[1], node) if len(node.args) > 1 else None
        if name in _KEEPING_LAYERS or isinstance(given, (Whole, Upto)):
            return given
        if not isinstance(given, Along):
            return None
        made = node.args[0]
        if name in ("Linear()", "LazyLinear()"):
            return self._linear(node, given, made)
        if name in LAST_AXES or name in _CHANNELS:
            return self._standardised(node, name, given)
        if name == "Conv1d()":
            return self._convolved(node, given, made)
        if name in RECURRENT:
            return self._recurrent(node, given)
        if name == "MultiheadAttention()":
            named = ("attn_mask", "is_causal", "key_padding_mask")
            if len(node.positional) <= 5 and not any(node.keyword(k) for k in named):
                self._leak("attention", node)
            return given
        return None


def logits(tokens: Tokens, score: Node) -> list[Node]:
    """What the model gave for a score: its first argument that is not the tokens."""
    named = score.keyword("input")
    given = [named] if named is not None else score.args
    return [a for a in given if not tokens.of(a)][:1]
