"""Averages by hand, and that a model really gets them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference_impl.optim import Ema, Swa


def at(value: float, dtype: torch.dtype = torch.float32) -> nn.Linear:
    model = nn.Linear(2, 2, bias=False, dtype=dtype)
    model.weight.data.fill_(value)
    return model


def value(model: nn.Linear) -> float:
    assert bool((model.weight == model.weight[0, 0]).all())
    return model.weight[0, 0].item()


def test_ema() -> None:
    model = at(1.0)
    ema = Ema(model, decay=0.5)
    for step, new in enumerate((3.0, 7.0), 1):
        model.weight.data.fill_(new)
        ema.update(model, step)
    with ema.applied(model):
        assert value(model) == pytest.approx(0.25 * 1 + 0.25 * 3 + 0.5 * 7)
    assert value(model) == 7.0


def test_ema_of_every_tenth_step_decays_as_ten() -> None:
    model = at(0.0)
    ema = Ema(model, decay=0.9, every=10)
    model.weight.data.fill_(1.0)
    for step in range(1, 20):
        ema.update(model, step)
    ema.apply_to(model)
    assert value(model) == pytest.approx(1 - 0.9**10)


def test_swa() -> None:
    model = at(100.0)  # the weights at the start have no part in it
    swa = Swa(model, every=2)
    for step, new in enumerate((1.0, 2.0, 3.0, 6.0, 9.0, 10.0), 1):
        model.weight.data.fill_(new)
        swa.update(model, step)
    swa.apply_to(model)
    assert value(model) == pytest.approx((2 + 6 + 10) / 3)


def test_swa_of_nothing_is_refused() -> None:
    model = at(1.0)
    swa = Swa(model)
    swa.update(model, 1)
    with pytest.raises(RuntimeError, match="no weights"), swa.applied(model):
        pass
    assert value(model) == 1.0


def test_the_own_weights_come_back_after_an_error() -> None:
    model = at(1.0)
    ema = Ema(model)
    model.weight.data.fill_(2.0)
    with pytest.raises(KeyError), ema.applied(model):
        assert value(model) == 1.0
        raise KeyError
    assert value(model) == 2.0


def test_averages_of_bf16_weights_are_kept_in_float32() -> None:
    model = at(1.0, torch.bfloat16)
    ema = Ema(model, decay=0.999)
    model.weight.data.fill_(2.0)
    for step in range(1, 4):
        ema.update(model, step)  # each of these would be lost in bf16
    assert ema.weights["weight"].dtype == torch.float32
    assert ema.weights["weight"][0, 0].item() == pytest.approx(2 - 0.999**3)
    ema.apply_to(model)
    assert model.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("given", [{"decay": 1.5}, {"decay": float("nan")}, {"every": 0}])
def test_what_is_no_average_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no average"):
        Ema(at(1.0), **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no mean"):
        Swa(at(1.0), every=0)
