"""robustness: what does not break a rule, but what a reviewer wants to know before building on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from auditor.analysis.graph import Node, alternatives, container_all
from auditor.analysis.program import Program
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.submission.model import Claim, Submission

_LINE_LIMIT = re.compile(r"(?i)never (?:are|is|be) (?:longer|more) than (1[,_]?500) lines")
_LIMIT = 1500
# Read by libraries, launchers and the shell, not by the script.
_LIBRARIES = re.compile(
    r"^(?:NCCL|TORCH|TORCHINDUCTOR|TORCHELASTIC|PYTORCH|CUDA|CUDNN|OMP|MKL|OPENBLAS|NUMEXPR|NUMBA"
    r"|TRITON|HF|HUGGINGFACE|HUGGING_FACE|TRANSFORMERS|TOKENIZERS|WANDB|PYTHON\w*|PIP|UV|LD|XLA|JAX"
    r"|TF|KMP|GLOO|UCX|GIT|RUNPOD|LC|DEBIAN|MAX_JOBS|FLASH_ATTENTION|FLASH_ATTN|MASTER)(?:_|$)"
    r"|^(?:PATH|HOME|USER|PWD|SHELL|TERM|LANG|TMPDIR|TZ|PORT|VERSION|NPROC\w*|N?GPUS?|RANK|LOCAL_RANK"
    r"|WORLD_SIZE|LOCAL_WORLD_SIZE)$"
)
# A script that goes through its environment, or builds names, may read any of them.
_READS_ALL = re.compile(
    r"os\.environ\.(?:items|keys|copy)\(|in os\.environ:|dict\(os\.environ|\.upper\(\)|"
    r"(?:environ(?:\.get)?|getenv)[\[(]\s*f[\"']"
)
_LARGEST_MASKED = 1 << 40


def check_record(record: Record) -> Iterable[Finding]:
    yield from _line_limit(record.submission)
    yield from _unread_settings(record.submission)


def _line_limit(submission: Submission) -> Iterator[Finding]:
    entry = submission.entry
    match = _LINE_LIMIT.search(entry.text[:20_000])
    length = entry.text.count("\n") + 1
    if match and length > _LIMIT:
        line = entry.text.count("\n", 0, match.start()) + 1
        message = f"this says that the script is never longer than 1,500 lines; it has {length:,}"
        yield RULE.finding(Level.NOTE, entry.path, line, message)


def _unread_settings(submission: Submission) -> Iterator[Finding]:
    """Variables that a README sets and no code so much as names."""
    code = _code(submission)
    unread: dict[str, Claim] = {}
    for claim in submission.claims:
        is_variable = claim.kind == "readme" and claim.name.isupper() and "_" in claim.name
        if is_variable and claim.name not in code and not _LIBRARIES.search(claim.name):
            unread.setdefault(claim.name, claim)
    if not unread or _READS_ALL.search(code):
        return
    by_place: dict[tuple[str, int], list[Claim]] = {}
    for claim in unread.values():
        by_place.setdefault((claim.path, claim.line), []).append(claim)
    for (path, line), claims in sorted(by_place.items()):
        named = ", ".join(f"{claim.name}={claim.value}" for claim in claims)
        yield RULE.finding(
            Level.NOTE, path, line, f"{named}: set here, and nothing in the code names it"
        )


def _code(submission: Submission) -> str:
    payloads = [source for group in submission.payloads.values() for source in group]
    sources = (
        submission.entry,
        *submission.modules.values(),
        *payloads,
        *submission.natives,
        *submission.run_scripts,
    )
    return "\n".join(source.text for source in sources)


# -- what the traced code shows ---------------------------------------------------------------


def check(program: Program) -> Iterable[Finding]:
    for node in program.flow.nodes:
        if node.op == "binop":
            ask = _BINARY.get(node.data)
            if ask is not None:
                yield from ask(program, node)
        elif node.op == "elem":
            yield from _wrapped(program, node)
        elif node.op == "call" and node.data == "torch.arange":
            yield from _odd_halves(node)


def _masked(program: Program, node: Node) -> Iterator[Finding]:
    """``key & (buckets - 1)`` for a number of buckets that is no power of two."""
    for mask in node.args:
        value = mask.data if mask.op == "const" else None
        if type(value) is not int or not 0 < value < _LARGEST_MASKED or not value & (value + 1):
            continue
        if _is_one_less(mask):
            reached = 1 << value.bit_count()
            message = (
                f"{value + 1:,} buckets under the mask {value:,}, which is no power of two less one: "
                f"only {reached:,} of them are ever used"
            )
            yield _note(node, message)


def _is_one_less(mask: Node) -> bool:
    """Whether a constant was computed as a number less one."""
    for _ in range(4):
        origins = mask.args
        if mask.op == "binop" or len(origins) == 2:
            ones = [o for o in origins if o.op == "const" and o.data == 1]
            return bool(ones) and any(
                o.op == "const" and o.data == mask.data + 1 for o in origins if o not in ones
            )
        if len(origins) != 1:
            return False
        mask = origins[0]
        if mask.op != "const":
            return False
    return False


def _modulo(program: Program, node: Node) -> Iterator[Finding]:
    divisor = node.args[1]
    if divisor.op == "const" and type(divisor.data) is int and divisor.data == 0:
        yield _note(node, "a remainder by zero, with the settings in force")


def _odd_halves(node: Node) -> Iterator[Finding]:
    """``arange(0, dims, 2)`` of an odd number: half of it does not fit the other half."""
    args = node.positional
    if len(args) != 3 or any(a.op != "const" or type(a.data) is not int for a in args):
        return
    start, stop, step = (a.data for a in args)
    if start == 0 and step == 2 and stop % 2:
        yield _note(
            node, f"{stop} dimensions are rotated in pairs: {stop // 2} and {stop - stop // 2}"
        )


def _wrapped(program: Program, node: Node) -> Iterator[Finding]:
    """``primes[k % len(primes)]`` in a hash by exclusive-or, where k goes beyond the list."""
    if len(node.args) < 2 or node.args[0].op not in ("list", "tuple"):
        return
    factors, key = node.args[0].data, node.args[1]
    if key.op != "binop" or key.data != "%" or not factors.exact:
        return
    count, highest = len(factors.items), _highest(key.args[0])
    if not _is_length(key.args[1], node.args[0]) or highest is None or highest < count:
        return
    hashed = program.flow.forward([node], limit=60)
    nodes = program.flow.nodes
    if any(nodes[uid].op == "binop" and nodes[uid].data == "^" for uid in hashed):
        message = (
            f"the {count} factors of this hash are used again from position {count} on (it goes to "
            f"{highest}): equal tokens {count} apart cancel out"
        )
        yield _note(node, message)


def _is_length(divisor: Node, box: Node) -> bool:
    if divisor.op == "const":
        return bool(divisor.data == len(box.data.items))
    return divisor.op == "call" and divisor.data == "len" and divisor.args[0] is box


def _highest(node: Node) -> int | None:
    """The largest value of a counter, where constants say so."""
    if node.op == "const":
        return node.data if type(node.data) is int else None
    if node.op == "loopvar" and node.data == "range" and node.args:
        stop = _highest(node.args[1] if len(node.args) > 1 else node.args[0])
        return None if stop is None else stop - 1
    if node.op == "binop" and node.data in ("+", "-") and node.args[1].op == "const":
        left, right = _highest(node.args[0]), node.args[1].data
        if left is None or type(right) is not int:
            return None
        return left + right if node.data == "+" else left - right
    return None


# -- averages of weights that nothing reads ----------------------------------------------------


def _unused_sum(program: Program, node: Node) -> Iterator[Finding]:
    """``sums[name] += weight`` in a loop, where nothing but the sum itself reads ``sums``."""
    base = node.args[0]
    if not node.ctx.loops or base.op != "index":
        return
    sums = [a for a in alternatives(base.args[0], 6) if a.op == "dict"]
    if not sums or not any(_holds_weights(program, part) for part in (*sums, node.args[1])):
        return
    if not _is_read(program, sums, (base.args[0], node)):
        yield _note(node, "weights are summed up here, and nothing reads the sum")


def _holds_weights(program: Program, node: Node) -> bool:
    return any(
        part.op == "method" and part.data in ("state_dict", "named_parameters", "parameters")
        for part in program.flow.backward([node], memory=False, limit=60)
    )


def _is_read(program: Program, boxes: list[Node], views: Iterable[Node]) -> bool:
    """Whether what the dictionaries hold is loaded, saved, printed or stored anywhere else."""
    flow = program.flow
    held = [value for box in boxes for value in container_all(box.data)]
    reached = flow.forward([*boxes, *held, *views], limit=20_000)
    own = {box.uid for box in boxes}
    if any(arg.uid in reached for event in flow.tracer.events for arg in event.args):
        return True
    stored = (store for uid in reached for store in flow.stored.get(uid, ()))
    return any(store.root.uid not in own for store in stored)


_BINARY = {"&": _masked, "%": _modulo, "+": _unused_sum}


def _note(node: Node, message: str) -> Finding:
    return RULE.finding(Level.NOTE, node.path, node.line, message, column=node.column)


RULE = Rule(
    slug="robustness",
    code="X1",
    title="what a reviewer wants to know before building on it",
    status="CONSENSUS",
    sources=("https://github.com/openai/parameter-golf/blob/main/README.md",),
    page="""\
