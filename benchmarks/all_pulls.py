"""Audits every pull request of a clone, cold, and says what it cost and whether anything broke.

    python benchmarks/all_pulls.py --repo CLONE --output audits.jsonl [--jobs N]

Writes one JSON line per pull request as it ends. Run again with the same output to go on where a
run stopped: a pull request whose head is already there is not audited again. Exits with 1 if any
audit broke (no crash, no traceback and no timeout is the bar).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from auditor.bench.audits import AuditTask, audit_commit
from auditor.bench.pool import Ended, run_each
from auditor.bench.scoring import AuditedPull

PULL = re.compile(r"(?:refs/pull/|refs/remotes/origin/(?:pull|pr)/)(\d+)(?:/head)?")
SLOWEST = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Audits all pull requests of a clone.")
    parser.add_argument("--repo", required=True, help="a clone with the pull-request refs")
    parser.add_argument("--output", required=True, type=Path, help="JSON lines; resumed if present")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds per pull request")
    parser.add_argument("--sample", type=int, default=1, help="only every Nth pull request")
    arguments = parser.parse_args()
    heads = dict(list(_heads(arguments.repo))[:: arguments.sample])
    done = {line["pr"]: line for line in _lines(arguments.output)}
    tasks = [
        AuditTask(arguments.repo, pr, sha)
        for pr, sha in heads.items()
        if done.get(pr, {}).get("sha") != sha
    ]
    started = time.monotonic()
    with arguments.output.open("a", encoding="utf-8") as output:
        output.write("\n" if done and not arguments.output.read_bytes().endswith(b"\n") else "")
        for ended in run_each(audit_commit, tasks, jobs=arguments.jobs, timeout=arguments.timeout):
            line = _line(ended)
            done[line["pr"]] = line
            output.write(json.dumps(line) + "\n")
            output.flush()
    wall = time.monotonic() - started
    print(f"{len(tasks)} of {len(heads)} pull requests in {wall:.1f} s with {arguments.jobs} jobs")
    return _summary([done[pr] for pr in heads], arguments.jobs)


def _heads(repo: str) -> Iterator[tuple[int, str]]:
    """Number and head commit of every pull request, oldest first."""
    listed = subprocess.run(
        ["git", "-C", repo, "for-each-ref", "--format=%(objectname) %(refname)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        sys.exit(f"{repo}: {listed.stderr.strip()}")
    found = {}
    for line in listed.stdout.splitlines():
        sha, ref = line.split(" ", 1)
        match = PULL.fullmatch(ref)
        if match:
            found[int(match[1])] = sha
    if not found:
        sys.exit(f"{repo} has no pull-request refs: fetch +refs/pull/*/head:refs/pull/*/head")
    yield from sorted(found.items())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if text:
                yield json.loads(text)
        except ValueError:  # the line that an interrupted run was writing
            print(f"{path}:{number} is incomplete and left out", file=sys.stderr)


def _line(ended: Ended[AuditTask, AuditedPull]) -> dict[str, Any]:
    pull = ended.value or AuditedPull(error=ended.error)
    return {
        "pr": ended.task.pr,
        "sha": ended.task.sha,
        "seconds": round(ended.seconds, 3),
        "cpu_seconds": round(ended.cpu_seconds, 3),
        "peak_bytes": ended.peak_bytes,
        "faults": list(pull.faults),
        "problems": list(pull.problems),
        "submissions": [
            {
                "path": s.path,
                "entry": s.entry,
                "verdict": s.verdict,
                "findings": [[f.rule, f.level.value, f.path, f.line] for f in s.spots],
            }
            for s in pull.submissions
        ],
    }


def _summary(lines: list[dict[str, Any]], jobs: int) -> int:
    with_records = [line for line in lines if line["submissions"]]
    broken = [line for line in lines if line["faults"]]
    print(f"{len(with_records)} add a submission, {len(lines) - len(with_records)} do not")
    verdicts = Counter(s["verdict"] for line in lines for s in line["submissions"])
    print("verdicts: " + _counts(verdicts.items()))
    findings = Counter(
        f"{rule} {level}"
        for line in lines
        for rule, level in {(f[0], f[1]) for s in line["submissions"] for f in s["findings"]}
    )
    print("pull requests by finding: " + _counts(findings.items()))
    peaks = sorted((line["peak_bytes"] for line in lines), reverse=True)
    print(
        f"work {sum(line['seconds'] for line in lines):.1f} s wall, "
        f"{sum(line['cpu_seconds'] for line in lines):.1f} s CPU; largest process "
        f"{max(peaks, default=0) / 2**20:.0f} MiB, {jobs} largest together "
        f"{sum(peaks[:jobs]) / 2**20:.0f} MiB"
    )
    print("slowest:")
    for line in sorted(lines, key=lambda each: -each["seconds"])[:SLOWEST]:
        print(
            f"  #{line['pr']:<5} {line['seconds']:6.2f} s wall {line['cpu_seconds']:6.2f} s CPU "
            f"{line['peak_bytes'] / 2**20:5.0f} MiB"
        )
    print(f"broken: {len(broken)}")
    for line in broken:
        print(f"  #{line['pr']}: {'; '.join(line['faults'])}")
    return 1 if broken else 0


def _counts(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(items)) or "none"


if __name__ == "__main__":
    sys.exit(main())
