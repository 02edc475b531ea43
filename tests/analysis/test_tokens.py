"""Which values are tokens of a stream, and of which positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Trace = Callable[..., Any]

HEAD = """
import glob, os
import numpy as np
import torch
val = torch.from_numpy(np.fromfile(glob.glob("data/fineweb_val_*.bin")[0], dtype=np.uint16))
train = torch.from_numpy(np.fromfile(glob.glob("data/fineweb_train_*.bin")[0], dtype=np.uint16))
"""


def kinds(traced: Any) -> list[set[str]]:
    return [set(traced.program.tokens.of(node)) for node in traced.shown]


def same_place(traced: Any) -> bool:
    """Whether the two shown values hold the same positions of one stream."""
    one, two = (traced.program.tokens.position(node) for node in traced.shown)
    assert one is not None
    assert two is not None
    return bool(one.key() == two.key())


@pytest.mark.parametrize(
    "read",
    [
        "np.fromfile('d/fineweb_val_0.bin', dtype=np.uint16)",
        "np.memmap(os.path.join(path, 'val.bin'), dtype=np.uint16)",
        "torch.load('val_tokens.pt')",
        "np.frombuffer(open('val.bin', 'rb').read(), dtype='<u2')",
        "np.concatenate([np.fromfile(p) for p in sorted(glob.glob('d/fineweb_val_*.bin'))])",
        "shards(os.environ.get('VAL_FILES', 'd/fineweb_val_*.bin'))",
    ],
)
def test_reads_of_the_validation_stream(trace: Trace, read: str) -> None:
    traced = trace(
        "import glob, os\nimport numpy as np\nimport torch\nfrom pathlib import Path\n"
        "def shards(pattern):\n"
        "    return torch.cat([torch.from_numpy(np.fromfile(Path(p))) for p in glob.glob(pattern)])\n"
        f"show({read})\n"
    )
    assert kinds(traced) == [{"val"}]


@pytest.mark.parametrize(
    "read",
    [
        "np.fromfile('d/interval.bin')",
        "np.fromfile('d/tokens.bin')",
        "np.fromfile('d/bytes_of_each_token.bin')",
        "open('README.md').read()",
        "evaluate('val')",
    ],
)
def test_other_reads(trace: Trace, read: str) -> None:
    assert kinds(trace(f"import numpy as np\nshow({read})\n")) == [set()]


@pytest.mark.parametrize(
    "value",
    [
        "val", "val[5:9]", "val[i]", "val[:-1].long()", "val.to('cuda', non_blocking=True)",
        "val.reshape(-1, 8)", "torch.roll(val, 1)", "torch.cat([val, val])", "val.unfold(0, 4, 1)",
        "torch.where(mask, val, 0)", "int(val[3])", "val.tolist()", "[t for t in val]",
        "np.asarray(val)", "(val, 1)[0]", "{'x': val}['x']", "val.numpy()[idx]", "val.clamp(min=0)",
        "val.astype(np.int64) & 0xFFFF", "copied", "list(val)[3]", "rows[0]", "next(iter(val))",
    ],
)  # fmt: skip
def test_tokens_under_other_names(trace: Trace, value: str) -> None:
    setup = (
        "copied = torch.zeros(8)\ncopied[:4] = val[:4]\nrows = []\nfor t in val: rows.append(t)\n"
    )
    assert kinds(trace(HEAD + setup + f"show({value})\n")) == [{"val"}]


@pytest.mark.parametrize(
    "value",
    [
        "val.numel()", "val.shape[0]", "len(val)", "val.float().mean()", "torch.zeros_like(val)",
        "table[val]", "val == 3", "val * 36313", "model(val)", "val.sum()", "val.argmax()",
        "weights[val]", "hash(val)", "torch.bincount(val)",
    ],
)  # fmt: skip
def test_what_is_made_from_tokens_is_no_token(trace: Trace, value: str) -> None:
    assert kinds(trace(HEAD + f"show({value})\n")) == [set()]


def test_a_buffer_that_a_file_is_read_into(trace: Trace) -> None:
    traced = trace(
        """
import torch
def shard(pattern):
    buffer, other = torch.empty(100, dtype=torch.uint16), torch.empty(100)
    with open(pattern, "rb") as file:
        file.readinto(buffer.numpy())
    return buffer, other
