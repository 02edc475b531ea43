"""Rounding to a grid for each row: how far it moves a weight, and what cutting outliers gains."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference_impl.quantise.grid import QUANTILES, limit, quantise, scales_at, steps
from reference_impl.quantise.model import prune

BITS = st.sampled_from((5, 6, 7, 8))


def weights(seed: int, rows: int = 8, columns: int = 300) -> Tensor:
    """Rows of many sizes with heavy tails."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, columns, generator=generator)
    return noise**3 * torch.logspace(-3, 2, rows)[:, None]


def error(weight: Tensor, restored: Tensor) -> Tensor:
    return (weight - restored).double().square().mean(-1)


@given(st.integers(0, 2**32), BITS)
@settings(max_examples=25, deadline=None)
def test_without_cuts_no_weight_moves_by_more_than_half_a_step(seed: int, bits: int) -> None:
    weight = weights(seed)
    plain = quantise(weight, bits, (1.0,))
    step = plain.scales.float()[:, None]
    assert ((plain.restored() - weight).abs() <= 0.5001 * step).all()
    assert (step * limit(bits) <= 1.001 * weight.abs().amax(-1, keepdim=True)).all()


@given(st.integers(0, 2**32), BITS)
@settings(max_examples=25, deadline=None)
def test_the_clip_search_is_never_worse_in_any_row(seed: int, bits: int) -> None:
    weight = weights(seed)
    searched, plain = quantise(weight, bits), quantise(weight, bits, (1.0,))
    assert searched.values.dtype == torch.int8
    assert int(searched.values.abs().max()) <= limit(bits)
    a, b = error(weight, searched.restored()), error(weight, plain.restored())
    assert (a <= b * (1 + 1e-5)).all()


def test_the_clip_search_gains_where_a_row_has_an_outlier() -> None:
    weight = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))
    weight[:, 0] = 12.0
    searched, plain = quantise(weight, 5), quantise(weight, 5, (1.0,))
    assert (error(weight, searched.restored()) < 0.8 * error(weight, plain.restored())).all()


@given(st.integers(0, 2**32), st.integers(1, 40), BITS)
@settings(max_examples=25, deadline=None)
def test_what_lies_on_a_grid_comes_back_exactly(seed: int, columns: int, bits: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-limit(bits), limit(bits) + 1, (5, columns), generator=generator)
    values[:, 0] = limit(bits)
    scales = (0.01 + torch.rand(5, generator=generator)).half()
    again = quantise(values * scales.float()[:, None], bits)
    assert torch.equal(again.values.long(), values)
    assert torch.equal(again.scales, scales)


@pytest.mark.parametrize("columns", [1, 2, 512, 1792])
@pytest.mark.parametrize("share", QUANTILES)
def test_the_cut_is_at_the_quantile(columns: int, share: float) -> None:
    weight = weights(1, columns=columns)
    expected = weight.abs().quantile(share, dim=-1) / 31
    assert torch.allclose(scales_at(weight, 6, share).float(), expected, rtol=1e-3, atol=2**-14)


def test_a_bank_is_quantised_as_its_matrices_are() -> None:
    bank = torch.stack([weights(1), weights(2)])
    both, second = quantise(bank, 6), quantise(bank[1], 6)
    assert torch.equal(both.values[1], second.values)
    assert torch.equal(both.scales[1], second.scales)


def test_a_row_of_zeros_stays_zero() -> None:
    assert not quantise(torch.zeros(2, 8), 5).restored().any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
def test_what_no_grid_can_hold_is_refused(bad: float) -> None:
    weight = torch.ones(2, 8)
    weight[1, 3] = bad
    with pytest.raises(ValueError, match="infinite, not a number or too large"):
        quantise(weight, 6)


def test_steps_are_cut_at_the_ends() -> None:
    weight = torch.tensor([[-4.0, 0.25, 4.0]])
    assert steps(weight, torch.tensor([0.125]).half(), 5).tolist() == [[-15.0, 2.0, 15.0]]


def test_pruning_takes_the_smallest_of_each_matrix() -> None:
    bank = torch.stack([torch.arange(1.0, 11).view(2, 5), -torch.arange(11.0, 1, -1).view(2, 5)])
    kept = prune(bank, 0.3)
    assert kept[0].flatten().tolist() == [0, 0, 0, *range(4, 11)]
    assert kept[1].flatten().tolist() == [*range(-11, -4), 0, 0, 0]
