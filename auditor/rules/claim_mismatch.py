"""claim-mismatch: title, README, submission.json and logs must agree, number by number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import fmean

from auditor.evidence import versions
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Phase
from auditor.evidence.seed_runs import bpb, run_of_each_seed
from auditor.evidence.shown import Shown
from auditor.evidence.stated import Stated
from auditor.evidence.stated_text import other_scores
from auditor.evidence.summary import total_bytes
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule

_SITE = "https://github.com/openai/parameter-golf/"
_KINDS = {"json": "submission.json", "title": "the title", "readme": "the README"}
_RESULTS = (".json", ".jsonl", ".csv", ".tsv", ".out", ".err")  # files that may hold scores
_SLIP = 2.5  # units of the last digit: a number that was rounded wrongly
_NEAR_SECONDS = 0.03  # of a time: what another way of timing makes
_FAR_SECONDS = 0.25


def check_record(record: Record) -> Iterable[Finding]:
    shown = Shown(record)
    yield from _statements(record)
    yield from _loss_is_bits(record, shown)
    if not record.submission.logs:
        raise NotChecked("no logs to compare the claims with")
    if not record.runs:
        raise NotChecked("no run was found in the logs")
    if not record.claims.stated:
        raise NotChecked("no claim was found in submission.json, README or title")
    yield from _score(record, shown)
    yield from _seeds(record, shown)
    yield from _tables(record, shown)
    yield from _bytes(record)
    yield from _times(record)
    yield from _code(record)


# ---- the claimed scores ----


def _score(record: Record, shown: Shown) -> Iterator[Finding]:
    """The claimed score of the whole against the logs of every run."""
    claimed = record.claims.score
    logged = shown.finals
    if claimed is None or not claimed.path:
        return
    if not logged or shown.score(claimed):
        yield from _arithmetic(record)
        return
    mean, best = fmean(logged), min(logged)
    if abs(claimed.value - mean) < _SLIP * claimed.unit:
        text = f"{claimed.text} is claimed, the mean of {_runs(logged)} is {mean:.6f}"
        yield _claim(Level.NOTE, record, claimed, text)
        return
    runs = f"{_runs(logged)} end{'s' if len(logged) == 1 else ''} with {_range(logged)}"
    if len(logged) > 1:
        runs += f", {mean:.5f} in the mean"
    text = f"{claimed.text} is claimed and no log shows it; {runs}"
    level = _weight(record, shown, claimed, best)
    words = {Level.VIOLATION: "breaks", Level.SUSPECT: "appears to break"}
    gap = "; another run may have it" if level is Level.SUSPECT else ""
    yield _claim(level, record, claimed, f"{words.get(level, 'please show the run')}: {text}{gap}")


def _weight(record: Record, shown: Shown, claimed: Stated, best: float) -> Level:
    """How much a score weighs that no log shows.

    Proof are logs of all claimed seeds that show what is stated of each seed, all of it worse than the
    claim. Where logs are missing, or another statement of the score is shown, the claim is asked for.
    """
    runs = run_of_each_seed(record)
    seeds = record.claims.seeds
    others = [s for s in record.claims.of("val_bpb") if s.headline and s.seed is None]
    if claimed.value > best or len(runs) < 2 or set(seeds) - set(runs) or _other_results(record):
        return Level.QUESTION
    if any(not _same(claimed, other) and shown.score(other) for other in others):
        return Level.QUESTION
    members = [s for seed in seeds if (s := record.claims.score_of(seed)) is not None]
    backed = len(members) == len(seeds) >= 2 and all(shown.score(s) for s in members)
    return Level.VIOLATION if backed else Level.SUSPECT


def _other_results(record: Record) -> bool:
    """Whether the folder holds results in files that are not read here."""
    submission = record.submission
    read = submission.by_path()
    return any(p.endswith(_RESULTS) and p not in read for p in submission.files)


def _seeds(record: Record, shown: Shown) -> Iterator[Finding]:
    """The scores that are claimed for single seeds, each against the logs of that seed."""
    runs = run_of_each_seed(record)
    for seed, run in runs.items():
        claimed, logged = record.claims.score_of(seed), bpb(run)
        if logged is None:
            continue
        if claimed is None:
            yield from _unstated(record, seed, run, logged)
        elif not shown.score(claimed):
            text = f"{claimed.text} is claimed for seed {seed}, its log shows {logged}"
            if abs(claimed.value - logged) < _SLIP * claimed.unit:
                yield _claim(Level.NOTE, record, claimed, text, run)
            else:
                text = f"please show the run: {text}"
                yield _claim(Level.QUESTION, record, claimed, text, run)


def _unstated(record: Record, seed: int, run: Run, logged: float) -> Iterator[Finding]:
    """A seed that the claim counts, without a score of its own, whose log says otherwise."""
    claimed = record.claims.score
    others = [s for s in record.claims.seeds if record.claims.score_of(s) is not None]
    if claimed is None or seed not in record.claims.seeds or not others or run.headline is None:
        return
    if abs(claimed.value - logged) > 0.5 * claimed.unit:
        text = (
            f"no score is stated for seed {seed}; its log shows {logged}, "
            f"which does not round to the claimed {claimed.text}"
        )
        yield RULE.finding(Level.NOTE, run.log.path, run.headline.line, text)


def _tables(record: Record, shown: Shown) -> Iterator[Finding]:
    """Scores of the README's other tables, such as ablations, that no log shows."""
    missing = [s for s in other_scores(record.submission) if not shown.score(s)]
    if missing:
        listed = ", ".join(f"{s.text} (line {s.line})" for s in missing[:6])
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        text = f"scores in the README's tables that no log shows: {listed}{more}"
        yield RULE.finding(Level.NOTE, missing[0].path, missing[0].line, text)