tokens, untouched = shard("d/fineweb_val_0.bin")
show(tokens[1:])
show(untouched[1:])
"""
    )
    assert kinds(traced) == [{"val"}, set()]


def test_the_streams_are_told_apart(trace: Trace) -> None:
    traced = trace(HEAD + "show(val[1:], train[1:], torch.cat([val, train]))\n")
    assert kinds(traced) == [{"val"}, {"train"}, {"val", "train"}]


def test_one_loader_for_both_streams(trace: Trace) -> None:
    """Each call of a function has its own stream."""
    traced = trace(
        """
        import glob
        import numpy as np
        def load(pattern):
            return np.concatenate([np.fromfile(p) for p in sorted(glob.glob(pattern))])
        show(load("fineweb_val_*.bin"), load("fineweb_train_*.bin"))
        """
    )
    assert kinds(traced) == [{"val"}, {"train"}]


SAME = [
    ("val[1:]", "val[1:].long()"),
    ("val[1:][2:]", "val[3:]"),
    ("val[i + 1 : i + 9]", "val[i : i + 9][1:]"),
    ("val[i : i + 9][:-1]", "val[i : i + 8]"),
    ("torch.roll(val, -1)", "val[1:]"),
    ("torch.cat([pad, val])", "torch.roll(val, 1)"),
    ("torch.cat([val[:1], val[:-1]])", "torch.roll(val, 1)"),
    ("val[torch.arange(4, 9)]", "val[4:9]"),
    ("val[torch.arange(n) + 3]", "val[3:]"),
    ("val[1:][mask.nonzero()]", "val[1:]"),
    ("val[1:][val[1:] > 3]", "val[1:]"),
    ("val[np.flatnonzero(mask) + 1]", "val[1:]"),
    ("val[3:].reshape(4, -1)[0]", "val[3:]"),
    ("copied[2:]", "val[7:]"),
    ("one[j]", "val[1:]"),
    ("torch.where(mask, val[1:], 0)", "val[1:]"),
    ("torch.clamp(val[1:], min=0)", "val[1:]"),
    ("F.cross_entropy(model(val[:-1]), val[1:])", "val[1:]"),
    ("torch.gather(logits, -1, val[1:].unsqueeze(-1))", "val[1:]"),
    ("logits[rows, val[1:]]", "val[1:]"),
    ("logits.gather(-1, val[2:])[1:]", "val[3:]"),
]
OTHER = [
    ("val[1:]", "val[:-1]"),
    ("val[i : i + 8]", "val[i + 1 : i + 9]"),
    ("val[1:][2:]", "val[2:]"),
    ("torch.roll(val, 1)", "torch.roll(val, -1)"),
    ("torch.cat([pad, val])", "val"),
    ("val[torch.arange(n) + 3]", "val[2:]"),
    ("copied[2:]", "val[2:]"),
    ("val[1:]", "train[1:]"),
    ("one[j]", "val[:-1]"),
    ("F.cross_entropy(model(val[:-1]), val[1:])", "val[:-1]"),
    ("torch.gather(logits, -1, val[1:].unsqueeze(-1))", "val[:-1]"),
    ("logits[rows, val[1:]]", "val[:-1]"),
]
PLACES = """
import torch.nn.functional as F
pad = torch.zeros(1)
logits = network(inputs)
copied = torch.zeros(64)
copied[:8] = val[5:13]
one = val[1:]
for i in range(0, n, 64):
    for j in range(m):
        show({0}, {1})
"""


@pytest.mark.parametrize(("one", "two"), SAME)
def test_same_positions(trace: Trace, one: str, two: str) -> None:
    assert same_place(trace(HEAD + PLACES.format(one, two)))


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_other_positions(trace: Trace, one: str, two: str) -> None:
    assert not same_place(trace(HEAD + PLACES.format(one, two)))


def test_single_positions_in_compiled_loops(trace: Trace) -> None:
    """Loops over positions, as numba code has them: element t is the running index itself."""
    traced = trace(
        HEAD
        + """
def walk(tokens):
    for t in range(1, len(tokens)):
        show(tokens[t], tokens[t - 1])
walk(val)
"""
    )
    here, before = (traced.program.tokens.position(n).form for n in traced.shown)
    assert (here - before).constant == 1


@pytest.mark.parametrize("value", ["table[val]", "train.numel()", "unknown[1:]", "val.sum()"])
def test_no_position_is_made_up(trace: Trace, value: str) -> None:
    """What is no token has the stream's position only where it stands for a token one by one."""
    traced = trace(HEAD + f"show({value}, val)\n")
    made, _ = traced.shown
    assert not traced.program.tokens.of(made)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("val[i : i + 9]", 9),
        ("val[i + 1 : i + 9]", 8),
        ("val[i : i + 9][:-1]", 8),
        ("val[5:13]", 8),
    ],
)
def test_where_a_slice_ends(trace: Trace, value: str, size: int) -> None:
    traced = trace(HEAD + f"for i in range(0, n, 64):\n    show({value})\n")
    (node,) = traced.shown
    tokens = traced.program.tokens
    begin = dict(tokens.position(node).form)
    begin.pop("iota")
    length = tokens.upper(node) - type(tokens.upper(node))(begin)
    assert length.constant == size
