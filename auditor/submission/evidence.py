"""What lies beside the code: README, logs, run scripts and submission.json."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.submission.languages import SHELL_SUFFIXES, language_of
from auditor.submission.model import Party, Problem, SourceFile
from auditor.submission.text import split_lines
from auditor.submission.tree import FileTree, Unreadable

MAX_LOG = 2 * 1024 * 1024  # characters kept of one log: its head and its tail
MAX_README = 1024 * 1024  # bytes
_LARGEST_LOG = 64 * 1024 * 1024  # bytes
MAX_LAUNCHER = 24 * 1024  # bytes; a longer script does work of its own
_MAX_FILES = 60  # of each kind
_MOST_PREPARING = 4
_README = re.compile(r"(?i)readme[^/]*\.(?:md|rst|txt)$|readme$")
_LOG = re.compile(
    r"(?i)\.log$|(?:^|[/_-])(?:logs?|train|eval|seed|run|out(?:put)?|results?)[^/]*\.txt$|^logs?/.*\.txt$"
)
_UNCLEAR = (".txt", ".out")  # a log if it holds a run's metrics, whatever its name
_METRICS = re.compile(r"\b(?:train_loss|val_loss|val_bpb)\s*[:=]\s*\d")
_FEWEST_METRICS = 3
_REQUIREMENTS = re.compile(
    r"(?i)(?:^|/)(?:requirements[^/]*\.(?:txt|in)|pyproject\.toml|environment\.ya?ml)$"
)
_COMMANDS = re.compile(r"(?i)^commands?[^/]*\.txt$")
_PREPARES = re.compile(
    r"(?i)(?:^|[/_-])(?:prep|retok|token|shard|download|build|make|create|process|export)\w*[^/]*\.py$"
)
_LAUNCHES = re.compile(r"\bsubprocess\b|\brunpy\b|\btorchrun\b|\bos\.(?:environ|system|exec)")


@dataclass
class Evidence:
    """Everything in a folder that is not the program."""

    readme: list[SourceFile] = field(default_factory=list)
    run_scripts: list[SourceFile] = field(default_factory=list)
    logs: list[SourceFile] = field(default_factory=list)
    requirements: list[SourceFile] = field(default_factory=list)
    preparation: list[SourceFile] = field(default_factory=list)
    metadata: Mapping[str, Any] | None = None
    metadata_file: SourceFile | None = None
    problems: list[Problem] = field(default_factory=list)


def collect(tree: FileTree, folder: str, files: Iterable[str]) -> Evidence:
    """Reads the evidence among ``files``; what can't be read becomes a problem."""
    found = Evidence()
    for path in files:
        inside = posixpath.relpath(path, folder) if folder else path
        kind = kind_of(inside)
        unclear = not kind and inside.lower().endswith(_UNCLEAR)
        kept = found.logs if unclear else getattr(found, kind) if kind else None
        if kept is None or len(kept) >= _MAX_FILES:
            continue
        try:
            text = tree.text(path, _LARGEST_LOG if kept is found.logs else MAX_README)
        except Unreadable as error:
            if not unclear:
                found.problems.append(error.problem)
            continue
        if unclear and len(_METRICS.findall(text)) < _FEWEST_METRICS:
            continue
        kept.append(
            SourceFile(path, _shortened(text) if kept is found.logs else text, language_of(path))
        )
    found.readme.sort(key=lambda s: (not _README.search(s.path), s.path.count("/"), s.path))
    _read_metadata(tree, folder, list(files), found)
    return found


def run_scripts_outside(
    tree: FileTree, paths: Iterable[str], folder: str, entry: str
) -> list[SourceFile]:
    """Run scripts elsewhere among ``paths`` that start the record's entry by its full path."""
    found = []
    for path in sorted(paths) if folder else ():
        if path.lower().endswith(SHELL_SUFFIXES) and not path.startswith(f"{folder}/"):
            try:
                text = tree.text(path, MAX_LAUNCHER)
            except Unreadable:
                continue  # not the record's own: whoever audits its folder is told
            if entry in text:
                found.append(SourceFile(path, text, language_of(path)))
    return found


def launchers(tree: FileTree, files: Iterable[str], entry: str) -> list[SourceFile]:
    """The Python scripts beside the entry that only set up and start it."""
    found = []
    for path in files:
        small = (tree.sizes.get(path) or 0) <= MAX_LAUNCHER
        if path.endswith(".py") and path != entry and small:
            try:
                text = tree.text(path)
            except Unreadable:
                continue  # reported where it matters: as a script or module of its own
            if _is_launcher(text, entry):
                found.append(SourceFile(path, text))
    return found


def preparation(tree: FileTree, files: Iterable[str], entry: str) -> list[SourceFile]:
    """The Python scripts beside the entry that write shards of tokens, by name and content."""
    found: list[SourceFile] = []
    for path in files:
        if path != entry and _PREPARES.search(path) and len(found) < _MOST_PREPARING:
            try:
                text = tree.text(path, MAX_README)
            except Unreadable:
                continue  # reported where it matters: as a script or module of its own
            if ".bin" in text and "fineweb" in text:
                found.append(SourceFile(path, text))
    return found


def _is_launcher(text: str, entry: str) -> bool:
    if posixpath.basename(entry) not in text or "cross_entropy" in text:
        return False
    return bool(_LAUNCHES.search(text))


def kind_of(inside: str) -> str:
    """The field of Evidence that a file belongs to by its path inside the folder, or ""."""
    depth = inside.count("/")
    if _README.search(inside) or (depth == 0 and inside.lower().endswith(".md")):
        return "readme"
    if _REQUIREMENTS.search(inside):
        return "requirements"
    if _LOG.search(inside):
        return "logs"
    if inside.lower().endswith(SHELL_SUFFIXES) or _COMMANDS.match(inside):
        return "run_scripts"
    return ""


def is_metadata(path: str) -> bool:
    """Whether a file is the record's submission.json, by its name."""
    return re.search(r"(?i)submission[^/]*\.json$", path) is not None


def _shortened(text: str) -> str:
    """A long log without its middle; the lines that are left keep their numbers."""
    if len(text) <= MAX_LOG:
        return text
    head, tail = text.rfind("\n", 0, MAX_LOG // 2) + 1, text.find("\n", len(text) - MAX_LOG // 2)
    if head == 0 or tail < head:  # one enormous line
        return text[:MAX_LOG]
    between = len(split_lines(text[head:tail])) - 1
    return text[:head] + "\n" * between + text[tail:]


def _read_metadata(tree: FileTree, folder: str, files: list[str], found: Evidence) -> None:
    named = [p for p in files if is_metadata(p)]
    named.sort(key=lambda p: (posixpath.basename(p) != "submission.json", p.count("/"), p))
    if not named:
        return
    path = named[0]
    try:
        found.metadata_file = SourceFile(path, tree.text(path, MAX_README), "text")
        value = json.loads(found.metadata_file.text)
    except Unreadable as error:
        found.problems.append(error.problem)
        return
    except (ValueError, RecursionError) as error:
        what = f"no valid JSON: {_one_line(error)}"
        found.problems.append(
            Problem(what, path, Party.SUBMISSION, "mend the file; its claims were not read")
        )
        return
    if isinstance(value, dict):
        found.metadata = value
    else:
        what = f"a JSON {type(value).__name__}, where an object is expected"
        found.problems.append(
            Problem(what, path, Party.SUBMISSION, "see the challenge's README for the fields")
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
