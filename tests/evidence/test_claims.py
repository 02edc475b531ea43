"""What submission.json, README and title state, number by number with places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.evidence.claims import Claims, Stated, claims_of
from auditor.evidence.json_places import leaves
from auditor.evidence.quantities import number, numbers, quantity
from auditor.evidence.tables import tables
from auditor.submission.model import Pull, SourceFile, Submission

FOLDER = "records/track_10min_16mb/2026-01-01_Example"


def claims(
    metadata: Any = None, readme: str = "", title: str | None = None, folder: str = FOLDER
) -> Claims:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata, indent=1)
    data = metadata if isinstance(metadata, dict) else None
    return claims_of(
        Submission(
            folder,
            SourceFile(f"{folder}/train_gpt.py", ""),
            readme=(SourceFile("README.md", readme, "text"),) if readme else (),
            metadata=data,
            metadata_file=SourceFile("submission.json", text, "text") if metadata else None,
            pull=Pull(title=title),
        )
    )


def one(found: list[Stated]) -> Stated:
    assert len(found) == 1, found
    return found[0]


def test_json_values_stand_on_their_lines() -> None:
    score = claims({"name": "x", "val_bpb": 1.1230}).score
    assert score is not None
    assert (score.value, score.text, score.line, score.kind) == (1.123, "1.123", 3, "json")
    assert score.headline


def test_scores_come_from_the_first_source_that_states_any() -> None:
    readme = "**val_bpb: 1.1180**\n"
    assert claims({"val_bpb": 1.1230}, readme).scores == (1.123,)
    assert claims({"name": "x"}, readme).scores == (1.118,)
    assert claims({"name": "x"}).scores == ()


def test_digits_are_kept_as_written() -> None:
    score = claims('{"val_bpb": 1.1230}').score
    assert score is not None
    assert score.text == "1.1230"
    assert score.unit == pytest.approx(1e-4)
    assert score.agrees(1.12304)
    assert not score.agrees(1.1232)


@pytest.mark.parametrize(
    "seeds",
    [
        {"seed_results": {"42": {"val_bpb": 1.1}, "1337": {"val_bpb": 1.3}}},
        {"seeds": {"42": {"val_bpb": 1.1}, "1337": {"val_bpb": 1.3}}},
        {"seed_results": [{"seed": 42, "val_bpb": 1.1}, {"seed": 1337, "val_bpb": 1.3}]},
        {"seed_results": {"42": 1.1001, "1337": 1.3001}},
        {"seed_42": {"val_bpb": 1.1}, "seed_1337": {"val_bpb": 1.3}},
        {"val_bpb_seed42": 1.1, "val_bpb_seed1337": 1.3},
        {"seeds": [42, 1337], "val_bpb_seeds": [1.1, 1.3]},
        {"val_bpb_per_seed": {"42": 1.1, "1337": 1.3}},
        {"results": {"seed_42": {"val_bpb": 1.1}, "seed_1337": {"val_bpb": 1.3}}},
        {"seeds": {"42": {"val_bpb": "1.10"}, "1337": {"val_bpb": "1.30"}}},
    ],
)
def test_scores_of_seeds_in_every_shape(seeds: dict[str, Any]) -> None:
    found = claims({"val_bpb": 1.2, **seeds})
    assert found.seeds == (42, 1337)
    first, second = found.score_of(42), found.score_of(1337)
    assert first and round(first.value, 2) == 1.1
    assert second and round(second.value, 2) == 1.3


def test_of_several_scores_of_a_seed_the_one_that_gives_the_claim() -> None:
    runs = {
        "42": {"roundtrip_bpb": 1.2, "ttt_bpb": 1.0021, "sliding_bpb": 1.1021},
        "7": {"roundtrip_bpb": 1.22, "ttt_bpb": 1.0223, "sliding_bpb": 1.1223},
    }
    found = claims({"val_bpb": 1.0122, "seeds": runs})
    assert [s.label for s in found.stated if s.headline and s.seed] == ["seeds.ttt_bpb"] * 2


def test_baselines_and_deltas_are_no_headline() -> None:
    found = claims({"comparison_baseline_bpb": 1.2, "delta_vs_base_bpb": -0.1, "val_bpb_std": 0.01})
    assert found.score is None
    assert one(found.of("val_bpb", None)[:1]).role == "aside"
    assert {s.of for s in found.of("val_bpb")} == {"", "std"}


@pytest.mark.parametrize(
    ("key", "value", "what", "amount"),
    [
        ("bytes_total", 15_900_000, "artifact_bytes", 15_900_000),
        ("artifact_bytes_max", 15_900_000, "artifact_bytes", 15_900_000),
        ("artifact_size_mb", 15.9, "artifact_bytes", 15_900_000),
        ("bytes_code", 50_000, "code_bytes", 50_000),
        ("bytes_model_int8_zlib", 15_800_000, "model_bytes", 15_800_000),
        ("training_time_ms", 599_000, "train_seconds", 599),
        ("wallclock_seconds", 599, "train_seconds", 599),
        ("eval_time_seconds", 88.5, "eval_seconds", 88.5),
        ("train_time_minutes", 10, "train_seconds", 600),
        ("steps", 4500, "steps", 4500),
        ("step_stop", 4500, "steps", 4500),
        ("val_loss", 1.9, "val_loss", 1.9),
    ],
)
def test_quantities_of_keys(key: str, value: float, what: str, amount: float) -> None:
    stated = one(list(claims({key: value}).stated))
    assert (stated.what, stated.value) == (what, pytest.approx(amount))


@pytest.mark.parametrize(
    "key", ["step_avg_ms", "vocab_size", "eval_stride", "warmdown_iters", "ttt_lr", "max_steps"]
)
def test_other_keys_state_nothing(key: str) -> None:
    assert claims({key: 5000}).stated == ()


README = """\
# Something (val_bpb: 1.2000)

