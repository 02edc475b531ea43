"""Blends with a neural model: distributions over the vocabulary, with weights from the past."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the mixers need pgcheck[reference]")

from reference_impl.mixers import (
    EntropyWeight,
    FixedShare,
    Matcher,
    Neural,
    NgramSettings,
    blend,
    hints,
    matches,
    tilt,
)

VOCAB = 30
# The five seeds' weights, in a form that sums to 1.
WEIGHTS = {
    "1094": EntropyWeight(0.20, 0.55, 3.0),
    "825": EntropyWeight(
        0.05, 0.55, 4.5, centres={7: 3.0, 6: 3.2, 5: 3.5, 4: 3.8, 3: 4.2, 2: 4.5}
    ),
    "864": EntropyWeight(
        0.05, 0.55, 3.0,
        centres={k: 3.0 - 0.25 * (k - 2) for k in range(2, 10)},
        multipliers={2: 0.3, 3: 0.3, 4: 0.97, **dict.fromkeys(range(5, 10), 2.0)},
        cap=0.95,
    ),
    "871": EntropyWeight(0.05, 0.55, 4.0),
}  # fmt: skip


def neural_rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(VOCAB, 0.3), n)


def stream(n: int, seed: int = 1) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).integers(0, VOCAB, n), 2)[:n]


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS.keys())
@pytest.mark.parametrize("min_count", [1, 2])
def test_a_blend_sums_to_one(weight: EntropyWeight, min_count: int) -> None:
    s = NgramSettings(VOCAB, 9)
    tokens, rows = stream(300), neural_rows(300)
    gold = rows[np.arange(300), tokens]
    entropy = -(rows * np.log(rows)).sum(1)
    scored = blend(Neural(gold, entropy), matches(tokens, s, min_count), weight)
    matcher = Matcher(s, min_count)
    for t, y in enumerate(tokens):
        row = blend(Neural.of_row(rows[t]), matcher.candidates(), weight)
        assert abs(row.sum() - 1.0) <= 1e-12
        assert row[y] == pytest.approx(scored[t], rel=1e-12)
        matcher.match(tokens[t : t + 1])


def test_the_weight_follows_entropy_and_order() -> None:
    weight = WEIGHTS["864"]
    entropy = np.array([1.0, 6.0, 6.0, 6.0])
    order = np.array([5, 5, 2, 0], np.int8)
    low, high, short, none = weight(entropy, order)
    assert none == 0.0 < short < low < high == 0.95


@pytest.mark.parametrize("beta", [-1.0, 0.0, 2.5])
def test_a_tilt_sums_to_one(beta: float) -> None:
    for row in neural_rows(20):
        for hint in (0, 7):
            hit = np.arange(VOCAB) == hint
            tilted = tilt(row, np.full(VOCAB, row[hint]), hit, beta)
            assert abs(tilted.sum() - 1.0) <= 1e-12
            assert np.sign(tilted[hint] - row[hint]) == np.sign(beta)


def test_hints_come_from_long_matches_only() -> None:
    found = matches(np.array([1, 2, 3, 1, 2, 3, 1]), NgramSettings(8, 3))
    assert hints(found, 3).tolist() == [-1, -1, -1, -1, -1, 3, 1]
    assert hints(found, 2).tolist() == [-1, -1, -1, -1, 2, 3, 1]


def test_fixed_share_is_hardly_worse_than_its_best_expert() -> None:
    rng = np.random.default_rng(4)
    experts = np.stack([rng.uniform(0.3, 0.9, 5000), rng.uniform(0.01, 0.2, 5000)], 1)
    mixture = FixedShare(2, share=1e-5)
    p = mixture.prob(experts)
    loss, best = -np.log(p).sum(), -np.log(experts[:, 0]).sum()
    assert loss <= best + np.log(2) + 5000 * 2e-5


def test_fixed_share_has_a_distribution() -> None:
    rng = np.random.default_rng(5)
    mixture = FixedShare(3, share=0.01)
    for y in rng.integers(0, VOCAB, 50):
        rows = rng.dirichlet(np.ones(VOCAB), 3)
        row = mixture.distribution(rows)
        assert abs(row.sum() - 1.0) <= 1e-12
        assert row[y] == pytest.approx(mixture.prob(rows[:, y][None])[0], rel=1e-12)


@pytest.mark.parametrize(("experts", "share"), [(0, 0.1), (2, 1.0), (2, -0.1)])
def test_impossible_mixtures_are_refused(experts: int, share: float) -> None:
    with pytest.raises(ValueError, match="make no mixture"):
        FixedShare(experts, share)
