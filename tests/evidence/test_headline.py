"""Which runs stand for the claimed score, and which of their lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor import rulesets
from auditor.evidence.record import Record
from auditor.submission.model import SourceFile, Submission

FOLDER = "records/track_10min_16mb/2026-01-01_Example"


def log(seed: int, *finals: tuple[str, float]) -> str:
    """A log that prints the given scores after training."""
    head = f"seed:{seed}\nstep:0/9 val_loss:6.9 val_bpb:4.1\nstep:9/9 val_loss:2.0 val_bpb:1.1999\n"
    return head + "".join(f"{label} val_loss:2.0 val_bpb:{value}\n" for label, value in finals)


def runs(logs: dict[str, str], metadata: Any = None) -> list[tuple[str, str | None, str]]:
    """Of each run: its log's name, its headline's label and why."""
    text = json.dumps(metadata, indent=1)
    submission = Submission(
        FOLDER,
        SourceFile(f"{FOLDER}/train_gpt.py", ""),
        logs=tuple(SourceFile(f"{FOLDER}/{n}", t, "text") for n, t in sorted(logs.items())),
        metadata=metadata,
        metadata_file=SourceFile(f"{FOLDER}/submission.json", text) if metadata else None,
    )
    record = Record(submission, rulesets.load().limits)
    return [
        (r.log.path.rpartition("/")[2], r.headline.label if r.headline else None, r.why)
        for r in record.runs
    ]


THREE = {
    f"train_seed{seed}.log": log(
        seed, ("quantized", value + 0.02), ("ttt_exact", value), ("diag", 1.3)
    )
    for seed, value in ((7, 1.1012), (42, 1.1022), (1337, 1.1032))
}


def test_the_score_claimed_for_each_seed() -> None:
    claimed = {"7": 1.1012, "42": 1.1022, "1337": 1.1032}
    seeds = {seed: {"val_bpb": value} for seed, value in claimed.items()}
    found = runs(THREE, {"val_bpb": 1.1022, "seed_results": seeds})
    assert [(name, label) for name, label, _ in found] == [
        ("train_seed1337.log", "ttt_exact"),
        ("train_seed42.log", "ttt_exact"),
        ("train_seed7.log", "ttt_exact"),
    ]
    assert found[2][2] == "it equals the score claimed for seed 7 (submission.json:5)"


def test_the_label_whose_mean_is_claimed() -> None:
    found = runs(THREE, {"val_bpb": 1.12220})  # of "quantized", which no single run shows
    assert [label for _, label, _ in found] == ["quantized"] * 3
    assert "with the same line of 3 runs its mean is the claimed score" in found[0][2]


def test_side_runs_are_left_out() -> None:
    side = {
        "ablation_no_ttt.log": log(7, ("quantized", 1.1012), ("ttt_exact", 1.2222)),
        "smoke_seed5.log": log(5, ("ttt_exact", 1.5)),
    }
    claimed = {"val_bpb": 1.1022, "seeds": [7, 42, 1337]}
    assert runs({**THREE, **side}, claimed) == runs(THREE, claimed)
    assert [name for name, *_ in runs(side)] == ["ablation_no_ttt.log", "smoke_seed5.log"]
    assert [name for name, *_ in runs({**side, "train.log": log(9, ("x", 1.2))})] == ["train.log"]


def test_a_seed_without_its_score_keeps_the_line_of_the_others() -> None:
    seeds = {"7": {"val_bpb": 1.1012}, "42": {"val_bpb": 1.1022}, "1337": {"val_bpb": 1.0500}}
    (found, *others) = runs(THREE, {"val_bpb": 1.0845, "seed_results": seeds})
    assert found[:2] == ("train_seed1337.log", "ttt_exact")
    assert found[2].endswith("the score claimed for this one (submission.json:11) is on none")
    assert [label for _, label, _ in others] == ["ttt_exact", "ttt_exact"]


def test_the_most_exact_of_lines_that_state_one_score() -> None:
    text = log(7, ("ttt", 1.1012), ("ttt_exact", 1.10123456), ("compat_exact", 1.10123456))
    (found,) = runs({"train.log": text}, {"val_bpb": 1.10123456})
    assert found[1] == "ttt_exact"


def test_a_score_of_the_training_loop() -> None:
    (found,) = runs({"train.log": log(7, ("final", 1.25))}, {"val_bpb": 1.1999})
    assert found[1] == "val_bpb" and found[2] == "it equals the claimed score (submission.json:2)"


@pytest.mark.parametrize(
    ("claimed", "why"),
    [
        (None, "the last score printed; no score is claimed"),
        (1.05, "the last score printed; the claimed one is in no log (submission.json:2)"),
        (1.3, "the last score printed, which rounds to the claimed one (submission.json:2)"),
    ],
)
def test_else_the_last_score(claimed: float | None, why: str) -> None:
    text = log(7, ("quantized", 1.22), ("diag", 1.3012))
    metadata = {"val_bpb": claimed} if claimed else None
    assert runs({"train.log": text}, metadata) == [("train.log", "diag", why)]


def test_copies_of_a_run_count_once() -> None:
    text = log(7, ("final", 1.2345))
    assert len(runs({"train.log": text, "train_seed7.log": text}, {"val_bpb": 1.2345})) == 1
    assert len(runs({"train.log": text, "train_seed7.log": text})) == 1


def test_no_logs_no_runs() -> None:
    assert runs({}, {"val_bpb": 1.1}) == []
    assert runs({"train.log": "pending"}, {"val_bpb": 1.1}) == []