# ---- one statement against another ----


def _statements(record: Record) -> Iterator[Finding]:
    """Score against score: submission.json, README and title."""
    claims = record.claims
    claimed = claims.score
    if claimed is None:
        return
    for other in claims.of("val_bpb"):
        if other.seed is not None or not other.headline or other.of or other.kind == claimed.kind:
            continue
        if not _same(claimed, other) and not _says(record, other.kind, claimed):
            text = (
                f"please show one score: {_KINDS[claimed.kind]} says {claimed.text}, "
                f"{_KINDS[other.kind]} says {other.text}"
            )
            place = claimed if claimed.path else other
            if place.path:
                yield RULE.finding(Level.QUESTION, place.path, place.line, text, steps=_at(other))


def _arithmetic(record: Record) -> Iterator[Finding]:
    """The claimed mean against the scores that are stated for its seeds."""
    claims = record.claims
    claimed = claims.score
    members = [s for seed in claims.seeds if (s := claims.score_of(seed)) is not None]
    if claimed is None or not claimed.path or not len(members) == len(claims.seeds) > 1:
        return
    mean = fmean(s.value for s in members)
    unit = max(s.unit for s in members)
    slip = abs(claimed.value - mean) < _SLIP * max(claimed.unit, unit)
    if not slip and not any(claimed.agrees(s.value, unit) for s in members):
        text = (
            f"please show the arithmetic: {claimed.text} is claimed, "
            f"and the mean of the {len(members)} seeds stated is {mean:.6f}"
        )
        steps = [step for member in members for step in _at(member)]
        yield RULE.finding(Level.QUESTION, claimed.path, claimed.line, text, steps=steps)


def _same(one: Stated, other: Stated) -> bool:
    return one.agrees(other.value, other.unit) or other.agrees(one.value, one.unit)


def _says(record: Record, kind: str, claimed: Stated) -> bool:
    """Whether the other text also holds the claimed number, further down or behind another."""
    if kind != "readme":
        return False
    digits = claimed.text[: max(6, len(claimed.text) - 2)]
    rounded = f"{claimed.value:.4f}"
    return any(
        digits in readme.text or rounded in readme.text for readme in record.submission.readme
    )


def _loss_is_bits(record: Record, shown: Shown) -> Iterator[Finding]:
    """val_loss is in nats per token; a value that equals the bits per byte is another quantity."""
    logged = {
        run.headline.val_loss for run in record.runs if run.headline and run.headline.val_loss
    }
    scores = [*shown.finals, *(s.value for s in record.claims.of("val_bpb") if s.headline)]
    for stated in record.claims.of("val_loss", None):
        if stated.kind != "json" or stated.seed is not None or stated.of or stated.role != "final":
            continue
        if any(stated.agrees(loss, 1e-8) for loss in logged):
            continue
        if any(stated.agrees(score, 1e-8) for score in (*scores, *_mean(scores))):
            nats = f"; the logs show {_range(sorted(logged))} nats per token" if logged else ""
            text = f"val_loss holds the bits per byte, {stated.text}{nats}"
            yield RULE.finding(Level.NOTE, stated.path, stated.line, text)


