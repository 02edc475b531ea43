"""Runs on fewer GPUs beside the one that is entered."""

from __future__ import annotations

import pytest

from auditor import rulesets
from auditor.evidence.record import Record
from auditor.report.model import Level
from auditor.rules.hardware import check_record
from auditor.submission.model import SourceFile, Submission

FOLDER = "records/track_10min_16mb/2026-04-01_Cell"


def log(name: str, world_size: int, bpb: float) -> SourceFile:
    text = (
        f"seed:7\nworld_size:{world_size} grad_accum_steps:1 gpu:NVIDIA H100 80GB HBM3\n"
        f"step:9/9 val_loss:2.0 val_bpb:1.4 train_time:590000ms\n"
        f"final_int8_zlib_roundtrip_exact val_loss:2.0 val_bpb:{bpb}\n"
    )
    return SourceFile(f"{FOLDER}/{name}/train.log", text, "text")


@pytest.mark.parametrize(("sizes", "level"), [((1, 1), Level.SUSPECT), ((8, 1), Level.QUESTION)])
def test_a_screen_on_one_gpu_is_no_breach_where_another_log_has_eight(
    sizes: tuple[int, int], level: Level
) -> None:
    submission = Submission(
        FOLDER,
        SourceFile(f"{FOLDER}/train_gpt.py", ""),
        logs=(log("base", sizes[0], 1.20639536), log("screen", sizes[1], 1.74641234)),
        metadata={"val_bpb": 1.74641234},
        metadata_file=SourceFile(f"{FOLDER}/submission.json", '{"val_bpb": 1.74641234}', "text"),
    )
    (finding,) = check_record(Record(submission, rulesets.load().limits))
    assert (finding.level, finding.path) == (level, f"{FOLDER}/screen/train.log")
