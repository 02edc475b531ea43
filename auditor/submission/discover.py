"""Which submissions an input holds: record folders, their entries and the scripts beside them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditor.submission.git import GitError, GitRepository
from auditor.submission.languages import NATIVE_SUFFIXES
from auditor.submission.model import Party, Problem
from auditor.submission.tree import DirectoryTree, FileTree, Unreadable

ENTRY = "train_gpt.py"
MAX_GROUPS = 40  # folders of one pull request
MAX_OTHERS = 24  # scripts outside record folders, of one pull request
_CODE = (".py", *NATIVE_SUFFIXES, ".json", ".sh", ".lzma", ".xz", ".zlib")
_TRACK = re.compile(r"(?i)track|record|16mb|10min|unlimited")
# A script counts as an experiment when it speaks of a score, and can be started.
_SCORES = re.compile(
    r"(?i)val_?bpb|val_?loss|cross_entropy|log_?softmax|logsumexp|log_?probs?\b|\bnll|bits.per.byte"
)
_STARTS = re.compile(
    r"__main__|^(?:main|run|train)\(|init_process_group|argparse|sys\.argv", re.MULTILINE
)
_NOT_ENTRIES = re.compile(r"(?i)(?:^|/)(?:setup|conftest|test_[^/]*|[^/]*_test|__init__)\.py$")
_COMMAND = re.compile(r"(?:torchrun|python3?|accelerate)\b[^\n`]*?([\w./-]+\.py)")
_ANY_SCRIPT = re.compile(r"[\w./-]+\.py\b")


@dataclass(frozen=True)
class Delta:
    """What a pull request changes: its paths, and what was there before."""

    paths: frozenset[str]
    base_paths: frozenset[str]
    base_oids: frozenset[str]


@dataclass(frozen=True)
class Group:
    """One folder with its entry, the other scripts that may be started, and all its files."""

    folder: str
    entry: str
    others: tuple[str, ...]
    files: tuple[str, ...]
    auxiliary: bool = False


def record_folder(path: str) -> str | None:
    """The ``records/TRACK/NAME`` (or ``records/NAME``) that ``path`` lies in, at any depth."""
    parts = path.split("/")[:-1]
    places = [i for i, part in enumerate(parts) if part == "records"]
    if not places or places[-1] + 1 >= len(parts):
        return None
    first = places[-1] + 1
    end = first + 2 if _TRACK.search(parts[first]) and len(parts) > first + 1 else first + 1
    return "/".join(parts[:end])


def clone_delta(repository: GitRepository, head: str, base: str | None) -> Delta:
    """What ``head`` changes against its merge base with ``base`` or the default branch."""
    start = merge_base(repository, head, base)
    if start is None:
        return Delta(frozenset(repository.entries(head)), frozenset(), frozenset())
    before = repository.entries(start)
    carried = _carried(repository, head, start, base)
    paths = frozenset(
        c.path
        for c in repository.changes(start, head)
        if c.status != "D" and c.mode.startswith("100") and carried.get(c.path) != c.oid
    )
    oids = frozenset((*(entry.oid for entry in before.values()), *carried.values()))
    return Delta(paths, frozenset((*before, *carried)), oids)


def _carried(repository: GitRepository, head: str, start: str, base: str | None) -> dict[str, str]:
    """What the branch had gained since ``start`` by the time of ``head``: path -> object.

    A pull request may bring such files along without a common commit, when newer work of the branch
    was rebased or copied into it. What came to the branch later may be the pull request itself.
    """
    branch = _branch(repository, head, base)
    then = branch and repository.last_before(branch, head)
    if not then or then == start:
        return {}
    return {c.path: c.oid for c in repository.changes(start, then) if c.status != "D"}


def merge_base(repository: GitRepository, head: str, base: str | None) -> str | None:
    """The commit to compare ``head`` with: where it left the branch, even if merged since."""
    branch = _branch(repository, head, base)
    if branch is None:
        return None
    start = repository.merge_base(branch, head)
    if start is None:
        return branch  # no common history: compare with what is there now
    if start == head and branch != head:
        merge = repository.merged_by(head, branch)
        before = merge and repository.commit(f"{merge}^1")
        if before and before != head:
            start = repository.merge_base(before, head) or before
        else:  # on the branch's own line, such as a squashed commit
            start = repository.commit(f"{head}^1") or start
    return start


def _branch(repository: GitRepository, head: str, base: str | None) -> str | None:
    if base is not None:
        found = repository.commit(base)
        if found is None:
            raise GitError(
                Problem(
                    f"no revision {base!r}",
                    str(repository.path),
                    Party.ENVIRONMENT,
                    "give --base a branch, tag or commit that the clone has",
                )
            )
        return found
    names = [
        f"refs/remotes/{remote}/{name}"
        for remote in ("upstream", "origin")
        for name in ("HEAD", "main", "master")
    ]
    return repository.first_commit(*names, "refs/heads/main", "refs/heads/master", "HEAD^{commit}")


def checkout_delta(
    repository: GitRepository, tree: DirectoryTree, base: str | None
) -> Delta | None:
    """What the files on disk change, committed or not; None without anything to compare with."""
    head = repository.commit("HEAD")
    start = merge_base(repository, head, base) if head else None
    if start is None:
        return None
    before = repository.entries(start)
    carried = _carried(repository, head, start, base) if head else {}
    changed = set()
    for path, size in tree.sizes.items():
        entry = before.get(path)
        same_size = entry is not None and entry.size == size
        edited = path.endswith(_CODE) and entry is not None and tree.oid(path) != entry.oid
        same = path in carried and carried[path] == tree.oid(path)
        if (not same_size or edited) and not same:
            changed.add(path)
    oids = frozenset((*(e.oid for e in before.values()), *carried.values()))
    return Delta(frozenset(changed), frozenset((*before, *carried)), oids)


def groups(tree: FileTree, delta: Delta | None) -> list[Group]:
    """The submissions of a tree, record folders first.

    With a ``delta`` only folders that it changes count, and outside record folders only its own
    files. A script that is the same, byte for byte, as one that was there before is no submission
    of its own (the baseline, copies of other records) unless it is the entry of a new record.
    """
    folders = changed_folders(tree, delta)
    found = [
        group for folder in folders[:MAX_GROUPS] if (group := folder_group(tree, folder, delta))
    ]
    at_root = bool(folders) and _at_root(folders[0])
    loose = [
        path
        for path in _changed(tree, delta)
        if record_folder(path) is None or (at_root and not _at_root(path))
    ]
    return [*found, *_loose_groups(tree, loose, delta, found)]


def changed_folders(tree: FileTree, delta: Delta | None) -> list[str]:
    """The record folders that a pull request adds or changes."""
    found = set()
    for path in _changed(tree, delta):
        folder = record_folder(path)
        if folder and (delta is None or _is_new_or_code(path, folder, delta)):
            found.add(folder)
    return sorted(own_folders(found))


def own_folders(folders: set[str]) -> set[str]:
    """Those in the repository's own ``records/``, if there are any: elsewhere lie kept copies."""
    return {folder for folder in folders if _at_root(folder)} or folders


