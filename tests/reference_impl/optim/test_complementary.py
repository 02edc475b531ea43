"""The weights by hand; that they are the same on all ranks is in test_ranks."""

from __future__ import annotations

import pytest
import torch

from reference_impl.optim import BigramWeights


def test_weights_by_hand() -> None:
    bigram = BigramWeights(4, share=0.5)
    x, y = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[2, 2, 3, 0]])
    assert bigram.weights(x, y).tolist() == [[1.0] * 4]  # before anything was counted
    bigram.count(x, y)
    asked = bigram.weights(torch.tensor([[0, 0, 0, 1, 3]]), torch.tensor([[2, 3, 1, 0, 0]]))
    expected = [1 - 0.5 * 2 / 4, 1 - 0.5 * 1 / 4, 1.0, 1 - 0.5 * 1 / 2, 1.0]
    assert asked[0].tolist() == pytest.approx(expected)
    assert asked.dtype == torch.float32


def test_no_token_loses_all_its_weight() -> None:
    bigram = BigramWeights(2, share=1.0)
    x, y = torch.zeros(1, 99, dtype=torch.int32), torch.ones(1, 99, dtype=torch.int32)
    bigram.count(x, y)
    assert bigram.weights(x, y).tolist() == [[pytest.approx(0.1)] * 99]


def test_counts_go_on_beyond_what_float32_holds() -> None:
    bigram = BigramWeights(2)
    bigram.pairs[0, 1] = bigram.totals[0] = 1 << 24
    one = torch.tensor([[0]]), torch.tensor([[1]])
    bigram.count(*one)
    assert bigram.pairs[0, 1] == bigram.totals[0] == (1 << 24) + 1
