"""The run of each seed: of several logs with one seed, the one that fits what is claimed."""

from __future__ import annotations

from auditor.evidence.record import Record, Run


def run_of_each_seed(record: Record) -> dict[int, Run]:
    """By seed, the runs with a final score. Without claimed seeds, those of every log."""
    claimed = set(record.claims.seeds)
    by_seed: dict[int, list[Run]] = {}
    for run in record.runs:
        if run.seed is not None and bpb(run) is not None and run.seed in (claimed or {run.seed}):
            by_seed.setdefault(run.seed, []).append(run)
    return {seed: _fitting(record, seed, runs) for seed, runs in by_seed.items()}


def bpb(run: Run) -> float | None:
    """The run's final score in bits per byte."""
    return run.headline.val_bpb if run.headline is not None else None


def _fitting(record: Record, seed: int, runs: list[Run]) -> Run:
    """The run with the score that is claimed for the seed, or near the claimed mean."""
    claimed = record.claims.score_of(seed) or record.claims.score
    if claimed is None:
        return runs[-1]
    return min(runs, key=lambda run: abs((bpb(run) or 0.0) - claimed.value))
