"""Tiny git repositories for the loader's tests."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

BASELINE = """\
import torch
import torch.nn.functional as F


def main():
    loss = F.cross_entropy(torch.zeros(1, 4), torch.zeros(1, dtype=torch.long))
    print("val_loss", loss)


if __name__ == "__main__":
    main()
"""


class Repo:
    """A work tree with a ``main`` branch that holds the baseline."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit({"train_gpt.py": BASELINE, "README.md": "TTT_ENABLED=1 python train_gpt.py\n"})

    def git(self, *arguments: str, at: int = 0) -> str:
        """Runs git, ``at`` seconds from now as far as commits are concerned."""
        identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        if at:
            identity["GIT_COMMITTER_DATE"] = f"@{int(time.time()) + at} +0000"
        for role in ("AUTHOR", "COMMITTER"):
            identity |= {f"GIT_{role}_NAME": "T", f"GIT_{role}_EMAIL": "t@example.org"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **identity},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: Mapping[str, str | bytes], message: str = "change", at: int = 0) -> str:
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message, at=at)
        return self.git("rev-parse", "HEAD")

    def pull(self, number: int, files: Mapping[str, str | bytes]) -> str:
        """A pull request against main, kept the way GitHub's refs keep it."""
        self.git("checkout", "--quiet", "-B", f"pr-{number}", "main")
        head = self.commit(files)
        self.git("update-ref", f"refs/pull/{number}/head", head)
        self.git("checkout", "--quiet", "main")
        return head

    def bare(self, to: Path) -> Path:
        self.git("clone", "--quiet", "--mirror", str(self.root), str(to))
        return to


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A work tree with one commit on main."""
    return Repo(tmp_path / "work")
