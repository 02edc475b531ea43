"""The five seeds' logs, where a clone of the challenge is at hand."""

from __future__ import annotations

import os

import pytest

from auditor import rulesets
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Phase
from auditor.submission.load import load
from auditor.submission.model import Submission

CLONE = os.environ.get("PG_CLONE")
pytestmark = pytest.mark.skipif(
    not CLONE, reason="PG_CLONE names no clone of openai/parameter-golf"
)


def record(number: int) -> Record:
    loaded = [s for s in load([], repo=CLONE, prs=[number]) if isinstance(s, Submission)]
    (submission,) = (s for s in loaded if not s.auxiliary)
    return Record(submission, rulesets.load().limits)


def by_seed(runs: tuple[Run, ...]) -> dict[str, Run]:
    return {run.log.path.rpartition("/")[2]: run for run in runs}


@pytest.mark.parametrize(
    ("number", "log", "val_bpb", "longest", "total_bytes"),
    [
        (1094, "train.log", 0.39569610, 593.857, 15_943_009),
        (1094, "train_seed7.log", 0.39483300, 582.8, 15_940_706),
        (1094, "train_seed2024.log", 0.39688996, 595.8, 15_957_577),
        (825, "train_seed42.log", 0.54373998, 389.0, 16_022_243),
        (825, "train_seed1337.log", 0.54496569, 373.8, 15_948_371),
        (825, "train_seed2024.log", 0.54344879, 376.4, 16_030_231),
        (864, "train_seed1337.log", 0.28405290, 416.3, 15_854_191),
        (864, "train_seed42.log", 0.28401911, 417.1, 15_924_715),
        (864, "train_seed2024.log", 0.28401598, 418.9, 15_906_874),
        (871, "train_1xh100_proxy.log", 0.80041516, 570.5, 15_182_827),
        (803, "eval_seed42.log", 0.441581, 457.9, None),
        (803, "eval_seed1337.log", 0.441632, 456.1, None),
        (803, "eval_seed2024.log", 0.441662, 452.1, None),
    ],
)
def test_seeds(
    number: int, log: str, val_bpb: float, longest: float, total_bytes: int | None
) -> None:
    run = by_seed(record(number).runs)[log]
    assert run.headline and run.headline.val_bpb == val_bpb
    stages = [s.seconds for s in run.log.stages if s.phase is Phase.EVAL and not s.nested]
    assert max(stages) == pytest.approx(longest, abs=0.06)
    assert (run.log.total_bytes and run.log.total_bytes.value) == total_bytes


@pytest.mark.parametrize(
    ("number", "log", "steps", "parameters"),
    [
        (864, "train_seed1337.log", 6774, 26_744_007),
        (864, "train_seed42.log", 6772, 26_809_543),
        (825, "train_seed1337.log", 5214, 33_317_980),
        (871, "train_1xh100_proxy.log", 876, 24_730_705),
        (1094, "train_seed7.log", 7024, 28_042_332),
        (803, "train_seed42.log", 4648, 26_993_766),
    ],
)
def test_training(number: int, log: str, steps: int, parameters: int) -> None:
    (found,) = (r for r in record(number).logs if r.path.endswith(f"/{log}"))
    assert found.steps and found.steps.value == steps
    assert found.parameters and found.parameters.value == parameters


def test_part_of_the_validation_text() -> None:
    (run,) = record(871).runs
    assert run.log.scored_tokens and run.log.scored_tokens.value == 37_619_648
    assert run.log.progress[-1].done == pytest.approx(0.594)
    assert run.log.world_size and run.log.world_size.value == 1
