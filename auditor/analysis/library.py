"""What the tracer knows of Python's builtins, numpy and torch.

Only what changes control flow, identity or memory is modelled: constants are folded, wrappers are seen
through, in-place updates and training events are recorded. Every other call is a plain graph node
that keeps its name and arguments.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from auditor.analysis.graph import Container, Instance, Node, alternatives, container_all, walk
from auditor.analysis.trace.tracer import Tracer

Args = list[Node]
Kwargs = dict[str, Node]

_FOLD: dict[str, Callable[..., Any]] = {
    "int": int, "float": float, "str": str, "bool": bool, "len": len, "abs": abs, "min": min,
    "max": max, "round": round, "sum": sum, "ord": ord, "chr": chr, "repr": repr,
}  # fmt: skip
_FOLD.update(
    {
        f"math.{n}": getattr(math, n)
        for n in ("sqrt log log2 log10 exp floor ceil cos sin tanh").split()
    }
)
_FOLD.update(
    {f"numpy.{n}": int for n in "uint64 int64 uint32 int32 uint16 int16 uint8 int8".split()}
    | {f"numpy.{n}": float for n in "float32 float64 float16".split()}
)
_STR_METHODS = frozenset(
    "lower upper strip lstrip rstrip split startswith endswith replace format title zfill isdigit "
    "removeprefix removesuffix partition rpartition casefold isnumeric splitlines".split()
)
_SELF_METHODS = frozenset(
    "to cuda cpu eval train half float bfloat16 double requires_grad_ compile share_memory apply type "
    "to_empty zero_grad".split()
)
_CALLERS = frozenset(
    "submit apply_async map imap imap_unordered starmap spawn checkpoint Thread Process Timer "
    "run_in_executor apply vmap cond call_soon start_new_thread".split()
)
_OUTPUT_METHODS = frozenset(
    "write info debug warning error critical log writelines write_text".split()
)
_OUTPUT_CALLS = frozenset(
    "print json.dump json.dumps sys.stdout.write wandb.log logging.info logging.warning logging.debug "
    "logging.error torch.distributed.all_reduce torch.distributed.reduce sys.stderr.write "
    "torch.distributed.all_gather torch.distributed.all_gather_object "
    "torch.distributed.all_gather_into_tensor rich.print".split()
)
_INDEXED = {"scatter_add_": 1, "scatter_": 1, "index_add_": 1, "index_copy_": 1, "index_fill_": 1,
            "scatter_reduce_": 1, "index_put_": 0, "masked_fill_": 0, "masked_scatter_": 0, "put_": 0}  # fmt: skip


def call(t: Tracer, name: str, args: Args, kwargs: Kwargs, at: ast.AST) -> Node:
    """The result of calling an external function by its dotted name."""
    special = _SPECIAL.get(name)
    if special is not None:
        result = special(t, args, kwargs, at)
        if result is not None:
            return result
    fold = _FOLD.get(name)
    if fold is not None and not kwargs:
        folded = _fold(t, fold, args, at)
        if folded is not None:
            return folded
    if name in _OUTPUT_CALLS:
        t.event("output", *args, *kwargs.values(), at=at)
    last = name.rpartition(".")[2]
    if last in _CALLERS or "target" in kwargs:
        called = _call_back(t, args, kwargs, at)
        if called is not None:
            return called
    if last.endswith("_") and not last.endswith("__") and args and name.startswith("torch."):
        t.store(args[0], None, t.opaque("call", name, args, kwargs, at), last, at)
        return args[0]
    result = t.opaque("call", name, args, kwargs, at)
    out = kwargs.get("out")
    if out is not None:
        t.store(out, None, result, "out=", at)
    if name.endswith(".at") and name.startswith("numpy.") and len(args) >= 2:
        value = args[2] if len(args) > 2 else t.const(1)
        how = {"add": "+=", "subtract": "-="}.get(name.split(".")[-2], "at")
        t.store(args[0], args[1], value, how, at)
    elif name in ("numpy.copyto", "numpy.put", "numpy.place", "numpy.putmask") and len(args) >= 2:
        t.store(args[0], args[1] if len(args) > 2 else None, args[-1], "=", at)
    elif last in ("store", "atomic_add") and "triton" in name and len(args) >= 2:
        for pointer in _pointers(args[0]):
            t.store(pointer, args[0], args[1], "+=" if last == "atomic_add" else "=", at)
    elif name.startswith("torch.distributed.") and "gather" in last and len(args) >= 2:
        _collected(t, args, at)
    elif last == "step" and "optim" in name and args:
        t.event("step", *args, at=at)
    elif name in ("torch.autograd.grad", "torch.autograd.backward") and args:
        t.event("backward", *args, at=at)
    elif name in (
        "torch.save",
        "numpy.save",
        "numpy.savez",
        "numpy.savez_compressed",
        "pickle.dump",
    ):
        t.event("save", *args, *kwargs.values(), at=at)
    return result


def _collected(t: Tracer, args: Args, at: ast.AST) -> None:
    """``all_gather(parts, mine)``, ``gather(mine, parts)`` and their kin."""
    for parts, mine in (args[:2], args[1::-1]):
        boxes = [b for b in alternatives(parts, 4) if b.op == "list"]
        for box in boxes:
            t.blur(box.data)
            summary = box.data.summary
            assert summary is not None
            kept = [a for a in summary.args if not (a.op == "const" and a.data is None)]
            summary.args[:] = [*kept, mine]  # placeholders are replaced
        if boxes:
            return
    t.store(args[0], None, args[1], "copy_", at)


def _fold(t: Tracer, fold: Callable[..., Any], args: Args, at: ast.AST) -> Node | None:
    if args and all(a.op == "const" for a in args):
        values = [a.data for a in args]
        if any(
            isinstance(v, int) and not isinstance(v, bool) and v.bit_length() > 4096 for v in values
        ):
            return None
        try:
            return t.const(fold(*values), tuple(args), at)
        except Exception:  # the submission's own error: the value is unknown
            return None
    return None


def _pointers(node: Node) -> list[Node]:
    """The arrays behind pointer arithmetic in a kernel."""
    found: list[Node] = []
    todo = [node]
    while todo and len(found) < 4:
        current = todo.pop()
        if current.op == "binop":
            todo.extend(current.args)
        elif current.op not in ("const", "loopvar"):
            found.append(current)
    return found


def _call_back(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    """Executors, threads and checkpoints call what they are given."""
    target = kwargs.get("target")
    rest = list(args)
    if target is None:
        for i, arg in enumerate(args):
            if any(a.op in ("function", "bound", "object") for a in alternatives(arg, 4)):
                target, rest = arg, args[i + 1 :]
                break
    if target is None or not any(
        a.op in ("function", "bound", "object") for a in alternatives(target, 4)
    ):
        return None
    packed = kwargs.get("args")
    if packed is not None and packed.op in ("tuple", "list"):
        rest = list(packed.data.items)
    elif packed is not None:
        rest = [t.node("elem", (packed,), "star", at)]
    rest = [t.element(a, at) if a.op == "list" else a for a in rest]
    keep = {
        k: v
        for k, v in kwargs.items()
        if k not in ("target", "args", "use_reentrant", "daemon", "kwargs")
    }
    return t.call(target, rest, keep, at)


# -- builtins and well-known externals that need more than a node -------------------------------------------


def _getenv(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if args and args[0].op == "const":
        default = args[1] if len(args) > 1 else kwargs.get("default") or t.const(None)
        return t.host.env(args[0].data, default, at)
    return None


def _setdefault_env(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if len(args) == 2 and args[0].op == "const":
        if not t.host.has_env(args[0].data):
            t.host.set_env(args[0], args[1])
        return t.host.env(args[0].data, args[1], at)
    return None


def _getattr(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if len(args) < 2 or args[1].op != "const" or not isinstance(args[1].data, str):
        return None
    value = t.load_attr(args[0], args[1].data, at)
    if len(args) > 2 and value.op == "attr":
        return args[2] if args[0].op == "object" else t.phi([value, args[2]])
    return value


def _setattr(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if len(args) == 3 and args[1].op == "const" and isinstance(args[1].data, str):
        t.store_attr(args[0], args[1].data, args[2], at)
        return t.const(None)
    return None


def _hasattr(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if (
        len(args) == 2
        and args[0].op == "object"
        and args[1].op == "const"
        and t.has_attr(args[0], args[1].data)
    ):
        return t.const(True, tuple(args), at)
    return None


def _list(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    made = t.container("list", (), at)
    if not args:
        return made
    for value in alternatives(args[0], 3):
        if value.op in ("list", "tuple", "set"):
            t.extend(made.data, value)
            return made
    return None


def _tuple(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if args and args[0].op in ("tuple", "list") and args[0].data.exact:
        return t.container("tuple", args[0].data.items, at)
    return None


def _dict(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    made = t.container("dict", (), at)
    if args:
        t.merge_dict(made.data, args[0])
    made.data.keyed.update(kwargs)
    return made


def _len(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if args and args[0].op in ("list", "tuple") and args[0].data.exact and not t.context.loops:
        return t.const(len(args[0].data.items), (args[0],), at)
    return None


def _deepcopy(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    for value in alternatives(args[0], 3) if args else ():
        if value.op == "object":
            return _cloned(t, value, {}, at)
    return None


def _cloned(t: Tracer, value: Node, done: dict[int, Node], at: ast.AST) -> Node:
    """A copy of an object with all that it holds: learning of the copy leaves the original alone."""
    if value.uid in done:
        return done[value.uid]
    if value.op == "object":
        old: Instance = value.data
        new = Instance(old.cls, {}, old, made=t.context)
        made = done[value.uid] = t.node("object", (value,), new, at)
        new.copied_at = made.uid
        new.attrs.update({k: _cloned(t, v, done, at) for k, v in old.attrs.items()})
        return made
    if value.op in ("list", "tuple", "dict"):
        box: Container = value.data
        copy = Container(box.kind, exact=box.exact)
        made = done[value.uid] = t.node(value.op, (), copy, at)
        copy.items = [_cloned(t, v, done, at) for v in box.items]
        copy.keyed = {k: _cloned(t, v, done, at) for k, v in box.keyed.items()}
        copy.summary = _cloned(t, box.summary, done, at) if box.summary is not None else None
        copy.keys = box.keys
        return made
    if value.op == "phi":
        made = done[value.uid] = t.node("phi", [], value.data, at)
        made.args.extend(_cloned(t, v, done, at) for v in value.args)
        return made
    if value.op in ("call", "method"):
        made = done[value.uid] = t.node("call", (value,), "copy.deepcopy", at)
        return made
    return value


def _replaced(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    """``dataclasses.replace(settings, name=value)``: the same, but for what is named."""
    for value in alternatives(args[0], 3) if args else ():
        if value.op == "object":
            old: Instance = value.data
            return t.node(
                "object", (), Instance(old.cls, {**old.attrs, **kwargs}, made=t.context), at
            )
    return None


def _protocol(name: str) -> Callable[[Tracer, Args, Kwargs, ast.AST], Node | None]:
    """A builtin that asks a user object's own method."""

    def ask(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
        if args and args[0].op == "object" and args[0].data.cls is not None:
            method = args[0].data.cls.lookup(name)
            if method is not None and method.op == "function":
                return t.call(t.bound(method, args[0]), [], {}, at)
        return None

    return ask


def _field(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if "default" in kwargs:
        return kwargs["default"]
    if "default_factory" in kwargs:
        return t.call(kwargs["default_factory"], [], {}, at)
    return None


def _first(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    return args[0] if args else None


def _path_join(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if args and all(a.op == "const" and isinstance(a.data, str) for a in args):
        return t.const("/".join(a.data for a in args), tuple(args), at)
    return None


def _namespace(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    return t.node("object", (), Instance(None, dict(kwargs), made=t.context), at)


def _range(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    return t.node("call", tuple(args), "range", at)


def _partial_import(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if args and args[0].op == "const" and isinstance(args[0].data, str):
        return t.host.import_module(args[0].data)
    return None


def _from_location(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    """``spec_from_file_location(name, path)``: the module itself stands for its spec."""
    location = args[1] if len(args) > 1 else kwargs.get("location")
    for text in constant_text(location).split("\n") if location is not None else ():
        name = text.rpartition("/")[2]
        for spelling in (name, name[:-3]) if name.endswith(".py") else ():
            module = t.host.import_module(spelling)
            if module.op == "module":
                return module
    return None


def _parser(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    return t.node("object", (), Instance(None, {}, made=t.context), at, ())


def _true(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    return t.const(True, (), at)


def _exec(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    t.host.run_code(args, at)
    return t.const(None)


def _run_path(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    t.host.run_code(args, at)
    return t.node("unknown", (), "module", at)


def _reduce(t: Tracer, args: Args, kwargs: Kwargs, at: ast.AST) -> Node | None:
    if len(args) >= 2:
        item = t.element(args[1], at)
        return t.call(args[0], [t.phi([args[2], item]) if len(args) > 2 else item, item], {}, at)
    return None


_SPECIAL: dict[str, Callable[[Tracer, Args, Kwargs, ast.AST], Node | None]] = {
    "os.environ.get": _getenv, "os.getenv": _getenv, "os.environ.setdefault": _setdefault_env,
    "environ.get": _getenv, "getattr": _getattr, "setattr": _setattr, "hasattr": _hasattr,
    "list": _list, "tuple": _tuple, "dict": _dict, "len": _len, "copy.deepcopy": _deepcopy,
    "copy.copy": _deepcopy, "dataclasses.field": _field, "field": _field,
    "os.path.join": _path_join, "pathlib.Path": _first, "Path": _first, "os.fspath": _first,
    "os.path.expanduser": _first, "os.path.abspath": _first, "os.path.realpath": _first,
    "types.SimpleNamespace": _namespace, "argparse.Namespace": _namespace,
    "torch.nn.ModuleList": _list, "torch.nn.ParameterList": _list, "torch.nn.ModuleDict": _dict,
    "torch.nn.ParameterDict": _dict, "torch.nn.parallel.DistributedDataParallel": _first,
    "torch.compile": _first, "torch.jit.script": _first, "torch._dynamo.disable": _first,
    "numba.njit": _first, "numba.jit": _first, "torch.no_grad": _first,
    "importlib.import_module": _partial_import, "__import__": _partial_import,
    "importlib.util.spec_from_file_location": _from_location,
    "importlib.util.module_from_spec": _first,
    "torch.cuda.is_available": _true, "exec": _exec, "runpy.run_path": _run_path,
    "functools.reduce": _reduce, "range": _range, "collections.OrderedDict": _dict,
    "argparse.ArgumentParser": _parser, "functools.lru_cache": _first, "functools.cache": _first,
    "functools.wraps": _first, "tuple.__new__": _tuple, "collections.deque": _list,
    "dataclasses.replace": _replaced, "iter": _protocol("__iter__"), "next": _protocol("__next__"),
}  # fmt: skip


# -- methods --------------------------------------------------------------------------------------------


def method(t: Tracer, receiver: Node, name: str, args: Args, kwargs: Kwargs, at: ast.AST) -> Node:
    """The result of calling a method that no user class defines."""
    if name in ("register_forward_hook", "register_forward_pre_hook") and args:
        return _hook(t, receiver, args, at)
    owners = alternatives(receiver, 6)
    boxes = [o for o in owners if o.op in ("list", "dict", "set", "tuple")]
    if boxes:
        result = _container_method(t, boxes, name, args, kwargs, at)
        if result is not None:
            return result
    objects = [o for o in owners if o.op == "object"]
    if objects:
        result = _object_method(t, receiver, objects, name, args, kwargs, at)
        if result is not None:
            return result
    if receiver.op == "const" and isinstance(receiver.data, str):
        result = _string_method(t, receiver, name, args, kwargs, at)
        if result is not None:
            return result
    if receiver.op == "class" and name == "apply":
        forward = receiver.data.lookup("forward")
        if forward is not None and forward.op == "function":
            return t.call_function(
                forward.data, [t.node("unknown", (), "ctx", at), *args], kwargs, at
            )
    if receiver.op == "function" and name in ("remote", "apply", "py_func"):
        return t.call(receiver, args, kwargs, at)
    if name in _CALLERS or "target" in kwargs:
        called = _call_back(t, args, kwargs, at)
        if called is not None:
            return called
    return _array_method(t, receiver, name, args, kwargs, at)


def _hook(t: Tracer, receiver: Node, args: Args, at: ast.AST) -> Node:
    """A function that torch calls with a layer's inputs and outputs: called once, with unknowns."""
    seen = [t.node("unknown", (), "hooked", at) for _ in range(2)]
    t.event("hook", receiver, *seen, at=at)
    t.call(args[0], [receiver, *seen], {}, at)
    return t.node("unknown", (), "handle", at)


def _array_method(
    t: Tracer, receiver: Node, name: str, args: Args, kwargs: Kwargs, at: ast.AST
) -> Node:
    if name == "step" and args and args[0].op in ("function", "bound"):
        t.call(args[0], [], {}, at)  # a closure that evaluates the loss, as L-BFGS wants it
    result = t.opaque("method", name, [receiver, *args], kwargs, at)
    if name == "backward":
        t.event("backward", receiver, at=at)
    elif name == "step":
        t.event("step", receiver, *args, at=at)
    elif name == "load_state_dict":
        t.event("load_state", receiver, *args, at=at)
    elif name in _OUTPUT_METHODS:
        t.event("output", *args, *kwargs.values(), at=at)
    elif name in _INDEXED:
        key = _INDEXED[name]
        value = kwargs.get("src") or (args[key + 1] if len(args) > key + 1 else t.const(1))
        if (
            name in ("scatter_add_", "index_add_", "scatter_reduce_")
            or "accumulate" in kwargs
            or (len(args) == 3 and name == "index_put_")
        ):
            how = "+="
        else:
            how = "="
        t.store(
            receiver,
            kwargs.get("index") or (args[key] if len(args) > key else None),
            value,
            how,
            at,
        )
        return receiver
    elif name.endswith("_") and not name.endswith("__") and len(name) > 2:
        t.store(receiver, None, result if name != "copy_" or not args else args[0], name, at)
        return receiver
    elif name in ("append", "appendleft", "extend", "add") and len(args) == 1:
        t.store(receiver, None, args[0], name, at)  # a list in a mapping that makes its own
    elif name == "fill" and args:
        t.store(receiver, None, args[0], "fill", at)
    elif name == "readinto" and args:
        t.store(args[0], None, result, "=", at)
    elif name == "sort" and not args:
        return receiver
    return result


def _string_method(
    t: Tracer, receiver: Node, name: str, args: Args, kwargs: Kwargs, at: ast.AST
) -> Node | None:
    if name == "join" and args and args[0].op in ("list", "tuple") and args[0].data.exact:
        items = args[0].data.items
        if all(i.op == "const" and isinstance(i.data, str) for i in items):
            return t.const(receiver.data.join(i.data for i in items), tuple(items), at)
    if name not in _STR_METHODS or any(a.op != "const" for a in (*args, *kwargs.values())):
        return None
    try:
        value = getattr(receiver.data, name)(
            *(a.data for a in args), **{k: v.data for k, v in kwargs.items()}
        )
    except Exception:  # the submission's own error: the value is unknown
        return None
    if isinstance(value, (list, tuple)):
        made = t.container("list", [t.const(v, (receiver,), at) for v in value], at)
        made.args = (receiver,)
        return made
    return t.const(value, (receiver, *args), at)


def _container_method(
    t: Tracer, boxes: list[Node], name: str, args: Args, kwargs: Kwargs, at: ast.AST
) -> Node | None:
    first = boxes[0]
    if name in ("append", "add", "appendleft", "insert", "put") and args:
        for box in boxes:
            if box.op == "set":
                t.store(box, args[-1], args[-1], "add", at)
            if box.op in ("list", "set"):
                t.append(box, args[-1])
        return t.const(None)
    if name in ("extend", "update") and args:
        for box in boxes:
            if box.op == "dict":
                t.merge_dict(box.data, args[0])
                t.store(box, None, args[0], "update", at)
            else:
                t.extend(box.data, args[0])
        return t.const(None)
    if name == "update" and kwargs and first.op == "dict":
        first.data.keyed.update(kwargs)
        return t.const(None)
    if name in ("get", "pop", "setdefault") and first.op == "dict" and args:
        return _dict_get(t, first, name, args, at)
    if name in ("pop", "popleft") and first.op == "list":
        values = container_all(first.data)
        return (
            t.phi(values, args[0] if args else None)
            if values
            else t.node("elem", (first,), None, at)
        )
    if name in ("items", "keys", "values"):
        return t.opaque("method", name, [first], {}, at)
    if name == "copy":
        box = first.data
        made = t.node(
            first.op,
            (),
            Container(box.kind, list(box.items), dict(box.keyed), box.exact, box.summary, box.keys),
            at,
        )
        return made
    if name in ("sort", "reverse", "clear"):
        return t.const(None)
    return None


def _dict_get(t: Tracer, owner: Node, name: str, args: Args, at: ast.AST) -> Node:
    box: Container = owner.data
    key = args[0]
    if key.op == "const":
        try:
            known = box.keyed.get(key.data)
        except TypeError:
            known = None
        if known is not None and not t.context.loops:
            return known
        if known is None and box.exact and not t.context.loops and len(args) > 1:
            if name == "setdefault":
                t.dict_set(box, key, args[1], strong=False)
            return args[1]
    if name == "setdefault" and len(args) > 1:
        t.dict_set(box, key, args[1], strong=False)
    loaded = t.node("index", (owner, key), "get", at)
    values = [
        loaded,
        *([box.keyed[key.data]] if key.op == "const" and key.data in box.keyed else []),
    ]
    return t.phi([*values, *args[1:2]]) if len(args) > 1 else loaded


def _object_method(
    t: Tracer,
    receiver: Node,
    objects: list[Node],
    name: str,
    args: Args,
    kwargs: Kwargs,
    at: ast.AST,
) -> Node | None:
    if (
        name in ("register_buffer", "register_parameter", "add_module", "register_module")
        and len(args) >= 2
    ):
        if args[0].op == "const" and isinstance(args[0].data, str):
            for owner in objects:
                t.store_attr(owner, args[0].data, args[1], at)
        return t.const(None)
    if name == "add_argument":
        _add_argument(t, objects[0], args, kwargs, at)
        return t.const(None)
    if name in ("parse_args", "parse_known_args"):
        return _parse_args(t, objects[0], name, at)
    if name in ("add_argument_group", "add_mutually_exclusive_group"):
        return objects[0]
    if name == "set_defaults":
        objects[0].data.attrs.update(dict(kwargs.items()))
        return t.const(None)
    if name in _SELF_METHODS:
        return receiver
    if name == "load_state_dict":
        t.event("load_state", receiver, *args, at=at)
        return t.const(None)
    if name == "step":
        t.event("step", receiver, *args, at=at)
    if name == "_replace":
        return _replaced(t, [objects[0]], kwargs, at)
    if name == "copy":
        return receiver
    return None


def _add_argument(t: Tracer, parser: Node, args: Args, kwargs: Kwargs, at: ast.AST) -> None:
    flags = [a.data for a in args if a.op == "const" and isinstance(a.data, str)]
    if not flags:
        return
    long = next((f for f in flags if f.startswith("--")), flags[0])
    dest = kwargs.get("dest")
    name = (
        dest.data if dest is not None and dest.op == "const" else long.lstrip("-").replace("-", "_")
    )
    action = kwargs.get("action")
    action_name = str(action.data) if action is not None and action.op == "const" else ""
    default = kwargs.get("default")
    if default is None:
        default = t.const({"store_true": False, "store_false": True}.get(action_name), (), at)
    value = t.host.argument(long, default, at)
    kind = kwargs.get("type")
    if value is not default and kind is not None:
        value = t.call(kind, [value], {}, at)
    elif value is not default and action_name in ("store_true", "store_false"):
        value = t.const(action_name == "store_true", (value,), at)
    parser.data.attrs[name] = value


def _parse_args(t: Tracer, parser: Node, name: str, at: ast.AST) -> Node:
    spaces = t.node("object", (), Instance(None, dict(parser.data.attrs), made=t.context), at)
    if name == "parse_known_args":
        return t.container("tuple", [spaces, t.node("unknown", (), "rest", at)], at)
    return spaces


# -- results of external calls, called in turn ---------------------------------------------------------------


def call_result(t: Tracer, callee: Node, args: Args, kwargs: Kwargs, at: ast.AST) -> Node:
    """Calling what an external call returned: layers, losses, decorators with arguments."""
    name = callee.data
    if name.endswith("CrossEntropyLoss"):
        merged = {k: v for k in callee.kw if (v := callee.keyword(k)) is not None}
        return t.opaque("call", "torch.nn.functional.cross_entropy", args, {**merged, **kwargs}, at)
    if name == "torch.nn.Sequential":
        value = args[0] if args else t.node("unknown", (), None, at)
        for layer in callee.args:
            value = t.call(layer, [value], {}, at)
        return value
    if (
        args
        and any(a.op in ("function", "class") for a in alternatives(args[0], 2))
        and not callee.args
    ):
        return args[0]
    if (
        name.startswith(
            ("torch.compile", "numba.", "torch.no_grad", "torch.inference_mode", "functools.")
        )
        and args
        and alternatives(args[0], 2)[0].op in ("function", "bound", "object")
    ):
        return args[0]
    return t.opaque("call", f"{name}()", [callee, *args], kwargs, at)


def constant_text(start: Node, limit: int = 400) -> str:
    """Every constant string that a value is made from, joined: file patterns, modes, names."""
    texts = []
    for i, node in enumerate(walk([start])):
        if i > limit:
            break
        if node.op == "const" and isinstance(node.data, str) and len(node.data) < 400:
            texts.append(node.data)
    return "\n".join(texts)
