"""seeds: three seeds of one configuration, each with the log of its own run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations

from auditor.evidence import versions
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure, Score, Words
from auditor.evidence.seed_runs import bpb, run_of_each_seed
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule

_SITE = "https://github.com/openai/parameter-golf/"
_CHECKPOINT = re.compile(
    r"(?i)\b(?:load\w*|restor\w*|resum\w*|checkpoint|ckpt|weights)\b.{0,60}?"
    r"(?P<file>[\w./-]+\.(?:pt|pth|ptz|npz|npy|ckpt|safetensors))\b"
)
_FEWEST_SHARED = 3  # equal scores with all their digits that make two logs one run
_DIGITS = 6
_TELLING = 1e-5  # a score that is written less exactly may be another run's
_OF_ONE_RUN = re.compile(
    r"seed|path|file|_dir$|^run_?id|^name|^log|host|port|rank|device|date|time|^world_size"
    r"|grad_accum|every|_ms$|_s$|bpb|loss|bytes|size_mb|total|^steps?$|count|^model$|shards"
)


def check_record(record: Record) -> Iterable[Finding]:
    runs = run_of_each_seed(record)
    if not record.submission.logs:
        raise NotChecked("no logs")
    yield from _independent(record, runs)
    if not record.claims.record:
        raise NotChecked("not entered as a record, which needs three seeds of one configuration")
    yield from _configuration(record, runs)
    yield from _count(record, runs)


# ---- one training run, shown several times ----


def _independent(record: Record, runs: Mapping[int, Run]) -> Iterator[Finding]:
    for (first, a), (second, b) in combinations(runs.items(), 2):
        if a.log.path == b.log.path and a.log.first_line == b.log.first_line:
            continue
        shared = _exact_scores(a) & _exact_scores(b)
        if len(shared) >= _FEWEST_SHARED and shared == _exact_scores(a):
            text = (
                f"breaks: the logs of seeds {first} and {second} are of one run: "
                f"all {len(shared)} scores agree in every digit"
            )
            yield RULE.finding(Level.VIOLATION, b.log.path, _line(b), text, steps=_steps(a, b))
            return
    untrained = {s: run for s, run in runs.items() if run.log.steps is None and _size(run)}
    groups: dict[tuple[float, float], dict[int, Run]] = {}
    for seed, run in untrained.items():
        for score in run.log.scores:
            if score is not run.headline and score.val_bpb is not None:
                groups.setdefault((_size(run), score.val_bpb), {})[seed] = run
    shared_model = max(groups.values(), key=len, default={})
    if len(shared_model) >= 2:
        yield _one_checkpoint(record, shared_model)


def _one_checkpoint(record: Record, runs: Mapping[int, Run]) -> Finding:
    seeds = _listed(runs)
    files = {_checkpoint(record, run) for run in runs.values()}
    first = next(iter(runs.values()))
    figure = first.log.model_bytes or first.log.total_bytes
    assert figure is not None
    none = "none of their logs trains"
    same = f"the same model of {figure.value:,.0f} bytes with the same score before adaptation"
    if len(files) == 1 and None not in files:
        text = (
            f"breaks: seeds {seeds} are one trained model, {files.pop()}: {none}, each has {same}"
        )
        level = Level.VIOLATION
    else:
        text = f"appears to break: seeds {seeds} are one trained model: {none}, each has {same}"
        level = Level.SUSPECT
    steps = tuple(_sized(run) for run in runs.values())
    return RULE.finding(level, first.log.path, figure.line, text, steps=steps)


def _sized(run: Run) -> Step:
    figure = run.log.model_bytes or run.log.total_bytes
    line = figure.line if figure is not None else 1
    return Step(run.log.path, line, f"seed {run.seed}: the model's size")


def _size(run: Run) -> float:
    figure = run.log.model_bytes or run.log.total_bytes
    return figure.value if figure is not None else 0.0


def _checkpoint(record: Record, run: Run) -> str | None:
    """The file of weights that a run says it loads, printed source left out."""
    source = record.source(run.log.path)
    if source is None:
        return None
    lines = source.text.splitlines()[run.log.first_line - 1 : run.log.last_line]
    printed = run.log.source_lines
    for number, line in enumerate(lines, run.log.first_line):
        found = _CHECKPOINT.search(line[:300])
        if found and not any(first <= number <= last for first, last in printed):
            return found["file"]
    return None


def _exact_scores(run: Run) -> set[float]:
    values = (v for s in run.log.scores for v in (s.val_bpb, s.val_loss) if v is not None)
    return {v for v in values if len(repr(v).partition(".")[2]) >= _DIGITS}


# ---- one configuration ----


def _configuration(record: Record, runs: Mapping[int, Run]) -> Iterator[Finding]:
    claims = record.claims
    claimed = {
        s: run for s, run in runs.items() if s in claims.seeds and _is_claimed(record, s, run)
    }
    parameters = _groups(claimed, lambda run: run.log.parameters)
    if len(parameters) > 1:
        text = f"breaks: the runs are of different models: {_differing(parameters, 'parameters')}"
        yield _at(Level.VIOLATION, parameters, text)
    code = _groups(runs, lambda run: run.log.code_bytes)
    if len(code) > 1:
        text = f"the logs are of {len(code)} versions of the code, {_differing(code, 'bytes')}"
        if max(code) - min(code) > versions.EDITED_BYTES:
            text = f"please show which code made the score: {text}"
            yield _at(Level.QUESTION, code, text)
        else:
            yield _at(Level.NOTE, code, text)
    yield from _settings(record, runs)


def _is_claimed(record: Record, seed: int, run: Run) -> bool:
    """Whether the run ends with the score that is claimed for its seed."""
    stated, value = record.claims.score_of(seed), bpb(run)
    return stated is None or (value is not None and stated.agrees(value))


def _groups(
    runs: Mapping[int, Run], figure: Callable[[Run], Figure | None]
) -> dict[float, list[tuple[int, Run, Figure]]]:
    """The runs by the value that their logs state, in order of seeds."""
    found: dict[float, list[tuple[int, Run, Figure]]] = {}
    for seed, run in sorted(runs.items()):
        own = figure(run)
        if own is not None:
            found.setdefault(own.value, []).append((seed, run, own))
    return found


def _differing(groups: Mapping[float, list[tuple[int, Run, Figure]]], unit: str) -> str:
    return "; ".join(
        f"{value:,.0f} {unit} (seed {_listed(seed for seed, _, _ in members)})"
        for value, members in groups.items()
    )


def _at(level: Level, groups: Mapping[float, list[tuple[int, Run, Figure]]], text: str) -> Finding:
    """The finding at the first run of the smallest group: the one that differs."""
    odd = min(groups.values(), key=len)[0]
    steps = tuple(
        Step(run.log.path, figure.line, f"seed {seed}")
        for members in groups.values()
        for seed, run, figure in members[:1]
    )
    return RULE.finding(level, odd[1].log.path, odd[2].line, text, steps=steps)


def _settings(record: Record, runs: Mapping[int, Run]) -> Iterator[Finding]:
    """Settings that the code reads and that the logs show with different values."""
    names = dict.fromkeys(name for run in runs.values() for name in run.log.settings)
    different: list[str] = []
    first: tuple[Run, Words] | None = None
    for name in names:
        by_value: dict[str, list[int]] = {}
        for seed, run in runs.items():
            if name in run.log.settings:
                by_value.setdefault(_plain(run.log.settings[name].text), []).append(seed)
        if len(by_value) < 2 or _OF_ONE_RUN.search(name) or not _is_read(record, name):
            continue
        values = ", ".join(f"{v} (seed {_listed(s)})" for v, s in by_value.items())
        different.append(f"{name} = {values}")
        odd = runs[min(by_value.values(), key=len)[0]]
        first = first or (odd, odd.log.settings[name])
    if first is not None:
        more = f"; and {len(different) - 4} more" if len(different) > 4 else ""
        shown = "; ".join(different[:4]) + more
        text = f"please show three seeds of one configuration: the logs differ in {shown}"
        yield RULE.finding(Level.QUESTION, first[0].log.path, first[1].line, text)


def _plain(value: str) -> str:
    """``600.000`` and ``600`` are one value."""
    try:
        return repr(float(value))
    except ValueError:
        return value.strip().lower()


def _is_read(record: Record, name: str) -> bool:
    """Whether some source names the setting as an environment variable or an attribute."""
    wanted = (f'"{name.upper()}"', f"'{name.upper()}'", f".{name} ", f"--{name.replace('_', '-')}")
    return any(
        word in source.text
        for source in record.submission.by_path().values()
        if source.language == "python"
        for word in wanted
    )


# ---- three seeds ----


def _count(record: Record, runs: Mapping[int, Run]) -> Iterator[Finding]:
    claims, asked = record.claims, record.limits.seeds
    unshown = [seed for seed in claims.seeds if seed not in runs]
    if runs and unshown and len(claims.seeds) > 1:
        renamed = list(_under_another_seed(record, unshown))
        yield from renamed
        stated = claims.score_of(unshown[0]) or claims.score
        if stated is not None and stated.path and not renamed and not _seedless(record):
            text = (
                f"please show the logs of seed {_listed(unshown)}: "
                f"claimed, and the logs with a score are of seed {_listed(runs)}"
            )
            yield RULE.finding(Level.QUESTION, stated.path, stated.line, text)
        return
    shown = max(len(runs), len(claims.seeds))
    if not 0 < shown < asked or claims.score is None or not claims.score.path:
        return
    text = (
        f"please show {asked} seeds: "
        f"{'one seed is' if shown == 1 else f'{shown} seeds are'} "
        f"claimed or logged ({_listed(runs or claims.seeds)})"
    )
    yield RULE.finding(Level.QUESTION, claims.score.path, claims.score.line, text)


def _under_another_seed(record: Record, unshown: Iterable[int]) -> Iterator[Finding]:
    """Logs that show the score claimed for one seed, and state another seed."""
    for seed in unshown:
        stated = record.claims.score_of(seed)
        for log in record.logs if stated is not None and stated.unit <= _TELLING else ():
            ends = [s.val_bpb for s in log.final_scores if s.val_bpb is not None]
            if log.seed is not None and stated and any(stated.agrees(end) for end in ends):
                text = (
                    f"please show the run of seed {seed}: the log with the score claimed for it, "
                    f"{stated.text}, states seed {log.seed.value:.0f}"
                )
                yield RULE.finding(Level.QUESTION, log.path, log.seed.line, text)


def _seedless(record: Record) -> bool:
    """Whether runs with a score don't tell their seed: any of them may be the missing one."""
    return any(run.seed is None and run.headline is not None for run in record.runs)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _line(run: Run) -> int:
    score: Score | None = run.headline
    return score.line if score is not None else run.log.first_line


