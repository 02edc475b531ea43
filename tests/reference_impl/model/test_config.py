"""A model that can't be built is refused in one line that says why."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from reference_impl.model import ModelConfig


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"vocab": -1}, "vocab is -1"),
        ({"heads": 0}, "heads is 0"),
        ({"kv_heads": 0}, "kv_heads is 0"),
        ({"dim": 500}, "dim 500 is no multiple of the 8 heads"),
        ({"kv_heads": 3}, "8 heads can't share 3 kv_heads"),
        ({"kv_heads": 16}, "8 heads can't share 16 kv_heads"),
        ({"mlp_mult": 0.0}, "no hidden unit"),
        ({"mlp_mult": float("nan")}, "no hidden unit"),
        ({"rope_dims": 15}, "rope_dims is 15"),
        ({"rope_dims": 2}, "from 4 to the 64"),
        ({"rope_dims": 66}, "from 4 to the 64"),
        ({"rope_length": 0}, "rope_length is 0"),
        ({"xsa_last": 12}, "xsa_last is 12; there are 11 layers"),
        ({"bigram_buckets": 1}, "2 or more"),
        ({"value_embedding_layers": (3, 11)}, "names 11"),
        ({"value_embedding_layers": (3, 3)}, "twice"),
        ({"value_residual": "half"}, "'half'"),
        ({"logit_softcap": 0.0}, "logit_softcap is 0.0"),
        ({"q_gain": float("inf")}, "q_gain is inf"),
        ({"leaky_slope": -0.5}, "leaky_slope is -0.5"),
        ({"mtp_heads": -1}, "mtp_heads is -1"),
    ],
)
def test_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        ModelConfig(**change)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 1, "xsa_last": 0},
        {"kv_heads": 1},
        {"kv_heads": 8},
        {"rope_dims": 64},
        {"bigram_buckets": 0},
        {"bigram_buckets": 2},
    ],
)
def test_allowed(change: dict[str, object]) -> None:
    ModelConfig(**change)  # type: ignore[arg-type]


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelConfig().dim = 64  # type: ignore[misc]
