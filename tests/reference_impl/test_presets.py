"""The presets: what their logs count, and what they hold small."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from reference_impl import presets
from reference_impl.model import GPT, ModelConfig


def parameters(config: ModelConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(config).parameters())


def test_one_for_each_of_the_five_submissions() -> None:
    pulls = [presets.load(name).pull for name in presets.names()]
    assert sorted(pulls) == [803, 825, 864, 871, 1094]


@pytest.mark.parametrize(
    ("pull", "logged"),
    [
        (1094, 28_042_332),
        (825, 33_317_980),
        (864, 26_744_007),
        (871, 24_730_705),
        (803, 26_993_766),
    ],
)
def test_parameters_equal_the_logs(pull: int, logged: int) -> None:
    found = {p.pull: p for p in map(presets.load, presets.names())}
    assert parameters(found[pull].model) == found[pull].parameters == logged


def test_two_seeds_of_864_had_more_buckets() -> None:
    model = presets.load("parallel_muon_gated_values").model
    assert parameters(replace(model, bigram_buckets=1536)) == 26_809_543


def test_heads_that_only_train_are_not_exported() -> None:
    with torch.device("meta"):
        model = GPT(presets.load("parallel_muon_mtp").model)
    assert sum(held.numel() for held in model.exported().values()) == 26_993_756


@pytest.mark.parametrize("name", presets.names())
def test_the_small_form_has_the_same_parts(name: str) -> None:
    model = presets.load(name).model
    with torch.device("meta"):
        whole, small = GPT(model), GPT(presets.tiny(model))

    def parts(gpt: GPT) -> set[str]:
        return {".".join(w for w in n.split(".") if not w.isdigit()) for n in gpt.exported()}

    assert parts(whole) == parts(small)
    assert len(whole.mtp_heads) == len(small.mtp_heads)
    assert sum(p.numel() for p in small.parameters()) < 500_000


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'1094'.*parallel_muon_mtp"):
        presets.load("1094")