def _steps(*runs: Run) -> tuple[Step, ...]:
    return tuple(Step(run.log.path, _line(run), f"seed {run.seed}") for run in runs)


_LOG = """\
world_size:8 grad_accum_steps:1
seed:{seed}
model_params:{parameters}
step:0/5000 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.01ms
step:1000/5000 train_loss:2.3000 train_time:120000ms step_avg:120.00ms
step:5000/5000 val_loss:2.0{seed}000 val_bpb:1.2{seed}000 train_time:600000ms step_avg:120.00ms
Code size: 17 bytes
Total submission size int8+zlib: 15{seed}0000 bytes
final_int8_zlib_roundtrip_exact val_loss:2.0{seed}1230 val_bpb:1.2{seed}1230
"""
_FILES = {
    "train_gpt.py": "print('a script')\n",
    "README.md": "# Record: a model (val_bpb: 1.2223)\n\n| Seed | val_bpb |\n|---|---|\n"
    "| 1 | 1.2112 |\n| 2 | 1.2212 |\n| 3 | 1.2312 |\n",
    "submission.json": '{"track": "10min_16mb", "val_bpb": 1.2212, "seeds": [1, 2, 3]}\n',
}


def _logs(parameters: Mapping[int, int]) -> dict[str, str]:
    return {
        f"train_seed{seed}.log": _LOG.format(seed=seed, parameters=count)
        for seed, count in parameters.items()
    }


RULE = Rule(
    slug="seeds",
    code="E2",
    title="three seeds of one configuration must be shown by real logs",
    status="RULED",
    sources=(
        _SITE + "blob/main/README.md",
        *(f"{_SITE}pull/{number}" for number in (1963, 2020, 2121, 2124, 2139)),
    ),
    page="""\
A claimed mean needs enough runs to show that it is no accident: in practice three seeds, each trained
on its own, with the same code and the same settings, and the log of each handed in. One trained model
that is evaluated three times is one run. Runs with different numbers of parameters are of different
models. Submissions outside the record track need not have three seeds.
""",
    clears=(
        "Train the submitted code with three seeds and the same settings, "
        "and hand in the log of each run."
    ),
    blind_spots="""\
Logs that were edited by hand, seeds that were picked among many, and settings that no log prints.
""",
    check_record=check_record,
    forbidden={**_FILES, **_logs({1: 20_000_000, 2: 20_000_000, 3: 20_065_536})},
    allowed={**_FILES, **_logs({1: 20_000_000, 2: 20_000_000, 3: 20_000_000})},
)
