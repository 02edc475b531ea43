"""What the reference mixers do, and how fast: every figure from one process on one core.

    python benchmarks/mixers.py --tokens SHARD [--tokenizer MODEL] [--repo CLONE] [--grow]

SHARD is in the challenge's format, with a vocabulary of 1,024. With CLONE, a clone of
openai/parameter-golf with its pull-request refs, the mixers of four submissions are timed on the
same tokens, each in its own protocol with the neural model replaced by constants: their classes are
taken from pinned commits and run in this process. ``--grow`` measures time and memory up to 62
million tokens.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import seed_code

from reference_impl import shards
from reference_impl.mixers import (
    EntropyWeight,
    FixedShare,
    LearnedNgram,
    Matcher,
    Neural,
    NgramSettings,
    StreamingNgram,
    blend,
    matches,
    probabilities,
)

VOCAB = 1024
REPEATS = 3
SETTINGS = NgramSettings(VOCAB, order=10)
WEIGHT = EntropyWeight(0.20, 0.55, 3.0)
MIXERS = {  # pull request: file, class
    "1094": ("swarm_agents.py", "BackoffNgramMixer"),
    "803": ("train_gpt.py", "BackoffNgramMixer"),
    "825": ("train_gpt.py", "BackoffNgramMixer"),
    "864": ("train_gpt.py", "NgramEvalCache"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures the reference mixers.")
    parser.add_argument("--tokens", required=True, type=Path, help="a shard of validation tokens")
    parser.add_argument("--tokenizer", type=Path, help="its sentencepiece model, for BPB")
    parser.add_argument("--repo", help="a clone, for the speed of four submissions' mixers")
    parser.add_argument("--grow", action="store_true", help="time and memory to 62 M tokens")
    arguments = parser.parse_args()
    try:
        tokens = shards.read(arguments.tokens, VOCAB)
    except shards.ShardError as error:
        sys.exit(str(error))
    print(f"{len(tokens):,} tokens")
    quality(tokens, arguments.tokenizer)
    sums(tokens)
    try:
        speeds(tokens, arguments.repo)
    except seed_code.MissingSeed as error:
        sys.exit(str(error))
    if arguments.grow:
        grow()
    return 0


# ---- quality ----


def quality(tokens: np.ndarray, tokenizer: Path | None) -> None:
    unit = "bits per token" if tokenizer is None else "BPB"
    size = len(tokens) - 1 if tokenizer is None else byte_count(tokens, tokenizer)
    scores = {
        "uniform": np.full(len(tokens), 1.0 / VOCAB),
        "n-gram, fixed discount": probabilities(tokens, SETTINGS),
        "n-gram, learned weights": LearnedNgram(SETTINGS, expected=len(tokens)).prob(tokens),
    }
    neural = Neural(scores["uniform"], np.full(len(tokens), math.log(VOCAB)))
    scores["uniform model and longest match"] = blend(neural, matches(tokens, SETTINGS), WEIGHT)
    # A stand-in for a neural model that is better than the n-gram it is mixed with.
    model = StreamingNgram(NgramSettings(VOCAB, 4, 0.8), len(tokens)).prob(tokens)
    model = 0.7 * model + 0.3 * scores["n-gram, learned weights"]
    experts = np.stack([model, scores["n-gram, fixed discount"]], 1)
    scores["a stronger model"] = model
    scores["the same in a fixed-share mixture"] = FixedShare(2).prob(experts)
    for name, p in scores.items():
        print(f"  {name:36} {-np.log2(p[1:]).sum() / size:.5f} {unit}")


def byte_count(tokens: np.ndarray, tokenizer: Path) -> int:
    """Bytes of the text that the scored tokens stand for: all but the first."""
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(tokenizer))
    text, marks = np.zeros(VOCAB, np.int64), np.zeros(VOCAB, bool)
    inner = np.zeros(VOCAB, bool)
    for i in range(VOCAB):
        if pieces.is_control(i) or pieces.is_unknown(i) or pieces.is_unused(i):
            continue
        inner[i] = True
        piece = pieces.id_to_piece(i)
        marks[i] = piece.startswith("▁")
        text[i] = 1 if pieces.is_byte(i) else len(piece.removeprefix("▁").encode())
    return int((text[tokens[1:]] + (marks[tokens[1:]] & inner[tokens[:-1]])).sum())


def sums(tokens: np.ndarray, positions: int = 1000) -> None:
    """How far the distributions are from summing to 1, at random positions over the whole stream."""
    places = np.sort(np.random.default_rng(0).choice(len(tokens), positions, replace=False))
    makers = {
        "fixed discount": lambda: StreamingNgram(SETTINGS, len(tokens)),
        "learned weights": lambda: LearnedNgram(SETTINGS, expected=len(tokens)),
    }
    for name, make in makers.items():
        model, at, worst, differ = make(), 0, 0.0, 0
        for place in places:
            model.prob(tokens[at:place])
            row = model.distribution()
            worst = max(worst, abs(float(row.sum()) - 1.0))
            differ += row[tokens[place]] != model.prob(tokens[place : place + 1])[0]
            at = place + 1
        print(f"  {name:36} |sum - 1| <= {worst:.1e} at {positions} positions, {differ} differ")


# ---- speed ----


def speeds(tokens: np.ndarray, repo: str | None) -> None:
    """Useful tokens a second, score and update, best of a few; and the ratio to each seed."""
    n = len(tokens)
    ours: dict[str, Callable[[], object]] = {
        "batched, orders 1-10": lambda: probabilities(tokens, SETTINGS),
        "batched, longest match": lambda: matches(tokens, SETTINGS),
        "streaming, token by token": lambda: StreamingNgram(SETTINGS, n).prob(tokens),
        "streaming, learned weights": lambda: LearnedNgram(SETTINGS, expected=n).prob(tokens),
        "streaming, longest match": lambda: Matcher(SETTINGS, expected=n).match(tokens),
    }
    rates = {name: n / best_of(run) for name, run in ours.items()}
    seeds = dict(seed_rates(repo, tokens.astype(np.int64))) if repo else {}
    for name, rate in seeds.items():
        print(f"  #{name:35} {rate / 1e3:9.0f} k tokens/s")
    for name, rate in rates.items():
        ratios = ", ".join(f"{rate / seed:.1f}x #{pr}" for pr, seed in seeds.items())
        print(f"  {name:36} {rate / 1e3:9.0f} k tokens/s  {ratios}")


def best_of(run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few runs, after one that compiles."""
    run()
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def seed_rates(repo: str, tokens: np.ndarray) -> Iterator[tuple[str, float]]:
    """Each seed's useful tokens a second, on tables that were warmed with half a million tokens."""
    import torch

    torch.set_num_threads(1)
    warm, timed = tokens[: 1 << 19], tokens[: (1 << 19) + (1 << 18) + 1]
    with torch.inference_mode():
        for pr, (file, name) in MIXERS.items():
            # With a constant model in place of the neural one.
            mixer = seed_code.definition(repo, pr, file, name, {"F": ConstantModel})
            seconds = PROTOCOLS[pr](mixer, warm, timed)
            yield pr, (len(timed) - len(warm) - 1) / seconds


