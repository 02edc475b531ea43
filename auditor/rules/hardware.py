"""hardware: the times and the score must be measured on eight H100 SXM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure
from auditor.report.model import Finding, Level
from auditor.rules.base import NotChecked, Rule

_SITE = "https://github.com/openai/parameter-golf/"
_PROJECTED = re.compile(
    r"(?:project(?:ed|ion)|extrapolat(?:ed|ion)|estimat(?:ed?|ion)|expect(?:ed)?|pending|proxy)"
    r"[^.\n|]{0,60}8\s*[x\u00d7]\s*H100|8\s*[x\u00d7]\s*H100[^.\n|]{0,40}"
    r"(?:project(?:ed|ion)|extrapolat(?:ed|ion)|estimat(?:ed?|ion)|pending|unverified|not yet)",
    re.IGNORECASE,
)


def check_record(record: Record) -> Iterable[Finding]:
    if not record.claims.record:
        raise NotChecked("not entered as a record on 8xH100")
    asked = record.limits.world_size
    counted = [(run, run.log.world_size) for run in record.runs if run.log.world_size]
    enough = [run for run, size in counted if size.value == asked]
    if not enough:
        if counted:
            yield _wrong_count(record, counted)
        yield from _projected(record)
    named = [run for run in enough or record.runs if run.log.hardware]
    other = [run for run in named if _variant(run) not in ("", "SXM")]
    if other:
        yield _wrong_kind(other, all_runs=len(other) == len(named))
    elif not counted and not named:
        raise NotChecked("no log says on how many GPUs of which kind it ran")
    elif not any(_variant(run) for run in named):
        raise NotChecked("no log names the kind of accelerator")


def _wrong_count(record: Record, counted: list[tuple[Run, Figure]]) -> Finding:
    asked = record.limits.world_size
    run, size = next((c for c in counted if _shows_claim(record, c[0])), counted[0])
    if any(log.world_size and log.world_size.value == asked for log in record.logs):
        text = (
            f"please show which run is entered: this one has world size {size.value:.0f}, "
            f"another log {asked}"
        )
        return RULE.finding(Level.QUESTION, run.log.path, size.line, text)
    shown = f"world size {size.value:.0f} where {asked} GPUs are asked, and no log shows {asked}"
    if _shows_claim(record, run):
        text = (
            f"appears to break: the run with the claimed score has {shown}; "
            "whether it is meant as a record is for its author to say"
        )
        return RULE.finding(Level.SUSPECT, run.log.path, size.line, text)
    text = f"please show the logs of runs on {asked} GPUs: this run has {shown}"
    return RULE.finding(Level.QUESTION, run.log.path, size.line, text)


def _shows_claim(record: Record, run: Run) -> bool:
    """Whether the claimed score, or this seed's, is what the run ends with."""
    if run.headline is None or run.headline.val_bpb is None:
        return False
    claims = record.claims
    own = claims.score_of(run.seed) if run.seed is not None else None
    return any(c is not None and c.agrees(run.headline.val_bpb) for c in (claims.score, own))


def _wrong_kind(runs: list[Run], all_runs: bool) -> Finding:
    run = runs[0]
    named = run.log.hardware
    assert named is not None
    those = "all logs name" if all_runs else f"{len(runs)} of the logs name"
    text = (
        f"please show the times on H100 SXM: {those} {named.text!r}, "
        "on which the budgets are not measured"
    )
    return RULE.finding(Level.QUESTION, run.log.path, named.line, text)


def _variant(run: Run) -> str:
    """``SXM``, ``H100 PCIe``, ``A100`` …; empty where the name doesn't tell."""
    name = run.log.hardware.text if run.log.hardware else ""
    if "H100" not in name:
        return name
    if "PCIe" in name or "NVL" in name:
        return name
    return "SXM" if "HBM3" in name or "SXM" in name else ""


def _projected(record: Record) -> Iterator[Finding]:
    """A README that says of its own figures on eight GPUs that they are not measured."""
    for readme in record.submission.readme[:1]:
        for number, line in enumerate(readme.text.splitlines()[:400], 1):
            found = _PROJECTED.search(line[:600])
            if found:
                text = f"please show measured figures: {' '.join(found[0].split())!r}"
                yield RULE.finding(Level.QUESTION, readme.path, number, text)
                return


RULE = Rule(
    slug="hardware",
    code="E5",
    title="the times must be measured on 8xH100 SXM, not projected",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "pull/1959", _SITE + "pull/2103"),
    page="""\
A record must train in 600 s and be evaluated in 600 s on eight H100 SXM. A score or a time from fewer
GPUs, from another kind (PCIe, NVL, H200, A100), or one that is projected from a smaller run is no
measurement of that. Only the runs behind the claimed score are asked, and only submissions that are
entered as records.
""",
    clears="Hand in logs of runs on 8xH100 SXM, with the accelerator's name and the world size.",
    blind_spots="""\
The accelerator is what the log prints: a log without nvidia-smi's table or a device line names none, and
the world size alone doesn't tell an H100 SXM from another GPU.
""",
    check_record=check_record,
    forbidden={
        "train_gpt.py": "print('a script')\n",
        "README.md": "# Record: small model (val_bpb: 1.2345)\n\nTimes on 8xH100 are projected.\n",
        "submission.json": '{"track": "10min_16mb", "val_bpb": 1.2345}\n',
        "train_seed42.log": """\
world_size:1 grad_accum_steps:8
seed:42
step:0/1000 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:100/1000 train_loss:3.1000 train_time:60000ms step_avg:600.00ms
step:1000/1000 val_loss:2.1000 val_bpb:1.2400 train_time:600000ms step_avg:600.00ms
Code size: 17 bytes
Total submission size int8+zlib: 15000000 bytes
final_int8_zlib_roundtrip_exact val_loss:2.09000000 val_bpb:1.23450000
""",
    },
    allowed={
        "train_gpt.py": "print('a script')\n",
        "README.md": "# Record: small model (val_bpb: 1.2345)\n\nMeasured on 8xH100 SXM.\n",
        "submission.json": '{"track": "10min_16mb", "val_bpb": 1.2345}\n',
        "train_seed42.log": """\
world_size:8 grad_accum_steps:1
seed:42
| NVIDIA-SMI 570.00    Driver Version: 570.00    CUDA Version: 12.8     |
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:01:00.0 Off |                    0 |
step:0/1000 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:100/1000 train_loss:3.1000 train_time:6000ms step_avg:60.00ms
step:1000/1000 val_loss:2.1000 val_bpb:1.2400 train_time:60000ms step_avg:60.00ms
Code size: 17 bytes
Total submission size int8+zlib: 15000000 bytes
final_int8_zlib_roundtrip_exact val_loss:2.09000000 val_bpb:1.23450000
""",
    },
)
