"""The bench report as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from auditor.bench.labels import Row, link
from auditor.bench.scoring import AuditedPull, Judgement, Result, Tally, tally

_ORDER = (
    Result.MISSED,
    Result.FALSE_ALARM,
    Result.FOUND,
    Result.SILENT,
    Result.LISTED,
    Result.NOT_READ,
    Result.NOT_BUILT,
)
_HIGH = "high"
_COLUMNS = "{:22} {:>15} {:>15} {:>9} {:>13} {:>13} {:>8} {:>8} {:>9}"
_HEADER = ("rule", "found (high)", "found (all)", "question", "alarms (high)", "alarms (all)")


@dataclass(frozen=True)
class Bench:
    """Everything that one run of the bench gave; ``changed`` are the rows that renaming changed."""

    judgements: Sequence[Judgement]
    pulls: Mapping[int, AuditedPull]
    renamed: Mapping[int, AuditedPull] | None = None
    changed: Sequence[tuple[Row, Judgement, Judgement]] = ()

    @property
    def kept(self) -> float:
        """The share of rows that keep their result under renaming."""
        outside = (Result.NOT_BUILT, Result.NOT_READ)
        scored = [j for j in self.judgements if j.result not in outside]
        return 1.0 - len(self.changed) / len(scored) if scored else 1.0

    @property
    def faults(self) -> int:
        """How often this tool failed, in either run."""
        return sum(
            len(p.faults) for pulls in (self.pulls, self.renamed or {}) for p in pulls.values()
        )

    def by_rule(self) -> dict[str, list[Judgement]]:
        rules: dict[str, list[Judgement]] = {}
        for judgement in sorted(self.judgements, key=lambda j: (j.row.rule, j.row.pr)):
            rules.setdefault(judgement.row.rule, []).append(judgement)
        return rules


def render(bench: Bench) -> Iterator[str]:
    """Line by line: each rule's rows with links, then one table, then cost and renaming."""
    for rule, judgements in bench.by_rule().items():
        yield rule
        for judgement in sorted(judgements, key=lambda j: _ORDER.index(j.result)):
            yield from _row_lines(judgement)
        yield ""
    yield _COLUMNS.format(*_HEADER, "disputed", "not read", "not built")
    for rule, judgements in bench.by_rule().items():
        yield _table_row(rule, judgements)
    yield ""
    yield from _cost(bench.pulls)
    if bench.renamed is not None:
        yield from _renaming(bench)


def to_json(bench: Bench) -> dict[str, Any]:
    """The same for programs; version 1."""
    document: dict[str, Any] = {
        "version": 1,
        "rules": {
            rule: {
                "high": asdict(tally(j for j in judgements if j.row.confidence == _HIGH)),
                "all": asdict(tally(judgements)),
            }
            for rule, judgements in bench.by_rule().items()
        },
        "rows": [_row_json(judgement) for judgement in bench.judgements],
        "pulls": {str(pr): _pull_json(pull) for pr, pull in bench.pulls.items()},
    }
    if bench.renamed is not None:
        document["renamed"] = {
            "kept": bench.kept,
            "changed": [
                {**_row_json(after), "plain_result": before.result.value}
                for _, before, after in bench.changed
            ],
            "pulls": {str(pr): _pull_json(pull) for pr, pull in bench.renamed.items()},
        }
    return document


def _row_lines(judgement: Judgement) -> Iterator[str]:
    row = judgement.row
    result = judgement.result.value + (" (question)" if judgement.as_question else "")
    yield f"  {result:16} #{row.pr:<5} {row.expect.value:9} {row.confidence:6} {row.link}"
    if judgement.result is not Result.SILENT:
        for spot in judgement.spots:
            where = link(row.sha, spot.path, spot.line)
            inside = f" (line {spot.line} of its payload)" if "!" in spot.path else ""
            yield f"{'':19}{spot.level.value}: {spot.rule} at {where}{inside}"
    if judgement.reason:
        yield f"{'':19}{judgement.reason}"


def _table_row(rule: str, judgements: Sequence[Judgement]) -> str:
    high, every = tally(j for j in judgements if j.row.confidence == _HIGH), tally(judgements)
    return _COLUMNS.format(
        rule,
        _share(high.found, high.violations),
        _share(every.found, every.violations),
        every.as_question,
        _alarms(high),
        _alarms(every),
        every.listed,
        every.not_read,
        every.not_built,
    )


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} {100 * part / whole:5.1f} %" if whole else "-"


def _alarms(counts: Tally) -> str:
    return f"{counts.false_alarms}/{counts.innocents}" if counts.innocents else "-"


def _cost(pulls: Mapping[int, AuditedPull]) -> Iterator[str]:
    seconds = sorted(pull.seconds for pull in pulls.values())
    if not seconds:
        return
    slowest = sorted(pulls.items(), key=lambda item: -item[1].seconds)[:5]
    yield (
        f"{len(pulls)} pull requests, {sum(p.cpu_seconds for p in pulls.values()):.1f} s CPU, "
        f"{sum(seconds):.1f} s wall, median {seconds[len(seconds) // 2]:.2f} s, "
        f"peak {max(p.peak_bytes for p in pulls.values()) / 2**20:.0f} MiB; slowest "
        + ", ".join(f"#{pr} {pull.seconds:.1f} s" for pr, pull in slowest)
    )
    yield from _faults(pulls, "")


def _faults(pulls: Mapping[int, AuditedPull], run: str) -> Iterator[str]:
    yield from (f"#{pr}{run}: {fault}" for pr, pull in pulls.items() for fault in pull.faults)


def _renaming(bench: Bench) -> Iterator[str]:
    pulls = (bench.renamed or {}).values()
    yield (
        f"renamed: {100 * bench.kept:.1f} % of the rows keep their result "
        f"({sum(p.renamed_files for p in pulls)} files renamed, "
        f"{sum(p.unrenamed_files for p in pulls)} could not be parsed and stayed)"
    )
    for row, before, after in bench.changed:
        was, now = (f"{j.result.value} {_levels(j)}".strip() for j in (before, after))
        yield f"  #{row.pr:<5} {row.rule}: {was} -> {now}  {row.link}"
    yield from _faults(bench.renamed or {}, ", renamed")


def _levels(judgement: Judgement) -> str:
    return "+".join(sorted(spot.level.value for spot in judgement.spots))


def _row_json(judgement: Judgement) -> dict[str, Any]:
    row = judgement.row
    return {
        "pr": row.pr,
        "sha": row.sha,
        "path": row.path,
        "rule": row.rule,
        "expect": row.expect.value,
        "line": row.line,
        "confidence": row.confidence,
        "result": judgement.result.value,
        "as_question": judgement.as_question,
        "reason": judgement.reason,
        "link": row.link,
        "findings": [
            {
                "rule": spot.rule,
                "level": spot.level.value,
                "path": spot.path,
                "line": spot.line,
                "link": link(row.sha, spot.path, spot.line),
            }
            for spot in judgement.spots
        ],
    }


def _pull_json(pull: AuditedPull) -> dict[str, Any]:
    return {
        "seconds": round(pull.seconds, 3),
        "cpu_seconds": round(pull.cpu_seconds, 3),
        "peak_bytes": pull.peak_bytes,
        "faults": list(pull.faults),
        "problems": list(pull.problems),
        "submissions": [
            {"path": s.path, "entry": s.entry, "verdict": s.verdict} for s in pull.submissions
        ],
    }
