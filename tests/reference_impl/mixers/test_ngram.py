"""The exact n-gram models: every path against a dictionary, each other, and the future."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the mixers need pgcheck[reference]")

from reference_impl.mixers import (
    LearnedNgram,
    Matcher,
    NgramSettings,
    StreamingNgram,
    matches,
    probabilities,
)

Floats = np.ndarray


def text(n: int, vocab: int, seed: int = 0) -> np.ndarray:
    """Tokens with repetition at every length: a few phrases, again and again, with noise."""
    rng = np.random.default_rng(seed)
    phrases = [rng.integers(0, vocab, rng.integers(1, 14)) for _ in range(12)]
    stream = np.concatenate([phrases[i] for i in rng.integers(0, 12, n)])[:n]
    noise = rng.random(n) < 0.1
    stream[noise] = rng.integers(0, vocab, noise.sum())
    return stream


def by_dictionary(tokens: np.ndarray, s: NgramSettings) -> Floats:
    """The same probabilities, from a dictionary of counters."""
    table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    stream = tokens.tolist()
    p = np.empty(len(stream))
    counted = 0
    for t, y in enumerate(stream):
        while counted < t - t % s.chunk:
            for k in range(min(s.order, counted + 1)):
                table[tuple(stream[counted - k : counted])][stream[counted]] += 1
            counted += 1
        q = 1.0 / s.vocab
        for k in range(min(s.order, t + 1)):
            seen = table.get(tuple(stream[t - k : t]))
            if not seen:
                break
            kept = max(seen[y] - s.discount, 0.0)
            q = (kept + s.discount * len(seen) * q) / sum(seen.values())
        p[t] = q
    return p


SETTINGS = [
    NgramSettings(vocab, order, discount, chunk)
    for vocab, order, discount, chunk in [
        (7, 1, 0.5, 1),
        (7, 4, 0.9, 1),
        (40, 10, 0.9, 1),
        (40, 16, 0.75, 1),
        (40, 10, 0.9, 64),
        (7, 5, 0.3, 100),
    ]
]
ids = [f"V{s.vocab}-order{s.order}-chunk{s.chunk}" for s in SETTINGS]


@pytest.mark.parametrize("s", SETTINGS, ids=ids)
def test_both_paths_equal_a_dictionary(s: NgramSettings) -> None:
    tokens = text(3000, s.vocab)
    wanted = by_dictionary(tokens, s)
    streamed = StreamingNgram(s).prob(tokens)
    np.testing.assert_allclose(streamed, wanted, rtol=1e-12)
    assert np.array_equal(probabilities(tokens, s), streamed)  # to the bit


@given(
    st.lists(st.integers(0, 5), max_size=80),
    st.integers(1, 9),
    st.integers(1, 20),
    st.integers(1, 40),
)
def test_paths_agree_on_any_stream(stream: list[int], order: int, chunk: int, piece: int) -> None:
    s = NgramSettings(6, order, 0.8, chunk)
    tokens = np.array(stream, np.int64)
    model = StreamingNgram(s)
    pieces = [model.prob(tokens[i : i + piece]) for i in range(0, len(tokens), piece)]
    streamed = np.concatenate([*pieces, np.empty(0)])
    assert np.array_equal(streamed, probabilities(tokens, s))
    np.testing.assert_allclose(streamed, by_dictionary(tokens, s), rtol=1e-12)


@pytest.mark.parametrize("make", [StreamingNgram, LearnedNgram])
@pytest.mark.parametrize("chunk", [1, 50])
def test_the_next_token_has_a_distribution(make: type, chunk: int) -> None:
    s = NgramSettings(40, 10, 0.9, chunk)
    tokens = text(400, s.vocab)
    model = make(s)
    for y in tokens:
        row = model.distribution()
        assert row.min() >= 0.0
        assert abs(row.sum() - 1.0) <= 1e-12
        assert row[y] == model.prob(np.array([y]))[0]


@pytest.mark.parametrize("make", [StreamingNgram, LearnedNgram])
def test_a_root_distribution_is_kept_a_distribution(make: type) -> None:
    s = NgramSettings(12, 4)
    rng = np.random.default_rng(1)
    model = make(s)
    for y in text(200, s.vocab):
        root = rng.dirichlet(np.ones(s.vocab))
        row = model.distribution(root)
        assert abs(row.sum() - 1.0) <= 1e-12
        assert row[y] == model.prob(np.array([y]), root[[y]])[0]


def scorers(s: NgramSettings) -> list:
    return [
        lambda tokens: probabilities(tokens, s),
        lambda tokens: StreamingNgram(s).prob(tokens),
        lambda tokens: LearnedNgram(s).prob(tokens),
    ]


@pytest.mark.parametrize("which", range(3))
def test_the_future_does_not_matter(which: int) -> None:
    score = scorers(NgramSettings(40, 10))[which]
    tokens = text(2000, 40)
    whole = score(tokens)
    assert np.array_equal(score(tokens[:1200]), whole[:1200])
    shuffled = np.concatenate([tokens[:1200], np.random.default_rng(2).permutation(tokens[1200:])])
    assert np.array_equal(score(shuffled)[:1200], whole[:1200])


@pytest.mark.parametrize("which", range(3))
def test_noise_is_not_compressed(which: int) -> None:
    """Uniform tokens cost at least log2 V each: the score of a real code can't be lower."""
    score = scorers(NgramSettings(64, 10))[which]
    tokens = np.random.default_rng(3).integers(0, 64, 20_000)
    assert -np.log2(score(tokens)).mean() > 6.0


@pytest.mark.parametrize("chunk", [1, 64])
@pytest.mark.parametrize("min_count", [1, 3])
def test_matches_agree(chunk: int, min_count: int) -> None:
    s = NgramSettings(40, 8, chunk=chunk)
    tokens = text(3000, s.vocab)
    for one, other in zip(
        matches(tokens, s, min_count), Matcher(s, min_count).match(tokens), strict=True
    ):
        assert np.array_equal(one, other)


def test_a_match_counts_every_candidate() -> None:
    s = NgramSettings(40, 8)
    matcher = Matcher(s)
    matcher.match(text(2000, s.vocab))
    found = matcher.candidates()
    assert len(set(found.order.tolist())) == len(set(found.best.tolist())) == 1
    assert found.hits.sum() == found.total[0]
    assert found.hits[found.best[0]] == found.hits.max()


@pytest.mark.parametrize(
    "wrong",
    [{"vocab": 1}, {"order": 0}, {"discount": 1.0}, {"chunk": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NgramSettings(**{"vocab": 8, **wrong})


def test_a_token_above_the_vocabulary_is_refused() -> None:
    s = NgramSettings(8)
    with pytest.raises(ValueError, match="token 8 at 2"):
        probabilities(np.array([1, 2, 8]), s)
    with pytest.raises(ValueError, match="token 8 at 2"):
        StreamingNgram(s).prob(np.array([1, 2, 8]))
