"""What a logged score measures: bytes per token, and the share of the validation set."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import rulesets
from auditor.evidence.measure import measures, ratio, same_in_all, side_measures, tokenizer_of
from auditor.evidence.record import Record
from auditor.evidence.runlog import Score
from auditor.submission.model import SourceFile, Submission

LIMITS = rulesets.load().limits
SP1024 = 62_021_632


def score(loss: float, bits: float) -> Score:
    return Score("final", 1, bits, loss)


def record(*lines: str, tokens: int = SP1024) -> Record:
    text = "\n".join([f"val_loader:shards pattern=x tokens:{tokens}", *lines])
    log = SourceFile("train_seed1.log", text, "text")
    return Record(Submission("", SourceFile("train_gpt.py", ""), logs=(log,)), LIMITS)


def test_ratio_is_bytes_per_token_with_the_limits_of_rounding() -> None:
    found = ratio(score(2.07269931, 1.22758513))
    assert found is not None
    assert found.low < 2.4359 < found.high + 1e-4
    assert found.exact
    rough = ratio(score(2.0727, 1.2276))
    assert rough is not None
    assert not rough.exact
    assert rough.equals(found)


@pytest.mark.parametrize("loss, bits", [(0.0, 1.2), (2.1, 0.0), (5.7e-07, 3.3e-07), (2.0, 1.0)])
def test_numbers_without_enough_digits_give_no_ratio(loss: float, bits: float) -> None:
    assert ratio(score(loss, bits)) is None


@given(st.floats(), st.floats())
def test_any_numbers_are_survived(loss: float, bits: float) -> None:
    found = ratio(score(loss, bits))
    assert found is None or found.low <= found.high or math.isnan(found.value)


def test_known_sets_are_told_by_their_size() -> None:
    assert tokenizer_of(SP1024, LIMITS) == "sp1024"
    assert tokenizer_of(61_997_056, LIMITS) == "sp1024"  # less what fills no long sequence
    assert tokenizer_of(45_516_800, LIMITS) == "sp4096"
    assert tokenizer_of(9_662_464, LIMITS) is None


def test_the_whole_set_fits() -> None:
    (found,) = measures(record("final_exact val_loss:2.07269931 val_bpb:1.22758513"))
    assert found.fits
    assert found.excess(found.ratio) == pytest.approx(0.0, abs=1e-4)


def test_spaces_counted_twice_exceed_the_documents() -> None:
    lines = (
        "step:9/9 val_loss:2.1013 val_bpb:1.0573",
        "final_exact val_loss:2.00000019 val_bpb:1.00633442",
    )
    (found,) = measures(record(*lines))
    assert not found.fits
    assert found.plain is not None
    assert found.excess(found.plain) == pytest.approx(0.177, abs=2e-3)


def test_scores_beside_the_headline_are_measured_on_their_own() -> None:
    lines = (
        "plain_exact val_loss:2.07269931 val_bpb:1.22758513",
        "mixed_exact val_loss:2.07269931 val_bpb:1.10000017",
        "final_exact val_loss:2.05269931 val_bpb:1.21573982",
    )
    odd = {m.score.label: m.oddity for m in side_measures(record(*lines))}
    assert odd["mixed_exact"] == pytest.approx(0.116, abs=1e-3)


def test_one_run_alone_is_no_repetition() -> None:
    found = ratio(score(2.07269931, 1.22758513))
    other = ratio(score(2.07269931, 1.22758713))
    assert found is not None
    assert other is not None
    assert not same_in_all([found])
    assert same_in_all([found, found])
    assert not same_in_all([found, other])
