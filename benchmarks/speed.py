"""How long one cold audit takes, against bandit on the same script in the same run.

    python benchmarks/speed.py --repo CLONE [--rounds N]

CLONE is a clone of openai/parameter-golf with the pull-request refs. The record folders of five
pull requests are written to a temporary folder; each round then starts ``pgcheck audit FOLDER`` and
``bandit SCRIPT`` one after the other. Prints wall and CPU medians in seconds, and the ratio of
each: CPU time is what to trust on a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
import compileall
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from statistics import median

import auditor
from auditor.submission.git import GitError, GitRepository

RECORDS = "records/track_10min_16mb"
SEEDS = {
    1094: f"{RECORDS}/2026-03-29_SwarmDesigned_CausalBackoffNgramMixer_0.4027/train_gpt.py",
    825: f"{RECORDS}/2026-03-26_OrderAdaptive_BackoffMixer/train_gpt.py",
    864: f"{RECORDS}/2026-03-26_11L_ParallelMuon_NgramBackoff/train_gpt.py",
    871: f"{RECORDS}/2026-03-26_NgramBackoff_LeakyReLU_WIP/train_gpt.py",
    803: f"{RECORDS}/2026-03-26_ComplementaryBackoff_0.4416/train_gpt.py",
}
PGCHECK = (sys.executable, "-c", "import sys; from auditor.cli import main; sys.exit(main())")
BANDIT = (sys.executable, "-m", "bandit", "--quiet", "--format", "json")


@dataclass
class Times:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, command: tuple[str, ...]) -> None:
        """Starts a fresh process and keeps its wall and CPU seconds; 0 and 1 are normal exits."""
        before, started = _children_cpu(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.wall.append(time.perf_counter() - started)
        self.cpu.append(_children_cpu() - before)
        if done.returncode not in (0, 1):
            said = f"{done.stdout[-500:]}{done.stderr[-500:]}"
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{said}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Cold audits against bandit, as ratios.")
    parser.add_argument("--repo", required=True, help="a clone with the pull-request refs")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    compileall.compile_dir(str(Path(auditor.__file__).parent), quiet=1)  # as pip leaves a package
    with tempfile.TemporaryDirectory() as folder:
        scripts = {pr: _extract(arguments.repo, pr, Path(folder)) for pr in SEEDS}
        audits = {pr: Times() for pr in SEEDS}
        bandits = {pr: Times() for pr in SEEDS}
        for _ in range(arguments.rounds):
            for pr, script in scripts.items():
                audits[pr].run((*PGCHECK, "audit", str(script.parent)))
                bandits[pr].run((*BANDIT, str(script)))
    _print(audits, bandits, arguments.rounds)


def _extract(repo: str, pr: int, folder: Path) -> Path:
    """Writes the record folder's files that the clone holds; returns the script's path."""
    script = PurePosixPath(SEEDS[pr])
    try:
        with GitRepository(repo) as clone:
            commit = clone.first_commit(f"refs/pull/{pr}/head") or sys.exit(f"no #{pr} in {repo}")
            for path, entry in clone.entries(commit).items():
                if not path.startswith(f"{script.parent}/") or not entry.is_file:
                    continue
                data = clone.blob(entry.oid)
                if data is not None:
                    target = folder / str(pr) / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)
    except GitError as error:
        sys.exit(str(error))
    return folder / str(pr) / script


def _print(audits: dict[int, Times], bandits: dict[int, Times], rounds: int) -> None:
    print(f"{rounds} rounds; medians in seconds: wall (CPU)")
    print(f"{'':8}{'pgcheck':>16}{'bandit':>16}{'ratio':>16}")
    for pr in audits:
        _line(f"#{pr}", audits[pr], bandits[pr])
    _line("all", _pooled(audits), _pooled(bandits))


def _pooled(times: dict[int, Times]) -> Times:
    return Times(
        [t for each in times.values() for t in each.wall],
        [t for each in times.values() for t in each.cpu],
    )


def _line(name: str, audit: Times, bandit: Times) -> None:
    wall, cpu = (median(audit.wall), median(bandit.wall)), (median(audit.cpu), median(bandit.cpu))
    cells = [f"{w:.2f} ({c:.2f})" for w, c in zip(wall, cpu, strict=True)]
    cells.append(f"{wall[0] / wall[1]:.2f} ({cpu[0] / cpu[1]:.2f})")
    print(f"{name:8}" + "".join(f"{cell:>16}" for cell in cells))


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
