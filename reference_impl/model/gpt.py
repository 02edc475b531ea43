"""The model: embeddings, a U-Net of blocks, and logits through the tied embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reference_impl.model.attention import rms_norm, rotation
from reference_impl.model.block import Block
from reference_impl.model.config import ModelConfig
from reference_impl.model.embeddings import BigramHash, SmearGate, ValueEmbedding
from reference_impl.model.matrices import Banks, Separate, Transformed, linear


class GPT(Transformed):
    """A language model over ``config.vocab`` tokens.

    Parameters are float32. It computes in bfloat16 on a GPU and in float32 elsewhere.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = self.config = config
        self.embedding = nn.Parameter(c.embedding_std * torch.randn(c.vocab, c.dim))
        self.bigram = (
            BigramHash(c.bigram_buckets, c.bigram_dim, c.dim) if c.bigram_buckets else None
        )
        self.smear = SmearGate(c.dim) if c.smear else None
        self.value_embedding = (
            ValueEmbedding(c.vocab, c.value_embedding_dim, c.kv_dim, c.value_embedding_layers)
            if c.value_embedding_layers
            else None
        )
        self.matrices = Banks(c) if c.banked else Separate(c)
        self.matrices.initialise()
        self.blocks = nn.ModuleList(Block(c, layer) for layer in range(c.layers))
        self.skip_scales = nn.Parameter(torch.ones(c.encoder_layers, c.dim))
        # Not zero: the layers below learn from these heads from the first step on.
        self.mtp_heads = nn.ParameterList(
            nn.Parameter(c.embedding_std * torch.randn(c.vocab, c.dim)) for _ in range(c.mtp_heads)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Integer tokens [B, T] to float32 logits [B, T, vocab] of the token after each."""
        return self._logits(self.hidden(tokens), self._tied())

    def loss(self, tokens: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean NLL in nats of ``targets``, the token after each of ``tokens``, both [B, T].

        ``weights`` [B, T] multiply the NLL of each target. In training the heads that predict
        further ahead add their mean, times ``mtp_weight``.
        """
        x = self.hidden(tokens)
        nll = self._nll(x, self._tied(), targets)
        loss = nll.mean() if weights is None else (nll * weights).mean()
        further = [
            self._nll(x[:, : -k - 1], head, targets[:, k + 1 :]).mean()
            for k, head in enumerate(self.mtp_heads)
            if self.training and targets.size(1) > k + 1
        ]
        if further:
            loss = loss + self.config.mtp_weight * torch.stack(further).mean()
        return loss

    def hidden(self, tokens: Tensor) -> Tensor:
        """Integer tokens [B, T] to what the logits are read from, [B, T, dim]."""
        tokens = tokens.long()
        start = x = self._embed(tokens)
        turns = rotation(tokens.size(1), self.config, x)
        added = {} if self.value_embedding is None else self.value_embedding(tokens)
        first_values: Tensor | None = None
        skips: list[Tensor] = []
        for i, (block, matrices) in enumerate(
            zip(self.blocks, self.matrices.layers(), strict=True)
        ):
            second_half = i - self.config.encoder_layers
            if second_half >= 0 and skips:
                x = x + self.skip_scales[second_half].type_as(x) * skips.pop()
            x, own = block(x, start, matrices, turns, added.get(i), first_values)
            if first_values is None:
                first_values = own
            if second_half < 0:
                skips.append(x)
        return rms_norm(x)

    def exported(self) -> dict[str, Tensor]:
        """The state that scoring needs: all but the heads that only training uses."""
        state = self.state_dict()
        return {name: held for name, held in state.items() if not name.startswith("mtp_heads.")}

    def _tied(self) -> Tensor:
        return self.used(self.embedding, "embedding")

    def _embed(self, tokens: Tensor) -> Tensor:
        x = self._tied()[tokens]
        if self.bigram is not None:
            x = x + self.bigram(tokens)
        x = rms_norm(x.to(torch.bfloat16 if x.is_cuda else torch.float32))
        return x if self.smear is None else self.smear(x)

    def _logits(self, x: Tensor, head: Tensor) -> Tensor:
        cap = self.config.logit_softcap
        return cap * torch.tanh(linear(x, head).float() / cap)

    def _nll(self, x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        logits = self._logits(x, head).flatten(0, 1)
        return cross_entropy(logits, targets.long().flatten(), reduction="none").view_as(targets)
