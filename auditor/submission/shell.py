"""Commands in shell text: which program runs, with which literal environment and arguments.

A reader of straight-line shell, not an interpreter: quoting, line continuations, ``export``,
``env``, ``${NAME:-default}`` and loops are understood. What depends on a substitution, a positional
parameter or a branch is unknown, and unknown values are left out rather than guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from auditor.submission.model import Claim

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(
    r"\$\{(?P<braced>\w+)(?::?[-=](?P<default>[^{}]*))?\}|\$(?P<plain>[A-Za-z_]\w*)"
)
_UNKNOWN = "\0"  # can't occur in shell text; marks a value that has no literal reading
_SEPARATORS = frozenset({";", ";;", "&", "&&", "|", "||", "(", ")"})
_PREFIXES = frozenset({"then", "do", "else", "{", "!", "time", "exec", "nohup", "$", "+"})
_PROCESSES = re.compile(r"--nproc[-_]per[-_]node(?:[= ](\d+))?")
_LONGEST_LINE = 20_000
_MOST_LINES = 20_000
_LONGEST_VALUE = 4_000  # `A=$A$A` doubles with every line
_DEEPEST_SUBSTITUTION = 4


@dataclass(frozen=True)
class Command:
    """One simple command with the settings it passes on.

    ``label`` is the comment above it, ``environment`` holds exported and prefixed variables.
    """

    words: tuple[str, ...]
    environment: Mapping[str, Claim]
    kind: str
    path: str
    line: int
    label: str = ""

    def script(self) -> str | None:
        """The Python or shell file that the command runs."""
        return next((w for w in self.words if w.endswith((".py", ".sh"))), None)

    def claims(self) -> list[Claim]:
        """What the command settles: its environment, then its long options."""
        return [
            *self.environment.values(),
            *(
                Claim(name, value, self.kind, self.path, self.line)
                for name, value in self._options()
            ),
        ]

    def _options(self) -> Iterator[tuple[str, str]]:
        """Long options after the script, as (``--name``, value); a bare flag is ``true``."""
        script = self.script()
        rest = self.words[self.words.index(script) + 1 :] if script else ()
        for name, value in _options_of(rest):
            if _UNKNOWN not in value:
                yield name, value

    @property
    def processes(self) -> int | None:
        """``--nproc_per_node`` where it is a literal number."""
        found = _PROCESSES.search(" ".join(self.words))
        return int(found[1]) if found and found[1] else None


def commands(
    text: str,
    *,
    path: str,
    kind: str,
    first_line: int = 1,
    environment: Mapping[str, Claim] | None = None,
) -> list[Command]:
    """The simple commands of ``text`` in order; ``environment`` is what its caller exported."""
    return _Shell(path, kind, environment or {}).run(text, first_line)


class _Shell:
    def __init__(self, path: str, kind: str, environment: Mapping[str, Claim]) -> None:
        self.path, self.kind = path, kind
        self.variables = {name: claim.value for name, claim in environment.items()}
        self.exported = dict(environment)
        self.export_all = False
        self.branches = 0

    def run(self, text: str, first_line: int) -> list[Command]:
        found: list[Command] = []
        label = ""
        for line, raw in islice(_logical_lines(text, first_line), _MOST_LINES):
            stripped = raw.strip()
            if stripped.startswith("#"):
                label = stripped.lstrip("# ")
                continue
            for words in _statements(stripped):
                command = self._statement(words, line)
                if command is not None:
                    found.append(replace(command, label=label))
                    label = ""
        return found

    def _statement(self, words: list[str], line: int) -> Command | None:
        while words and words[0] in {
            "then",
            "do",
            "else",
            "{",
            "!",
            "time",
            "exec",
            "nohup",
            "$",
            "+",
        }:
            words = words[1:]
        if not words:
            return None
        if words[0] in {"if", "case"}:
            self.branches += 1
        elif words[0] in {"fi", "esac"}:
            self.branches = max(0, self.branches - 1)
        elif words[0] in {"for", "read", "while", "until"}:
            self._forget(words[1:2])
        elif words[0] == "set":
            self.export_all |= "-a" in words or "allexport" in words
        elif words[0] in {"export", "declare", "local", "readonly"}:
            self._assign(words[1:], line, export=words[0] == "export" or "-x" in words)
        elif all(ASSIGNMENT.fullmatch(w) for w in words):
            self._assign(words, line, export=self.export_all)
        else:
            return self._command(words, line)
        return None

    def _command(self, words: list[str], line: int) -> Command:
        environment = dict(self.exported)
        script_at = next((i for i, w in enumerate(words) if w.endswith((".py", ".sh"))), len(words))
        for word in words[:script_at]:
            # `env A=1`, `docker run -e A=1` and `sbatch --export=ALL,A=1` all pass settings on.
            for part in (
                word.removeprefix("--export=").split(",") if "--export=" in word else [word]
            ):
                match = ASSIGNMENT.fullmatch(part)
                if match:
                    self._put(environment, match[1], self._expand(match[2]), line)
        for option, value in _options_of(words[script_at:]):
            if option.endswith("env"):  # a launcher's `--extra-env "A=1;B=2"`
                for match in map(ASSIGNMENT.fullmatch, re.split(r"[;\s]+", value)):
                    if match:
                        self._put(environment, match[1], self._expand(match[2]), line)
        program = tuple(self._expand(w) for w in words if not ASSIGNMENT.fullmatch(w))
        return Command(program, environment, self.kind, self.path, line)

    def _assign(self, words: list[str], line: int, *, export: bool) -> None:
        for word in words:
            match = ASSIGNMENT.fullmatch(word)
            if match is None:
                if export and word in self.variables:
                    self._put(self.exported, word, self.variables[word], line)
                continue
            name, value = match[1], self._expand(match[2])
            if self.branches:  # which branch runs isn't known
                value = _UNKNOWN
            self.variables[name] = value
            if export or name in self.exported:
                self._put(self.exported, name, value, line)

    def _put(self, environment: dict[str, Claim], name: str, value: str, line: int) -> None:
        if _UNKNOWN in value:
            environment.pop(name, None)
        elif name not in environment or environment[name].value != value:
            environment[name] = Claim(name, value, self.kind, self.path, line)

    def _forget(self, names: list[str]) -> None:
        for name in names:
            self.variables[name] = _UNKNOWN
            self.exported.pop(name, None)

    def _expand(self, value: str) -> str:
        def known(match: re.Match[str]) -> str:
            name = match["braced"] or match["plain"]
            if self.variables.get(name):
                return self.variables[name]
            default = match["default"]
            return _UNKNOWN if default is None else self._expand(default)

        expanded = _VARIABLE.sub(known, value)
        literal = "$" not in expanded and "`" not in expanded
        return expanded if literal and len(expanded) <= _LONGEST_VALUE else _UNKNOWN


def _options_of(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, word in enumerate(words):
        if not re.match(r"--[A-Za-z]", word):
            continue
        name, equals, value = word.partition("=")
        if not equals:
            following = words[index + 1] if index + 1 < len(words) else "--"
            value = "true" if re.match(r"--?[A-Za-z-]|[<>0-9]*>", following) else following
        yield name, value


def _logical_lines(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    """Lines with ``\\`` continuations joined, each with the number of its first line."""
    start, parts = first_line, list[str]()
    for number, line in enumerate(text.splitlines(), first_line):
        if not parts:
            start = number
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        if parts and line.lstrip().startswith("#"):  # a note between continued lines
            continue
        yield start, " ".join([*parts, line])
        parts = []
    if parts:
        yield start, " ".join(parts)


def _statements(line: str) -> Iterator[list[str]]:
    statement: list[str] = []
    for word in _words(line):
        if word in _SEPARATORS:
            yield statement
            statement = []
        else:
            statement.append(word)
    yield statement


def _words(line: str) -> list[str]:
    if len(line) > _LONGEST_LINE:
        return []
    # Command substitutions hold separators and quotes of their own; their value is unknown anyway.
    line = line.removeprefix("$ ")
    for _ in range(_DEEPEST_SUBSTITUTION):
        line = re.sub(r"\$?\$\([^()]*\)", "$?", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quote that closes on another line
        words = line.split()
    comment = next((i for i, w in enumerate(words) if w.startswith("#")), len(words))
    return words[:comment]
