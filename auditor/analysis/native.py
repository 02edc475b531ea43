"""What a token decides in C and C++, and what is written out before it is counted.

A kernel that makes hints walks over the stream: for each position it reads its tables, writes a
hint, and then counts the token that stood there. So the token that a hint is meant to predict can
be told without names: it is the one that goes into the tables after the hint was written.
Functions are executed abstractly once, callees inlined, loops once: what an earlier iteration
left in the tables is history and carries no label. Parsed with tree-sitter, which reads C++ with
templates and needs no preprocessor; pycparser reads neither C++ nor unpreprocessed C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

MAX_DEPTH = 12
MAX_STEPS = 60_000
_CASTS = frozenset("cast_expression parenthesized_expression".split())
_LEAVES_EARLY = frozenset(
    "return_statement continue_statement break_statement throw_statement goto_statement".split()
)
_EXPS = frozenset("exp expf exp2 __expf".split())
_LOGS = frozenset("log logf log2 log1p log1pf".split())

_MIXING = frozenset(("^", "*", "<<", ">>", "%"))
"""Arithmetic of hashes: a key that a token went into is not a property of the token."""

Labels = frozenset[tuple[Any, ...]]
_NONE: Labels = frozenset()


class MissingParser(Exception):
    """The C parser isn't installed."""


@dataclass(frozen=True)
class Gated:
    """An output of ``function`` that depends on a property of the token counted afterwards."""

    function: str
    output: str  # the parameter that is written
    read: int  # line where the property is looked up
    decision: int  # line of the test or expression that it decides
    written: int


@dataclass(frozen=True)
class Spread:
    """A quotient of two inputs whose exponential is added to something under a log."""

    function: str
    line: int


@dataclass
class _Frame:
    function: Any
    number: int
    aliases: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # locals
    receiver: str = ""
    left: Labels = _NONE  # control left behind by early exits
    result: Labels = _NONE


class Native:
    """One native source."""

    def __init__(self, text: str) -> None:
        self.root = _parse(text)
        self.functions: dict[str, list[Any]] = {}
        self.written: set[str] = set()  # last names of arrays that some line changes
        for node in _walk(self.root):
            if node.type == "function_definition" and (name := _function_name(node)):
                self.functions.setdefault(name, []).append(node)
            elif node.type in ("assignment_expression", "update_expression"):
                self.written |= _stored_into(node)
        self.constants = _constant_arrays(self.root)
        self._written_through_parameters()

    def _written_through_parameters(self) -> None:
        """An array handed to a function that changes its parameter is changed."""
        calls = [n for n in _walk(self.root) if n.type == "call_expression"]
        size = -1
        while size != len(self.written):
            size = len(self.written)
            for call in calls:
                arguments = call.child_by_field_name("arguments").named_children
                for body in self.functions.get(
                    _last_name(call.child_by_field_name("function")), ()
                ):
                    for (name, _), argument in zip(_parameters(body), arguments, strict=False):
                        if name in self.written:
                            self.written.add(_last_name(argument))

    def gates(self) -> list[Gated]:
        return [g for run in self._done for g in run.gated]

    def spreads(self) -> list[Spread]:
        return [s for run in self._done for s in run.spread]

    @cached_property
    def _done(self) -> list[_Run]:
        return list(self._runs())

    def parameters(self, function: str) -> list[str]:
        """The parameters' names in order."""
        bodies = self.functions.get(function, ())
        return [name for name, _ in _parameters(bodies[0])] if bodies else []

    def _runs(self) -> Iterator[_Run]:
        for name, bodies in self.functions.items():
            for body in bodies:
                run = _Run(self, name)
                run.enter(body)
                yield run


