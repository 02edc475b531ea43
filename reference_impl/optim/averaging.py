"""Averages of a model's weights over its training, in float32, and their use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class _Average:
    def __init__(self, model: nn.Module) -> None:
        self.weights = {name: held.float().clone() for name, held in _state(model).items()}

    @torch.no_grad()
    def _approach(self, model: nn.Module, share: float) -> None:
        for name, held in _state(model).items():
            self.weights[name].lerp_(held.float(), share)

    @torch.no_grad()
    def apply_to(self, model: nn.Module) -> None:
        """Gives the model the averaged weights, for good."""
        for name, held in _state(model).items():
            held.copy_(self.weights[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again afterwards."""
        own = {name: held.clone() for name, held in _state(model).items()}
        self.apply_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, held in _state(model).items():
                    held.copy_(own[name])


class Ema(_Average):
    """An exponential average, which starts with the weights that the model has now.

    ``decay`` is that of one step. Where only every n-th step is taken in, it counts for all n.
    """

    def __init__(self, model: nn.Module, decay: float = 0.997, every: int = 1) -> None:
        if not 0 <= decay <= 1 or every < 1:
            raise ValueError(f"no average has a decay of {decay} every {every} steps")
        super().__init__(model)
        self.decay, self.every = decay, every

    def update(self, model: nn.Module, step: int) -> None:
        """After step number ``step``, counted from 1."""
        if step % self.every == 0:
            self._approach(model, 1 - self.decay**self.every)


class Swa(_Average):
    """The mean of the weights after every n-th step. The caller says from when on."""

    def __init__(self, model: nn.Module, every: int = 50) -> None:
        if every < 1:
            raise ValueError(f"no mean is taken every {every} steps")
        super().__init__(model)
        self.every, self.taken = every, 0

    def update(self, model: nn.Module, step: int) -> None:
        """After step number ``step``, counted from 1."""
        if step % self.every == 0:
            self.taken += 1
            self._approach(model, 1 / self.taken)

    def apply_to(self, model: nn.Module) -> None:
        """Gives the model the mean, for good. Raises RuntimeError where no step was taken in."""
        if not self.taken:
            raise RuntimeError("the mean of no weights was asked for")
        super().apply_to(model)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """The weights themselves, not copies. What is no floating-point number has no average."""
    return {name: held for name, held in model.state_dict().items() if held.is_floating_point()}
