"""artifact-size: code and compressed model together weigh more than the cap."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.evidence.artifact import Shipped, packed, shipped
from auditor.evidence.record import Record
from auditor.evidence.runlog import Figure, RunLog
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import logs_behind, named, worst_note
from auditor.submission.model import SourceFile

_SITE = "https://github.com/openai/parameter-golf/"


def check_record(record: Record) -> Iterable[Finding]:
    weighed = list(_weighed(record))
    if not weighed:
        raise NotChecked("no log states the size of the compressed model")
    ours = shipped(record.submission)
    yield from worst_note(pair for run in weighed for pair in _judged(record, run, ours))


@dataclass(frozen=True)
class _Weighed:
    """The bytes of one run as its log has them."""

    log: RunLog
    model: float
    code: float  # as the log counts it; 0 where it counts none
    at: Figure  # the figure that states the sum, else the model's

    @property
    def total(self) -> float:
        return self.model + self.code


def _weighed(record: Record) -> Iterator[_Weighed]:
    for log in logs_behind(record):
        model, code, total = log.model_bytes, log.code_bytes, log.total_bytes
        if model is not None and total is not None and total.value >= model.value:
            counted = total.value - model.value
            if code is None or counted <= code.value:  # else it is the sum of something else
                yield _Weighed(log, model.value, counted, total)
                continue
        if model is not None:
            yield _Weighed(log, model.value, code.value if code else 0, model)
        elif total is not None and code is not None:
            yield _Weighed(log, total.value - code.value, code.value, total)


def _judged(record: Record, run: _Weighed, ours: Shipped) -> Iterator[tuple[float, Finding]]:
    """What is to be said of one run, with its bytes."""
    cap = record.limits.artifact_bytes
    recount = run.model + ours.code
    if run.total > cap and run.model + ours.entry > cap:
        yield run.total, _over(record, run, ours)
    elif run.total > cap and recount > cap:
        yield recount, _over_with_helpers(record, run, ours)
    elif run.total > cap:
        message = (
            f"the log of {named(run.log)} counts {run.total:,.0f} bytes; with the code as it is handed "
            f"in ({ours.code:,} bytes) they are {recount:,.0f}, within the cap of {cap:,}"
        )
        yield run.total, RULE.finding(Level.NOTE, run.log.path, run.at.line, message)
    elif recount > cap or (ours.helpers and run.code < ours.code):
        yield recount, _uncounted(record, run, ours)


def _over(record: Record, run: _Weighed, ours: Shipped) -> Finding:
    cap = record.limits.artifact_bytes
    recount = run.model + ours.entry
    also = f" ({recount:,.0f} with the script as it is handed in)" if recount != run.total else ""
    message = (
        f"code and compressed model of {named(run.log)} are {run.total:,.0f} bytes{also}, "
        f"{run.total - cap:,.0f} more than the cap of {cap:,}"
    )
    level = Level.VIOLATION
    if not record.claims.record:
        level = Level.SUSPECT
        message += "; it holds for entries that are not for the leaderboard too, but was not enforced (#542)"
    verb = "breaks" if level is Level.VIOLATION else "appears to break"
    return RULE.finding(
        level, run.log.path, run.at.line, f"{verb}: {message}", steps=_claims(record, run)
    )


def _over_with_helpers(record: Record, run: _Weighed, ours: Shipped) -> Finding:
    cap = record.limits.artifact_bytes
    recount = run.model + ours.code
    message = (
        f"appears to break: compressed model and all needed code of {named(run.log)} are {recount:,.0f} "
        f"bytes, {recount - cap:,.0f} more than the cap of {cap:,}, and the log counts {run.total:,.0f}; "
        f"without {_names(ours)} they are within it, and a record counted so was merged (#1412)"
    )
    return RULE.finding(
        Level.SUSPECT, run.log.path, run.at.line, message, steps=_claims(record, run)
    )


def _uncounted(record: Record, run: _Weighed, ours: Shipped) -> Finding:
    """The log's sum is within the cap, but counts less code than is handed in."""
    cap = record.limits.artifact_bytes
    recount = run.model + ours.code
    how = "more than" if recount > cap else "within"
    helpers = f", {_names(ours)} included" if ours.helpers else ""
    message = (
        f"the log of {named(run.log)} counts {run.code:,.0f} bytes of code; with all that are handed in "
        f"({ours.code:,}{helpers}) code and model are {recount:,.0f} bytes, {how} the cap of {cap:,}"
    )
    level = Level.NOTE  # counted compressed, or without helpers: accepted in practice
    if not run.code and recount > cap:
        small = min(packed(_sources(record, ours)), ours.code)
        firm = run.model + small > cap and run.model + ours.entry > cap and record.claims.record
        level = Level.VIOLATION if firm else Level.SUSPECT
        verb = "breaks" if firm else "appears to break"
        message = f"{verb}: {message}; packed, the code would take {small:,} bytes"
    return RULE.finding(level, run.log.path, run.at.line, message)


def _sources(record: Record, ours: Shipped) -> Iterator[SourceFile]:
    for path in (record.submission.entry.path, *ours.helpers):
        source = record.source(path)
        if source is not None:
            yield source


def _claims(record: Record, run: _Weighed) -> Iterator[Step]:
    """What the submission says of the size instead."""
    yield Step(run.log.path, run.at.line, "the log's own sum")
    for stated in record.claims.of("artifact_bytes"):
        if stated.value != run.total:
            yield Step(stated.path, stated.line, f"stated as {stated.text}")


def _names(ours: Shipped) -> str:
    return ", ".join(posixpath.basename(path) for path in ours.helpers)


RULE = Rule(
    slug="artifact-size",
    code="B1",
    title="code and compressed model weigh more than the cap",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "pull/1959", _SITE + "pull/1412"),
    page="""\
The artifact is the code and the compressed model together, at most 16,000,000 bytes (decimal, not
16 MiB), for each seed. Code counts as it is handed in: a packed script counts packed, and a log that
counted the unpacked one is put right. The tokenizer is not counted.

The README asks that all counted code be in train_gpt.py. Modules and native sources beside it that
the script needs are code as well; since a record with such a module was merged, an excess that comes
from them alone is a suspect. Scripts that are long as handed in but are counted compressed by their
logs were accepted: a note says what the difference is.
""",
    blind_spots="""\
- The compressed model is weighed by the run's log: the file itself is seldom handed in, and never made here.
- Code counts as far as it is reached from the script: local modules, native sources and decoded payloads.
  Counting it compressed, or without helper files, was accepted, so that alone is a note.
""",
    clears="Make model and script smaller, and show a log of each seed whose sum is within the cap.",
    check_record=check_record,
    forbidden={
        "submission.json": '{"val_bpb": 1.2, "bytes_total": 15990000}\n',
        "train_seed1.log": """\
seed:1
Code size: 50000 bytes
Serialized model int8+zlib: 16310000 bytes
Total submission size int8+zlib: 16360000 bytes
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
    allowed={
        "submission.json": '{"val_bpb": 1.2, "bytes_total": 15990000}\n',
        "train_seed1.log": """\
seed:1
Code size: 50000 bytes
Serialized model int8+zlib: 15940000 bytes
Total submission size int8+zlib: 15990000 bytes
final_int8_zlib_roundtrip_exact val_loss:2.03000000 val_bpb:1.20000000
""",
    },
)