class _Run:
    """The abstract execution of one function as an entry."""

    def __init__(self, source: Native, name: str) -> None:
        self.source = source
        self.name = name
        self.env: dict[str, Labels] = {}
        self.control: Labels = _NONE
        self.frame: _Frame = None  # type: ignore[assignment]
        self.frames = 0
        self.steps = 0
        self.nesting = 0
        self.outputs: dict[str, str] = {}  # places that are the caller's arrays -> parameter
        self.pending: list[
            tuple[Any, Gated]
        ] = []  # (load, gate) waiting for the token to be counted
        self.gated: list[Gated] = []
        self.spread: list[Spread] = []

    def enter(self, function: Any) -> None:
        self.frame = _Frame(function, 0)
        for name, kind in _parameters(function):
            self.frame.names.add(name)
            if "*" in kind or "&" in kind or "ndarray" in kind or "Tensor" in kind or "[]" in kind:
                self.outputs[self._local(name)] = name
        self.statement(function.child_by_field_name("body"))
        self._returned(self.frame.result, function)

    # -- statements: the result says whether control leaves the enclosing body -------------------

    def statement(self, node: Any) -> bool:
        self.steps += 1
        if node is None or self.steps > MAX_STEPS:
            return False
        kind = node.type
        if kind in (
            "compound_statement",
            "else_clause",
            "case_statement",
            "labeled_statement",
            "translation_unit",
        ):
            left = [self.statement(child) for child in node.named_children]
            return any(left)
        if kind == "if_statement":
            return self._if(node)
        if kind in (
            "for_statement",
            "while_statement",
            "do_statement",
            "for_range_loop",
            "switch_statement",
        ):
            self._loop(node)
            return False
        if kind == "declaration":
            self._declare(node)
            return False
        if kind == "return_statement":
            for child in node.named_children:
                self.frame.result |= self.value(child) | self._controlled()
            return True
        if kind in _LEAVES_EARLY:
            return True
        for child in node.named_children:
            self.value(child)
        return False

    def _if(self, node: Any) -> bool:
        test = self.value(node.child_by_field_name("condition"))
        before = self.control
        decided = _decided(test, _line(node))
        self.control |= decided
        start = dict(self.env)
        yes = self.statement(node.child_by_field_name("consequence"))
        first, self.env = self.env, start
        no = self.statement(node.child_by_field_name("alternative"))
        self._join(first)
        self.control = before
        if yes or no:
            self.frame.left |= decided
        return yes and no

    def _loop(self, node: Any) -> None:
        before, left = self.control, self.frame.left
        for name in ("initializer", "right"):
            part = node.child_by_field_name(name)
            if part is not None and part.type == "declaration":
                self._declare(part)
            elif part is not None:
                self.value(part)
        declared = node.child_by_field_name("declarator")
        if declared is not None:
            self._bind(declared, _NONE)
        condition = node.child_by_field_name("condition")
        if condition is not None:
            self.control |= _decided(self.value(condition), _line(node))
        start = dict(self.env)
        self.statement(node.child_by_field_name("body"))
        update = node.child_by_field_name("update")
        if update is not None:
            self.value(update)
        self._join(start)
        self.control, self.frame.left = before, left

    def _join(self, other: dict[str, Labels]) -> None:
        for place, labels in other.items():
            self.env[place] = self.env.get(place, _NONE) | labels

    def _declare(self, node: Any) -> None:
        for child in node.children_by_field_name("declarator"):
            value = child.child_by_field_name("value") if child.type == "init_declarator" else None
            target = (
                child.child_by_field_name("declarator")
                if child.type == "init_declarator"
                else child
            )
            name = _declared_name(target)
            if name is None:
                continue
            self.frame.names.add(name)
            alias = (
                self._pointed(value)
                if "*" in _text(target) or "&" in _text(target) or _is_auto(node)
                else None
            )
            if alias is not None:
                self.frame.aliases[name] = alias
            self._bind(target, self.value(value) if value is not None else _NONE)

    def _bind(self, target: Any, labels: Labels) -> None:
        name = _declared_name(target)
        if name is not None:
            self.frame.names.add(name)
            if name not in self.frame.aliases:
                self.env[self._local(name)] = labels | self._controlled()

    def _pointed(self, value: Any) -> str | None:
        """The place that an initialiser makes its name another name of."""
        if value is None:
            return None
        value = _bare(value)
        if value.type == "call_expression":
            callee = value.child_by_field_name("function")
            if (
                callee is not None
                and callee.type == "field_expression"
                and _field(callee) in ("data", "data_ptr")
            ):
                return self.place(callee.child_by_field_name("argument"))
            return None
        if value.type == "pointer_expression" and _text(value).startswith("&"):
            return self.place(value.child_by_field_name("argument"))
        if value.type in ("identifier", "field_expression", "subscript_expression"):
            return self.place(value)
        return None

    # -- places ----------------------------------------------------------------------------------

    def _local(self, name: str) -> str:
        return f"{self.frame.number}:{name}"

    def place(self, node: Any) -> str | None:
        """A name for a storage location; all elements of an array are one."""
        node = _bare(node)
        kind = node.type
        if kind in ("identifier", "field_identifier"):
            name = _text(node)
            if name in self.frame.aliases:
                return self.frame.aliases[name]
            if name in self.frame.names:
                return self._local(name)
            return f"{self.frame.receiver}.{name}" if self.frame.receiver else f".{name}"
        if kind == "this":
            return self.frame.receiver or "."
        if kind == "subscript_expression":
            base = self.place(node.child_by_field_name("argument"))
            return f"{base}[]" if base is not None else None
        if kind == "field_expression":
            argument = node.child_by_field_name("argument")
            if _bare(argument).type == "this":
                return f"{self.frame.receiver}.{_field(node)}"
            base = self.place(argument)
            return f"{base}.{_field(node)}" if base is not None else None
        if kind == "pointer_expression":
            return self.place(node.child_by_field_name("argument"))
        if kind == "binary_expression":
            return self.place(node.child_by_field_name("left"))
        return None

    def _controlled(self) -> Labels:
        return self.control | self.frame.left

    # -- expressions -----------------------------------------------------------------------------

    def value(self, node: Any) -> Labels:
        """The labels of an expression, its side effects carried out."""
        self.steps += 1
        if node is None or self.steps > MAX_STEPS:
            return _NONE
        handler = getattr(self, "_" + node.type, None)
        if handler is not None:
            labels: Labels = handler(node)
            return labels
        return self._all(node.named_children)

    def _all(self, nodes: Sequence[Any]) -> Labels:
        labels = _NONE
        for node in nodes:
            labels |= self.value(node)
        return labels

    def _identifier(self, node: Any) -> Labels:
        return self.env.get(self.place(node) or "", _NONE)

    def _field_expression(self, node: Any) -> Labels:
        labels = self.env.get(self.place(node) or "", _NONE)
        return labels | self.value(node.child_by_field_name("argument"))

    def _subscript_expression(self, node: Any) -> Labels:
        base = node.child_by_field_name("argument")
        index = self._all([c for c in node.named_children if c.id != base.id])
        name = _last_name(base)
        if name in self.source.constants:
            return index
        if name in self.source.written:  # what a table holds is history, whatever key finds it
            return self.env.get(self.place(node) or "", _NONE) | self.env.get(
                self.place(base) or "", _NONE
            )
        looked_up = {("prop", label[1], _line(node)) for label in index if label[0] == "load"}
        return frozenset(looked_up | {("load", (node.start_byte, name), _line(node))})

    def _pointer_expression(self, node: Any) -> Labels:
        argument = node.child_by_field_name("argument")
        if _text(node).startswith("&"):
            return self.value(argument)
        place = self.place(argument) or ""
        if place in self.outputs and _last_name(argument) not in self.source.written:
            return frozenset([("load", (node.start_byte, _text(argument)), _line(node))])
        return self.env.get(place, _NONE) | self.value(argument)

    def _conditional_expression(self, node: Any) -> Labels:
        test = self.value(node.child_by_field_name("condition"))
        parts = [node.child_by_field_name(n) for n in ("consequence", "alternative")]
        return self._all([p for p in parts if p is not None]) | _decided(test, _line(node))

    def _binary_expression(self, node: Any) -> Labels:
        left = self.value(node.child_by_field_name("left"))
        right = self.value(node.child_by_field_name("right"))
        symbol = _text(node.child_by_field_name("operator"))
        labels = left | right
        if symbol == "/" and _is_input(left) and _is_input(right):
            return labels | {("share", _line(node))}
        if symbol in _MIXING:
            return frozenset(label for label in labels if label[0] not in ("prop", "gated"))
        if symbol == "+":
            labels |= _mixed(left, right) | _mixed(right, left)
        return labels

    def _assignment_expression(self, node: Any) -> Labels:
        target, symbol = (
            node.child_by_field_name("left"),
            _text(node.child_by_field_name("operator")),
        )
        labels = self.value(node.child_by_field_name("right"))
        if symbol != "=":
            labels |= self.value(target)
        self._write(target, labels, node)
        return labels

    def _update_expression(self, node: Any) -> Labels:
        target = node.child_by_field_name("argument")
        labels = self.value(target)
        self._write(target, labels, node)
        return labels

    def _write(self, target: Any, labels: Labels, at: Any) -> None:
        place = self.place(target)
        if place is None:
            return
        labels |= self._controlled()
        if _bare(target).type in ("subscript_expression", "pointer_expression"):
            keys = _NONE
            for child in _bare(target).named_children[1:]:
                keys |= self.value(child)
            self._stored(place, labels, keys, at)
            self.env[place] = self.env.get(place, _NONE) | labels
            return
        self._stored(place, labels, _NONE, at)
        self.env[place] = labels

    def _stored(self, place: str, labels: Labels, keys: Labels, at: Any) -> None:
        """A write to the caller's array is a hint; one to lasting state counts the token."""
        output = self.outputs.get(place.removesuffix("[]"))
        if output is not None and (place.endswith("[]") or _bare_star(at)):
            self._hinted(output, labels, at)
        elif "." in place or not place[:1].isdigit():
            counted = {label[1] for label in labels | keys if label[0] == "load"}
            for load, gate in self.pending:
                if load in counted and gate not in self.gated:
                    self.gated.append(gate)

    def _hinted(self, output: str, labels: Labels, at: Any) -> None:
        for label in labels:
            if label[0] in ("prop", "gated"):
                decision = label[3] if label[0] == "gated" else _line(at)
                gate = Gated(self.name, output, label[2], decision, _line(at))
                self.pending.append((label[1], gate))
        self._returned(labels, at)

    def _returned(self, labels: Labels, at: Any) -> None:
        for label in labels:
            if label[0] == "log-mix" and Spread(self.name, label[1]) not in self.spread:
                self.spread.append(Spread(self.name, label[1]))

    # -- calls -----------------------------------------------------------------------------------

    def _call_expression(self, node: Any) -> Labels:
        callee = node.child_by_field_name("function")
        arguments = [
            a for a in node.child_by_field_name("arguments").named_children if a.type != "comment"
        ]
        name = _last_name(callee)
        if name in _EXPS:
            labels = self._all(arguments)
            return labels | {("exp", label[1]) for label in labels if label[0] == "share"}
        if name in _LOGS:
            labels = self._all(arguments)
            logs = {("log-mix", label[1]) for label in labels if label[0] == "mix"}
            if name.startswith("log1p"):
                logs |= {("log-mix", label[1]) for label in labels if label[0] == "exp"}
            return labels | logs
        bodies = [
            b for b in self.source.functions.get(name, ()) if len(_parameters(b)) == len(arguments)
        ]
        if not bodies or self.nesting > MAX_DEPTH:
            labels = self._all(arguments)
            if callee.type == "field_expression":
                labels |= self.value(callee.child_by_field_name("argument"))
            return labels
        return self._inline(bodies[0], callee, arguments)

    def _inline(self, body: Any, callee: Any, arguments: list[Any]) -> Labels:
        caller = self.frame
        self.frames += 1
        frame = _Frame(body, self.frames, receiver=caller.receiver)
        if callee.type == "field_expression":
            frame.receiver = self.place(callee.child_by_field_name("argument")) or ""
        for (name, _), argument in zip(_parameters(body), arguments, strict=True):
            labels = self.value(argument)
            place = self._pointed(argument)
            frame.names.add(name)
            if place is not None and (place in self.env or place in self.outputs or "." in place):
                frame.aliases[name] = place
            else:
                self.env[f"{frame.number}:{name}"] = labels
        control = self.control
        self.control = self._controlled()
        self.frame, self.nesting = frame, self.nesting + 1
        self.statement(body.child_by_field_name("body"))
        self.frame, self.nesting, self.control = caller, self.nesting - 1, control
        return frame.result