def _at_root(path: str) -> bool:
    return path.startswith("records/")


def _changed(tree: FileTree, delta: Delta | None) -> list[str]:
    return sorted(tree.sizes if delta is None else delta.paths & tree.sizes.keys())


def folder_group(tree: FileTree, folder: str, delta: Delta | None = None) -> Group | None:
    """The group of one record folder, or None when no script is in it."""
    files = tree.under(folder)
    scripts = [p for p in files if p.endswith(".py") and not _NOT_ENTRIES.search(p)]
    if not scripts:
        return None
    entry = choose_entry(tree, folder, scripts, files)
    others = [
        p for p in scripts if p != entry and _is_own(tree, p, delta) and _is_experiment(tree, p)
    ]
    return Group(folder, entry, _distinct(tree, entry, others), tuple(files))


def choose_entry(tree: FileTree, folder: str, scripts: list[str], files: Iterable[str]) -> str:
    """``train_gpt.py``, else the script that the evidence starts or names, else the likeliest."""
    by_depth = sorted(scripts, key=lambda p: (p.count("/"), p))
    for path in by_depth:
        if posixpath.basename(path) == ENTRY:
            return path
    for pattern in (_COMMAND, _ANY_SCRIPT):
        for path in sorted(files, key=_evidence_order):
            if not re.search(r"(?i)\.(?:sh|md|json)$", path):
                continue
            try:
                text = tree.text(path, 1024 * 1024)
            except Unreadable:
                continue
            for match in pattern.finditer(text):
                name = posixpath.basename(match[match.lastindex or 0])
                named = [p for p in by_depth if posixpath.basename(p) == name]
                if named:
                    return named[0]
    return max(by_depth, key=lambda p: (_likelihood(tree, p), -by_depth.index(p)))


def _evidence_order(path: str) -> tuple[int, str]:
    kinds = (".sh", ".md", ".json")
    return next((i for i, suffix in enumerate(kinds) if path.endswith(suffix)), len(kinds)), path


