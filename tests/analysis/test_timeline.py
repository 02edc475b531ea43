"""What reaches ahead along the sequence, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import indent
from typing import Any

import pytest

from auditor.analysis.timeline.states import Along
from auditor.analysis.timeline.timeline import Timeline, logits

Trace = Callable[..., Any]

SCRIPT = """
import glob
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from fla.ops.delta_rule import chunk_delta_rule
from flash_attn import flash_attn_func
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16)).long()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(1024, 64), nn.Linear(64, 1024)
        self.q, self.k, self.v = (nn.Linear(64, 64) for _ in range(3))
        self.mixer = nn.Parameter(torch.randn(512, 512))
        self.near = nn.Conv1d(64, 64, 5, padding=2)
        self.left = nn.Conv1d(64, 64, 5)
        self.long = nn.Conv1d(64, 64, 5, padding=4)
        self.gru, self.both = nn.GRU(64, 64), nn.GRU(64, 64, bidirectional=True)
        self.norm = nn.GroupNorm(4, 64)
        self.slots = nn.Parameter(torch.randn(8, 64))
    def forward(self, ids):
        x = self.table(ids)
        b, t, d = x.shape
        q, k, v = self.q(x), self.k(x), self.v(x)
        q4, k4, v4 = q.view(b, t, 4, 16), k.view(b, t, 4, 16), v.view(b, t, 4, 16)
        qh, kh, vh = q4.transpose(1, 2), k4.transpose(1, 2), v4.transpose(1, 2)
        past = torch.tril(torch.ones(t, t)).bool()
{body}
        return self.head(x)
model = Net()
total = 0.0
for start in range(0, 1 << 20, 512):
    chunk = val[start : start + 513]
    given = model(chunk[:-1].reshape(1, 512))
    total += F.cross_entropy(given.view(-1, 1024), chunk[1:], reduction="sum").item()