class ConstantModel:
    """In place of torch.nn.functional and of logits: a uniform model that costs no time."""

    device = "cpu"

    def __init__(self, rows: int, columns: int) -> None:
        self.shape = (rows, columns, VOCAB)

    @staticmethod
    def log_softmax(logits: ConstantModel, dim: int) -> ConstantModel:
        return logits

    def gather(self, dim: int, index: Any) -> Any:
        return self._all(-math.log(VOCAB), 1)

    def sum(self, dim: int) -> Any:
        return self._all(-math.log(VOCAB))

    def float(self) -> ConstantModel:
        return self

    exp = float

    def __mul__(self, other: ConstantModel) -> ConstantModel:
        return self

    def _all(self, value: float, *more: int) -> Any:
        import torch

        return torch.full((*self.shape[:2], *more), value)


def _timed_windows(
    tokens: np.ndarray, start: int, stride: int, batch: int, chunk: int,
    score: Callable[[Any, Any, Any], object], update: Callable[[int, int], object],
) -> float:  # fmt: skip
    """CPU seconds of a sliding evaluation from ``start`` on: windows of 2,048 that score ``stride``."""
    import torch

    stream, seconds, counted = torch.from_numpy(tokens), 0.0, start
    ends = range(start + stride, len(tokens), stride)
    for first in range(0, len(ends), batch):
        rows = [stream[end - 2048 : end + 1] for end in ends[first : first + batch]]
        windows = torch.stack(rows)
        x, y = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
        begun = time.process_time()
        score(ConstantModel(len(rows), 2048), x, y)
        seconds += time.process_time() - begun
        done = ends[min(first + batch, len(ends)) - 1]
        if done - counted >= chunk or first + batch >= len(ends):
            begun = time.process_time()
            update(counted, done)
            seconds += time.process_time() - begun
            counted = done
    return seconds


