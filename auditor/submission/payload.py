"""Packed code: found by evaluating the unpacking code, decoded as data, never executed."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.analysis.parse import Unparseable, parse
from auditor.submission.calls import TEMPORARY
from auditor.submission.evaluate import Evaluator, is_sink
from auditor.submission.expressions import Exhausted
from auditor.submission.languages import CODE_SUFFIXES, language_of
from auditor.submission.model import Party, Problem, SourceFile
from auditor.submission.tree import FileTree, Unreadable, decode, normalise
from auditor.submission.values import ROOT, FileBytes, FileText, Opaque, Scope

MAX_DEPTH = 8  # payloads inside payloads
MAX_PAYLOADS = 64  # of one file

# Only a file with one of these words can run or unpack code; others are not evaluated.
_WORTH_A_LOOK = [
    re.compile(pattern)  # one by one: each starts with letters, which makes searching fast
    for pattern in (
        r"exec\b",
        r"exec_module\b",
        r"runpy\b",
        r"load_module\b",
        r"marshal\b",
        r"eval\s*\(\s*(?:compile|[\w.]*decode|[\w.]*decompress|__import__)",
        r"b64decode|b85decode|a85decode|b32decode|b16decode",
        r"fromhex\b",
        r"unhexlify\b",
    )
]


@dataclass
class Unpacked:
    """What a file unpacks to and what it runs by path."""

    payloads: dict[str, tuple[SourceFile, ...]] = field(default_factory=dict)  # by host path
    written: dict[str, SourceFile] = field(default_factory=dict)  # by file name, as the code has it
    runs: list[tuple[str, str, int]] = field(default_factory=list)  # (host, tree path, host's line)
    problems: list[Problem] = field(default_factory=list)


def unpack(source: SourceFile, tree: FileTree) -> Unpacked:
    """Decodes what ``source`` unpacks, nested as deep as it goes. Never raises for bad input."""
    unpacker = _Unpacker(source, tree)
    unpacker.look_into(source, None)
    return unpacker.result()


class _Unpacker:
    """The evaluator's host: keeps what the code would run and write."""

    def __init__(self, source: SourceFile, tree: FileTree) -> None:
        self.tree = tree
        self.script = source.path
        self.found = Unpacked()
        self.hosts: list[SourceFile] = []
        self.files: dict[str, Any] = {}  # written by the code: path as it sees it -> content
        self.origin: dict[str, tuple[SourceFile, int]] = {}
        self.evaluator = Evaluator(self)
        self.exhausted = False

    def result(self) -> Unpacked:
        for path, content in self.files.items():
            if path.endswith(CODE_SUFFIXES) and isinstance(content, (str, bytes)):
                host, line = self.origin[path]
                self._add_written(path, content, host, line)
        return self.found

    def look_into(self, source: SourceFile, scope: Scope | None) -> None:
        """Evaluates one source, in its own scope or in the one that ``exec`` shares with it."""
        if self.exhausted or not any(p.search(source.text) for p in _WORTH_A_LOOK):
            return
        try:
            tree = parse(source)
        except Unparseable:
            return  # reported by whoever analyses this source
        self.hosts.append(source)
        try:
            self.evaluator.module(tree, scope or self._module_scope())
        except Exhausted:
            self.exhausted = True
            self._not_checked(
                source,
                _first_sink_line(tree),
                "unpacking takes more steps than are followed",
                Party.TOOL,
            )
        except (RecursionError, MemoryError):
            self._not_checked(source, 1, "unpacking code is nested too deeply", Party.TOOL)
        finally:
            self.hosts.pop()

    # ---- what the evaluator reports ----

    def run_source(self, source: str, line: int, scope: Scope | None, module: str | None) -> None:
        payload = self._add(source, line, "python")
        if payload is not None:
            if module is not None:
                self.found.written.setdefault(module.replace(".", "/") + ".py", payload)
            self.look_into(payload, _module_of(scope) if scope else None)

    def run_file(self, path: str, line: int) -> None:
        if path in self.files:
            content = self.files[path]
            if isinstance(content, (str, bytes)):
                payload = self._add_written(path, content, self.hosts[-1], line)
                if payload is not None:
                    self.look_into(payload, None)
            else:
                why = content if isinstance(content, Opaque) else Opaque()
                self.cannot_run(why, line)
            return
        inside = self._locate(path)
        if inside is None:
            shown = path.removeprefix(f"{ROOT}/")
            self._not_checked(
                self.hosts[-1], line, f"runs {shown}, which was not handed in", Party.SUBMISSION
            )
        elif (
            inside != self.script
            and (run := (self.hosts[-1].path, inside, line)) not in self.found.runs
        ):
            self.found.runs.append(run)

    def cannot_run(self, why: Opaque, line: int) -> None:
        reason = why.reason or "runs code that only a run would know"
        self._not_checked(self.hosts[-1], line, reason, why.party)

    def read(self, path: str) -> bytes | Opaque:
        if path in self.files:
            content = self.files[path]
            return content.encode() if isinstance(content, str) else content
        inside = self._locate(path)
        if inside is None:
            shown = path.removeprefix(f"{ROOT}/")
            return Opaque(f"reads {shown}, which was not handed in", Party.SUBMISSION)
        try:
            return self.tree.read(inside)
        except Unreadable as error:
            problem = error.problem
            return Opaque(f"{problem.where}: {problem.what}", problem.party)

    def write(self, path: str, data: Any, line: int) -> None:
        if len(self.files) < MAX_PAYLOADS or path in self.files:
            self.files[path] = data
            self.origin[path] = (self.hosts[-1], line)

    # ---- bookkeeping ----

    def _add_written(
        self, path: str, content: Any, host: SourceFile, line: int
    ) -> SourceFile | None:
        name = _short(path)
        if name in self.found.written:
            return None
        if isinstance(content, (FileText, FileBytes)):
            return None  # a plain copy of a file that is there anyway
        text = content if isinstance(content, str) else decode(content)
        payload = self._add(text, line, language_of(path), host)
        if payload is not None:
            self.found.written[name] = payload
        return payload

    def _add(
        self, text: str, line: int, language: str, host: SourceFile | None = None
    ) -> SourceFile | None:
        host = host or self.hosts[-1]
        before = self.found.payloads.get(host.path, ())
        if any(p.text == text for p in before):
            return None
        if len(before) >= MAX_PAYLOADS or host.path.count("!") >= MAX_DEPTH:
            self._not_checked(
                host, line, "payloads are nested or repeated beyond the limit", Party.SUBMISSION
            )
            return None
        path = f"{host.path}!payload-{len(before) + 1}"
        payload = SourceFile(path, text, language, host=host.path, host_line=line)
        self.found.payloads[host.path] = (*before, payload)
        return payload

    def _not_checked(self, host: SourceFile, line: int, reason: str, party: Party) -> None:
        remedy = {
            Party.SUBMISSION: "submit readable source, or a payload that these decoders open",
            Party.TOOL: "read this code by hand",
            Party.ENVIRONMENT: "make the file or package available and audit again",
        }[party]
        problem = Problem(f"not checked: {reason}", f"{host.path}:{line}", party, remedy)
        if problem not in self.found.problems:
            self.found.problems.append(problem)

    def _module_scope(self) -> Scope:
        return Scope({"__file__": str(ROOT / self.script), "__name__": "__main__"})

    def _locate(self, path: str) -> str | None:
        """The path in the tree that the code means by ``path``, however it spelled it."""
        return locate(path.removeprefix(f"{ROOT}/"), posixpath.dirname(self.script), self.tree)


def locate(path: str, folder: str, tree: FileTree) -> str | None:
    """The file that code in ``folder`` means by ``path``: beside it, from the root, or by name."""
    for candidate in (f"{folder}/{path}", path, f"{folder}/{posixpath.basename(path)}"):
        inside = normalise(candidate)
        if inside is not None and inside in tree:
            return inside
    return None


def _module_of(scope: Scope) -> Scope:
    while scope.parent is not None:
        scope = scope.parent
    return scope


def _short(path: str) -> str:
    """A written file's name within the folder that the code made up for it."""
    parts = path.split("/")
    return "/".join(parts[3:]) if path.startswith(TEMPORARY) and len(parts) > 3 else parts[-1]


def _first_sink_line(tree: ast.Module) -> int:
    return min((getattr(n, "lineno", 1) for n in ast.walk(tree) if is_sink(n)), default=1)


def merge(
    into: dict[str, tuple[SourceFile, ...]], more: Mapping[str, tuple[SourceFile, ...]]
) -> None:
    """Adds the payloads of another file."""
    for host, payloads in more.items():
        into[host] = (*into.get(host, ()), *payloads)
