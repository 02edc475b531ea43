"""Which runs stand for the claimed score, and which line of each is its headline.

A line whose value is the score claimed for its seed decides; then the label whose mean over the seeds is
the claimed score; then a line with the claimed score itself. What backs no claim is left out as soon as
other runs do. Only without any such line it is the last score after training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from statistics import fmean
from typing import TYPE_CHECKING

from auditor.evidence.runlog import RunLog, Score
from auditor.evidence.stated import Stated
from auditor.submission.settings import is_side_run

if TYPE_CHECKING:
    from auditor.evidence.record import Record, Run

_SEED_IN_NAME = re.compile(r"(?i)(?:seed|(?<![a-z])s)[_=-]?(\d{1,6})(?!\d)")
_DIGITS = re.compile(r"\d+")
_LEAST_DECIMALS = 4  # logs print scores with so many; fewer are zeros that were cut off
_TELLING = 0.5e-3  # a claim that is written less exactly doesn't tell one line from another
_ONE_EVALUATION = 1e-4  # bits per byte: lines that differ by less state one score twice


def runs_of(record: Record) -> tuple[Run, ...]:
    """The runs behind the claimed score; of several that fit one seed equally well, one."""
    from auditor.evidence.record import Run

    logs = [log for log in record.logs if any(s.val_bpb is not None for s in log.scores)]
    claims = record.claims
    found = _by_seed(logs, record) or _by_mean(logs, claims.score) or _by_value(logs, claims.score)
    if found:
        return tuple(Run(*run, claimed=True) for run in _completed(found, logs, record))
    main = _main_line(logs, claims.seeds)
    return tuple(
        Run(log, _last(log), _why_last(log, claims.score), _rounds(log, claims.score))
        for log in main
    )


Found = tuple[RunLog, Score | None, str]


def seed_of(log: RunLog) -> int | None:
    """The seed that the log prints, else the one in the file's name."""
    if log.seed is not None:
        return int(log.seed.value)
    named = _SEED_IN_NAME.search(PurePosixPath(log.path).name)
    return int(named[1]) if named else None


def _by_seed(logs: Sequence[RunLog], record: Record) -> list[Found]:
    """The runs with a line that equals the score claimed for their seed."""
    found: list[Found] = []
    for seed in dict.fromkeys(s for log in logs if (s := seed_of(log)) is not None):
        claimed = record.claims.score_of(seed)
        if claimed is None or claimed.unit > _TELLING:
            continue
        why = f"it equals the score claimed for seed {seed} ({_place(claimed)})"
        own = [log for log in logs if seed_of(log) == seed]
        found += _one((log, score, why) for log in own if (score := _equal(log, claimed)))
    return found


def _by_mean(logs: Sequence[RunLog], claimed: Stated | None) -> list[Found]:
    """The runs of one family whose mean, over lines with one label, is the claimed score."""
    if claimed is None or claimed.unit > _TELLING:
        return []
    for family in _families(logs):
        for label in dict.fromkeys(s.label for s in reversed(family[0].final_scores)):
            scores = [_labelled(log, label) for log in family]
            values = [s.val_bpb for s in scores if s is not None and s.val_bpb is not None]
            if len(values) == len(family) and claimed.agrees(fmean(values)):
                why = f"with the same line of {len(family)} runs its mean is the claimed score"
                return [
                    (log, score, f"{why} ({_place(claimed)})")
                    for log, score in zip(family, scores, strict=True)
                ]
    return []


def _by_value(logs: Sequence[RunLog], claimed: Stated | None) -> list[Found]:
    """The runs with a line that equals the claimed score."""
    if claimed is None or claimed.unit > _TELLING:
        return []
    why = f"it equals the claimed score ({_place(claimed)})"
    return _one((log, score, why) for log in logs if (score := _equal(log, claimed)))


def _why_last(log: RunLog, claimed: Stated | None) -> str:
    if claimed is None:
        return "the last score printed; no score is claimed"
    if _rounds(log, claimed):
        return f"the last score printed, which rounds to the claimed one ({_place(claimed)})"
    return f"the last score printed; the claimed one is in no log ({_place(claimed)})"


def _rounds(log: RunLog, claimed: Stated | None) -> bool:
    """Whether the last score rounds to the claimed one."""
    last = _last(log)
    value = last.val_bpb if last is not None else None
    return claimed is not None and value is not None and _agrees(claimed, value)


