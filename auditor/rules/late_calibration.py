"""late-calibration: training data is read after the training clock has stopped."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.evidence.record import Record
from auditor.evidence.runlog import Figure, Phase, RunLog
from auditor.report.model import Finding, Level
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import (
    Late,
    calibration_steps,
    late_training_data,
    named,
    seconds,
    timed_runs,
    unmeasured,
)

_PULL = "https://github.com/openai/parameter-golf/pull/"


def check_record(record: Record) -> Iterable[Finding]:
    late = late_training_data(record)
    if late == []:
        return  # nothing runs on training data after the loop that the clock times
    runs = timed_runs(record)
    if not runs:
        if not late or not _leaves_nothing(record):
            raise NotChecked("no log states when the training clock stopped")
        yield _unlogged(record, late[0])
        return
    if late is None and not any(run.log.seconds(Phase.CALIBRATION) for run, _ in runs):
        raise NotChecked(record.untraced or "the loop that a clock ends was not found in the code")
    run, clock = max(runs, key=lambda r: r[1].value + r[0].log.seconds(Phase.CALIBRATION))
    log, after = run.log, run.log.seconds(Phase.CALIBRATION)
    if clock.value + after > record.limits.train_seconds:
        yield _asked(record, log, clock, late)
    elif not after:
        yield _untimed(record, log, clock, (late or [])[0])


def _leaves_nothing(record: Record) -> bool:
    """Whether the training loop, as the settings in force have it, runs for the whole limit."""
    if record.program is None or not record.claims.record:
        return False
    return record.program.training.runs_until(record.limits.train_seconds)


def _unlogged(record: Record, late: Late) -> Finding:
    limit = record.limits.train_seconds
    message = (
        f"please show that calibration is part of the {limit:g} s: training data is read after a loop "
        f"that runs for all of them, and no log states a time"
    )
    return RULE.finding(Level.QUESTION, late.path, late.line, message, steps=late.steps)


def _asked(record: Record, log: RunLog, clock: Figure, late: list[Late] | None) -> Finding:
    """The question, at the line of code that asks for the data, or else at the log's."""
    after = log.seconds(Phase.CALIBRATION)
    length = f"takes {seconds(after)}" if after else "is not timed"
    sum_ = f", {seconds(clock.value + after)} in all" if after else ""
    what = (
        "training data is read"
        if late
        else "on data that the code did not show, a quantiser is calibrated"
    )
    message = (
        f"please show that calibration is part of the {record.limits.train_seconds:g} s: {what} after "
        f"the clock; in {named(log)} it stops at {seconds(clock.value)} and calibration {length}{sum_}"
    )
    excuse = unmeasured(record, log)
    level = Level.NOTE if excuse else Level.QUESTION
    steps = [*(late[0].steps if late else ()), *calibration_steps(log, clock)]
    path, line = (late[0].path, late[0].line) if late else (steps[-1].path, steps[-1].line)
    return RULE.finding(
        level, path, line, f"{message}; {excuse}" if excuse else message, steps=steps
    )


def _untimed(record: Record, log: RunLog, clock: Figure, late: Late) -> Finding:
    left = record.limits.train_seconds - clock.value
    message = (
        f"training data is read after the clock; {named(log)} leaves {seconds(left)} for it and does "
        f"not time it"
    )
    return RULE.finding(
        Level.NOTE,
        late.path,
        late.line,
        message,
        steps=[*late.steps, *calibration_steps(log, clock)],
    )


_SCRIPT = """\
import glob, os, time
import numpy as np, torch, torch.nn.functional as F

def read(kind):
    name = glob.glob(os.environ["DATA_PATH"] + f"/fineweb_{kind}_*.bin")[0]
    return torch.from_numpy(np.fromfile(name, dtype=np.uint16).astype(np.int64))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024)
    def hidden(self, x):
        return self.table(x)
    def forward(self, x, y):
        return F.cross_entropy(self.head(self.hidden(x)), y)

model, shipped, train, val = Net(), Net(), read("train"), read("val")
optimizer = torch.optim.AdamW(model.parameters())
started = time.perf_counter()
for step in range(20000):
    at = step * 64
    loss = model(train[at : at + 64], train[at + 1 : at + 65])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    took = time.perf_counter() - started
    if took > LIMIT:
        print(f"stopping_early: wallclock_cap train_time:{1000 * took:.0f}ms step:{step}/20000")
        break
started, size = time.perf_counter(), torch.zeros(64)
for start in range(0, 4096, 64):
    size += model.hidden(train[start : start + 64]).abs().mean(0)
print(f"gptq:collected 1 Hessians in {time.perf_counter() - started:.1f}s")
scale = 31 * size.sqrt()
torch.save({k: (w * scale).round() / scale for k, w in model.state_dict().items()}, "model.pt")
shipped.load_state_dict(torch.load("model.pt"))
total = 0.0
for start in range(0, val.numel() - 65, 64):
    total += shipped(val[start : start + 64], val[start + 1 : start + 65]).item()
print("val_loss", total)
"""
_LOG = """\
seed:1
world_size:8
stopping_early: wallclock_cap train_time:STOPms step:6667/20000
gptq:collected 1 Hessians in 4.2s
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
"""
_JSON = '{"val_bpb": 1.2}\n'

RULE = Rule(
    slug="late-calibration",
    code="B5",
    title="training data is read after the 600 s of training",
    status="RULED",
    sources=tuple(
        f"{_PULL}{n}" for n in (529, 569, 576, 593, 606, 609, 615, 626, 639, 656, 674, 706, 1028)
    ),
    page="""\
Calibrating a quantiser on training data reads training data. Once the training clock has stopped,
that is training data read at evaluation time, and was refused in March even for 3.6 s (#606, #706).
Since April records with up to 606.6 s in all were accepted, so the rule asks and doesn't accuse.

Two things are looked at: whether the code runs a model on training data after the loop that the
clock ends and before the score, and whether the log's training time and calibration times together
exceed 600 s. A loop that stops early to leave time for calibration, and text that the model
generates itself, are fine.
""",
    blind_spots="""\
- The order of clock and calibration is read from the code, their lengths from the log. A calibration that the log
  does not time is a note.
- Where the code could not be followed, that the calibration reads training data is asked, not known.
""",
    clears="Stop training early enough that calibration ends within 600 s, and log both times.",
    check_record=check_record,
    forbidden={
        "train_gpt.py": _SCRIPT.replace("LIMIT", "600"),
        "train_seed1.log": _LOG.replace("STOP", "600040"),
        "submission.json": _JSON,
    },
    allowed={
        "train_gpt.py": _SCRIPT.replace("LIMIT", "594"),
        "train_seed1.log": _LOG.replace("STOP", "594040"),
        "submission.json": _JSON,
    },
)
