"""The local modules that an entry script reaches, however it reaches them."""

from __future__ import annotations

import ast
import posixpath
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from auditor.analysis.parse import Unparseable, parse, statements
from auditor.submission.evaluate import name_of
from auditor.submission.model import Problem, SourceFile
from auditor.submission.natives import natives_in
from auditor.submission.payload import locate, merge, unpack
from auditor.submission.tree import FileTree, Unreadable, normalise

MAX_MODULES = 200
_CALLS = [
    re.compile(pattern)  # one by one: each starts with letters, which makes searching fast
    for pattern in (
        r"import_module\s*\(",
        r"__import__\s*\(",
        r"subprocess\s*\.",
        r"os\.(?:system|exec|spawn|popen)",
        r"Popen\s*\(",
        r"call\s*\(",
    )
]
_STARTERS = frozenset(
    {
        "run",
        "call",
        "check_call",
        "check_output",
        "Popen",
        "system",
        "popen",
        "execv",
        "execvp",
        "execve",
        "spawnv",
    }
)
_SCRIPT = re.compile(r"[\w./~+-]*\.py\b")
_SCRIPT_END = re.compile(r"\.py\b")


@dataclass
class Reached:
    """Everything that an entry leads to."""

    modules: dict[str, SourceFile] = field(default_factory=dict)
    payloads: dict[str, tuple[SourceFile, ...]] = field(default_factory=dict)
    natives: list[SourceFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def paths(self) -> set[str]:
        return {source.path for source in self.modules.values()}


@dataclass(frozen=True)
class Reference:
    """One way in which a source names another: a module's dotted name, or a script's path."""

    name: str
    level: int = 0  # of a relative import
    is_path: bool = False


def reach(entry: SourceFile, tree: FileTree, folder: str) -> Reached:
    """Follows ``entry`` through ``tree``; ``folder`` is the record folder it belongs to."""
    return _Walk(tree, folder, posixpath.dirname(entry.path)).follow(entry)


class _Walk:
    """A breadth-first walk over sources: files and the payloads that they unpack to."""

    def __init__(self, tree: FileTree, folder: str, base: str) -> None:
        self.tree = tree
        self.folder = folder
        self.base = base  # where the entry lies: absolute imports start here
        self.found = Reached()
        self.sources: dict[str, SourceFile] = {}
        self.written: dict[str, SourceFile] = {}
        self.waiting: deque[SourceFile] = deque()

    def follow(self, entry: SourceFile) -> Reached:
        self._queue(entry)
        while self.waiting:
            source = self.waiting.popleft()
            if source.language != "python":
                self.found.natives.append(source)
                continue
            if source.host is None:
                self._unpack(source)
            self.found.natives.extend(natives_in(source))
            for reference in references(source):
                self._resolve(reference, source)
        return self.found

    def _unpack(self, source: SourceFile) -> None:
        unpacked = unpack(source, self.tree)
        merge(self.found.payloads, unpacked.payloads)
        self.found.problems.extend(unpacked.problems)
        self.written.update(unpacked.written)
        for payloads in unpacked.payloads.values():
            for payload in payloads:
                self._queue(payload)
        for _, path, _ in unpacked.runs:
            self._add_file(posixpath.relpath(path, self.base or "."), path)

    def _resolve(self, reference: Reference, source: SourceFile) -> None:
        host = source.path.split("!")[0]
        here = posixpath.dirname(host)
        if reference.is_path:
            path = locate(reference.name, here, self.tree)
            if path is not None and path != host:
                self._add_file(posixpath.relpath(path, self.base or "."), path)
        elif reference.level:
            for _ in range(reference.level - 1):
                here = posixpath.dirname(here)
            self._import(reference.name, [here], absolute=False)
        else:
            self._import(reference.name, [here, self.base, self.folder, ""], absolute=True)

    def _import(self, dotted: str, folders: list[str], *, absolute: bool) -> None:
        parts = dotted.replace(".", "/")
        unpacked = self.written.get(f"{parts}.py") if absolute else None
        if unpacked is not None:
            self.found.modules.setdefault(dotted, unpacked)
            return
        for folder in dict.fromkeys(folders):
            for suffix in (".py", "/__init__.py"):
                path = normalise(f"{folder}/{parts}{suffix}")
                if path is not None and path in self.tree:
                    self._add_import(dotted, path, folder, absolute=absolute)
                    return
        if absolute and "." not in dotted:
            self._import_by_name(dotted)

    def _add_import(self, dotted: str, path: str, folder: str, *, absolute: bool) -> None:
        if absolute:
            names = dotted.split(".")
            for end in range(1, len(names)):  # the packages on the way
                package = f"{folder}/{'/'.join(names[:end])}/__init__.py".lstrip("/")
                if package in self.tree:
                    self._add_file(".".join(names[:end]), package)
        else:
            dotted = self._dotted(path)
        self._add_file(dotted, path)

    def _import_by_name(self, name: str) -> None:
        """A module that only a changed ``sys.path`` makes importable: if there is just one."""
        if not self.folder:
            return
        matches = [p for p in self.tree.under(self.folder) if posixpath.basename(p) == f"{name}.py"]
        if len(matches) == 1:
            self._add_file(name, matches[0])

    def _dotted(self, path: str) -> str:
        """The absolute name of a module that was imported relatively."""
        inside = (
            posixpath.relpath(path, self.base or ".").removesuffix(".py").removesuffix("/__init__")
        )
        return inside.replace("../", "").replace("/", ".")

    def _add_file(self, name: str, path: str) -> None:
        known = self.sources.get(path)
        if known is None:
            if len(self.sources) >= MAX_MODULES:
                return
            try:
                known = SourceFile(path, self.tree.text(path))
            except Unreadable as error:
                if error.problem not in self.found.problems:
                    self.found.problems.append(error.problem)
                return
            self._queue(known)
        self.found.modules.setdefault(name, known)

    def _queue(self, source: SourceFile) -> None:
        if source.path not in self.sources:
            self.sources[source.path] = source
            self.waiting.append(source)


def references(source: SourceFile) -> Iterator[Reference]:
    """What a Python source imports or starts. Names of installed packages are among them."""
    try:
        tree = parse(source)
    except Unparseable:
        yield from _references_in_text(source.text)
        return
    for statement, _ in statements(tree):
        if isinstance(statement, ast.Import):
            for item in statement.names:
                yield Reference(item.name)
        elif isinstance(statement, ast.ImportFrom):
            yield from _from_import(statement)
    yield from _from_calls(tree, source.text)


def _from_import(node: ast.ImportFrom) -> Iterator[Reference]:
    module = node.module or ""
    if module:
        yield Reference(module, node.level)
    for item in node.names:
        if item.name != "*" and (node.level or module.split(".")[0] not in _INSTALLED):
            yield Reference(f"{module}.{item.name}" if module else item.name, node.level)


def _from_calls(tree: ast.Module, text: str) -> Iterator[Reference]:
    """Imports by name and started programs; only statements that speak of them are searched."""
    lines = [line for pattern in _CALLS for line in _lines(pattern, text)]
    if not lines:
        return
    lists: dict[str, list[str]] | None = None
    for statement in _covering(tree, lines):
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call):
                continue
            name = name_of(node.func)
            if name in ("import_module", "__import__") and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield Reference(first.value.lstrip("."))
            elif name in _STARTERS:
                lists = _assigned_scripts(tree, text) if lists is None else lists
                yield from _started(node, lists)


