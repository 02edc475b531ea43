"""From inputs to submissions: every kind of input, and every kind of bad one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.submission.evidence import MAX_LOG
from auditor.submission.load import load
from auditor.submission.model import Party, Problem, Submission

TRACK = "records/track_10min_16mb"
RECORD = f"{TRACK}/2026-03-26_Mine"
EXPERIMENT = """\
import torch.nn.functional as F


def main():
    print("val_bpb", F.cross_entropy(a, b))


if __name__ == "__main__":
    main()
"""


def split(items: Any) -> tuple[list[Submission], list[Problem]]:
    found = list(items)
    return (
        [i for i in found if isinstance(i, Submission)],
        [i for i in found if isinstance(i, Problem)],
    )


def entries(items: Any) -> list[str]:
    submissions, _ = split(items)
    return [s.entry.path for s in submissions]


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


# ---- pull requests in a clone ----


@pytest.mark.parametrize("bare", [True, False])
def test_pull_request(bare: bool, repo: Any, tmp_path: Path) -> None:
    head = repo.pull(
        7,
        {
            f"{RECORD}/train_gpt.py": EXPERIMENT + "import helper\n",
            f"{RECORD}/helper.py": "x = 1",
            f"{RECORD}/README.md": "# Mine",
            f"{RECORD}/submission.json": '{"val_bpb": 1.1}',
            f"{RECORD}/run.sh": "SEED=1 torchrun train_gpt.py",
            f"{RECORD}/train_seed1.log": "val_bpb:1.1",
            f"{RECORD}/logs/a.txt": "val_bpb:1.1",
            f"{RECORD}/5119d440-3d25.txt": "step:1/2 train_loss:2\nstep:2/2 val_loss:2 val_bpb:1.1\n",
            f"{RECORD}/notes.txt": "We saw val_bpb: 1.1 once.",
            f"{RECORD}/kernel.cu": "__global__ void k() {}",
            f"{RECORD}/requirements.txt": "torch",
        },
    )
    clone = repo.bare(tmp_path / "bare") if bare else repo.root
    (found,), problems = split(load([], repo=clone, prs=[7]))
    assert not problems
    assert (found.path, found.entry.path) == (RECORD, f"{RECORD}/train_gpt.py")
    assert found.revision == head and not found.auxiliary
    assert set(found.modules) == {"helper"}
    assert found.metadata == {"val_bpb": 1.1}
    assert [s.path for s in found.readme] == [f"{RECORD}/README.md"]
    assert [s.path for s in found.run_scripts] == [f"{RECORD}/run.sh"]
    assert [s.path for s in found.logs] == [
        f"{RECORD}/{name}" for name in ("5119d440-3d25.txt", "logs/a.txt", "train_seed1.log")
    ]
    assert [s.path for s in found.natives] == [f"{RECORD}/kernel.cu"]
    assert found.files[f"{RECORD}/requirements.txt"] == 5


def test_several_records_are_several_submissions(repo: Any) -> None:
    files = {f"{TRACK}/{name}/train_gpt.py": EXPERIMENT + f"# {name}" for name in "abc"}
    repo.pull(1, files)
    assert entries(load([], repo=repo.root, prs=[1])) == sorted(files)


def test_records_that_were_there_before_are_left_out(repo: Any) -> None:
    repo.commit({f"{TRACK}/old/train_gpt.py": EXPERIMENT})
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT + "#", f"{TRACK}/old/README.md": "typo"})
    assert entries(load([], repo=repo.root, prs=[1])) == [f"{RECORD}/train_gpt.py"]


def test_baseline_is_no_submission_until_it_is_changed(repo: Any) -> None:
    baseline = (repo.root / "train_gpt.py").read_text()
    repo.pull(1, {"notes.md": "x", "copy/train_gpt.py": baseline})
    submissions, problems = split(load([], repo=repo.root, prs=[1]))
    assert not submissions and problems[0].party is Party.SUBMISSION
    repo.pull(2, {"train_gpt.py": baseline + "# changed\n"})
    (found,), _ = split(load([], repo=repo.root, prs=[2]))
    assert found.entry.path == "train_gpt.py" and not found.auxiliary
    assert not found.readme  # the challenge's own README makes no claims


@pytest.mark.parametrize(
    "path",
    [
        "our_experiment/train_gpt.py",
        "parameter-golf/records/track_10min_16mb/x/train_gpt.py",
        "records/just_a_name/train_gpt.py",
        "record3/train_gpt.py",
        "records/track_10min_16mb/train.py",
        "eval/ngram_eval.py",
        f"{RECORD}/code/train_v5.py",
    ],
)
def test_odd_places(path: str, repo: Any) -> None:
    repo.pull(1, {path: EXPERIMENT + "# mine"})
    assert entries(load([], repo=repo.root, prs=[1])) == [path]


def test_record_that_is_kept_elsewhere_is_no_entry(repo: Any) -> None:
    copy = "analysis/other/records/track_10min_16mb/theirs/train_gpt.py"
    repo.pull(1, {copy: EXPERIMENT + "#1", f"{RECORD}/train_gpt.py": EXPERIMENT + "#2"})
    submissions, _ = split(load([], repo=repo.root, prs=[1]))
    assert [(s.entry.path, s.auxiliary) for s in submissions] == [
        (f"{RECORD}/train_gpt.py", False),
        (copy, True),
    ]


def test_scripts_beside_the_entry_are_auxiliary(repo: Any) -> None:
    repo.pull(
        1,
        {
            f"{RECORD}/train_gpt.py": EXPERIMENT + "import reached",
            f"{RECORD}/reached.py": EXPERIMENT + "#1",
            f"{RECORD}/train_v2.py": EXPERIMENT + "#2",
            f"{RECORD}/copy_of_v2.py": EXPERIMENT + "#2",
            f"{RECORD}/tools.py": "def helper(): pass",
            f"{RECORD}/launch.py": "import runpy\nrunpy.run_path('train_gpt.py')",
            "sweep/train_big.py": EXPERIMENT + "#3",
        },
    )
    submissions, _ = split(load([], repo=repo.root, prs=[1]))
    assert [(s.entry.path, s.auxiliary) for s in submissions] == [
        (f"{RECORD}/train_gpt.py", False),
        (f"{RECORD}/copy_of_v2.py", True),
        ("sweep/train_big.py", True),
    ]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("train_gpt_b.py", {"submission.json": '{"script": "train_gpt_b.py"}'}),
        ("train_gpt_b.py", {"README.md": "Run `torchrun --nproc_per_node=8 train_gpt_b.py`"}),
        (
            "train_gpt_b.py",
            {"run.sh": "torchrun train_gpt_b.py", "README.md": "see train_gpt_a.py"},
        ),
        ("train_gpt_a.py", {}),
    ],
)
def test_entry_without_the_usual_name(name: str, files: dict[str, str], repo: Any) -> None:
    scripts = {"train_gpt_a.py": EXPERIMENT + "#a", "train_gpt_b.py": EXPERIMENT + "#b"}
    repo.pull(1, {f"{RECORD}/{path}": text for path, text in {**scripts, **files}.items()})
    submissions, _ = split(load([], repo=repo.root, prs=[1]))
    assert submissions[0].entry.path == f"{RECORD}/{name}"


def test_merged_pull_request_is_compared_with_what_was_before(repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    repo.commit({f"{TRACK}/other/train_gpt.py": EXPERIMENT + "# other"})
    repo.git("merge", "--quiet", "--no-ff", "--message", "merge", "pr-1")
    repo.commit({f"{TRACK}/later/train_gpt.py": EXPERIMENT + "# later"})
    assert entries(load([], repo=repo.root, prs=[1])) == [f"{RECORD}/train_gpt.py"]


def test_pull_request_that_merged_main_into_itself(repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    repo.commit({f"{TRACK}/other/train_gpt.py": EXPERIMENT + "# other"})
    repo.git("checkout", "--quiet", "pr-1")
    repo.git("merge", "--quiet", "--message", "update", "main")
    repo.git("update-ref", "refs/pull/1/head", "HEAD")
    repo.git("checkout", "--quiet", "main")
    assert entries(load([], repo=repo.root, prs=[1])) == [f"{RECORD}/train_gpt.py"]


def test_newer_work_of_the_branch_without_its_commits(repo: Any) -> None:
    other, twin = f"{TRACK}/other/train_gpt.py", f"{TRACK}/twin/train_gpt.py"
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    repo.commit({other: EXPERIMENT + "# other", twin: EXPERIMENT + "# twin"}, at=1)
    repo.git("checkout", "--quiet", "pr-1")
    head = repo.commit({other: EXPERIMENT + "# other", twin: EXPERIMENT + "# changed"}, at=2)
    repo.git("checkout", "--quiet", "main")
    assert entries(load([], repo=repo.root, rev=head)) == [f"{RECORD}/train_gpt.py", twin]


def test_squashed_pull_request(repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    repo.commit({f"{RECORD}/train_gpt.py": EXPERIMENT}, at=1)
    assert entries(load([], repo=repo.root, prs=[1])) == [f"{RECORD}/train_gpt.py"]


def test_run_script_outside_of_the_record(repo: Any) -> None:
    other = f"{TRACK}/other/train_gpt.py"
    repo.pull(
        1,
        {
            f"{RECORD}/train_gpt.py": EXPERIMENT,
            other: EXPERIMENT + "# other",
            "go.sh": f"DEPTH=3 torchrun {RECORD}/train_gpt.py\nDEPTH=4 torchrun {other}\n",
        },
    )
    submissions, _ = split(load([], repo=repo.root, prs=[1]))
    assert {s.entry.path: [c.value for c in s.claims] for s in submissions} == {
        f"{RECORD}/train_gpt.py": ["3"],
        other: ["4"],
    }


def test_file_of_commands(repo: Any) -> None:
    repo.pull(
        1,
        {
            f"{RECORD}/train_gpt.py": EXPERIMENT,
            f"{RECORD}/commands.txt": "DEPTH=3 torchrun --nproc_per_node=8 train_gpt.py\n",
        },
    )
    (found,), _ = split(load([], repo=repo.root, prs=[1]))
    assert [(c.name, c.value, c.kind) for c in found.claims] == [("DEPTH", "3", "run-script")]


def test_unrelated_history(repo: Any) -> None:
    repo.git("checkout", "--quiet", "--orphan", "new")
    head = repo.commit({f"{RECORD}/train_gpt.py": EXPERIMENT})
    repo.git("checkout", "--quiet", "main")
    assert entries(load([], repo=repo.root, rev=head)) == [f"{RECORD}/train_gpt.py"]


def test_base_replaces_the_branch(repo: Any) -> None:
    repo.pull(1, {f"{TRACK}/first/train_gpt.py": EXPERIMENT + "#1"})
    repo.git("checkout", "--quiet", "pr-1")
    head = repo.commit({f"{TRACK}/second/train_gpt.py": EXPERIMENT + "#2"})
    repo.git("checkout", "--quiet", "main")
    assert len(entries(load([], repo=repo.root, rev=head))) == 2
    only = entries(load([], repo=repo.root, rev=head, base="refs/pull/1/head"))
    assert only == [f"{TRACK}/second/train_gpt.py"]


def test_absent_blobs(repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT, f"{RECORD}/final_model.ptz": b"weights"})
    repo.pull(2, {f"{RECORD}/train_gpt.py": EXPERIMENT + "# gone"})
    for path in (
        f"refs/pull/1/head:{RECORD}/final_model.ptz",
        f"refs/pull/2/head:{RECORD}/train_gpt.py",
    ):
        oid = repo.git("rev-parse", path)
        (repo.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    submissions, problems = split(load([], repo=repo.root, prs=[1, 2]))
    assert [s.entry.path for s in submissions] == [f"{RECORD}/train_gpt.py"]
    assert submissions[0].files[f"{RECORD}/final_model.ptz"] is None
    assert [(p.party, p.where) for p in problems] == [(Party.ENVIRONMENT, f"{RECORD}/train_gpt.py")]


def test_one_bad_pull_request_does_not_stop_the_others(repo: Any) -> None:
    repo.pull(2, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    submissions, problems = split(load([], repo=repo.root, prs=[1, 2, 3]))
    assert len(submissions) == 1
    assert [(p.where, p.party) for p in problems] == [
        ("#1", Party.ENVIRONMENT),
        ("#3", Party.ENVIRONMENT),
    ]
    assert "pull/1/head" in problems[0].remedy


def test_record_without_a_script(repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/README.md": "soon", f"{RECORD}/submission.json": "{}"})
    submissions, (problem,) = split(load([], repo=repo.root, prs=[1]))
    assert not submissions
    assert problem.where == RECORD and problem.party is Party.SUBMISSION


@pytest.mark.parametrize(
    "keyword", [{"rev": "nothing"}, {"rev": "--help"}, {"prs": [1], "base": "nothing"}]
)
def test_unknown_revisions(keyword: dict[str, Any], repo: Any) -> None:
    repo.pull(1, {f"{RECORD}/train_gpt.py": EXPERIMENT})
    submissions, (problem,) = split(load([], repo=repo.root, **keyword))
    assert not submissions and problem.party is Party.ENVIRONMENT


# ---- paths ----


def test_checkout_holds_what_it_changes(repo: Any) -> None:
    repo.commit({f"{TRACK}/old/train_gpt.py": EXPERIMENT})
    repo.git("checkout", "--quiet", "-b", "work")
    repo.commit({f"{TRACK}/committed/train_gpt.py": EXPERIMENT + "#1"})
    repo.write({f"{TRACK}/not_committed/train_gpt.py": EXPERIMENT + "#2"})
    assert entries(load([repo.root])) == [
        f"{TRACK}/committed/train_gpt.py",
        f"{TRACK}/not_committed/train_gpt.py",
    ]
    assert entries(load([repo.root], base="work")) == [f"{TRACK}/not_committed/train_gpt.py"]


def test_checkout_without_changes(repo: Any) -> None:
    submissions, (problem,) = split(load([repo.root]))
    assert not submissions and "--base" in problem.remedy


def test_git_folder_without_refs(tmp_path: Path) -> None:
    write(tmp_path, {".git/HEAD": "ref: refs/heads/main\n", f"{RECORD}/train_gpt.py": EXPERIMENT})
    (tmp_path / ".git" / "objects").mkdir()
    (tmp_path / ".git" / "refs").mkdir()
    assert entries(load([tmp_path])) == [f"{RECORD}/train_gpt.py"]


def test_broken_git_folder(tmp_path: Path) -> None:
    write(tmp_path, {".git/junk": "x", f"{RECORD}/train_gpt.py": EXPERIMENT})
    assert entries(load([tmp_path])) == [f"{RECORD}/train_gpt.py"]


def test_record_folder(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "mine", {"train_gpt.py": EXPERIMENT, "README.md": "#", "train.log": "x"}
    )
    (found,), _ = split(load([folder]))
    assert (found.path, found.entry.path, len(found.logs)) == ("", "train_gpt.py", 1)


def test_script(tmp_path: Path) -> None:
    write(tmp_path, {"my_train.py": "import helper", "helper.py": "x = 1", "other.log": "A=1"})
    (found,), _ = split(load([tmp_path / "my_train.py"]))
    assert found.entry.path == "my_train.py" and set(found.modules) == {"helper"}
    assert not found.logs  # nothing says that the log is this script's


def test_folder_without_git_asks_when_there_are_many(tmp_path: Path) -> None:
    write(tmp_path, {f"{TRACK}/r{i}/train_gpt.py": EXPERIMENT + f"#{i}" for i in range(30)})
    submissions, (problem,) = split(load([tmp_path]))
    assert not submissions and "30 candidates" in problem.what and "which one" in problem.remedy
    (tmp_path / TRACK).rename(tmp_path / "gone")
    write(tmp_path, {f"{TRACK}/r{i}/train_gpt.py": EXPERIMENT + f"#{i}" for i in range(2)})
    assert len(entries(load([tmp_path / "records"]))) == 2


BAD_PATHS = {
    "absent": lambda root: root / "nothing",
    "empty folder": lambda root: write(root / "empty", {"x/y.txt": ""}),
    "no script": lambda root: write(root / "notes", {"README.md": "#"}),
    "not a script": lambda root: write(root, {"weights.bin": b"\0"}) / "weights.bin",
    "dead link": lambda root: _link(root / "dead.py", "nowhere"),
    "link loop": lambda root: _link(root / "loop", "loop"),
    "special file": lambda root: _pipe(root / "pipe"),
    "bare clone": lambda root: write(root / "bare.git", {"HEAD": "", "objects/x": ""}),
    "impossible name": lambda root: root / ("x" * 300),
}


def _link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", BAD_PATHS)
def test_bad_path_is_one_clear_line(name: str, tmp_path: Path) -> None:
    bad = BAD_PATHS[name](tmp_path)
    good = write(tmp_path / "good", {"train_gpt.py": EXPERIMENT})
    submissions, (problem,) = split(load([bad, good]))
    assert "\n" not in str(problem) and problem.remedy
    assert len(submissions) == 1


def test_not_a_repository(tmp_path: Path) -> None:
    _, (problem,) = split(load([], repo=tmp_path, prs=[1, 2]))
    assert problem.party is Party.ENVIRONMENT


def test_folder_of_links(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("secret = 1")
    folder = write(tmp_path / "rec", {"train_gpt.py": EXPERIMENT + "import secret"})
    (folder / "secret.py").symlink_to(tmp_path / "secret.py")
    (folder / "again").symlink_to(folder)
    (found,), _ = split(load([folder]))
    assert not found.modules
    assert [p.where for p in found.problems] == ["secret.py"]


# ---- evidence ----


@pytest.mark.parametrize(
    "text", ["{", "[1]", "\xff", "", "{'a': 1}", "[" * 100_000, '{"a": ' * 5000]
)
def test_broken_metadata_is_the_submissions(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"train_gpt.py": EXPERIMENT, "submission.json": text.encode("latin-1")})
    (found,), _ = split(load([tmp_path]))
    (problem,) = found.problems
    assert problem.where == "submission.json" and problem.party is Party.SUBMISSION
    assert found.metadata is None and "\n" not in str(problem)


def test_long_log_loses_its_middle_and_keeps_its_line_numbers(tmp_path: Path) -> None:
    lines = [f"step {i} val_bpb:1.{i:06d}" for i in range(300_000)]
    write(tmp_path, {"train_gpt.py": EXPERIMENT, "train.log": "\n".join(lines)})
    (found,), _ = split(load([tmp_path]))
    kept = found.logs[0].text.split("\n")
    assert len(kept) == len(lines) and len(found.logs[0].text) < MAX_LOG * 1.2
    assert all(line in ("", lines[i]) for i, line in enumerate(kept))
    assert (kept[0], kept[-1]) == (lines[0], lines[-1])


def test_log_of_one_enormous_line(tmp_path: Path) -> None:
    write(tmp_path, {"train_gpt.py": EXPERIMENT, "train.log": "x" * (3 * MAX_LOG)})
    (found,), _ = split(load([tmp_path]))
    assert len(found.logs[0].text) == MAX_LOG


@pytest.mark.parametrize(
    "script",
    [
        b"\xff\xfe\x00",
        b"x = '\xe9'\n",
        b"\xef\xbb\xbfx = 1\r\n",
        b"x\0 = 1",
        b"def (",
        b"",
        b"#" * 10_000_000,
    ],
)
def test_odd_scripts_are_still_submissions(script: bytes, tmp_path: Path) -> None:
    write(tmp_path, {"train_gpt.py": script})
    (found,), _ = split(load([tmp_path]))
    assert found.entry.path == "train_gpt.py"


def test_fallback_for_encodings_is_stated(tmp_path: Path) -> None:
    write(tmp_path, {"train_gpt.py": b"x = '\xe9'\n"})
    (found,), _ = split(load([tmp_path]))
    assert "Latin-1" in found.problems[0].what and found.entry.text == "x = 'é'\n"


_NAMES = st.sampled_from(
    (
        "train_gpt.py train.py submission.json README.md run.sh a.log k.cu sub/train_gpt.py "
        "records/t/x/train_gpt.py x"
    ).split()
)
_CONTENT = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            EXPERIMENT.encode(),
            b"{}",
            json.dumps({"val_bpb": [1]}).encode(),
            b"exec(x)",
            b"import train, sub.train_gpt",
        ]
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(files=st.dictionaries(_NAMES, _CONTENT, max_size=6))
def test_any_folder_is_survived(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("any")
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = list(load([root]))
    assert found
    assert all(isinstance(item, (Submission, Problem)) for item in found)


# ---- the public queue ----

CLONE = os.environ.get("PG_CLONE")


@pytest.mark.skipif(not CLONE, reason="PG_CLONE names no clone of openai/parameter-golf")
@pytest.mark.parametrize(
    ("number", "payloads", "modules"),
    [
        (1094, 0, {"swarm_agents"}),
        (1518, 6, {"tapin_cpp", "train_gpt"}),
        (1145, 0, {"online_best_agree_eval.py"}),
    ],
)
def test_public_pull_requests(number: int, payloads: int, modules: set[str]) -> None:
    submissions, problems = split(load([], repo=CLONE, prs=[number]))
    assert not problems
    assert sum(map(len, submissions[0].payloads.values())) == payloads
    assert set(submissions[0].modules) == modules
