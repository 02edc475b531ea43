"""Tables of bytes per token: how they are made from a tokenizer's pieces, and how they are added up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from auditor.analysis.graph import Node, Store, walk
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.analysis.scores import as_value, last_name

_MARK = "\u2581"  # how SentencePiece writes the space before a word
_PIECES = frozenset("id_to_piece IdToPiece".split())
_STRIPS = frozenset("strip lstrip removeprefix".split())
_RATIOS = (1.2, 8.0)  # bytes per token of vocabularies
_LN2 = math.log(2)
_EXACT = 1e-6


@dataclass(frozen=True)
class Twice:
    """Bytes that hold the space before a word, and the same space added to them."""

    length: Node  # the length of a piece, its space counted
    flag: Node  # how words with a space are told apart
    total: Node  # where the two are added


def spaces_twice(program: Program) -> Iterator[Twice]:
    """Sums of a table that counts leading spaces and of a table that says where there are any."""
    reads = list(_table_reads(program))
    lengths = {uid: length for uid, table in reads if (length := _with_space(program, table))}
    flags = {uid: flag for uid, table in reads if (flag := _says_space(program, table))}
    for uid, length in lengths.items():
        for other, flag in flags.items():
            if other == uid or other in lengths:
                continue
            total = _added(program, program.flow.nodes[uid], other)
            if total is not None and program.scores.reaches_output(total) is not None:
                yield Twice(length, flag, total)
                return


def _table_reads(program: Program) -> Iterator[tuple[int, Node]]:
    """Where a table is read at validation tokens: uid of the read, and the table."""
    for node in program.flow.nodes:
        if node.op == "index" and program.tokens.is_val(node.args[1]):
            table = node.args[0]
            if not program.tokens.of(table):
                yield node.uid, table


def _stores(program: Program, table: Node) -> Iterator[Store]:
    """What is written, one by one, into the arrays that a table was made from."""
    for node in program.flow.backward([table], memory=False, limit=40):
        yield from program.tracer.stores.get(node.uid, ())


def _with_space(program: Program, table: Node) -> Node | None:
    """The length in a table's entry that counts the space of a word, if the entry is known."""
    marked: Node | None = None
    plain: Node | None = None
    for store in _stores(program, table):
        if store.key is None:
            continue
        side = _marked_side(store)
        if side is not False and (length := _length_with_space(store.value)) is not None:
            marked = length
        elif side is True:
            return None  # words with a space have an entry of another kind
        elif side is None and (length := _whole_piece(store.value)) is not None:
            plain = length
        elif side is None and store.value.op != "const":
            return None
    return marked or plain


def _marked_side(store: Store) -> bool | None:
    """Whether the branch is that of pieces with a space, that of others, or neither."""
    for branch in store.at.ctx.branches:
        test, taken = branch.test, branch.taken
        while test.op == "unop" and test.data == "not":
            test, taken = test.args[0], not taken
        if _is_marked(test):
            return taken
    return None


def _is_marked(test: Node) -> bool:
    """``piece.startswith("\u2581")``."""
    return (
        test.op == "method"
        and test.data == "startswith"
        and len(test.args) > 1
        and test.args[1].op == "const"
        and test.args[1].data == _MARK
    )


def _length_with_space(value: Node) -> Node | None:
    """``len(piece[1:].encode()) + 1``, and the length after the mark was replaced by a space."""
    if value.op == "binop" and value.data == "+" and any(_is_one(a) for a in value.args):
        rest = next((a for a in value.args if not _is_one(a)), value)
        text = _encoded(rest)
        return value if text is not None and text.op == "index" and _of_piece(text) else None
    text = _encoded(value)
    if text is not None and text.op == "method" and text.data == "replace":
        old, new = (text.args[1:3] + text.args[:2])[:2]
        if old.data == _MARK and new.data == " " and _is_piece(text.args[0]):
            return value
    return None


