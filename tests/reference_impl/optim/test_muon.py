"""Muon against the polar factor, and against the same step written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from reference_impl.optim import Muon
from reference_impl.optim.newton_schulz import orthogonalise


@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (48, 16), (16, 48)])
def test_newton_schulz_is_near_the_polar_factor(rows: int, columns: int) -> None:
    """The same singular vectors, and singular values near 1: what its coefficients promise."""
    bank = torch.randn(3, rows, columns)
    u, s, vt = torch.linalg.svd(bank, full_matrices=False)
    bank = u @ torch.diag_embed(s.clamp(min=0.02 * float(s.max()))) @ vt
    found = orthogonalise(bank)
    assert found.shape == bank.shape
    turned = u.mT @ found @ vt.mT
    values = torch.diagonal(turned, dim1=-2, dim2=-1)
    assert (values > 0.65).all()
    assert (values < 1.25).all()
    assert torch.allclose(turned, torch.diag_embed(values), atol=1e-4)


def test_newton_schulz_of_a_bank_is_that_of_each_and_has_no_scale() -> None:
    bank = torch.randn(4, 8, 24)
    each = torch.cat([orthogonalise(m[None]) for m in bank])
    assert torch.allclose(orthogonalise(bank), each, atol=1e-5)
    assert torch.allclose(orthogonalise(1000 * bank), each, atol=1e-4)
    assert not orthogonalise(torch.zeros(1, 4, 4)).any()


@dataclass
class Plain:
    """One matrix, as Muon is described."""

    weight: Tensor
    momentum: Tensor | float = 0.0

    def step(self, gradient: Tensor, lr: float, beta: float, decay: float) -> None:
        self.momentum = beta * self.momentum + gradient
        x = gradient + beta * self.momentum
        x = x / x.norm()
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        rows, columns = x.shape
        self.weight = self.weight * (1 - lr * decay) - lr * max(1, rows / columns) ** 0.5 * x


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (36, 12), (12, 36)])
def test_a_bank_and_single_matrices_step_as_described(rows: int, columns: int) -> None:
    bank = nn.Parameter(torch.randn(3, rows, columns))
    single = [nn.Parameter(m.detach().clone()) for m in bank]
    plain = [Plain(m.detach().clone()) for m in bank]
    banked, separate = (Muon(ps, 0.1, 0.9, 0.04) for ps in ([bank], single))
    for _ in range(3):
        bank.grad = torch.randn_like(bank)
        for p, ours, g in zip(single, plain, bank.grad, strict=True):
            p.grad = g.clone()
            ours.step(g, 0.1, 0.9, 0.04)
        banked.step()
        separate.step()
    expected = torch.stack([m.weight for m in plain])
    assert torch.allclose(bank, expected, atol=1e-4)
    assert torch.allclose(torch.stack(list(single)), expected, atol=1e-4)


def test_matrices_of_one_shape_are_one_batch() -> None:
    shapes = [(8, 4), (2, 8, 8), (8, 4), (8, 8), (3, 4, 8)]
    muon = Muon([nn.Parameter(torch.zeros(s)) for s in shapes], 0.1)
    assert [len(g["params"]) for g in muon.param_groups] == [2, 1, 2]
    assert [g["params"][0].shape[-2:] for g in muon.param_groups] == [(8, 8), (4, 8), (8, 4)]


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(4,\)"):
        Muon([nn.Parameter(torch.zeros(4))], 0.1)


def test_a_matrix_without_gradient_is_refused() -> None:
    muon = Muon([nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(4, 4))], 0.1)
    muon.param_groups[0]["params"][0].grad = torch.ones(4, 4)
    with pytest.raises(RuntimeError, match="no gradient"):
        muon.step()
