"""The budgets on small records: what is accused, what is weaker, and what is let pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor import rulesets
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules import artifact_size, eval_time, late_calibration, train_time, untimed_work
from auditor.rules.base import NotChecked, Rule
from auditor.submission.model import SourceFile, Submission

LIMITS = rulesets.load().limits
SCORE = "final_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000"
EIGHT = "world_size:8"
H100 = "gpu:NVIDIA H100 80GB HBM3"


def record(
    *lines: str, code: str = "x = 1\n", modules: dict[str, str] | None = None, **claims: Any
) -> Record:
    """One run of seed 1, with the claimed score unless ``lines`` state another."""
    data = {"val_bpb": 1.2, "track": "10min_16mb", **claims}
    text = "\n".join(("seed:1", *lines, SCORE)) + "\n"
    submission = Submission(
        "x",
        SourceFile("x/train_gpt.py", code),
        modules={name: SourceFile(f"x/{name}", body) for name, body in (modules or {}).items()},
        logs=(SourceFile("x/train_seed1.log", text, "text"),),
        metadata=data,
        metadata_file=SourceFile("x/submission.json", json.dumps(data, indent=1), "text"),
    )
    return Record(submission, LIMITS)


def found(rule: Rule, given: Record) -> list[Finding]:
    assert rule.check_record is not None
    return list(rule.check_record(given))


def level(rule: Rule, given: Record) -> Level | None:
    levels = {finding.level for finding in found(rule, given)}
    assert len(levels) <= 1
    return levels.pop() if levels else None


def stop(ms: int, steps: int = 6000) -> str:
    return f"stopping_early: wallclock_cap train_time:{ms}ms step:{steps}/20000"


class TestTrainTime:
    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ((EIGHT, H100, stop(599_990)), None),
            ((EIGHT, H100, stop(600_000)), None),
            ((EIGHT, H100, stop(600_090)), Level.NOTE),  # one step takes 100 ms
            ((EIGHT, H100, stop(600_900)), Level.NOTE),
            ((EIGHT, H100, stop(603_200, 100)), Level.NOTE),  # one step takes six seconds
            ((EIGHT, H100, stop(604_074)), Level.SUSPECT),
            ((EIGHT, H100, stop(610_471)), Level.VIOLATION),
            ((EIGHT, stop(610_471)), Level.VIOLATION),
            ((stop(610_471),), Level.SUSPECT),
            (("world_size:1", H100, stop(4_800_000)), Level.NOTE),
            ((EIGHT, "gpu:NVIDIA H200", stop(899_000)), Level.NOTE),
            ((EIGHT, "gpu:NVIDIA H100 PCIe", stop(899_000)), Level.NOTE),
            ((EIGHT, "CC=/opt/rocm-6.2.4/llvm/bin/clang", stop(3_396_829)), Level.NOTE),
        ],
    )
    def test_the_clock(self, lines: tuple[str, ...], expected: Level | None) -> None:
        assert level(train_time.RULE, record(*lines)) is expected

    def test_outside_of_the_leaderboard_a_long_run_is_a_note(self) -> None:
        long = record(EIGHT, H100, stop(14_400_000), track="non_record_16mb")
        assert level(train_time.RULE, long) is Level.NOTE

    def test_a_run_with_another_score_proves_nothing(self) -> None:
        other = record(EIGHT, H100, stop(899_000), val_bpb=1.08312)
        assert level(train_time.RULE, other) is Level.SUSPECT

    def test_the_runs_own_limit_is_shown(self) -> None:
        (finding,) = found(
            train_time.RULE,
            record(EIGHT, "max_wallclock_seconds:900.000", H100, stop(899_989)),
        )
        assert [step.line for step in finding.steps] == [3, 5]

    def test_without_a_clock_nothing_is_checked(self) -> None:
        with pytest.raises(NotChecked):
            found(train_time.RULE, record(EIGHT))


class TestEvalTime:
    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (("final_roundtrip val_loss:2.03 val_bpb:1.2000 eval_time:599000ms",), None),
            (("final_roundtrip val_loss:2.03 val_bpb:1.2000 eval_time:616000ms",), Level.VIOLATION),
            (
                (
                    "DIAGNOSTIC post_ema val_loss:2.06 val_bpb:1.2200 eval_time:700000ms",
                    "final_roundtrip val_loss:2.03 val_bpb:1.2000 eval_time:80000ms",
                ),
                Level.NOTE,
            ),
            (
                (
                    "summary: {'elapsed_s': 1140.4, 'val_bpb': 1.2000}",
                    "final_roundtrip val_loss:2.03 val_bpb:1.2000 eval_time:183000ms",
                ),
                None,
            ),
        ],
    )
    def test_the_evaluation_behind_the_score(
        self, lines: tuple[str, ...], expected: Level | None
    ) -> None:
        loud = level(eval_time.RULE, record(EIGHT, H100, *lines))
        assert loud is expected or (expected is None and loud is Level.NOTE)

    def test_one_gpu_measures_nothing(self) -> None:
        line = "final_roundtrip val_loss:2.03 val_bpb:1.2000 eval_time:1616000ms"
        assert level(eval_time.RULE, record("world_size:1", H100, line)) is Level.NOTE


def sizes(model: int, code: int, kind: str = "int8+zlib") -> tuple[str, ...]:
    return (
        f"Serialized model {kind}: {model} bytes",
        f"Code size: {code} bytes",
        f"Total submission size {kind}: {model + code} bytes",
    )


LONG = "".join(f"value_{i} = {i * i}\n" for i in range(4000))  # some 80 kB, far fewer when packed


class TestArtifactSize:
    def test_the_cap_is_decimal_and_inclusive(self) -> None:
        code = "x" * 1000
        assert level(artifact_size.RULE, record(*sizes(15_999_000, 1000), code=code)) is None
        over = record(*sizes(15_999_001, 1000), code=code)
        assert level(artifact_size.RULE, over) is Level.VIOLATION

    def test_code_counts_as_it_is_handed_in(self) -> None:
        packed = record(*sizes(15_950_000, 87_136), code="x" * 21_084)
        assert level(artifact_size.RULE, packed) is Level.NOTE

    def test_a_log_that_counts_its_code_compressed_is_a_note(self) -> None:
        counted = record(*sizes(15_950_000, 9_000), code=LONG)
        assert level(artifact_size.RULE, counted) is Level.NOTE

    def test_code_that_is_not_counted_at_all(self) -> None:
        alone = ("Serialized model int8+zlib: 15999990 bytes",)
        total = "Total submission size int8+zlib: 15999990 bytes"
        assert level(artifact_size.RULE, record(*alone, total, code=LONG)) is Level.VIOLATION
        alone = ("Serialized model int8+zlib: 15950000 bytes",)
        total = "Total submission size int8+zlib: 15950000 bytes"
        assert level(artifact_size.RULE, record(*alone, total, code=LONG)) is Level.SUSPECT

    def test_the_same_model_claimed_with_packed_code_is_a_suspect(self) -> None:
        size = len(LONG)
        claims = {"seed_results": {"1": {"val_bpb": 1.2, "artifact_bytes": 15_980_000}}}
        over = record(*sizes(15_950_000, size), code=LONG, **claims)
        assert level(artifact_size.RULE, over) is Level.SUSPECT
        assert level(artifact_size.RULE, record(*sizes(15_950_000, size), code=LONG)) is (
            Level.VIOLATION
        )

    def test_a_helper_alone_over_the_cap_is_a_suspect_and_otherwise_named(self) -> None:
        helper = {"helper.py": LONG}
        over = record(*sizes(15_950_000, len(LONG)), code="x", modules=helper)
        assert level(artifact_size.RULE, over) is Level.SUSPECT
        (note,) = found(artifact_size.RULE, record(*sizes(15_000_000, 1), code="x", modules=helper))
        assert note.level is Level.NOTE
        assert "helper.py" in note.message

    def test_another_packing_within_the_cap_leaves_a_gap(self) -> None:
        lines = (*sizes(15_900_000, 100, "int6+lzma"), *sizes(21_000_000, 100, "int8+zlib"))
        (finding,) = found(artifact_size.RULE, record(*lines, code="x" * 100))
        assert finding.level is Level.SUSPECT
        assert "15,900,100" in finding.message

    def test_raw_weights_are_no_artifact(self) -> None:
        raw = record("model_params:20000000", "raw model:80000000 code:100 total:80000100")
        with pytest.raises(NotChecked):
            found(artifact_size.RULE, raw)

    def test_an_excess_that_only_submission_json_states(self) -> None:
        given = record(bytes_total=16_155_425)
        assert artifact_size.RULE.check_record is not None
        checks = iter(artifact_size.RULE.check_record(given))
        assert next(checks).level is Level.SUSPECT
        with pytest.raises(NotChecked):
            next(checks)

    def test_off_the_leaderboard_it_is_a_suspect(self) -> None:
        over = record(*sizes(16_600_000, 100), code="x" * 100, track="non_record_16mb")
        assert level(artifact_size.RULE, over) is Level.SUSPECT


class TestCalibration:
    def test_untraced_code_leaves_a_question_to_the_log(self) -> None:
        lines = (EIGHT, H100, stop(599_672), "GPTQ:collected 67 Hessians in 6.9s")
        assert level(late_calibration.RULE, record(*lines)) is Level.QUESTION
        assert level(late_calibration.RULE, record(*lines[:2], stop(588_000), lines[3])) is None

    def test_untraced_code_without_calibration_is_not_checked(self) -> None:
        with pytest.raises(NotChecked):
            found(late_calibration.RULE, record(EIGHT, H100, stop(600_040)))


def test_untimed_work_is_added_up() -> None:
    lines = ("Serialize: per-group compression done in 97.8s", "GPTQ:quantized in 10.1s")
    (note,) = found(untimed_work.RULE, record(EIGHT, stop(600_000), *lines))
    assert note.level is Level.NOTE
    assert "107.9 s" in note.message
