"""From what the user named to submissions: the one way into the package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from auditor.submission import discover, evidence
from auditor.submission.discover import Delta, Group
from auditor.submission.git import GitError, GitRepository, git_root, iter_pull_refs
from auditor.submission.languages import NATIVE_SUFFIXES, language_of
from auditor.submission.model import Party, Problem, Pull, SourceFile, Submission
from auditor.submission.modules import Reached, reach
from auditor.submission.tree import DirectoryTree, FileTree, GitTree, Unreadable, is_utf8

MAX_CANDIDATES = 6  # record folders that are audited without being asked which
MAX_AUXILIARY = 8  # further scripts of one folder


def load(
    paths: Sequence[str | os.PathLike[str]],
    *,
    repo: str | os.PathLike[str] | None = None,
    prs: Iterable[int] = (),
    rev: str | None = None,
    base: str | None = None,
) -> Iterator[Submission | Problem]:
    """Every submission that the inputs hold, and a Problem for each that holds none. Never raises.

    ``paths`` are checkouts, record folders or scripts; ``prs`` and ``rev`` are read from the clone
    ``repo`` with no checkout; ``base`` replaces the default branch in comparisons.
    """
    for path in paths:
        yield from _guarded(str(path), _from_path(Path(path), base))
    if repo is None:
        return
    try:
        repository = GitRepository(repo)
    except (GitError, OSError) as error:
        yield _as_problem(error, str(repo))
        return
    with repository:
        if rev is not None:
            yield from _guarded(rev, _from_revision(repository, rev, base))
        for number in prs:
            yield from _guarded(f"pull request {number}", _from_pull(repository, number, base))


def _guarded(where: str, items: Iterator[Submission | Problem]) -> Iterator[Submission | Problem]:
    """One unusable input must not end the call."""
    try:
        yield from items
    except (GitError, Unreadable, OSError) as error:
        yield _as_problem(error, where)


def _as_problem(error: Exception, where: str) -> Problem:
    if isinstance(error, (GitError, Unreadable)):
        return error.problem
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, FileNotFoundError) and error.filename in ("git", b"git"):
        return Problem("git is not installed", where, Party.ENVIRONMENT, "install git")
    return Problem(
        f"can't be read: {reason}", where, Party.ENVIRONMENT, "check the path and its permissions"
    )


# ---- inputs ----


def _from_pull(
    repository: GitRepository, number: int, base: str | None
) -> Iterator[Submission | Problem]:
    head = repository.first_commit(*iter_pull_refs(number))
    if head is None:
        remedy = (
            f"run: git -C {repository.path} fetch origin pull/{number}/head:refs/pull/{number}/head"
        )
        yield Problem("the clone has no such pull request", f"#{number}", Party.ENVIRONMENT, remedy)
        return
    yield from _from_commit(repository, head, base, f"#{number}")


def _from_revision(
    repository: GitRepository, rev: str, base: str | None
) -> Iterator[Submission | Problem]:
    head = repository.commit(rev)
    if head is None:
        yield Problem(
            f"no revision {rev!r}",
            str(repository.path),
            Party.ENVIRONMENT,
            "name one that the clone has",
        )
        return
    yield from _from_commit(repository, head, base, rev)


def _from_commit(
    repository: GitRepository, head: str, base: str | None, name: str
) -> Iterator[Submission | Problem]:
    tree = GitTree(repository, head, name)
    delta = discover.clone_delta(repository, head, base)
    yield from _from_groups(tree, discover.groups(tree, delta), delta, name)


def _from_path(path: Path, base: str | None) -> Iterator[Submission | Problem]:
    name = str(path)
    if not os.path.lexists(path):
        yield Problem("no such file or folder", name, Party.ENVIRONMENT, "check the path")
    elif path.is_file():
        yield from _from_script(path)
    elif not path.is_dir():
        yield Problem("neither a file nor a folder", name, Party.ENVIRONMENT, "check the path")
    elif (path / "objects").is_dir() and (path / "HEAD").is_file():
        remedy = f"use: pgcheck audit --repo {name} --pr N"
        yield Problem("a bare clone, which has no files to audit", name, Party.ENVIRONMENT, remedy)
    elif git_root(path) == path:
        yield from _from_checkout(path, base)
    else:
        yield from _from_folder(DirectoryTree(path), name)


def _from_script(path: Path) -> Iterator[Submission | Problem]:
    if path.suffix not in (".py", ".pyw", ""):
        yield Problem(
            "not a Python script",
            str(path),
            Party.ENVIRONMENT,
            "give a script, a record folder or a checkout",
        )
        return
    tree = DirectoryTree(path.parent)
    # Evidence beside a lone script is its own only in a record folder.
    is_record = path.name == discover.ENTRY or "submission.json" in tree
    files = tuple(tree.under("")) if is_record and _is_small(tree) else (path.name,)
    yield from _from_groups(tree, [Group("", path.name, (), files)], None, str(path))


def _is_small(tree: FileTree) -> bool:
    return len(tree.sizes) <= 500


def _from_checkout(path: Path, base: str | None) -> Iterator[Submission | Problem]:
    tree = DirectoryTree(path)
    with GitRepository(path) as repository:
        delta = discover.checkout_delta(repository, tree, base)
    if delta is None:
        yield from _from_folder(tree, str(path))
        return
    found = discover.groups(tree, delta)
    if found:
        yield from _from_groups(tree, found, delta, str(path))
    else:
        what = "no script differs from the branch it is compared with"
        remedy = "name a record folder, or give --base REV"
        yield Problem(what, str(path), Party.ENVIRONMENT, remedy)


def _from_folder(tree: DirectoryTree, name: str) -> Iterator[Submission | Problem]:
    if any(discover.record_folder(path) for path in tree.sizes):
        found = discover.groups(tree, None)
    else:
        whole = discover.folder_group(tree, "")
        found = [whole] if whole else []
    if len(found) > MAX_CANDIDATES:
        shown = ", ".join(group.folder or group.entry for group in found[:3])
        what = f"{len(found)} candidates ({shown}, …) and no git history that says which is meant"
        remedy = "which one? name its folder, or audit a git checkout with --base REV"
        yield Problem(what, name, Party.ENVIRONMENT, remedy)
        return
    yield from _from_groups(tree, found, None, name)


# ---- submissions ----


def _from_groups(
    tree: FileTree, found: list[Group], delta: Delta | None, name: str
) -> Iterator[Submission | Problem]:
    remedy = f"a record needs a folder with {discover.ENTRY} in it"
    held = {group.folder for group in found}
    empty = [f for f in discover.changed_folders(tree, delta) if f not in held]
    for folder in empty[: discover.MAX_GROUPS]:
        yield Problem("a record folder without a script", folder, Party.SUBMISSION, remedy)
    if not found and not empty:
        yield Problem("no script that looks like a submission", name, Party.SUBMISSION, remedy)
    for group in found:
        yield from _from_group(tree, group, delta)


def _from_group(
    tree: FileTree, group: Group, delta: Delta | None
) -> Iterator[Submission | Problem]:
    proof = evidence.collect(tree, group.folder, group.files)
    if delta is not None:
        paths = delta.paths & tree.sizes.keys()
        outside = evidence.run_scripts_outside(tree, paths, group.folder, group.entry)
        proof.run_scripts[:0] = outside  # the folder's own have the last word
    reached: set[str] = set()
    launchers = evidence.launchers(tree, group.files, group.entry)
    proof.preparation = evidence.preparation(tree, group.files, group.entry)
    proof.run_scripts.extend(launchers)
    launching = {source.path for source in launchers}
    auxiliary = 0
    for path in (group.entry, *(path for path in group.others if path not in launching)):
        if path in reached or auxiliary > MAX_AUXILIARY:
            continue
        submission = _submission(tree, group, path, proof, delta)
        yield submission
        if isinstance(submission, Submission):
            reached.update(source.path for source in submission.modules.values())
        auxiliary += 1


def _submission(
    tree: FileTree, group: Group, path: str, proof: evidence.Evidence, delta: Delta | None
) -> Submission | Problem:
    try:
        entry = SourceFile(path, tree.text(path))
    except Unreadable as error:
        return error.problem
    found = reach(entry, tree, group.folder)
    problems = [*proof.problems, *found.problems, *_links(tree, group)]
    if not is_utf8(tree.read(path)):
        problems.append(
            Problem("not UTF-8; read as Latin-1", path, Party.SUBMISSION, "save it as UTF-8")
        )
    submission = Submission(
        path=group.folder,
        entry=entry,
        modules=found.modules,
        payloads=found.payloads,
        natives=_natives(tree, group, entry, found, delta, problems),
        readme=tuple(proof.readme),
        run_scripts=tuple(proof.run_scripts),
        logs=tuple(proof.logs),
        requirements=tuple(proof.requirements),
        preparation=tuple(proof.preparation),
        metadata=proof.metadata,
        metadata_file=proof.metadata_file,
        files={p: tree.sizes.get(p) for p in group.files},
        pull=_pull(delta),
        problems=tuple(problems),
        revision=tree.revision,
        auxiliary=group.auxiliary or path != group.entry,
    )
    from auditor.submission.settings import claims

    return replace(submission, claims=claims(submission))


def _pull(delta: Delta | None) -> Pull | None:
    if delta is None:
        return None
    return Pull(
        added=tuple(sorted(delta.paths - delta.base_paths)),
        modified=tuple(sorted(delta.paths & delta.base_paths)),
    )


def _links(tree: FileTree, group: Group) -> list[Problem]:
    """Links in the folder that were not followed."""
    outside = tree.outside if isinstance(tree, DirectoryTree) else []
    prefix = f"{group.folder}/" if group.folder else ""
    what = "a link out of the folder, or into nothing; not followed"
    return [
        Problem(what, path, Party.SUBMISSION, "commit the file itself")
        for path in outside
        if path.startswith(prefix)
    ][:20]


def _natives(
    tree: FileTree,
    group: Group,
    entry: SourceFile,
    found: Reached,
    delta: Delta | None,
    problems: list[Problem],
) -> tuple[SourceFile, ...]:
    texts = {entry.path: entry.text, **{s.path: s.text for s in found.modules.values()}}
    paths = [p for p in group.files if p.endswith(NATIVE_SUFFIXES)]
    paths += discover.natives_outside(tree, delta, group.folder, texts)
    natives = []
    for path in dict.fromkeys(paths):
        try:
            natives.append(SourceFile(path, tree.text(path), language_of(path)))
        except Unreadable as error:
            problems.append(error.problem)
    known = {source.text for source in natives}
    return (*natives, *(source for source in found.natives if source.text not in known))
