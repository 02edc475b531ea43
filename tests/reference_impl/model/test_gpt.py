"""What the model computes, in every preset's small form, and each of its parts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from reference_impl import presets
from reference_impl.model import GPT, ModelConfig, attention
from reference_impl.model.attention import (
    attend,
    rotate,
    rotation,
    without_own_value,
    without_scaled_value,
)
from reference_impl.model.embeddings import BigramHash, SmearGate

TINY = presets.tiny(presets.load("parallel_muon_mtp").model)


def noisy(config: ModelConfig) -> GPT:
    """A model in which no weight is zero, so that each of them has its effect."""
    model = GPT(config)
    for weight in model.parameters():
        weight.data += (0.1 if weight.ndim < 2 else 0.05) * torch.randn_like(weight)
    return model


def tokens(length: int = 24) -> Tensor:
    return torch.randint(1024, (2, length))


# ---- the whole ----


@pytest.mark.parametrize("name", presets.names())
def test_logits_know_nothing_of_later_tokens(name: str) -> None:
    model = noisy(presets.tiny(presets.load(name).model))
    seen = tokens()
    changed = seen.clone()
    changed[:, 12:] = torch.randint(1024, (2, 12))
    with torch.inference_mode():
        before, after = model(seen), model(changed)
    assert before.shape == (2, 24, 1024)
    assert before.dtype == torch.float32
    assert torch.allclose(before[:, :12], after[:, :12], atol=1e-6)
    assert not torch.allclose(before[:, 12], after[:, 12], atol=1e-3)


@pytest.mark.parametrize("name", presets.names())
def test_every_trainable_weight_gets_a_gradient(name: str) -> None:
    model = noisy(presets.tiny(presets.load(name).model))
    model.loss(tokens(), tokens()).backward()
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert not [n for n, grad in trained.items() if grad is None or not grad.any()]
    left = [n for n, p in model.named_parameters() if not p.requires_grad]
    learned = model.config.value_residual == "learned"
    assert left == ["blocks.0.attention.value_residual.weights"] * learned


@pytest.mark.parametrize("name", presets.names())
def test_a_fresh_model_is_near_uniform_and_learns(name: str) -> None:
    model = GPT(presets.tiny(presets.load(name).model))
    seen = tokens(33)
    batch = seen[:, :-1], seen[:, 1:]
    model.eval()
    assert model.loss(*batch).item() == pytest.approx(6.93, abs=0.01)  # ln 1,024
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), 0.01)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = model.loss(*batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_banks_and_single_matrices_are_the_same_model() -> None:
    banked, separate = noisy(TINY), GPT(replace(TINY, banked=False))
    state = {n: p for n, p in banked.state_dict().items() if not n.startswith("matrices.")}
    for i, layer in enumerate(banked.matrices.layers()):
        state |= {f"matrices.{kind}.{i}": m for kind, m in layer._asdict().items()}
    separate.load_state_dict(state)
    seen = tokens()
    assert torch.equal(banked(seen), separate(seen))
    assert len(list(banked.matrices.parameters())) == 4


@pytest.mark.parametrize("banked", [True, False])
def test_a_transform_reaches_every_matrix(banked: bool) -> None:
    model = noisy(replace(TINY, banked=banked))
    seen, reached = tokens(), set()

    def zero(matrix: Tensor, role: str) -> Tensor:
        reached.add(id(matrix))
        return matrix * 0

    before = model(seen)
    model.matrices.transform = zero
    assert reached == set()
    assert not torch.equal(before, model(seen))
    assert reached == {id(p) for p in model.matrices.parameters()}
    assert all(m.any() for layer in model.matrices.stored() for m in layer)
    model.matrices.transform = None
    assert torch.equal(before, model(seen))


def test_matrices_start_orthogonal_and_writers_at_zero() -> None:
    for layer in GPT(TINY).matrices.layers():
        for name in ("q", "k", "v", "up"):
            m = getattr(layer, name)
            gram = m @ m.T if m.size(0) <= m.size(1) else m.T @ m
            assert torch.allclose(gram, torch.eye(len(gram)), atol=1e-5)
        assert not layer.out.any()
        assert not layer.down.any()


def test_softcap_bounds_the_logits() -> None:
    model = noisy(replace(TINY, logit_softcap=5.0))
    model.embedding.data *= 100
    assert model(tokens()).abs().max() <= 5.0


def test_one_token_and_one_layer() -> None:
    model = GPT(ModelConfig(layers=1, xsa_last=1, value_embedding_layers=(0,)))
    assert model(tokens(1)).shape == (2, 1, 1024)


@pytest.mark.parametrize("name", presets.names())
def test_all_layers_keep_the_precision_that_they_are_given(name: str) -> None:
    """On a GPU the embeddings give bf16, and no float32 weight may widen it again."""
    model = noisy(presets.tiny(presets.load(name).model)).eval()
    seen = tokens()
    exact = model(seen)
    embed = model._embed
    model._embed = lambda tokens: embed(tokens).bfloat16()  # type: ignore[method-assign]
    assert model.hidden(seen).dtype == torch.bfloat16
    rounded = model(seen)
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded, exact, atol=0.05 * float(exact.detach().abs().max()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", presets.names())
def test_a_gpu_gives_the_same_in_bf16(name: str) -> None:
    model = noisy(presets.tiny(presets.load(name).model)).eval()
    seen = tokens()
    with torch.inference_mode():
        exact = model(seen)
        found = model.cuda()(seen.cuda()).cpu()
    assert torch.allclose(found, exact, atol=0.05 * float(exact.abs().max()))


@pytest.mark.parametrize("normaliser", [False, True])
def test_flash_attention_is_called_where_it_is_there(
    normaliser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layout is ours: [B, T, heads, head_dim]. Some versions give a second result."""

    def flash(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> object:
        assert causal
        return (q + 1, q[..., 0]) if normaliser else q + 1

    q, k = torch.zeros(1, 3, 4, 8), torch.zeros(1, 3, 2, 8)
    monkeypatch.setattr(attention, "_flash_attention", flash)
    assert not attend(q.bfloat16(), k.bfloat16(), k.bfloat16()).any()  # no Hopper
    monkeypatch.setattr(attention, "_is_hopper", lambda x: True)
    assert not attend(q, k, k).any()  # not bf16
    y = attend(q.bfloat16(), k.bfloat16(), k.bfloat16())
    assert y.shape == q.shape
    assert (y == 1).all()


# ---- the loss ----


def test_loss_is_the_mean_nll_and_weights_multiply_it() -> None:
    model = noisy(TINY).eval()
    seen, targets = tokens(), tokens()
    nll = cross_entropy(model(seen).flatten(0, 1), targets.flatten(), reduction="none")
    weights = torch.rand(2, 24)
    assert torch.allclose(model.loss(seen, targets), nll.mean())
    expected = (nll.view(2, 24) * weights).mean()
    assert torch.allclose(model.loss(seen, targets, weights), expected)


def test_further_heads_add_to_the_loss_in_training_only() -> None:
    model = noisy(TINY)
    seen, targets = tokens(), tokens()
    x = model.hidden(seen)
    extra = []
    for ahead, head in enumerate(model.mtp_heads, 1):
        logits = 30 * torch.tanh(x[:, :-ahead] @ head.T / 30)
        extra.append(cross_entropy(logits.flatten(0, 1), targets[:, ahead:].flatten()))
    difference = model.train().loss(seen, targets) - model.eval().loss(seen, targets)
    assert torch.allclose(difference, 0.1 * torch.stack(extra).mean(), atol=1e-5)
    assert model.train().loss(seen[:, :1], targets[:, :1]).isfinite()  # nothing lies further ahead


def test_further_heads_train_and_teach_from_the_first_step_on() -> None:
    model, plain = GPT(TINY), GPT(replace(TINY, mtp_heads=0))
    plain.load_state_dict(model.exported())
    batch = tokens(), tokens()
    for each in (model, plain):
        each.loss(*batch).backward()
    assert not torch.allclose(model.embedding.grad, plain.embedding.grad, rtol=1e-3, atol=0)
    before = [head.detach().clone() for head in model.mtp_heads]
    torch.optim.AdamW(model.parameters(), 0.01).step()
    assert all((old != new).all() for old, new in zip(before, model.mtp_heads, strict=True))


# ---- the parts ----


def test_bigram_buckets_depend_on_the_pair_alone() -> None:
    bigram = BigramHash(128, 8, 16)
    found = bigram.bucket(torch.tensor([[5, 9, 5, 9], [9, 5, 9, 1]]))
    assert found[:, 0].tolist() == [127, 127]
    assert found[0, 1] == found[0, 3] == found[1, 2] == (36313 * 9 ^ 27191 * 5) % 127
    assert found[0, 2] == found[1, 1]
    bigram.table.data.normal_()
    assert bigram(torch.tensor([[5, 9]])).shape == (1, 2, 16)


def test_smear_blends_with_the_position_before() -> None:
    x = torch.randn(2, 3, 4)
    y = SmearGate(4)(x)  # a gate of zero is a share of a half
    assert torch.allclose(y[:, 1:], (x[:, 1:] + x[:, :-1]) / 2)
    assert torch.allclose(y[:, 0], x[:, 0] / 2)


def test_xsa_leaves_nothing_in_the_direction_of_the_own_value() -> None:
    y, v = torch.randn(2, 5, 4, 8), torch.randn(2, 5, 2, 8)
    per_head = v.repeat_interleave(2, 2)
    left = without_own_value(y, v)
    assert (left * per_head).sum(-1).abs().max() < 1e-5
    assert torch.allclose(without_own_value(left, v), left, atol=1e-6)
    scaled = without_scaled_value(y, v)
    assert torch.allclose(scaled, y - per_head / 5)
    assert (scaled * per_head).sum(-1).abs().max() > 0.1


def test_xsa_is_in_the_last_layers() -> None:
    model = GPT(replace(TINY, xsa_last=2))
    assert [block.attention.exclude is not None for block in model.blocks] == [False] * 3 + [
        True
    ] * 2


def test_attention_equals_the_textbook() -> None:
    q, k, v = torch.randn(1, 6, 4, 8), torch.randn(1, 6, 2, 8), torch.randn(1, 6, 2, 8)
    k4, v4 = k.repeat_interleave(2, 2), v.repeat_interleave(2, 2)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k4) / 8**0.5
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    expected = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v4)
    assert torch.allclose(attend(q, k, v), expected, atol=1e-6)