def _lines(pattern: re.Pattern[str], text: str) -> list[int]:
    return [text.count("\n", 0, match.start()) + 1 for match in pattern.finditer(text)]


def _started(call: ast.Call, lists: dict[str, list[str]]) -> Iterator[Reference]:
    for part in ast.walk(call):
        if isinstance(part, ast.Name):
            yield from (Reference(path, is_path=True) for path in lists.get(part.id, ()))
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from (Reference(path, is_path=True) for path in _SCRIPT.findall(part.value))


def _covering(tree: ast.Module, lines: list[int]) -> list[ast.stmt]:
    """The innermost statements on these lines."""
    found: dict[int, ast.stmt] = {}
    for statement, _ in statements(tree):  # outer statements first
        for line in lines:
            if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
                found[line] = statement
    return list(dict.fromkeys(found.values()))


def _assigned_scripts(tree: ast.Module, text: str) -> dict[str, list[str]]:
    """The script paths in what is assigned to each name: commands are often built in variables."""
    found: dict[str, list[str]] = {}
    for statement in _covering(tree, _lines(_SCRIPT_END, text)):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            for part in ast.walk(statement.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.setdefault(statement.targets[0].id, []).extend(
                        _SCRIPT.findall(part.value)
                    )
    return found


_IMPORT_LINE = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.MULTILINE
)
# What is imported from these is no local module; a local file of such a name is still found.
_INSTALLED = frozenset(
    {"torch", "numpy", "typing", "collections", "dataclasses", "pathlib", "__future__"}
)


def _references_in_text(text: str) -> Iterator[Reference]:
    """Import lines of a file that can't be parsed."""
    for match in _IMPORT_LINE.finditer(text):
        for name in (match[1] or match[2]).split(","):
            words = name.split()
            if words:
                dotted = words[0].lstrip(".")
                if dotted:
                    yield Reference(dotted, len(words[0]) - len(dotted))
