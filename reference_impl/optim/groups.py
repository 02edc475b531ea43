"""Which optimiser trains which parameter."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from torch import nn

from reference_impl.model import GPT


class Groups(NamedTuple):
    """A model's trainable parameters, each of them once."""

    matrices: list[nn.Parameter]  # by Muon; the others by AdamW
    embeddings: list[nn.Parameter]
    scalars: list[nn.Parameter]  # scales and gates, and the embeddings' projections
    heads: list[nn.Parameter]  # that predict further ahead


def groups(model: GPT) -> Groups:
    """Every trainable parameter in one group. Raises ValueError for one that has none, or two.

    The groups name what they hold: a parameter that is new to the model is not trained by chance.
    """
    embeddings = [model.embedding]
    scalars = [model.skip_scales, *model.blocks.parameters()]
    if model.smear is not None:
        scalars += model.smear.parameters()
    for embedding in (model.bigram, model.value_embedding):
        if embedding is not None:
            embeddings.append(embedding.table)
            scalars += [p for p in embedding.parameters() if p is not embedding.table]
    found = (list(model.matrices.parameters()), embeddings, scalars, list(model.mtp_heads))
    _check(model, found)
    return Groups(*([p for p in group if p.requires_grad] for group in found))


def _check(model: nn.Module, found: tuple[list[nn.Parameter], ...]) -> None:
    times = Counter(id(p) for group in found for p in group)
    for name, p in model.named_parameters():
        if p.requires_grad and times[id(p)] != 1:
            raise ValueError(
                f"{name} is in {times[id(p)]} places of the optimisers' groups; it must be in one"
            )