None of this breaks a rule. It is listed because it makes a submission behave otherwise than its
text says, or fail under other settings: buckets that a mask never reaches, a remainder by zero, an
odd number of rotary dimensions, hash factors that repeat within a context, averaged weights that
nothing reads, settings in a README's command that no code names, and a limit of 1,500 lines stated
in a longer file. Values are those that the settings in force give.
""",
    blind_spots="""\
Parameters that no optimiser holds, gradients that are never cleared and weights that are averaged in
place are not looked for: a run that compares the weights before and after shows them. A setting
counts as read if the code so much as names it.
""",
    clears="Nothing has to be cleared; make the text and the code agree.",
    check=check,
    check_record=check_record,
    forbidden={
        "train_gpt.py": """\
import glob
import numpy as np

buckets = 1_000_000
mask = buckets - 1
tokens = np.fromfile(glob.glob("fineweb_train_*.bin")[0], dtype=np.uint16).astype(np.int64)
print(((tokens * 36313) & mask).max())
""",
        "README.md": "# Run\n\n    TTT_ENABLED=1 python train_gpt.py\n",
    },
    allowed="""\
import glob
import numpy as np

buckets = 1 << 20
mask = buckets - 1
tokens = np.fromfile(glob.glob("fineweb_train_*.bin")[0], dtype=np.uint16).astype(np.int64)
print(((tokens * 36313) & mask).max())
""",
)
