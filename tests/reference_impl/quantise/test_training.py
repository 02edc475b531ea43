"""Training sees what will be shipped: every matrix on its grid, with a gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reference_impl import presets
from reference_impl.model import GPT
from reference_impl.quantise import LateQAT, Plan, QuantisedModel, crown_q, quantise
from reference_impl.quantise.plan import is_matrix
from reference_impl.quantise.training import soft_round

PLAN = Plan(attention=6, mlp=5, embedding=8)


def model(name: str) -> GPT:
    """A small model without zeros; what is no matrix has values that fp16 holds."""
    torch.manual_seed(0)
    made = GPT(presets.tiny(presets.load(name).model))
    for full_name, weight in made.named_parameters():
        weight.data += 0.05 * torch.randn_like(weight)
        if not is_matrix(full_name):
            weight.data = weight.data.half().float()
    return made


def tokens() -> Tensor:
    return torch.randint(1024, (2, 16), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.parametrize("plan", [PLAN, Plan(5, 8, 16)], ids=["grids", "fp16 embeddings"])
def test_the_forward_pass_is_that_of_the_shipped_model(name: str, plan: Plan) -> None:
    made = model(name).eval()
    shipped = QuantisedModel.of(made, plan).build()
    plain = made(tokens())
    assert LateQAT(plan).follow(made, 0.1)
    assert torch.equal(made(tokens()), shipped(tokens()))
    assert not torch.equal(made(tokens()), plain)


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.parametrize("soft", [False, True])
def test_every_matrix_passes_through_and_keeps_a_gradient(name: str, soft: bool) -> None:
    made = model(name)
    late = LateQAT(PLAN, soft=soft)
    late.follow(made, 0.1)
    passed: dict[int, str] = {}
    shown: dict[int, Tensor] = {}
    real = late.used

    def watched(weight: Tensor, role: str) -> Tensor:
        passed[id(weight)] = role
        shown[id(weight)] = out = real(weight, role)
        return out

    for module in made.modules():
        if getattr(module, "transform", None) is not None:
            module.transform = watched
    made.loss(tokens(), tokens()).backward()
    matrices = {n: w for n, w in made.named_parameters() if is_matrix(n)}
    assert {id(w) for w in matrices.values()} == set(passed)
    for full_name, weight in matrices.items():
        assert weight.grad is not None and weight.grad.any(), full_name
        if not soft:
            on_grid = quantise(weight, PLAN.bits(passed[id(weight)])).restored()
            assert torch.equal(shown[id(weight)], on_grid), full_name
    large = {n for n, w in made.named_parameters() if w.ndim >= 2 and w.numel() > 1024}
    assert large - {"mtp_heads.0", "mtp_heads.1"} <= set(matrices)


def test_a_gradient_passes_straight_through() -> None:
    weight = torch.randn(4, 16, requires_grad=True)
    (LateQAT(PLAN).used(weight, "up") * torch.arange(16.0)).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.arange(16.0).expand(4, 16))


def test_it_is_on_late_and_off_again() -> None:
    made = model("parallel_muon_mtp").eval()
    plain = made(tokens())
    late = LateQAT(PLAN, start=0.15)
    assert not late.follow(made, 0.15)
    assert torch.equal(made(tokens()), plain)
    assert late.follow(made, 0.14)
    assert not torch.equal(made(tokens()), plain)
    assert not late.follow(made, 1.0)
    assert torch.equal(made(tokens()), plain)
    assert not LateQAT(PLAN, start=0.0).follow(made, 0.0)


def test_the_temperature_is_lowest_when_training_ends() -> None:
    late, made = LateQAT(PLAN, start=0.2, soft=True), model("added_values_xsa4")
    seen = []
    for share in (0.2 - 1e-9, 0.15, 0.1, 0.05, 0.0):
        late.follow(made, share)
        seen.append(float(late.temperature))
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == pytest.approx(1.0)
    assert seen[-1] == pytest.approx(1 / 16)


def test_soft_rounding_lies_between_nothing_and_rounding() -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    away = (x - x.floor() - 0.5).abs() > 0.02
    assert torch.allclose(soft_round(x, 100.0), x, atol=1e-4)
    assert torch.allclose(soft_round(x, 0.005)[away], x.round()[away], atol=1e-3)
    still = torch.arange(-6, 7, dtype=torch.float64) / 2
    for temperature in (1.0, 0.3, 1 / 16):
        assert torch.allclose(soft_round(still, temperature), still)
        assert (soft_round(x, temperature).diff() >= 0).all()
    moved = x.clone().requires_grad_()
    soft_round(moved, 0.3).sum().backward()
    assert moved.grad is not None and (moved.grad > 0).all()


def test_crown_q_by_hand() -> None:
    made = GPT(presets.tiny(presets.load("added_values_xsa4").model))
    for weight in made.parameters():
        weight.data.zero_()
    made.matrices.up[0].data[0] = torch.tensor([2.0, -1.0] + [0.0] * 62)
    step = 2.0 / 15
    rows = made.config.mlp_dim
    expected = (4 + 1) * step**2 / 12 / (64 * rows)
    assert crown_q(made, PLAN).item() == pytest.approx(expected, rel=1e-5)
    assert crown_q(made, replace(PLAN, mlp=16)).item() == 0.0


def test_crown_q_counts_a_bank_as_its_matrices() -> None:
    banked = model("parallel_muon_mtp")
    separate = GPT(replace(banked.config, banked=False))
    state = {n: w for n, w in banked.state_dict().items() if not n.startswith("matrices.")}
    separate.load_state_dict(state, strict=False)
    for to, of in zip(separate.matrices.stored(), banked.matrices.stored(), strict=True):
        for a, b in zip(to, of, strict=True):
            a.data.copy_(b)
    assert torch.allclose(crown_q(separate, PLAN), crown_q(banked, PLAN), rtol=1e-5)


def test_crown_q_reaches_every_matrix() -> None:
    made = model("parallel_muon_gated_values")
    crown_q(made, PLAN).backward()
    for name, weight in made.named_parameters():
        assert (weight.grad is not None and bool(weight.grad.any())) == is_matrix(name), name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mlp": 4}, "mlp has 4 bits"),
        ({"embedding": 9}, "embedding has 9 bits"),
        ({"pruned": 1.0}, "pruned is 1.0"),
        ({"pruned": float("nan")}, "pruned is nan"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Plan(**change)  # type: ignore[arg-type]


def test_a_weight_that_is_no_number_is_named() -> None:
    made = model("parallel_muon_mtp")
    made.blocks[1].mlp_scale.data[3] = float("nan")
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp_scale: a weight is infinite"):
        QuantisedModel.of(made, PLAN)


def test_pruned_weights_are_zero() -> None:
    made = model("ten_layers_mean_values")
    tensors = QuantisedModel.of(made, replace(PLAN, pruned=0.5)).tensors
    for name, held in tensors.items():
        if is_matrix(name):
            assert (held.values == 0).float().mean() >= 0.5  # type: ignore[union-attr]
