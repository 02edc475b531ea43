"""Two processes, each with half of every batch, end where one process ends with all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import two_ranks
from torch.multiprocessing.spawn import spawn


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    spawn(two_ranks.work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("preset", two_ranks.PRESETS)
def test_the_weights_are_those_of_one_process(preset: str, found: list[dict[str, Any]]) -> None:
    alone = two_ranks.train(preset, 1, 0)
    for rank in found:
        for when in ("after_one", "weights"):
            for name, weight in alone[when].items():
                assert torch.allclose(rank[preset][when][name], weight, rtol=0, atol=1e-6), name
        assert torch.allclose(rank[preset]["norms"], alone["norms"], rtol=1e-6, atol=0)
    assert (alone["norms"] > 0.3).all()  # so that the gradients were clipped
    for name, weight in found[0][preset]["weights"].items():
        assert torch.equal(found[1][preset]["weights"][name], weight), name


@pytest.mark.parametrize("preset", two_ranks.PRESETS)
def test_counts_are_those_of_all_ranks(preset: str, found: list[dict[str, Any]]) -> None:
    alone = two_ranks.train(preset, 1, 0)
    assert int(alone["pairs"].sum()) == (two_ranks.BATCHES - 1) * 2 * 16
    for rank in found:
        for key in ("pairs", "totals"):
            assert torch.equal(rank[preset][key], alone[key])