def _mean(values: list[float]) -> list[float]:
    return [fmean(values)] if values else []


# ---- bytes and times ----


def _bytes(record: Record) -> Iterator[Finding]:
    """Sizes that are stated to the byte."""
    sizes = _logged_sizes(record)
    totals = [size[0] for run in record.runs if (size := total_bytes(run))]
    if not totals:
        return
    for stated in _distinct(record.claims.of("artifact_bytes")):
        exact = stated.scale == 1.0 and not stated.text.endswith("000") and not stated.about
        if not exact or stated.role != "final" or stated.of == "std" or stated.value in sizes:
            continue
        if any(abs(stated.value - size) <= 1 for size in (*sizes, fmean(totals))):
            continue
        if _written_in_logs(record, stated):
            continue
        text = f"{stated.value:,.0f} bytes are stated and no log shows them; totals are {_whole(totals)}"
        # Where every logged size is within the cap, another size changes no verdict.
        asked = stated.value < max(totals) and max(totals) > record.limits.artifact_bytes
        yield _asked(asked, "please show the artifact: ", stated.path, stated.line, text)


def _logged_sizes(record: Record) -> set[float]:
    """Every size that follows from the logs: totals, models, models with some version of the code."""
    sizes: set[float] = set()
    codes = {float(size) for size in versions.shipped_sizes(record)}
    codes |= {run.log.code_bytes.value for run in record.runs if run.log.code_bytes}
    for run in record.runs:
        total = total_bytes(run)
        sizes |= {total[0]} if total else set()
        if run.log.model_bytes:
            model = run.log.model_bytes.value
            sizes |= {model, *(model + code for code in codes)}
    return sizes


def _written_in_logs(record: Record, stated: Stated) -> bool:
    digits = f"{stated.value:.0f}"
    written = (digits, f"{stated.value:,.0f}")
    return any(text in log.text for log in record.submission.logs for text in written)


def _times(record: Record) -> Iterator[Finding]:
    """Evaluation and training times, each against every stage and sum of stages in the logs."""
    for what, phase in (("eval_seconds", Phase.EVAL), ("train_seconds", Phase.TRAIN)):
        for stated in _distinct(record.claims.of(what)):
            if stated.role != "final" or stated.of == "std" or not stated.value:
                continue
            runs = [r for r in record.runs if stated.seed in (None, r.seed)]
            shown = [seconds for run in runs for seconds in _seconds(run, phase) if seconds > 0]
            if not shown:
                continue
            nearest = min(shown, key=lambda s: abs(math.log(s / stated.value)))
            off = abs(nearest - stated.value)
            if off <= max(stated.unit, _NEAR_SECONDS * stated.value):
                continue
            word = "evaluation" if phase is Phase.EVAL else "training"
            whose = f" for seed {stated.seed}" if stated.seed is not None else ""
            text = (
                f"{stated.value:,.0f} s of {word} are stated{whose}; "
                f"the nearest time in the logs is {nearest:,.1f} s"
            )
            far = stated.value < (1 - _FAR_SECONDS) * nearest
            yield _asked(far, "please show the clock: ", stated.path, stated.line, text)


def _seconds(run: Run, phase: Phase) -> Iterator[float]:
    """The times of a phase: its stages, and sums of the last of them."""
    own = [stage.seconds for stage in run.log.stages if stage.phase is phase]
    yield from own
    yield from (sum(own[at:]) for at in range(len(own) - 1))
    if phase is Phase.TRAIN and run.log.train_seconds is not None:
        yield run.log.train_seconds.value


# ---- the code ----


def _code(record: Record) -> Iterator[Finding]:
    """Whether the logs are of the code that is handed in."""
    entry = record.submission.entry.path
    seen: set[float] = set()
    sizes = versions.shipped_sizes(record)
    for run in record.runs:
        difference = versions.printed_source(record, run)
        if difference is not None:
            if difference.logged_only or difference.shipped_only:
                text = (
                    "the log prints a source that differs, "
                    f"{difference.logged_only} lines are in the log only, "
                    f"{difference.shipped_only} in {_name(difference.path)} only"
                )
                differing = difference.logged_only + difference.shipped_only
                yield _asked(
                    differing > versions.EDITED_LINES,
                    "please show the run of this code: ",
                    run.log.path,
                    difference.line,
                    text,
                )
                return
            continue
        code = run.log.code_bytes
        if code is None or code.value in seen or versions.is_packed(run):
            continue
        seen.add(code.value)
        nearest = min(sizes, key=lambda size: abs(size - code.value))
        off = abs(nearest - code.value)
        if off:
            text = (
                f"the log counts {code.value:,.0f} bytes of code, {_name(entry)} has {nearest:,}: "
                "it is of another version"
            )
            yield _asked(
                off > versions.EDITED_BYTES,
                "please show the run of this code: ",
                run.log.path,
                code.line,
                text,
            )
    yield from _foreign(record)


