"""Settings of the test run, and hand-built submissions and reports that tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

from auditor import rulesets
from auditor.evidence.claims import Claims, Stated
from auditor.evidence.record import Run
from auditor.evidence.runlog import Figure, Phase, Progress, RunLog, Score, Stage, Words
from auditor.evidence.summary import Evidence
from auditor.report.model import (
    Check,
    Finding,
    Level,
    Outcome,
    Report,
    SettingInForce,
    Step,
    SubmissionReport,
)
from auditor.submission.model import Party, Problem, SourceFile, Submission

# The same examples on every machine, however loaded: a run must not fail by chance.
settings.register_profile("pgcheck", deadline=None, derandomize=True)
settings.load_profile("pgcheck")

RECORD = "records/track_10min_16mb/2026-03-26_Cache"
SCRIPT = f"{RECORD}/train_gpt.py"
CODE = """\
def score(stream, ctx, mask):
    key = ctx & mask
    gold = stream[1:]
    key = (key ^ (gold * 36313)) & mask
    return full[key] / seen[key]
"""


@pytest.fixture
def finding() -> Callable[..., Finding]:
    """Makes a finding in CODE, with fields replaced at will."""

    def make(**changes: object) -> Finding:
        fields: dict[str, object] = {
            "rule": "target-in-key",
            "code": "N1",
            "level": Level.VIOLATION,
            "status": "RULED",
            "path": SCRIPT,
            "line": 4,
            "end_line": 4,
            "column": 4,
            "message": "the realised token is mixed into the key of the table that scores it",
            "steps": (
                Step(SCRIPT, 3, "`gold` is the stream shifted by one"),
                Step(SCRIPT, 5, "`full` is read under that key"),
            ),
            "clears": "look up every token of the vocabulary and divide by their sum",
            "sources": tuple(
                f"https://github.com/openai/parameter-golf/pull/{n}" for n in (779, 688, 720, 724)
            ),
        }
        return Finding(**{**fields, **changes})  # type: ignore[arg-type]

    return make


def run(seed: int, bpb: float, total: int, seconds: float) -> Run:
    """A run with a number for everything that is compared or drawn."""
    score = Score("final_int8_zlib_roundtrip_exact", 900, bpb, bpb * 1.6885)
    log = RunLog(
        f"{RECORD}/train_seed{seed}.log",
        last_line=900,
        seed=Figure(seed, 1),
        world_size=Figure(8, 2),
        hardware=Words("NVIDIA H100 80GB HBM3", 3),
        steps=Figure(6769, 700),
        train_seconds=Figure(599.98, 700),
        stages=(
            Stage(Phase.CALIBRATION, "gptq:calibrated", 3.5, 812),
            Stage(Phase.EVAL, "eval_sliding", 78.4, 850),
            Stage(Phase.EVAL, "eval_cache", seconds, 899),
        ),
        code_bytes=Figure(99_731, 820),
        model_bytes=Figure(total - 99_731, 819),
        total_bytes=Figure(total, 821),
        val_tokens=Figure(62_021_632, 5),
        scores=(score,),
        progress=tuple(
            Progress("cache_eval", 851 + n, n / 10, bpb + 0.8 * 0.6**n, seconds * n / 10)
            for n in range(1, 11)
        ),
    )
    return Run(log, score, "the score that submission.json claims")


@pytest.fixture
def evidence() -> Evidence:
    """Three runs: the largest is over the limit, the second takes too long, one claim is wrong."""
    readme, metadata = f"{RECORD}/README.md", f"{RECORD}/submission.json"
    stated = (
        Stated("val_bpb", 0.5441, "0.5441", "json", metadata, 4, headline=True),
        Stated("val_bpb", 0.544, "0.5440", "title", "", 1, headline=True),
        Stated("val_bpb", 0.5437, "0.5437", "readme", readme, 9, seed=42, headline=True),
        Stated("val_bpb", 0.5511, "0.5511", "readme", readme, 10, seed=1337, headline=True),
        Stated("artifact_bytes", 15_995_959, "15995959", "json", metadata, 6),
        Stated("eval_seconds", 391, "391", "readme", readme, 21),
    )
    runs = (
        run(42, 0.54373998, 16_022_243, 389.0),
        run(1337, 0.54496569, 15_948_371, 573.8),
        run(2024, 0.54344879, 15_900_231, 376.4),
    )
    return Evidence(runs, Claims(stated, seeds=(42, 1337, 2024)), rulesets.load().limits)


@pytest.fixture
def report(finding: Callable[..., Finding], evidence: Evidence) -> SubmissionReport:
    """One violation, one question, one note, and something of everything else."""
    return SubmissionReport(
        path=RECORD,
        entry=SCRIPT,
        findings=(
            finding(),
            finding(
                rule="slot",
                code="C1",
                level=Level.QUESTION,
                status="DISPUTED",
                line=2,
                end_line=2,
                message="`delta` is optimised on a window and then scores it",
                steps=(),
                sources=("https://github.com/openai/parameter-golf/issues/1336",),
            ),
            finding(
                rule="late-calibration",
                code="B5",
                level=Level.NOTE,
                path=f"{RECORD}/train.log",
                line=812,
                end_line=812,
                message="training 600.1 s and calibration 3.5 s make 603.6 s",
                steps=(),
                clears="",
            ),
        ),
        checks=(
            Check("target-in-key", Outcome.RAN),
            Check("slot", Outcome.RAN, probes=("changed future",)),
            Check("late-calibration", Outcome.RAN),
            Check("seeds", Outcome.NOT_CHECKED, "not built yet"),
            Check("margin", Outcome.NOT_CHECKED, "not built yet"),
            Check("import-failure", Outcome.NOT_CHECKED, "needs a run"),
        ),
        settings=(
            SettingInForce(
                "TTT_ENABLED",
                "0",
                "1",
                f"{RECORD}/README.md:31",
                f"{SCRIPT}:12",
                (f"{SCRIPT}:40 taken",),
            ),
            SettingInForce("SEED", None, "1337", "code default", f"{SCRIPT}:13"),
        ),
        problems=(
            Problem("payload-2 expands beyond 64 MB", SCRIPT, Party.TOOL, "it is not analysed"),
            Problem("not UTF-8", f"{RECORD}/a.log", Party.SUBMISSION, "save it as UTF-8"),
        ),
        revision="0123456789abcdef0123456789abcdef01234567",
        sources={SCRIPT: CODE},
        given="checkout",
        evidence=evidence,
    )


@pytest.fixture
def whole(report: SubmissionReport) -> Report:
    """The report and an input that could not be read."""
    missing = Problem("no such folder", "nowhere", Party.SUBMISSION, "check the path")
    return Report((report,), (missing,))


@pytest.fixture
def submission() -> Submission:
    return Submission(path=RECORD, entry=SourceFile(SCRIPT, CODE), revision="0123456789abcdef")
