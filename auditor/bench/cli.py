"""``pgcheck bench``: arguments, progress and files; the scoring itself is in ``scoring``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from auditor.bench.audits import AuditTask, audit_commit, built_rules
from auditor.bench.labels import LabelError, Row, read
from auditor.bench.pool import run_each
from auditor.bench.scoring import ANY_RULE, RULE_GROUPS, AuditedPull, judge, keeps_result
from auditor.bench.text import Bench, render, to_json

INTERNAL = 2


@click.command("bench")
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--repo",
    required=True,
    metavar="CLONE",
    type=click.Path(exists=True, file_okay=False),
    help="A clone that has the labelled commits.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True)
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds per commit.")
@click.option("--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--rule", "rules", metavar="SLUG", multiple=True, help="Only rows of this rule.")
@click.option(
    "--renamed", is_flag=True, help="Audit again with other local names, and compare the results."
)
def bench(
    labels: Path,
    repo: str,
    jobs: int,
    timeout: float,
    json_file: str | None,
    rules: tuple[str, ...],
    renamed: bool,
) -> int:
    """Audit labelled pull requests and print what was found, missed and falsely reported.

    LABELS has one JSON object a line. Each commit is audited in a process of its own. The exit code
    is 2 if an audit crashed, else 0: the numbers are for you to judge.
    """
    rows = _rows(labels, rules)

    def audit_all(*, renamed: bool) -> dict[int, AuditedPull]:
        return audits(rows, repo, rules, jobs=jobs, timeout=timeout, renamed=renamed)

    result = measure(rows, audit_all, built_rules(), renamed=renamed)
    for line in render(result):
        click.echo(line)
    if json_file:
        _write(Path(json_file), json.dumps(to_json(result), indent=1) + "\n")
    return INTERNAL if result.faults else 0


def measure(
    rows: Sequence[Row],
    audit_all: Callable[..., Mapping[int, AuditedPull]],
    built: frozenset[str],
    *,
    renamed: bool,
) -> Bench:
    """Audits once, or twice for a comparison under other names, and judges every row."""
    of_pull: dict[int, list[Row]] = {}
    for row in rows:
        of_pull.setdefault(row.pr, []).append(row)
    pulls = audit_all(renamed=False)
    judged = [judge(row, of_pull[row.pr], pulls[row.pr], built) for row in rows]
    if not renamed:
        return Bench(judged, pulls)
    others = audit_all(renamed=True)
    changed = [
        (row, before, judge(row, of_pull[row.pr], others[row.pr], built))
        for row, before in zip(rows, judged, strict=True)
        if not keeps_result(row, of_pull[row.pr], pulls[row.pr], others[row.pr], built)
    ]
    return Bench(judged, pulls, others, changed)


def audits(
    rows: Iterable[Row],
    repo: str,
    rules: Sequence[str],
    *,
    jobs: int,
    timeout: float,
    renamed: bool,
) -> dict[int, AuditedPull]:
    """The audit of every commit that the rows name, by pull request."""
    only: frozenset[str] = frozenset()
    if ANY_RULE not in rules:
        only = only.union(*(RULE_GROUPS.get(rule, {rule}) for rule in rules))
    tasks = {row.pr: AuditTask(repo, row.pr, row.sha, only, renamed) for row in rows}
    done: dict[int, AuditedPull] = {}
    with click.progressbar(
        run_each(audit_commit, tasks.values(), jobs=jobs, timeout=timeout),
        length=len(tasks),
        label="renamed" if renamed else "audits",
        file=sys.stderr,
    ) as progress:
        for ended in progress:
            pull = ended.value or AuditedPull(error=ended.error)
            done[ended.task.pr] = replace(
                pull,
                seconds=ended.seconds,
                cpu_seconds=ended.cpu_seconds,
                peak_bytes=ended.peak_bytes,
            )
    return {pr: done[pr] for pr in tasks}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"can't write to {path}: {error.strerror}.") from error


def _rows(labels: Path, rules: Sequence[str]) -> list[Row]:
    try:
        rows = read(labels.read_text(encoding="utf-8").splitlines())
    except (LabelError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"{labels} can't be used: {error}. Mend or remove that row."
        ) from error
    missing = sorted(set(rules) - {row.rule for row in rows})
    if missing:
        raise click.UsageError(f"no row of {labels} has the rule {', '.join(missing)}.")
    return [row for row in rows if not rules or row.rule in rules]