def _foreign(record: Record) -> Iterator[Finding]:
    for run in record.runs:
        label = versions.foreign_label(record, run)
        if label and run.headline is not None:
            text = (
                "please show the code that made the score: "
                f"nothing that was handed in can print the line {label[:60]!r}"
            )
            yield RULE.finding(Level.QUESTION, run.log.path, run.headline.line, text)
            return


# ---- words ----


def _claim(
    level: Level, record: Record, claimed: Stated, text: str, run: Run | None = None
) -> Finding:
    runs = [run] if run is not None else record.runs[:6]
    steps = [
        Step(r.log.path, r.headline.line, f"seed {r.seed}" if r.seed is not None else "the run")
        for r in runs
        if r.headline is not None
    ]
    return RULE.finding(level, claimed.path, claimed.line, text, steps=steps)


def _at(stated: Stated) -> list[Step]:
    return [Step(stated.path, stated.line, stated.text)] if stated.path else []


def _asked(asked: bool, request: str, path: str, line: int, text: str) -> Finding:
    """A question that begins with the request, or else a note."""
    if asked:
        return RULE.finding(Level.QUESTION, path, line, request + text)
    return RULE.finding(Level.NOTE, path, line, text)


def _distinct(stated: Iterable[Stated]) -> list[Stated]:
    """Each number of each seed once, where it is stated first."""
    found: dict[tuple[float, int | None], Stated] = {}
    for each in stated:
        found.setdefault((each.value, each.seed), each)
    return list(found.values())


def _runs(values: list[float]) -> str:
    return "one run" if len(values) == 1 else f"{len(values)} runs"


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.5f}" if low == high else f"{low:.5f} to {high:.5f}"


def _whole(values: list[float]) -> str:
    return ", ".join(f"{value:,.0f}" for value in dict.fromkeys(values))


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


_LOG = """\
world_size:8 grad_accum_steps:1
seed:{seed}
step:0/5000 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:1000/5000 train_loss:2.3000 train_time:120000ms step_avg:120.00ms
step:5000/5000 val_loss:2.0{seed}000 val_bpb:1.2{seed}000 train_time:600000ms step_avg:120.00ms
Code size: 88 bytes
Total submission size int8+zlib: 15{seed}0123 bytes
final_int8_zlib_roundtrip_exact val_loss:2.0{seed}1230 val_bpb:1.2{seed}1230
"""
_FILES = {
    "train_gpt.py": "bpb = 1.0\nprint(f'final_int8_zlib_roundtrip_exact val_loss:{bpb} val_bpb:{bpb:.8f}')\n",
    **{f"train_seed{seed}.log": _LOG.format(seed=seed) for seed in (1, 2, 3)},
}


def _claims(mean: str) -> dict[str, str]:
    return {
        "README.md": f"# Record: a model (val_bpb: {mean})\n",
        "submission.json": f'{{\n "val_bpb": {mean},\n "seeds": [1, 2, 3],\n "bytes_total": 15300123\n}}\n',
    }


RULE = Rule(
    slug="claim-mismatch",
    code="E4",
    title="title, submission.json and logs must agree",
    status="RULED",
    sources=tuple(f"{_SITE}pull/{number}" for number in (61, 1981, 2103)),
    page="""\
The claimed score must be what the logs show: the final score of a run, or the mean over the runs. Each
number is compared as far as the coarser of the two is written out; rounding and cutting both agree. A
score that is better than every run's, while the logs of all claimed seeds are there, breaks the rule.
Everything else is asked or noted with both numbers: sizes that no log shows, times, a title that says
something else than submission.json, logs that are of another version of the code.
""",
    clears="State the numbers that the logs show, or hand in the logs that show the stated ones.",
    blind_spots="""\
A score that was never logged, logs that were edited, and the title where --title does not give it. A
log of another version of the code is seen by the source it prints or by the size it counts; packed code
is not compared.
""",
    check_record=check_record,
    forbidden={**_FILES, **_claims("1.2054")},
    allowed={**_FILES, **_claims("1.2212")},
)
