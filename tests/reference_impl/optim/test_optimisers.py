"""Every trainable parameter in one optimiser, which steps it as torch would."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from reference_impl import presets
from reference_impl.model import GPT
from reference_impl.optim import Optimisers, Settings, groups

EVERY_PRESET = pytest.mark.parametrize("name", presets.names())


def tiny(name: str = "parallel_muon_mtp") -> GPT:
    """No weight is zero: else the first step would leave some of them where they are."""
    model = GPT(presets.tiny(presets.load(name).model))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return model


def backward(model: GPT) -> Tensor:
    batch = torch.randint(1024, (2, 17))
    loss = model.loss(batch[:, :-1], batch[:, 1:])
    loss.backward()
    return loss


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@EVERY_PRESET
def test_every_trainable_parameter_is_in_exactly_one_optimiser(name: str) -> None:
    model = tiny(name)
    optimisers = Optimisers(model)
    stepped = [
        id(p)
        for optimiser in (optimisers.muon, optimisers.adamw)
        for group in optimiser.param_groups
        for p in group["params"]
    ]
    assert sorted(stepped) == sorted(id(p) for p in trainable(model).values())


@EVERY_PRESET
def test_a_step_moves_every_trainable_parameter_and_no_other(name: str) -> None:
    """MTP heads too, which in #1094 were in no optimiser."""
    model = tiny(name)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimisers = Optimisers(model)
    backward(model)
    optimisers.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(trainable(model))
    heads = {name for name in moved if name.startswith("mtp_heads.")}
    assert len(heads) == model.config.mtp_heads


@EVERY_PRESET
def test_all_gradients_are_zeroed(name: str) -> None:
    model = tiny(name)
    optimisers = Optimisers(model)
    backward(model)
    for p in model.parameters():
        p.grad = torch.ones_like(p)  # also of what is held
    optimisers.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    model = GPT(presets.tiny(presets.load("parallel_muon_mtp").model))
    optimisers = Optimisers(model)
    losses = []
    for step in range(6):
        torch.manual_seed(1)
        optimisers.schedule(step, 1.0)
        optimisers.zero_grad()
        losses.append(backward(model).item())
        optimisers.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_parameter_in_no_group_is_named() -> None:
    model = tiny()
    model.extra = nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match=r"extra is in 0 places"):
        groups(model)
    model.extra.requires_grad_(False)
    groups(model)


def test_a_parameter_in_two_groups_is_named() -> None:
    model = tiny()
    model.mtp_heads.append(model.embedding)
    with pytest.raises(ValueError, match=r"embedding is in 2 places"):
        groups(model)


def test_a_parameter_outside_the_loss_is_named() -> None:
    model = tiny()
    optimisers = Optimisers(model)
    model.eval()  # whose loss has no MTP heads
    backward(model)
    with pytest.raises(RuntimeError, match=r"mtp_heads\.0 has no gradient"):
        optimisers.step()


@pytest.mark.parametrize("clip", [0.0, 0.3, 1e6])
def test_adamw_and_clipping_are_those_of_torch(clip: float) -> None:
    ours, theirs = tiny(), tiny()
    theirs.load_state_dict(ours.state_dict())
    optimisers = Optimisers(ours, Settings(clip=clip, weight_decay=0.1))
    held = groups(theirs)
    adamw = torch.optim.AdamW(
        [
            {"params": held.embeddings, "lr": 0.035},
            {"params": held.scalars, "lr": 0.025},
            {"params": held.heads, "lr": 0.008},
        ],
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
    )
    for _ in range(2):
        norm = torch.tensor(0.0)
        for p, q in zip(trainable(ours).values(), trainable(theirs).values(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
            norm = norm + p.grad.square().sum()
        assert optimisers.step().item() == pytest.approx(norm.sqrt().item(), rel=1e-5)
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        adamw.step()
    matrices = {id(p) for p in groups(ours).matrices}
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert id(p) in matrices or torch.allclose(p, q, atol=1e-6), name


def test_matrices_are_clipped_with_all_else() -> None:
    model = tiny()
    optimisers = Optimisers(model, Settings(clip=0.3))
    backward(model)
    bank = model.matrices.up.grad
    assert bank is not None
    before = bank.clone()
    norm = optimisers.step()
    assert norm > 0.3
    held = optimisers.muon.state[model.matrices.up]["momentum"]
    assert torch.allclose(held, before * 0.3 / norm, rtol=1e-4)


def test_the_schedule_sets_all_rates_and_the_momentum() -> None:
    optimisers = Optimisers(tiny())
    optimisers.schedule(750, 0.5)
    optimisers.schedule(750, 0.5)  # of the rates at the start, not of the last ones
    assert {g["lr"] for g in optimisers.muon.param_groups} == {0.0125}
    assert {round(g["momentum"], 9) for g in optimisers.muon.param_groups} == {0.955}
    assert [g["lr"] for g in optimisers.adamw.param_groups] == [0.0175, 0.0125, 0.004]


def test_a_restored_state_goes_on_as_if_never_interrupted() -> None:
    model, other = tiny(), tiny()
    optimisers = Optimisers(model)
    backward(model)
    optimisers.step()
    other.load_state_dict(model.state_dict())
    restored = Optimisers(other)
    restored.load_state_dict(deepcopy(optimisers.state_dict()))
    for m, o in ((model, optimisers), (other, restored)):
        torch.manual_seed(2)
        o.zero_grad()
        backward(m)
        o.step()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