def test_rotation_is_partial_and_relative() -> None:
    q, k = (
        torch.randn(1, 1, 1, 16).expand(1, 9, 1, 16),
        torch.randn(1, 1, 1, 16).expand(1, 9, 1, 16),
    )
    turns = rotation(9, TINY, q)
    turned, keys = rotate(q, turns), rotate(k, turns)
    assert torch.equal(turned[..., 8:], q[..., 8:])
    assert not torch.allclose(turned[:, 1, :, :8], q[:, 1, :, :8])
    assert torch.allclose(turned.norm(dim=-1), q.norm(dim=-1))
    products = torch.einsum("bqhd,bkhd->qk", turned, keys)
    assert torch.allclose(products[3, 1], products[8, 6], atol=1e-5)


def test_angles_shrink_above_the_training_length_only() -> None:
    like = torch.zeros(1)
    short, at = rotation(8, TINY, like), rotation(1024, TINY, like)
    above = rotation(2048, TINY, like)
    never = rotation(2048, replace(TINY, rope_length=None), like)
    assert torch.equal(short[0], at[0][:8])
    assert torch.equal(never[0][:1024], at[0])
    assert torch.equal(above[1][..., 0], never[1][..., 0])  # the fastest stays
    assert (above[1][1, 0, 1:] < never[1][1, 0, 1:]).all()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", [0.0, 1.0]), ("mean", [0.5, 0.5]), ("learned", [0.2, 0.9]), ("added", [0.3, 1.0])],
)
def test_value_residuals(kind: str, expected: list[float]) -> None:
    model = GPT(replace(TINY, value_residual=kind))  # type: ignore[arg-type]
    mix = model.blocks[2].attention.value_residual
    if kind == "learned":
        mix.weights.data = torch.tensor([0.2, 0.9])
    if kind == "added":
        mix.scale.data = torch.tensor([0.3])
    v, first = torch.randn(2, 3, 2, 16), torch.randn(2, 3, 2, 16)
    assert torch.allclose(mix(v, first), expected[0] * first + expected[1] * v)