def _torch_protocol(batch: int, chunk: int) -> Callable[[Any, np.ndarray, np.ndarray], float]:
    def run(mixer: Any, warm: np.ndarray, tokens: np.ndarray) -> float:
        import torch

        own = mixer(VOCAB, torch.device("cpu"), num_buckets=1 << 22, max_order=10, min_tokens=0)
        own.update(torch.from_numpy(warm))
        stream = torch.from_numpy(tokens)
        update = lambda a, b: own.update(stream[a:b])  # noqa: E731
        return _timed_windows(tokens, len(warm), 64, batch, chunk, own.score, update)

    return run


def _numpy_protocol(mixer: Any, warm: np.ndarray, tokens: np.ndarray) -> float:
    own = mixer(VOCAB, "cpu")
    own.update(warm)
    return _timed_windows(
        tokens, len(warm), 128, 32, 32768,
        lambda logits, x, y: own.mix_and_score(logits, x, y, None),
        lambda a, b: own.update(tokens[a:b]),
    )  # fmt: skip


def _lookup_protocol(mixer: Any, warm: np.ndarray, tokens: np.ndarray) -> float:
    own = mixer()
    own.update_batch(tokens, 0, len(warm))
    begun = time.process_time()
    for chunk in range(len(warm), len(tokens) - 1, 65536):
        end = min(chunk + 65536, len(tokens) - 1)
        for start in range(chunk, end, 64):
            positions = np.arange(start, min(start + 64, end))
            own.batch_lookup(tokens, positions, tokens[positions])
        own.update_batch(tokens, chunk, end)
    return time.process_time() - begun


PROTOCOLS: dict[str, Callable[[Any, np.ndarray, np.ndarray], float]] = {
    "1094": _torch_protocol(batch=128, chunk=8192),
    "803": _torch_protocol(batch=128, chunk=32768),
    "825": _numpy_protocol,
    "864": _lookup_protocol,
}


# ---- growth ----


def grow() -> None:
    """Time and peak memory of the batched mixer on Zipf tokens, each length in a process of its own."""
    for millions in (1, 4, 16, 62):
        subprocess.run([sys.executable, __file__, "--one", str(millions * 10**6)], check=True)


def one(n: int) -> None:
    rng = np.random.default_rng(0)
    chances = 1.0 / np.arange(1, VOCAB + 1)
    tokens = rng.choice(VOCAB, n, p=chances / chances.sum()).astype(np.uint16)
    probabilities(tokens[:1000], SETTINGS)
    begun = time.process_time()
    probabilities(tokens, SETTINGS)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"  {n / 1e6:4.0f} M tokens: {seconds:7.2f} s, {n / seconds / 1e6:5.2f} M tokens/s, "
        f"peak {peak:5.2f} GiB, {peak * 2**30 / n:4.0f} bytes a token",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
    else:
        sys.exit(main())