def _whole_piece(value: Node) -> Node | None:
    """``len(piece.encode())``: the mark is three bytes long."""
    text = _encoded(value)
    return value if text is not None and _is_piece(text) else None


def _encoded(value: Node) -> Node | None:
    """The text whose bytes are counted."""
    if value.op == "call" and value.data in ("float", "int") and value.args:
        value = value.args[0]
    if value.op != "call" or value.data != "len" or not value.args:
        return None
    raw = value.args[0]
    return raw.args[0] if raw.op == "method" and raw.data == "encode" else None


def _of_piece(text: Node) -> bool:
    return any(_is_piece(a) for a in text.args)


def _is_piece(text: Node) -> bool:
    return text.op in ("call", "method") and last_name(text) in _PIECES


def _is_one(node: Node) -> bool:
    return node.op == "const" and node.data == 1


def _says_space(program: Program, table: Node) -> Node | None:
    """What tells words with a space apart, if the table holds just that."""
    found: Node | None = None
    for store in _stores(program, table):
        if store.key is None or (store.value.op == "const" and not store.value.data):
            continue
        if _is_marked(store.value):
            found = store.value
        elif store.value.op == "const" and _marked_side(store) is True:
            found = store.at
        else:
            return None
    return found


def _added(program: Program, read: Node, flag: int) -> Node | None:
    """The sum of an entry and of what is made from the flag."""
    for uid in sorted(program.flow.forward([read], limit=200)):
        node = program.flow.nodes[uid]
        if node.op == "binop" and node.data == "+":
            made = program.flow.backward(node.args, memory=False, limit=80)
            if any(n.uid == flag for n in made):
                return node
    return None


@dataclass(frozen=True)
class Constant:
    """A score in bits that is divided by a number instead of by counted bytes."""

    at: Node
    ratio: float  # bytes per token


def constant_ratio(program: Program, scoring: Scoring) -> Constant | None:
    """The constant bytes per token by which a score's bits are divided on the way to the report."""
    if scoring.at.uid in program.learning.learned_losses:
        return None
    reached = program.scores.values_from(scoring.at)
    divided = [(n, f) for n, f in _divisions(program, reached) if n.uid > scoring.at.uid]
    in_bits = [n for n, f in divided if abs(f - _LN2) < _EXACT]
    behind = program.flow.forward(in_bits, as_value, limit=2000) if in_bits else {}
    for node, factor in divided:
        if _has_ln2(node) and _in_range(factor / _LN2):
            return Constant(node, factor / _LN2)
        if node.uid in behind and _in_range(factor):
            return Constant(node, factor)
    return None


def _divisions(program: Program, reached: dict[int, Node | None]) -> Iterator[tuple[Node, float]]:
    """Where a reached value is divided by a constant on its way to the claimed score."""
    for uid in sorted(reached):
        node = program.flow.nodes[uid]
        factor = _factor(node, reached)
        if factor is None or abs(factor * _LN2 - 1) < _EXACT:
            continue  # bits are turned back into nats
        if program.learning.reaches_claimed(node):
            yield node, factor


def _in_range(ratio: float) -> bool:
    return _RATIOS[0] < ratio < _RATIOS[1] and abs(ratio - round(ratio)) > _EXACT


def _factor(node: Node, reached: dict[int, Node | None]) -> float | None:
    """The number that a reached value is divided by here."""
    if node.op != "binop" or node.data not in ("/", "*") or len(node.args) != 2:
        return None
    over = [a for a in node.args if a.uid not in reached]
    if len(over) != 1 or (node.data == "/" and over[0] is not node.args[1]):
        return None
    number = over[0].data if over[0].op == "const" else None
    if type(number) not in (int, float) or not number:
        return None
    return float(number if node.data == "/" else 1.0 / number)


def _has_ln2(node: Node) -> bool:
    """Whether the constant divisor was made with the logarithm of 2."""
    return any(
        one.op == "const" and type(one.data) is float and abs(one.data - _LN2) < _EXACT
        for one in walk(a for a in node.args if a.op == "const")
    )