def _completed(found: list[Found], logs: Sequence[RunLog], record: Record) -> list[Found]:
    """With the runs of the claimed seeds that no line of theirs backs, in the order of paths."""
    have = {seed_of(log) for log, _, _ in found}
    labels = {score.label for _, score, _ in found if score is not None}
    families = {_family(log) for log, _, _ in found}
    missing = [
        log for log in logs if seed_of(log) in record.claims.seeds and seed_of(log) not in have
    ]
    for seed in dict.fromkeys(seed_of(log) for log in missing):
        claimed = record.claims.score_of(seed) if seed is not None else None
        why = "the line of the other seeds"
        why += f"; the score claimed for this one ({_place(claimed)}) is on none" if claimed else ""
        own = [log for log in missing if seed_of(log) == seed]
        own = [log for log in own if _family(log) in families] or _main_line(own)
        scores = [s for s in own[-1].final_scores if s.label in labels]
        found.append((own[-1], scores[-1], why) if scores else (own[-1], _last(own[-1]), why))
    order = {id(log): n for n, log in enumerate(logs)}
    return sorted(found, key=lambda run: order[id(run[0])])


def _main_line(logs: Sequence[RunLog], seeds: Iterable[int] = ()) -> list[RunLog]:
    """Without side runs and copies, as far as anything is left."""
    finished = [log for log in logs if _last(log) is not None] or list(logs)
    claimed = [log for log in finished if seed_of(log) in set(seeds)] or finished
    main = [log for log in claimed if not is_side_run(log.path)] or claimed
    by_result = {(seed_of(log), tuple(s.val_bpb for s in log.final_scores)): log for log in main}
    return list(by_result.values())


def _families(logs: Sequence[RunLog]) -> list[list[RunLog]]:
    """Runs whose files are named alike but for numbers, one for each seed; large ones first."""
    found: dict[str, dict[int | None, RunLog]] = {}
    for log in logs:
        if log.final_scores:
            found.setdefault(_family(log), {})[seed_of(log)] = log
            found.setdefault("", {})[seed_of(log)] = log
    families = [list(f.values()) for f in found.values() if len(f) > 1 and None not in f]
    return sorted(families, key=len, reverse=True)


def _family(log: RunLog) -> str:
    return _DIGITS.sub("#", log.path)


def _one(runs: Iterable[Found]) -> list[Found]:
    """The run that shows most of itself among those that print the same score for one seed."""
    best: dict[tuple[int | None, float], Found] = {}
    for run in runs:
        log, score, _ = run
        key = (seed_of(log), round(score.val_bpb or 0, 4) if score else 0.0)
        if key not in best or _fullness(log) > _fullness(best[key][0]):
            best[key] = run
    return list(best.values())


def _fullness(log: RunLog) -> tuple[bool, bool, int]:
    return not is_side_run(log.path), log.train_seconds is not None, len(log.scores)


def _equal(log: RunLog, claimed: Stated) -> Score | None:
    """The line with the claimed value, after training if there is one, else during it."""
    for scores in (log.final_scores, log.scores):
        equal = [s for s in scores if s.val_bpb is not None and _agrees(claimed, s.val_bpb)]
        if equal:
            return _most_exact([s for s in equal if _same(s, equal[-1])])
    return None


def _agrees(claimed: Stated, value: float) -> bool:
    return claimed.agrees(value, 10.0 ** -max(_LEAST_DECIMALS, _decimals(value)))


def _same(one: Score, other: Score) -> bool:
    return abs((one.val_bpb or 0) - (other.val_bpb or 0)) < _ONE_EVALUATION


def _most_exact(scores: Sequence[Score]) -> Score:
    """Of the lines that state one score the first with most digits."""
    return max(scores, key=lambda s: _decimals(s.val_bpb or 0))


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])


def _labelled(log: RunLog, label: str) -> Score | None:
    return next((s for s in reversed(log.final_scores) if s.label == label), None)


def _last(log: RunLog) -> Score | None:
    scores = [s for s in log.final_scores if s.val_bpb is not None]
    return _most_exact([s for s in scores if _same(s, scores[-1])]) if scores else None


def _place(claimed: Stated) -> str:
    return f"{PurePosixPath(claimed.path).name}:{claimed.line}" if claimed.path else claimed.kind