print("val_loss", total)
"""


def timeline(trace: Trace, body: str) -> tuple[Timeline, bool]:
    """The states behind the score, and whether they were followed up to the logits."""
    program = trace(SCRIPT.format(body=indent(body.strip("\n"), " " * 8))).program
    (scoring,) = program.learning.headline
    (output,) = logits(program.tokens, scoring.at)
    found = Timeline(program.flow, program.tokens, program.learning, [output])
    return found, isinstance(found.state(output), Along)


AHEAD = {
    "attention": [
        "x = F.scaled_dot_product_attention(qh, kh, vh).transpose(1, 2).reshape(b, t, d)",
        "x = F.scaled_dot_product_attention(qh, kh, vh, None, 0.0, False).transpose(1, 2).flatten(2)",
        "x = flash_attn_func(q4, k4, v4).reshape(b, t, d)",
        "x = flash_attn_func(q4, k4, v4, window_size=(64, 64)).reshape(b, t, d)",
        "x = torch.softmax(q @ k.transpose(1, 2) / 8, dim=-1) @ v",
        "x = torch.einsum('bqk,bkd->bqd', torch.einsum('bqd,bkd->bqk', q, k).softmax(-1), v)",
    ],
    "pool": [
        "x = x + x.mean(dim=1, keepdim=True)",
        "x = x * torch.sigmoid(self.q(x.amax(1)))[:, None]",
        "x = x - x.mean()",
        "x = q @ (k.transpose(1, 2) @ v)",
        "x = torch.einsum('btd,bde->bte', q, torch.einsum('btd,bte->bde', k, v))",
        "x = x + x[:, -1].unsqueeze(1)",
        "x = x + x[:, -1:]",
        "s = F.scaled_dot_product_attention(self.slots[None].expand(b, -1, -1), k, v)\n"
        "x = F.scaled_dot_product_attention(q, s, s)",
    ],
    "state": [
        "state = None\nfor i in range(3):\n    y, state = chunk_delta_rule(q4, k4, v4, initial_state=state)\n"
        "    x = x + y.reshape(b, t, d)",
        "y, last = self.gru(x)\nx, _ = self.gru(y, last)",
    ],
    "conv": [
        "x = x + self.near(x.transpose(1, 2)).transpose(1, 2)",
        "x = self.left(F.pad(x.transpose(1, 2), (2, 2))).transpose(1, 2)",
    ],
    "shift": [
        "x = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)",
        "x = x + F.pad(x[:, 2:], (0, 0, 0, 2))",
        "x = x + torch.roll(x, -1, 1)",
    ],
    "flip": ["x = x + x.flip(1).cumsum(1).flip(1)", "x = x + torch.flip(x, dims=(1,)).cumsum(1)"],
    "bidirectional": ["x = self.both(x)[0]"],
    "fft": ["x = torch.fft.fft(x, dim=1).real"],
    "matrix": ["x = self.mixer @ x", "x = F.linear(x.transpose(1, 2), self.mixer).transpose(1, 2)"],
    "norm": ["x = x.softmax(dim=1) * x", "x = self.norm(x.transpose(1, 2)).transpose(1, 2)"],
}


@pytest.mark.parametrize(
    ("kind", "body"), [(kind, body) for kind, bodies in AHEAD.items() for body in bodies]
)
def test_reaches_ahead(trace: Trace, kind: str, body: str) -> None:
    found, _ = timeline(trace, body)
    assert kind in {leak.kind for leak in found.leaks}


@pytest.mark.parametrize(
    "body",
    [
        "x = F.scaled_dot_product_attention(qh, kh, vh, is_causal=True).transpose(1, 2).reshape(b, t, d)",
        "x = F.scaled_dot_product_attention(qh, kh, vh, attn_mask=past).transpose(1, 2).reshape(b, t, d)",
        "x = flash_attn_func(q4, k4, v4, causal=True).reshape(b, t, d)",
        "x = flash_attn_func(q4, k4, v4, window_size=(64, 0)).reshape(b, t, d)",
        "s = (q @ k.transpose(1, 2)).masked_fill(~past, -1e9)\nx = s.softmax(-1) @ v",
        "s = q @ k.transpose(1, 2)\ns = s + torch.where(past, 0.0, -1e9)\nx = s.softmax(-1) @ v",
        "x = x + x.mean(dim=-1, keepdim=True)",
        "x = F.rms_norm(x, (x.size(-1),)) + F.layer_norm(x, (d,))",
        "x = x + x.cumsum(1) / torch.arange(1, t + 1)[None, :, None]",
        "x = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)",
        "x = torch.cat([x[:, :1], x[:, 1:] + 0.5 * x[:, :-1]], dim=1)",
        "x = x + F.pad(x, (0, 0, 1, 0))[:, :-1]",
        "x = self.left(F.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)",
        "x = self.long(x.transpose(1, 2))[..., :t].transpose(1, 2)",
        "x = self.gru(x)[0]",
        "x, last = self.gru(x)",
        "x = x + x.flip(-1)",
        "x = qh.softmax(-1).transpose(1, 2).reshape(b, t, d)",
        "for i in range(3):\n    y, last = chunk_delta_rule(q4, k4, v4, output_final_state=True)\n"
        "    x = x + y.reshape(b, t, d)",
        "out, s = [], torch.zeros(b, d, d)\n"
        "for i in range(0, 512, 64):\n"
        "    out.append(q[:, i : i + 64] @ s)\n"
        "    s = s + k[:, i : i + 64].transpose(1, 2) @ v[:, i : i + 64]\n"
        "x = torch.cat(out, dim=1)",
        "out, s = [], torch.zeros(b, d)\n"
        "for i in range(512):\n    s = 0.9 * s + x[:, i]\n    out.append(s)\n"
        "x = torch.stack(out, dim=1)",
        "x = x + x[:, :64].mean(1, keepdim=True) * 0 + x",  # a beginning is not the whole
    ],
)
def test_stays_behind(trace: Trace, body: str) -> None:
    found, followed = timeline(trace, body)
    assert not found.leaks
    assert followed


def test_state_of_earlier_windows_is_the_past(trace: Trace) -> None:
    """What the evaluation carries from window to window holds earlier tokens only."""
    script = SCRIPT.format(body="        pass").replace(
        "    def forward(self, ids):",
        "    def forward(self, ids, state):\n"
        "        x, state = self.gru(self.table(ids), state)\n"
        "        return self.head(x), state\n"
        "    def unused(self, ids):",
    )
    script = script.replace(
        "given = model(chunk[:-1].reshape(1, 512))",
        "given, state = model(chunk[:-1].reshape(1, 512), state)",
    ).replace("total = 0.0", "total, state = 0.0, torch.zeros(1, 1, 64)")
    program = trace(script).program
    (scoring,) = program.learning.headline
    found = Timeline(
        program.flow, program.tokens, program.learning, logits(program.tokens, scoring.at)
    )
    assert not found.leaks


@pytest.mark.parametrize(
    ("body", "reach"),
    [
        ("x = torch.cat([x[:, :1], x[:, 1:] + 0.5 * x[:, :-1]], dim=1)", [1]),
        ("x = x + F.pad(x[:, :-2], (0, 0, 2, 0))", [2]),
        ("x = self.long(x.transpose(1, 2))[..., :t].transpose(1, 2)", [4]),
        ("x = x + x.roll(1, 1)", [1]),
        ("x = torch.cat([x, q], dim=-1)[..., :64]", []),
    ],
)
def test_shifts_are_noted(trace: Trace, body: str, reach: list[int]) -> None:
    found, _ = timeline(trace, body)
    assert [shift.reach for shift in found.shifts] == reach
