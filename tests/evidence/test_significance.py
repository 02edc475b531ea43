"""Student's t against tabulated quantiles, and the tests made of it."""

from __future__ import annotations

import pytest

from auditor.evidence.significance import p_lower, upper_tail

# One-sided critical values of Student's t, as printed in tables.
TABLE = [
    (2, 0.05, 2.920),
    (2, 0.01, 6.965),
    (3, 0.025, 3.182),
    (4, 0.005, 4.604),
    (10, 0.25, 0.700),
    (30, 0.01, 2.457),
    (120, 0.001, 3.160),
]


@pytest.mark.parametrize(("freedom", "p", "t"), TABLE)
def test_the_tail_is_that_of_the_tables(freedom: int, p: float, t: float) -> None:
    assert upper_tail(t, freedom) == pytest.approx(p, rel=3e-3)
    assert upper_tail(-t, freedom) == pytest.approx(1 - p, rel=3e-3)


def test_no_difference_is_even_odds() -> None:
    assert upper_tail(0.0, 5) == pytest.approx(0.5)


def test_one_sample_against_a_known_score() -> None:
    # Mean 1.0, standard error 0.01 / sqrt(3): t = 0.03 / 0.005774 = 5.196 with 2 degrees of freedom.
    assert p_lower([0.99, 1.0, 1.01], [1.04], 0.01) == pytest.approx(0.01755, rel=1e-3)


def test_two_samples_are_welch() -> None:
    # Equal variances and sizes: t = 0.02 / sqrt(2 * 1e-4 / 3) = 2.449 with 4 degrees of freedom.
    found = p_lower([0.99, 1.0, 1.01], [1.01, 1.02, 1.03], 0.0)
    assert found == pytest.approx(upper_tail(2.44949, 4), rel=1e-4)
    assert found == pytest.approx(0.0352, rel=5e-3)


def test_without_variance_it_is_certain() -> None:
    assert p_lower([1.0, 1.0], [1.1], 0.05) == 0.0
    assert p_lower([1.0, 1.0], [1.1], 0.2) == 1.0
