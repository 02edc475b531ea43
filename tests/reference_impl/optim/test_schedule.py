"""The learning rate follows the clock, the momentum the steps."""

from __future__ import annotations

import pytest

from reference_impl.optim import momentum, warmdown


@pytest.mark.parametrize(
    ("elapsed", "factor"),
    [(0, 1.0), (399.9, 1.0), (400, 1.0), (450, 0.75), (500, 0.5), (600, 0.0), (700, 0.0)],
)
def test_warmdown_falls_to_zero_at_the_limit(elapsed: float, factor: float) -> None:
    """2,000 steps of a tenth of a second are the last 200 of 600 seconds."""
    assert warmdown(elapsed, 600, 0.1, 2000) == pytest.approx(factor)


def test_slow_steps_start_to_warm_down_at_once() -> None:
    assert warmdown(0, 600, 1.0, 1200) == pytest.approx(0.5)


def test_no_warmdown() -> None:
    assert warmdown(599, 600, 0.1, 0) == 1.0
    assert warmdown(0, 600, 0.0, 3500) == 1.0  # no step was measured yet


@pytest.mark.parametrize(
    "given", [(-1, 600, 0.1, 1), (0, 0, 0.1, 1), (0, 600, float("nan"), 1), (0, 600, 0.1, -1)]
)
def test_what_has_no_schedule_is_refused(given: tuple[float, float, float, int]) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        warmdown(*given)


def test_momentum_rises_over_1500_steps() -> None:
    found = [momentum(step) for step in (0, 750, 1500, 9000)]
    assert found == pytest.approx([0.92, 0.955, 0.99, 0.99])
    assert momentum(0, steps=0) == 0.99