def _decided(test: Labels, line: int) -> Labels:
    """Labels of what a test on these labels controls."""
    chosen = {("gated", label[1], label[2], line) for label in test if label[0] == "prop"}
    return frozenset(chosen | {label for label in test if label[0] == "gated"})


def _is_input(labels: Labels) -> bool:
    return any(label[0] in ("load", "prop") for label in labels)


def _mixed(one: Labels, other: Labels) -> Labels:
    """``exp(share) + q``."""
    return frozenset(("mix", label[1]) for label in one if label[0] == "exp")


# -- the syntax tree ------------------------------------------------------------------------------


def _parse(text: str) -> Any:
    try:
        import tree_sitter_cpp
        from tree_sitter import Language, Parser
    except ImportError:
        raise MissingParser("reading C and C++ needs tree-sitter and tree-sitter-cpp") from None
    return Parser(Language(tree_sitter_cpp.language())).parse(text.encode()).root_node


def _walk(node: Any) -> Iterator[Any]:
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        todo.extend(reversed(current.named_children))


def _text(node: Any) -> str:
    return node.text.decode() if node is not None else ""


def _line(node: Any) -> int:
    line: int = node.start_point[0] + 1
    return line


def _bare(node: Any) -> Any:
    """The expression inside casts and parentheses."""
    while node.type in _CASTS:
        inner = node.child_by_field_name("value") or (node.named_children or [None])[-1]
        if inner is None:
            break
        node = inner
    return node


