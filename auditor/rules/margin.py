"""margin: a record must beat the best one by 0.005 nats per token at p < 0.01."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from auditor.evidence.against import Against
from auditor.evidence.quantities import words_of
from auditor.evidence.record import Record, Run
from auditor.evidence.seed_runs import bpb, run_of_each_seed
from auditor.evidence.significance import p_lower
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule

_SITE = "https://github.com/openai/parameter-golf/"
_TO_BEAT = re.compile(r"baseline|sota|leaderboard|record|previous|to_beat")
_ON_THE_WAY = frozenset("pre quant quantized prequant pre_quant sliding ema naive std".split())
_PRACTICE_P = 0.25  # asked for any improvement in the audit of April and May 2026


def check_record(record: Record) -> Iterable[Finding]:
    against = record.against or _named(record)
    if against is None:
        raise NotChecked("no record to compare with was given: --against SCORE|PATH")
    runs = list(run_of_each_seed(record).values()) or list(record.runs)
    own = [value for run in runs if (value := bpb(run)) is not None]
    if len(own) < 2:
        raise NotChecked(
            f"a test needs the logs of two runs or more, {len(own)} with a score is here"
        )
    nats = nats_per_bit(record)
    if nats is None:
        raise NotChecked("no log states val_loss beside val_bpb: nats can't be derived")
    yield _result(record, against, runs, own, nats)


def _named(record: Record) -> Against | None:
    """The record that submission.json itself names as the one to beat."""
    for stated in record.claims.of("val_bpb"):
        to_beat = stated.role == "aside" and _TO_BEAT.search(stated.label)
        if stated.kind == "json" and to_beat and not words_of(stated.label) & _ON_THE_WAY:
            place = f"{stated.path.rpartition('/')[2]}:{stated.line}"
            return Against(f"the record that {place} names", (stated.value,))
    return None


def nats_per_bit(record: Record) -> float | None:
    """Nats per token for one bit per byte: ln 2 times the bytes per token, by the logs' own lines."""
    ratios = [
        score.val_loss / score.val_bpb
        for run in record.runs
        for score in run.log.scores
        if score.val_loss and score.val_bpb
    ]
    return median(ratios) if ratios else None


def _result(
    record: Record, against: Against, runs: Sequence[Run], own: list[float], nats: float
) -> Finding:
    limits = record.limits
    bits = fmean(against.scores) - fmean(own)
    asked = p_lower(own, against.scores, limits.margin_nats / nats)
    practice = p_lower(own, against.scores, 0.0)
    known = "known exactly" if len(against.scores) == 1 else f"of {len(against.scores)} runs"
    text = (
        f"{fmean(own):.5f} over {len(own)} runs against {fmean(against.scores):.5f} ({against.name}, {known}): "
        f"{bits * nats:+.4f} nats per token ({nats / math.log(2):.3f} bytes per token); "
        f"p = {asked:.2g} for {limits.margin_nats} nats, {_verdict(asked, limits.margin_p)} the README's "
        f"p < {limits.margin_p}; p = {practice:.2g} for any improvement, "
        f"{_verdict(practice, _PRACTICE_P)} the p < {_PRACTICE_P} of later practice"
    )
    steps = [
        Step(run.log.path, run.headline.line, f"{bpb(run)}")
        for run in runs
        if run.headline is not None
    ]
    return RULE.finding(Level.NOTE, steps[0].path, steps[0].line, text, steps=steps)


def _verdict(p: float, most: float) -> str:
    return "which meets" if p < most else "which does not meet"


_LOG = """\
world_size:8 grad_accum_steps:1
seed:{seed}
step:0/5000 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:1000/5000 train_loss:2.3000 train_time:120000ms step_avg:120.00ms
Code size: 18 bytes
final_int8_zlib_roundtrip_exact val_loss:{loss} val_bpb:{bpb}
"""
_FILES = {
    "train_gpt.py": "print('a script')\n",
    "submission.json": '{"val_bpb": 1.2353, "comparison_baseline_bpb": 1.2381}\n',
    "train_seed1.log": _LOG.format(seed=1, loss=2.08500000, bpb=1.23500000),
    "train_seed2.log": _LOG.format(seed=2, loss=2.08600000, bpb=1.23560000),
}

RULE = Rule(
    slug="margin",
    code="E1",
    title="a record must beat the best one by 0.005 nats at p < 0.01",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "pull/1902"),
    page="""\
A one-sided t-test over the runs' final scores, against the record that `--against` names: a score, which
is taken as known exactly, or a record folder or log files, whose runs then have a variance of their own
(Welch's test). Without it, the baseline that submission.json names is taken. Bits per byte become nats
per token with the bytes per token that the logs themselves imply. Two p-values are stated: for an
improvement of more than 0.005 nats, of which the README asks p < 0.01, and for any improvement, of which
later practice asked p < 0.25. The margin is waived for pure systems work.
""",
    clears="Hand in the logs of more seeds, or show that the change is one of systems only.",
    blind_spots="""\
Which record was the best when the pull request was opened, seeds that were left out, and whether the change
is one of systems only.
""",
    check_record=check_record,
    forbidden=_FILES,
    allowed={"train_gpt.py": "print('a script')\n", "train_seed1.log": _FILES["train_seed1.log"]},
)
