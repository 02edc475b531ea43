"""The torch path equals the numba path, to the bit on a CPU."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the mixers need pgcheck[reference]")
pytest.importorskip("torch", reason="the GPU path needs torch")

import torch

from reference_impl.mixers import NgramSettings, batched_torch, probabilities

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU"))]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chunk", [1, 2, 64, 5000])
@pytest.mark.parametrize("order", [1, 2, 10])
def test_equal_to_the_numba_path(device: str, chunk: int, order: int) -> None:
    s = NgramSettings(30, order, 0.85, chunk)
    rng = np.random.default_rng(chunk)
    phrases = rng.integers(0, 30, (15, 7))
    tokens = phrases[rng.integers(0, 15, 500)].reshape(-1)
    tokens[rng.random(len(tokens)) < 0.05] = 3
    root = rng.uniform(0.01, 0.5, len(tokens))
    for given in (None, root):
        on_device = None if given is None else torch.from_numpy(given).to(device)
        found = batched_torch.probabilities(torch.from_numpy(tokens).to(device), s, on_device)
        if device == "cpu":
            assert np.array_equal(found.numpy(), probabilities(tokens, s, given))
        else:
            np.testing.assert_allclose(found.cpu(), probabilities(tokens, s, given), rtol=1e-12)


def test_nothing_gives_nothing() -> None:
    assert batched_torch.probabilities(
        torch.empty(0, dtype=torch.long), NgramSettings(8)
    ).shape == (0,)


def test_a_token_above_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="outside a vocabulary of 8"):
        batched_torch.probabilities(torch.tensor([1, 8]), NgramSettings(8))
