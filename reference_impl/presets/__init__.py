"""Five systems of the challenge as settings of one model, under names that say what they are.

Each module holds one ``PRESET`` and names the pull request that it follows.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pkgutil import iter_modules

from reference_impl.model import ModelConfig


@dataclass(frozen=True)
class Preset:
    pull: int  # of openai/parameter-golf
    about: str
    model: ModelConfig
    parameters: int  # that the pull request's logs count


def names() -> tuple[str, ...]:
    """Every preset's name, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def load(name: str) -> Preset:
    """The preset of that name. Raises ValueError, with the names that there are."""
    if name not in names():
        raise ValueError(f"no preset is called {name!r}; there are {', '.join(names())}")
    preset = importlib.import_module(f"{__name__}.{name}").PRESET
    assert isinstance(preset, Preset)
    return preset


def tiny(model: ModelConfig) -> ModelConfig:
    """The same parts, few and small: for a CPU. Its layers stay odd or even in number."""
    layers = 4 + model.layers % 2
    return replace(
        model,
        dim=64,
        layers=layers,
        heads=4,
        kv_heads=4 if model.kv_heads == model.heads else 2,
        rope_dims=8,
        xsa_last=layers if model.xsa_last == model.layers else min(model.xsa_last, 2),
        bigram_buckets=min(model.bigram_buckets, 128),
        bigram_dim=32,
        value_embedding_layers=(layers - 2, layers - 1) if model.value_embedding_layers else (),
        value_embedding_dim=16,
    )
