"""Complementary training (#803): tokens that a bigram foresees count less in the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_impl.optim import ranks


class BigramWeights:
    """Weights from counts of the training tokens so far, which are the same on all ranks.

    ``share`` is how much of its weight a token loses that the bigram is sure of, and ``floor`` what
    it keeps at least. Counts are integers: as float32 they would stop at 16,777,216.
    """

    def __init__(
        self,
        vocab: int,
        share: float = 0.5,
        floor: float = 0.1,
        device: torch.device | str | None = None,
    ) -> None:
        self.vocab, self.share, self.floor = vocab, share, floor
        self.pairs = torch.zeros(vocab, vocab, dtype=torch.int64, device=device)
        self.totals = torch.zeros(vocab, dtype=torch.int64, device=device)

    def weights(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Both [B, T], integers; float32 [B, T] for ``GPT.loss``. Before ``count`` of the same."""
        tokens, targets = tokens.long(), targets.long()
        # One more than was seen: a token that was never followed by any foresees nothing.
        foreseen = self.pairs[tokens, targets] / (self.totals[tokens] + 1)
        return (1 - self.share * foreseen).clamp(min=self.floor)

    def count(self, tokens: Tensor, targets: Tensor) -> None:
        """Counts the batches of all ranks; all must call it."""
        pairs = (tokens.long() * self.vocab + targets.long()).flatten()
        seen = ranks.add(torch.bincount(pairs, minlength=self.vocab**2)).view_as(self.pairs)
        self.pairs += seen
        self.totals += seen.sum(1)