def _likelihood(tree: FileTree, path: str) -> tuple[int, int]:
    name = posixpath.basename(path)
    named = 2 if name.startswith("train") else 1 if "train" in name or "submission" in name else 0
    return named + 2 * _is_experiment(tree, path), tree.sizes.get(path) or 0


def _loose_groups(
    tree: FileTree, paths: list[str], delta: Delta | None, records: list[Group]
) -> list[Group]:
    """Scripts outside record folders, by the folder that they lie in."""
    scripts = [p for p in paths if p.endswith(".py") and not _NOT_ENTRIES.search(p)]
    own = [p for p in scripts if _is_own(tree, p, delta) or _is_run_of_a_copy(tree, p, delta)]
    if len(own) > MAX_OTHERS:
        named = _named_in_evidence(tree, paths)
        own.sort(key=lambda p: (posixpath.basename(p) not in named, posixpath.basename(p) != ENTRY))
    by_folder: dict[str, list[str]] = {}
    seen = {tree.oid(path) for group in records for path in (group.entry, *group.others)}
    before = len(seen)
    for path in own:
        oid = tree.oid(path)
        if oid not in seen and (posixpath.basename(path) == ENTRY or _is_experiment(tree, path)):
            seen.add(oid)
            by_folder.setdefault(posixpath.dirname(path), []).append(path)
        if len(seen) - before >= MAX_OTHERS:
            break
    found = []
    for folder, members in by_folder.items():
        files = [
            p
            for p in paths
            if posixpath.dirname(p) == folder or (folder and p.startswith(f"{folder}/"))
        ]
        entry = choose_entry(
            tree, folder, members, [p for p in files if posixpath.dirname(p) == folder]
        )
        others = tuple(p for p in members if p != entry)
        evidence = tuple(_evidence_of(files, folder, delta))
        found.append(Group(folder, entry, others, evidence, auxiliary=bool(records)))
    return found


def _named_in_evidence(tree: FileTree, paths: list[str]) -> set[str]:
    """The scripts that run scripts and READMEs speak of."""
    named: set[str] = set()
    for path in [p for p in paths if p.endswith((".sh", ".md"))][:200]:
        try:
            text = tree.text(path, 1024 * 1024)
        except Unreadable:
            continue
        named.update(posixpath.basename(name) for name in _ANY_SCRIPT.findall(text))
    return named


def _evidence_of(files: list[str], folder: str, delta: Delta | None) -> list[str]:
    """At the root, only what the pull request adds: the challenge's own README makes no claims."""
    if folder or delta is None:
        return files
    return [p for p in files if p not in delta.base_paths or p.endswith(".py")]


def _is_new_or_code(path: str, folder: str, delta: Delta) -> bool:
    if path.endswith(_CODE) and not path.endswith(".json"):
        return True
    return not any(p.startswith(f"{folder}/") for p in delta.base_paths)


def _is_own(tree: FileTree, path: str, delta: Delta | None) -> bool:
    """Whether the pull request wrote this script, rather than carrying a copy along."""
    if delta is None:
        return True
    return path in delta.paths and tree.oid(path) not in delta.base_oids


def _is_run_of_a_copy(tree: FileTree, path: str, delta: Delta | None) -> bool:
    """A record of the unchanged baseline, in a folder of its own with its submission.json."""
    if delta is None or path in delta.base_paths or posixpath.basename(path) != ENTRY:
        return False
    return f"{posixpath.dirname(path)}/submission.json" in tree


def _is_experiment(tree: FileTree, path: str) -> bool:
    try:
        text = tree.text(path)
    except Unreadable:
        return False
    return bool(_SCORES.search(text) and _STARTS.search(text))


def _distinct(tree: FileTree, entry: str, others: list[str]) -> tuple[str, ...]:
    """Without copies of the entry or of each other."""
    seen = {tree.oid(entry)}
    kept = []
    for path in others:
        oid = tree.oid(path)
        if oid not in seen:
            seen.add(oid)
            kept.append(path)
    return tuple(kept)


def natives_outside(
    tree: FileTree, delta: Delta | None, folder: str, texts: Mapping[str, str]
) -> list[str]:
    """Native sources elsewhere in the pull request whose file or extension the program names."""
    if delta is None:
        return []
    found = []
    for path in sorted(delta.paths & tree.sizes.keys()):
        if (
            "/" in path
            and path.endswith(NATIVE_SUFFIXES)
            and not (folder and path.startswith(f"{folder}/"))
        ):
            name = posixpath.basename(path)
            words = (name, posixpath.splitext(name)[0], path.split("/")[0])
            if any(word in text for word in words for text in texts.values()):
                found.append(path)
    return found
