"""Definitions out of the five submissions that the reference is compared with, from a clone.

Nothing of their code is kept in this repository: a class is read from its pinned commit, together
with the functions, classes and constants that it names, and run in this process.
"""

from __future__ import annotations

import ast
import math
import os
import subprocess
from typing import Any

RECORDS = "records/track_10min_16mb"
SEEDS = {  # pull request: commit, folder
    "1094": ("69cf56ae6", "2026-03-29_SwarmDesigned_CausalBackoffNgramMixer_0.4027"),
    "825": ("79ae889af", "2026-03-26_OrderAdaptive_BackoffMixer"),
    "864": ("74c599514", "2026-03-26_11L_ParallelMuon_NgramBackoff"),
    "871": ("8e1ca7cbe", "2026-03-26_NgramBackoff_LeakyReLU_WIP"),
    "803": ("d9cf80d9d", "2026-03-26_ComplementaryBackoff_0.4416"),
}


class MissingSeed(LookupError):
    """The clone does not hold a submission; the message says what to fetch."""


def definition(repo: str, pull: str, file: str, name: str, given: dict[str, Any]) -> Any:
    """What ``name`` means in a submission's file. ``given`` stands in for what it imports."""
    import numpy as np
    import torch
    from torch import nn

    commit, folder = SEEDS[pull]
    tree = ast.parse(_text(repo, commit, f"{RECORDS}/{folder}/{file}"))
    needed = _needed(tree, name)
    kept: list[ast.stmt] = ast.parse("from __future__ import annotations").body
    kept += [node for node in tree.body if _names(node) & needed]
    space: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "nn": nn, "F": nn.functional}
    space |= {"os": os, "math": math, "np": np, **given}
    exec(compile(ast.Module(kept, []), f"{commit}:{file}", "exec"), space)
    return space[name]


def _text(repo: str, commit: str, path: str) -> str:
    shown = subprocess.run(
        ["git", "-C", repo, "show", f"{commit}:{path}"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        hint = "fetch +refs/pull/*/head:refs/pull/*/head"
        raise MissingSeed(f"{repo}: {shown.stderr.strip()}; {hint}")
    return shown.stdout


def _names(node: ast.stmt) -> set[str]:
    """What a statement at the top of a module defines."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    return {t.id for t in getattr(node, "targets", ()) if isinstance(t, ast.Name)}


def _needed(tree: ast.Module, name: str) -> set[str]:
    """The name and every name that its definition leads to."""
    found, todo = {name}, [name]
    while todo:
        wanted = todo.pop()
        for node in (n for n in tree.body if wanted in _names(n)):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            todo += used - found
            found |= used
    return found
