"""artifact-size: code and compressed model together weigh more than the cap."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditor.evidence.artifact import Shipped, packed, shipped
from auditor.evidence.headline import seed_of
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure, RunLog
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.budgets import UNCLAIMED, accused, named, worst_note
from auditor.submission.model import SourceFile

_UNCOMPRESSED = 2  # bytes for each parameter: no compressed model takes as many
_SITE = "https://github.com/openai/parameter-golf/"


def check_record(record: Record) -> Iterable[Finding]:
    weighed = list(_weighed(record))
    if not weighed:
        yield from _stated(record)
        raise NotChecked("no log states the size of the compressed model")
    ours = shipped(record.submission)
    yield from worst_note(pair for one in weighed for pair in _judged(record, one, ours))


def _stated(record: Record) -> Iterator[Finding]:
    """What submission.json itself states to be over the cap, where no log says anything."""
    cap = record.limits.artifact_bytes
    over = [
        s
        for s in record.claims.of("artifact_bytes")
        if s.kind == "json" and s.role == "final" and s.value > cap
    ]
    if over:
        most = max(over, key=lambda s: s.value)
        _, message = accused(
            f"{most.value:,.0f} bytes are stated, {most.value - cap:,.0f} more than the cap of {cap:,}",
            "no log shows them",
        )
        yield RULE.finding(Level.SUSPECT, most.path, most.line, message)


@dataclass(frozen=True)
class _Weighed:
    """The bytes of one run as its log has them."""

    run: Run
    model: float
    code: float  # as the log counts it; 0 where it counts none
    at: Figure  # the figure that states the sum, else the model's
    gap: str = ""  # why the log's figures prove nothing by themselves

    @property
    def log(self) -> RunLog:
        return self.run.log

    @property
    def total(self) -> float:
        return self.model + self.code


def _weighed(record: Record) -> Iterator[_Weighed]:
    for run in record.runs:
        log = run.log
        model, code, total = log.model_bytes, log.code_bytes, log.total_bytes
        gap = "" if run.claimed else UNCLAIMED
        if model is not None and total is not None and total.line != model.line:
            counted = total.value - model.value
            if counted >= 0 and (code is None or counted <= code.value):
                one = _Weighed(run, model.value, counted, total, gap or _within(record, log, total))
            else:
                gap = gap or "the log states another sum"
                one = _Weighed(run, model.value, code.value if code else 0, model, gap)
        elif total is not None and code is not None:
            gap = gap or _within(record, log, total) or "the log states the model's size nowhere"
            one = _Weighed(run, total.value - code.value, code.value, total, gap)
        elif model is not None:
            gap = gap or "the log states no sum"
            one = _Weighed(run, model.value, code.value if code else 0, model, gap)
        else:
            continue
        if not log.parameters or one.model < _UNCOMPRESSED * log.parameters.value:
            yield one


def _within(record: Record, log: RunLog, total: Figure) -> str:
    """Another sum of the log that is within the cap: the model packed in another way."""
    cap = record.limits.artifact_bytes
    for other in log.variants:
        if cap / 2 < other.value <= cap and other.line != total.line:
            return f"line {other.line} has {other.value:,.0f} bytes for {other.kind or 'another packing'}"
    return ""


def _judged(record: Record, one: _Weighed, ours: Shipped) -> Iterator[tuple[float, Finding]]:
    """What is to be said of one run, with its bytes."""
    cap = record.limits.artifact_bytes
    recount = one.model + ours.code
    if one.total > cap and one.model + ours.entry > cap:
        yield one.total, _over(record, one, ours)
    elif one.total > cap and recount > cap:
        yield recount, _over_with_helpers(record, one, ours)
    elif one.total > cap:
        message = (
            f"the log of {named(one.log)} counts {one.total:,.0f} bytes; with the code as it is handed "
            f"in ({ours.code:,} bytes) they are {recount:,.0f}, within the cap of {cap:,}"
        )
        yield one.total, RULE.finding(Level.NOTE, one.log.path, one.at.line, message)
    elif recount > cap or (ours.helpers and one.code < ours.code):
        yield recount, _uncounted(record, one, ours)


def _over(record: Record, one: _Weighed, ours: Shipped) -> Finding:
    cap = record.limits.artifact_bytes
    recount = one.model + ours.entry
    also = f" ({recount:,.0f} with the script as it is handed in)" if recount != one.total else ""
    text = (
        f"code and compressed model of {named(one.log)} are {one.total:,.0f} bytes{also}, "
        f"{one.total - cap:,.0f} more than the cap of {cap:,}"
    )
    return _accusation(record, one, text, one.gap or _claimed_packed(record, one, ours))


def _claimed_packed(record: Record, one: _Weighed, ours: Shipped) -> str:
    """What the submission counts for this seed instead: the same model with its code packed."""
    seed = seed_of(one.log)
    for stated in record.claims.of("artifact_bytes", seed) if seed is not None else ():
        code = stated.value - one.model
        if stated.value > record.limits.artifact_bytes or not 0 < code < one.code:
            continue
        if code >= packed(_sources(record, ours)) / 2:
            return f"the submission counts {code:,.0f} bytes of code, as if it were packed"
    return ""


def _over_with_helpers(record: Record, one: _Weighed, ours: Shipped) -> Finding:
    cap = record.limits.artifact_bytes
    recount = one.model + ours.code
    text = (
        f"compressed model and all needed code of {named(one.log)} are {recount:,.0f} bytes, "
        f"{recount - cap:,.0f} more than the cap of {cap:,}, and the log counts {one.total:,.0f}"
    )
    gap = f"without {_names(ours)} they are within it, and a record counted so was merged (#1412)"
    return _accusation(record, one, text, gap)


def _uncounted(record: Record, one: _Weighed, ours: Shipped) -> Finding:
    """The log's sum is within the cap, but counts less code than is handed in."""
    cap = record.limits.artifact_bytes
    recount = one.model + ours.code
    helpers = f", {_names(ours)} included" if ours.helpers else ""
    text = (
        f"the log of {named(one.log)} counts {one.code:,.0f} bytes of code; with all that is handed in "
        f"({ours.code:,} bytes{helpers}) code and model are {recount:,.0f} bytes, "
        f"{'more than' if recount > cap else 'within'} the cap of {cap:,}"
    )
    if one.code or recount <= cap:  # counted compressed, or without helpers: accepted in practice
        return RULE.finding(Level.NOTE, one.log.path, one.at.line, text)
    small = packed(_sources(record, ours))
    gap = (
        "" if one.model + min(small, ours.entry) > cap else f"packed, the code would take {small:,}"
    )
    return _accusation(record, one, text, gap or one.gap)


def _accusation(record: Record, one: _Weighed, text: str, gap: str) -> Finding:
    if not record.claims.record:
        gap = (
            gap
            or "entries that are not for the leaderboard must keep it too, but one was let pass (#542)"
        )
    level, message = accused(text, gap)
    return RULE.finding(level, one.log.path, one.at.line, message, steps=_claims(record, one))


def _sources(record: Record, ours: Shipped) -> Iterator[SourceFile]:
    for path in (record.submission.entry.path, *ours.helpers):
        source = record.source(path)
        if source is not None:
            yield source


def _claims(record: Record, one: _Weighed) -> Iterator[Step]:
    """What the submission says of the size instead."""
    yield Step(one.log.path, one.at.line, "the log's own sum")
    for stated in record.claims.of("artifact_bytes"):
        if stated.value != one.total:
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