| Seed | Steps | Pre-quant BPB | **Post-TTT BPB** | Artifact | Eval time |
|------|------:|---|---|---|---|
| 42   | 4,500 | 1.15 | **1.1000** | 15.95 MB | ~226s |
| 1337 | 4,600 | 1.35 | 1.3000 | 15,960,000 | 3.5 min |
| **Mean** | | 1.25 | **1.2000** | | |
"""


def test_a_readme_table_with_a_row_for_each_seed() -> None:
    found = claims(readme=README)
    assert found.seeds == (42, 1337)
    score = found.score_of(42)
    assert score and (score.text, score.line) == ("1.1000", 5)
    assert one(found.of("steps", 1337)).value == 4600
    assert [s.value for s in found.of("artifact_bytes")] == [15_950_000, 15_960_000]
    first, second = found.of("eval_seconds")
    assert first.value == 226 and first.about
    assert second.value == 210
    assert found.score and found.score.line == 1


def test_a_readme_table_with_a_column_for_each_seed() -> None:
    text = "# T\n\n| Metric | Seed 42 | Seed 7 | Mean |\n|--|--|--|--|\n| val_bpb | 1.10 | 1.20 | 1.15 |"
    found = claims({"val_bpb": 1.15}, text)
    assert [(s.seed, s.text) for s in found.of("val_bpb") if s.kind == "readme"] == [
        (42, "1.10"),
        (7, "1.20"),
        (None, "1.15"),
    ]


def test_a_table_of_ablations_is_no_claim() -> None:
    text = "# T\n## Ablation\n| Seed | val_bpb |\n|--|--|\n| 42 | 1.5 |\n| 7 | 1.6 |\n"
    found = claims({"val_bpb": 1.1}, text)
    assert found.score_of(42) is None


def test_seeds_in_lines_where_there_is_no_table() -> None:
    found = claims({"val_bpb": 1.15}, "# T\n- Seed 42: val_bpb 1.1000\n- Seed 7: 1.2000\n")
    assert found.seeds == (42, 7)


@pytest.mark.parametrize(
    ("title", "score"),
    [
        ("Record: 11L mixer (val_bpb: 1.1194)", 1.1194),
        ("Record: SP8192 + TTT, val_bpb = 1.0810 (3-seed mean)", 1.0810),
        ("0.4416 BPB: backoff", 0.4416),
        ("Record: LR 0.025 — 1.1194", 1.1194),
        ("Improved by 0.0032 BPB to val_bpb 1.0712", 1.0712),
    ],
)
def test_the_title_of_the_pull_request(title: str, score: float) -> None:
    found = claims(title=title).score
    assert found and (found.value, found.kind) == (score, "title")


@pytest.mark.parametrize("title", ["Fix a typo in the README", "Record: 11 layers, LR 0.025"])
def test_a_title_without_a_score(title: str) -> None:
    assert claims(title=title).score is None


@pytest.mark.parametrize(
    ("keywords", "record"),
    [
        ({}, True),
        ({"metadata": {"track": "non-record-unlimited-compute-16mb"}}, False),
        ({"metadata": {"track": "10min_16mb"}}, True),
        ({"folder": "records/track_non_record_16mb/x"}, False),
        ({"title": "Non-record: a mixer"}, False),
        ({"readme": "# Non-Record Submission: a mixer"}, False),
        ({"readme": "# A mixer\n\nText.\n\nThis is a **non-record** submission."}, False),
        ({"readme": "# A mixer\n\nText.\n\nSee #212, a non-record submission, for more."}, True),
    ],
)
def test_the_track(keywords: dict[str, Any], record: bool) -> None:
    assert claims(**keywords).record is record


def test_broken_json_states_what_stands_before_the_break() -> None:
    assert [leaf.text for leaf in leaves('{"a": 1, "b": [2, {"c": "x"')] == ["1", "2", "x"]
    assert [leaf.keys for leaf in leaves('{"a": [5, {"b": 6}], "c": 7}')] == [
        ("a", 0),
        ("a", 1, "b"),
        ("c",),
    ]


@given(
    st.recursive(st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))
)
def test_every_leaf_of_valid_json_is_found(value: Any) -> None:
    def walk(node: Any, keys: tuple[Any, ...]) -> list[tuple[Any, str]]:
        if isinstance(node, dict):
            return [leaf for k, v in node.items() for leaf in walk(v, (*keys, k))]
        if isinstance(node, list):
            return [leaf for k, v in enumerate(node) for leaf in walk(v, (*keys, k))]
        return [(keys, str(node))]

    for ascii_only in (True, False):
        text = json.dumps(value, indent=1, ensure_ascii=ascii_only)
        assert [(leaf.keys, leaf.text) for leaf in leaves(text)] == walk(value, ())


@settings(max_examples=60)
@given(st.text() | st.text(alphabet='{}[]:,"|-#\n 0.5seedbpmn'))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    claims(text or " ", text, text)
    list(tables(text))
    quantity(text)
    number(text, "val_bpb")
    numbers(text, "eval_seconds")


@pytest.mark.parametrize(("mean", "claimed"), [(1.1033, 1.1060), (1.1013, 1.1001), (1.2, 1.1001)])
def test_of_a_run_and_its_rerun_the_one_that_makes_the_mean_is_claimed(
    mean: float, claimed: float
) -> None:
    scores = {"7": 1.1010, "42_3pct": 1.1001, "42_5pct": 1.1060, "1337": 1.1029}
    seeds = {seed: {"val_bpb": value} for seed, value in scores.items()}
    found = claims({"val_bpb": mean, "seed_results": seeds})
    assert [s.value for seed in (7, 42, 1337) if (s := found.score_of(seed))] == [
        1.1010,
        claimed,
        1.1029,
    ]