def _bare_star(node: Any) -> bool:
    target = node.child_by_field_name("left") or node.child_by_field_name("argument")
    return target is not None and _bare(target).type == "pointer_expression"


def _is_auto(node: Any) -> bool:
    return _text(node.child_by_field_name("type")) == "auto"


def _field(node: Any) -> str:
    return _text(node.child_by_field_name("field"))


def _last_name(node: Any) -> str:
    """``a.b[i]`` -> b; ``std::min`` -> min."""
    node = _bare(node)
    if node.type == "subscript_expression":
        return _last_name(node.child_by_field_name("argument"))
    if node.type == "field_expression":
        return _field(node)
    if node.type in ("pointer_expression", "update_expression"):
        return _last_name(node.child_by_field_name("argument"))
    if node.type == "template_function":
        return _text(node.child_by_field_name("name"))
    return _text(node).rpartition("::")[2]


def _stored_into(node: Any) -> set[str]:
    target = node.child_by_field_name("left") or node.child_by_field_name("argument")
    target = _bare(target)
    names = set()
    while target is not None and target.type in (
        "subscript_expression",
        "field_expression",
        "pointer_expression",
    ):
        if target.type == "subscript_expression" or (
            target.type == "pointer_expression" and node.type != "update_expression"
        ):
            names.add(_last_name(target))
        target = target.child_by_field_name("argument")
        target = _bare(target) if target is not None else None
    return names


