"""``pgcheck bench`` end to end, on a clone with two small pull requests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auditor.bench.cli import bench
from auditor.rules.registry import RULES

RULE = next(rule for rule in RULES if rule.slug == "target-in-key")
TRACK = "records/track_10min_16mb"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(folder: Path, branch: str, files: dict[str, str]) -> str:
    git(folder, "checkout", "-q", *(("-b", branch, "main") if branch != "main" else ()))
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", branch)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A clone whose two pull requests add the rule's own examples, and labels for both."""
    folder = tmp_path_factory.mktemp("clone")
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("# The challenge\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "start")
    rows = []
    for pr, (code, expect) in enumerate(
        [(RULE.forbidden, "violation"), (RULE.allowed, "clean")], start=1
    ):
        path = f"{TRACK}/2026-01-0{pr}_Example/train_gpt.py"
        sha = commit(folder, f"b{pr}", {path: code})
        rows.append(
            {"pr": pr, "sha": sha, "path": path, "rule": RULE.slug, "expect": expect}
            | {"line": 1, "confidence": "high", "basis": "example", "note": ""}
        )
    return folder, rows


def run(
    clone: tuple[Path, list[dict[str, Any]]], tmp_path: Path, *options: str
) -> tuple[int, str, dict[str, Any]]:
    folder, rows = clone
    labels, report = tmp_path / "labels.jsonl", tmp_path / "bench.json"
    labels.write_text("\n".join(json.dumps(row) for row in rows))
    arguments = [str(labels), "--repo", str(folder), "--jobs", "2", "--json", str(report), *options]
    done = CliRunner().invoke(bench, arguments, standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.output, json.loads(report.read_text())


def test_found_and_silent_under_both_names(
    clone: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    code, output, document = run(clone, tmp_path, "--renamed")
    assert code == 0
    assert [row["result"] for row in document["rows"]] == ["found", "silent"]
    assert document["renamed"]["kept"] == 1.0
    assert all(pull["seconds"] > 0 for pull in document["pulls"].values())
    assert f"blob/{clone[1][0]['sha']}/{TRACK}" in output


def test_an_absent_commit_is_told_and_not_scored_as_silence(
    clone: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = clone
    absent = [{**rows[1], "sha": "0" * 40}]
    _, _, document = run((folder, absent), tmp_path)
    assert [row["result"] for row in document["rows"]] == ["not read"]
    assert document["rows"][0]["reason"]


@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        ("{", (), "line 1 is no label"),
        ("", ("--rule", "no-such"), "no row of"),
    ],
)
def test_bad_input_gets_one_line(
    tmp_path: Path, labels: str, options: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(labels)
    done = CliRunner().invoke(bench, [str(path), "--repo", str(tmp_path), *options])
    assert done.exit_code == 2
    assert said in done.output
