"""File trees: nothing outside the root is read, and what can't be read is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.git import GitError, GitRepository
from auditor.submission.model import Party
from auditor.submission.tree import DirectoryTree, GitTree, Unreadable, blob_id, decode, normalise


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\xef\xbb\xbfa", "a"),
        ("ü".encode("utf-16"), "ü"),
        (b"# coding: latin-1\n\xfc", "# coding: latin-1\nü"),
        (b"\xfc\x00", "ü\0"),
        (b"# coding: zlib\n\xfc", "# coding: zlib\nü"),
        (b"# coding: nonsense\n\xfc", "# coding: nonsense\nü"),
    ],
)
def test_decode(data: bytes, text: str) -> None:
    assert decode(data) == text


@given(st.binary(max_size=300))
def test_decode_never_fails(data: bytes) -> None:
    assert "\r" not in decode(data)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a/./b/../c", "a/c"),
        ("../a", None),
        ("a/../../b", None),
        ("/etc/passwd", "etc/passwd"),
        ("", ""),
    ],
)
def test_normalise(path: str, inside: str | None) -> None:
    assert normalise(path) == inside


def test_links_are_followed_inside_only(tmp_path: Path) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("secret = 1")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "real.py").write_text("real = 1")
    (root / "inside.py").symlink_to("real.py")
    (root / "outside.py").symlink_to(outside)
    (root / "absolute.py").symlink_to("/etc/hostname")
    (root / "loop.py").symlink_to("loop.py")
    (root / "dead.py").symlink_to("nothing.py")
    (root / "sub" / "up").symlink_to("..")
    (root / "folder").symlink_to(tmp_path)
    tree = DirectoryTree(root)
    assert sorted(tree.sizes) == ["inside.py", "real.py"]
    assert {"outside.py", "absolute.py", "loop.py", "dead.py"} <= set(tree.outside)
    assert tree.text("inside.py") == "real = 1"
    for path in ("outside.py", "../secret.py", "folder/secret.py", "sub/up/../secret.py"):
        with pytest.raises(Unreadable):
            tree.text(path)


def test_link_swapped_in_after_listing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.py").write_text("x")
    (tmp_path / "secret").write_text("secret")
    tree = DirectoryTree(root)
    assert "a.py" in tree
    (root / "a.py").unlink()
    (root / "a.py").symlink_to(tmp_path / "secret")
    with pytest.raises(Unreadable):
        tree.text("a.py")


def test_special_files_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert not DirectoryTree(tmp_path).sizes


def test_too_large_for_text(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 100)
    with pytest.raises(Unreadable) as caught:
        DirectoryTree(tmp_path).text("a.log", limit=99)
    assert caught.value.problem.party is Party.TOOL


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    (tmp_path / "a.py").chmod(0)
    with pytest.raises(Unreadable) as caught:
        DirectoryTree(tmp_path).text("a.py")
    assert caught.value.problem.party is Party.ENVIRONMENT


def test_git_tree_reads_a_bare_clone(tmp_path: Path, repo: Any) -> None:
    name = 'odd "näme"\n.py'
    head = repo.commit({name: "x = 1\r\n", "big.bin": b"\0\n" * 5000})
    (repo.root / "link.py").symlink_to("/etc/hostname")
    head = repo.commit({})
    with GitRepository(repo.bare(tmp_path / "bare")) as clone:
        tree = GitTree(clone, head)
        assert tree.text(name) == "x = 1\n"
        assert tree.read("big.bin") == b"\0\n" * 5000
        assert tree.oid("big.bin") == blob_id(b"\0\n" * 5000)
        assert "link.py" not in tree
        assert tree.sizes["big.bin"] == 10_000


def test_absent_blob_is_the_environments(tmp_path: Path, repo: Any) -> None:
    head = repo.commit({"gone.bin": b"weights", "here.py": "x = 1"})
    oid = blob_id(b"weights")
    (repo.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    with GitRepository(repo.root) as clone:
        tree = GitTree(clone, head)
        assert tree.sizes["gone.bin"] is None
        with pytest.raises(Unreadable) as caught:
            tree.read("gone.bin")
        assert caught.value.problem.party is Party.ENVIRONMENT
        assert tree.text("here.py") == "x = 1"


def test_partial_clone_is_never_fetched_from(tmp_path: Path, repo: Any) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    head = repo.commit({"weights.bin": b"w" * 50_000, "here.py": "x = 1"})
    partial = tmp_path / "partial"
    repo.git(
        "clone", "--quiet", "--bare", "--filter=blob:limit=1k", f"file://{repo.root}", str(partial)
    )
    with GitRepository(partial) as clone:
        tree = GitTree(clone, head)
        with pytest.raises(Unreadable):
            tree.read("weights.bin")
        assert tree.text("here.py") == "x = 1"
        with pytest.raises(Unreadable):
            tree.read("weights.bin")


def test_git_configuration_starts_no_program(tmp_path: Path, repo: Any) -> None:
    mark = tmp_path / "ran"
    for key in ("core.fsmonitor", "core.sshCommand", "diff.external", "core.pager", "gpg.program"):
        repo.git("config", key, f"touch {mark}")
    with GitRepository(repo.root) as clone:
        head = clone.commit("HEAD")
        assert head
        clone.entries(head)
        clone.changes(head, head)
    assert not mark.exists()


@pytest.mark.parametrize("revision", ["--output=x", "-x", "a b", "a\nb", "", "nothing"])
def test_odd_revisions_name_nothing(revision: str, repo: Any) -> None:
    with GitRepository(repo.root) as clone:
        assert clone.commit(revision) is None


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(GitError):
        GitRepository(tmp_path)