def _constant_arrays(root: Any) -> set[str]:
    """Arrays whose elements stand in the source."""
    return {
        name
        for node in _walk(root)
        if node.type == "init_declarator"
        and _bare(node.child_by_field_name("value")).type == "initializer_list"
        and (name := _declared_name(node.child_by_field_name("declarator"))) is not None
    }


def _declared_name(node: Any) -> str | None:
    while node is not None and node.type not in ("identifier", "field_identifier"):
        inner = node.child_by_field_name("declarator")
        if inner is None:
            inner = next(
                (
                    c
                    for c in node.named_children
                    if "declarator" in c.type or c.type == "identifier"
                ),
                None,
            )
        node = inner
    return _text(node) if node is not None else None


def _function_name(node: Any) -> str:
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = declarator.child_by_field_name("declarator")
    return (
        _last_name(declarator.child_by_field_name("declarator")) if declarator is not None else ""
    )


def _parameters(node: Any) -> list[tuple[str, str]]:
    """(name, declaration) of each parameter."""
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = declarator.child_by_field_name("declarator")
    if declarator is None:
        return []
    found = []
    for parameter in declarator.child_by_field_name("parameters").named_children:
        if parameter.type in ("parameter_declaration", "optional_parameter_declaration"):
            name = _declared_name(parameter.child_by_field_name("declarator"))
            if name is not None:
                found.append((name, _text(parameter)))
    return found
