"""What two processes of the optimiser tests do; in a module that a fresh process can import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from reference_impl import presets
from reference_impl.model import GPT
from reference_impl.optim import BigramWeights, Optimisers

PRESETS = ("parallel_muon_mtp", "full_mha_xsa_all")  # banks, and single matrices
BATCHES = 2


def train(preset: str, ranks: int, rank: int) -> dict[str, Any]:
    """A tiny model on a batch of two parts, of which this rank takes its share."""
    torch.manual_seed(0)
    model = GPT(presets.tiny(presets.load(preset).model))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    optimisers = Optimisers(model)
    bigram = BigramWeights(1024)
    batches = [torch.randint(1024, (2, 17)).chunk(2)[rank::ranks] for _ in range(BATCHES)]
    for batch in batches[:-1]:
        for part in batch:
            bigram.count(part[:, :-1], part[:, 1:])
    for part in batches[-1]:
        tokens, targets = part[:, :-1], part[:, 1:]
        loss = model.loss(tokens, targets, bigram.weights(tokens, targets))
        (loss / len(batches[-1])).backward()
    norms = [optimisers.step()]
    after_one = {name: weight.clone() for name, weight in model.state_dict().items()}
    # Then steps whose gradients are given: of a loss they would repeat what rounding did to the
    # weights, and AdamW divides the smallest gradients by their own size.
    for step in range(3):
        parts = [_gradients(model, seed=2 * step + half) for half in range(2)][rank::ranks]
        for p, *own in zip(model.parameters(), *parts, strict=True):
            p.grad = torch.stack(own).mean(0)
        optimisers.schedule(500 * step, 1 - 0.1 * step)
        norms.append(optimisers.step())
    return {
        "after_one": after_one,
        "weights": model.state_dict(),
        "norms": torch.stack(norms),
        "pairs": bigram.pairs,
        "totals": bigram.totals,
    }


def _gradients(model: GPT, seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=random) for p in model.parameters()]


def work(rank: int, folder: str) -> None:
    """One of two ranks; leaves what it found in ``folder``."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    try:
        found = {preset: train(preset, 2, rank) for preset in PRESETS}
    finally:
        distributed.destroy_process_group()
    torch.save(found, Path(folder) / f"{rank}.pt")
