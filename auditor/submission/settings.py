"""Settings in force: what a submission's own evidence says, and which statement wins."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from auditor.submission.model import Claim, SourceFile, Submission
from auditor.submission.readme import names_other_record, prose_claims, run_commands
from auditor.submission.runlog import OFF, ON, same
from auditor.submission.runlog import settings as log_settings
from auditor.submission.shell import ASSIGNMENT, Command, commands

_WORLD_SIZE = "8"  # the challenge's hardware: one process per GPU of 8xH100
_PER_PROCESS = frozenset({"RANK", "LOCAL_RANK"})
_METADATA_GROUPS = re.compile(r"config|hyper|param|setting|env|args", re.IGNORECASE)
_SIDELINE = re.compile(
    r"ablat|baseline|smoke|sweep|debug|scout|setup|install|prepare|download|local|mlx|sanity|tune"
    r"|compar|control|(?:^|[_-])(?:no|without|test|old|failed)(?:[_-]|(?=ttt|slot|ngram))",
    re.IGNORECASE,
)
_TRUE, _FALSE = frozenset({"1", "true", "on", "yes"}), frozenset({"0", "false", "off", "no"})
_DEEPEST_GROUP = 4


def claims(submission: Submission) -> tuple[Claim, ...]:
    """What the evidence says about settings, in order of increasing authority.

    submission.json < README prose < run scripts < logs that disagree < README commands < run
    scripts that those call < logs.

    ``submission.json`` is a summary written by hand. Prose and tables describe; the command given
    for reproduction is what would run, and where it calls a run script, that script decides. A run
    script that no README command calls may be any experiment. Logs outrank them all: they show what
    really ran to give the reported score, while a README is edited afterwards. Where a folder's
    logs give one setting several values they belong to different runs, and the command says which
    one is the record. Within a kind, side runs (ablations, baselines, smoke tests) speak only where
    nothing else does, and later statements win.
    """
    scripts = _main_line(submission.run_scripts)
    called: list[Claim] = []
    commanded: list[Claim] = []
    for command in _readme_commands(submission):
        inner = _called_claims(command, submission)
        if (command.script() or "").endswith(".py"):  # a launcher's own values are its defaults
            commanded += inner
        else:
            called += inner
        commanded += command.claims()
    disputed, agreed = _logged(submission.logs)
    return (
        *_metadata_claims(submission),
        *(claim for readme in submission.readme for claim in prose_claims(readme)),
        *(claim for script in scripts for claim in _script_claims(script, submission)),
        *disputed,
        *commanded,
        *called,
        *agreed,
    )


def resolve(submission: Submission) -> Mapping[str, Claim]:
    """The winning claim per key; the claims are those of the submission, or are read now."""
    return {claim.key: claim for claim in submission.claims or claims(submission)}


class Settings:
    """The settings in force for one submission, by the name under which code reads them."""

    def __init__(self, winning: Mapping[str, Claim]) -> None:
        self._winning = winning

    @classmethod
    def of(cls, submission: Submission) -> Settings:
        return cls(resolve(submission))

    def lookup(self, env_name: str, default: str | None) -> tuple[str | None, Claim | None]:
        """The value of an environment variable and the claim that it rests on.

        Without a claim the value is ``default`` and the claim ``None``. The world size is always 8;
        ranks differ between processes and have no value here.
        """
        if env_name in {"WORLD_SIZE", "LOCAL_WORLD_SIZE"}:
            return _WORLD_SIZE, None
        if env_name in _PER_PROCESS:
            return None, None
        return self._first([env_name.lower()], [_feature(env_name)], default)

    def lookup_argument(self, name: str, default: str | None) -> tuple[str | None, Claim | None]:
        """The same for a command-line option, named ``--ttt-epochs`` or ``ttt_epochs``."""
        plain = name.lstrip("-").lower().replace("-", "_")
        dashed = plain.replace("_", "-")
        keys = [plain, f"--{plain}", f"--{dashed}"]
        return self._first(keys, [_feature(plain)], default)

    def _first(
        self, keys: list[str], features: list[str], default: str | None
    ) -> tuple[str | None, Claim | None]:
        for key in keys:
            claim = self._winning.get(key)
            if claim is not None:
                value = _as_read(claim, default)
                if value is not None:
                    return value, claim
        for key in features:
            claim = self._winning.get(key)
            if claim is not None and claim.kind == "log" and _is_switch(claim.value, default):
                return _as_read(claim, default), claim
        return default, None


def _feature(name: str) -> str:
    """``TTT_ENABLED``, ``USE_TTT`` and ``ENABLE_TTT`` switch what logs call ``ttt``."""
    return re.sub(r"^(?:use|enable|do|run)_|_(?:enabled?|on)$", "", name.lower())


def _is_switch(value: str, default: str | None) -> bool:
    known = _TRUE | _FALSE
    return value.lower() in known and (default is None or default.strip().lower() in known | {""})


def _as_read(claim: Claim, default: str | None) -> str | None:
    """A logged value in the spelling that the code parses, judged by its default.

    Logs print what the code made of a variable: ``True`` for ``"1"``, ``4.0`` for ``"4"``. Commands
    already have the code's spelling. ``None`` for an event (``on``) where the setting is no switch.
    """
    value = claim.value
    if claim.kind != "log":
        return value
    if value.lower() in _TRUE | _FALSE and not value[:1].isdigit():
        if value in {ON, OFF} and not _is_switch(value, default):
            return None
        words = default is not None and default.strip().lower() in {"true", "false"}
        on = value.lower() in _TRUE
        spelled = str(on) if words else str(int(on))
        return spelled.lower() if words and default and default.islower() else spelled
    if re.fullmatch(r"-?\d+\.0+", value) and default and re.fullmatch(r"-?\d+", default.strip()):
        return value.partition(".")[0]
    return value


def _readme_commands(submission: Submission) -> Iterator[Command]:
    runs = frozenset(
        PurePosixPath(source.path).name for source in (submission.entry, *submission.run_scripts)
    )
    for readme in submission.readme:
        found = run_commands(readme, runs, submission.path)
        # A record's script is sometimes renamed after its README was written.
        yield from found or _launches(run_commands(readme, _train_scripts(readme), submission.path))


def _train_scripts(readme: SourceFile) -> frozenset[str]:
    return frozenset(re.findall(r"\btrain\w*\.py\b", readme.text))


def _launches(found: Iterable[Command]) -> Iterator[Command]:
    return (command for command in found if "torchrun" in command.words)


def _called_claims(
    command: Command, submission: Submission, called: set[str] | None = None
) -> list[Claim]:
    """The claims of the run script that a command calls, once each: scripts may call each other."""
    called = set() if called is None else called
    name = PurePosixPath(command.script() or "").name
    script = next((s for s in submission.run_scripts if PurePosixPath(s.path).name == name), None)
    if script is None or script.path in called:
        return []
    called.add(script.path)
    return _script_claims(script, submission, command.environment, called)


def _script_claims(
    script: SourceFile,
    submission: Submission,
    environment: Mapping[str, Claim] | None = None,
    called: set[str] | None = None,
) -> list[Claim]:
    if script.language == "python":
        return list(_launcher_claims(script))
    if PurePosixPath(script.path).suffix in {".env", ".yaml", ".yml"}:
        return list(_file_claims(script))
    called = {script.path} if called is None else called
    found: list[Claim] = []
    runs: list[list[Claim]] = []
    entry = PurePosixPath(submission.entry.path).name
    for command in commands(
        script.text, path=script.path, kind="run-script", environment=environment
    ):
        started = command.script() or ""
        if names_other_record(started, submission.path):
            continue
        if PurePosixPath(started).name == entry:
            runs.append(list(command.claims()))
        else:
            found += _called_claims(command, submission, called)
    return found + _in_every_run(runs)


def _in_every_run(runs: list[list[Claim]]) -> list[Claim]:
    """What all runs of a script set: one that leaves a setting out runs with the code's default."""
    shared = set.intersection(*({claim.key for claim in run} for run in runs)) if runs else set()
    return [claim for run in runs for claim in run if claim.key in shared]


def _logged(logs: Iterable[SourceFile]) -> tuple[list[Claim], list[Claim]]:
    """The logs' claims, those whose setting has several values or only side runs first."""
    found = [claim for log in _main_line(logs) for claim in log_settings(log)]
    first: dict[str, Claim] = {}
    split = {c.key for c in found if not same(first.setdefault(c.key, c).value, c.value)}
    weak = [c for c in found if c.key in split or is_side_run(c.path)]
    return weak, [c for c in found if c.key not in split and not is_side_run(c.path)]


def _file_claims(script: SourceFile) -> Iterator[Claim]:
    """``NAME=value`` of an .env file, ``NAME: value`` of a YAML file's environment."""
    yaml = re.compile(r"\s*-?\s*([A-Z][A-Z0-9_]+):\s*['\"]?([\w./+-]+)['\"]?\s*(?:#.*)?")
    for number, line in enumerate(script.text.splitlines(), 1):
        text = line.strip().removeprefix("export ").removeprefix("- ").strip("'\"")
        match = ASSIGNMENT.fullmatch(text) or yaml.fullmatch(line)
        if match and "$" not in match[2]:
            value = match[2].partition(" #")[0].strip().strip("'\"")
            yield Claim(match[1], value, "run-script", script.path, number)


def _launcher_claims(script: SourceFile) -> Iterator[Claim]:
    """Literal ``os.environ[...] = ...`` and string dictionaries of a Python launcher.

    A launcher may hold several profiles; what they disagree on depends on which one is chosen.
    """
    found: dict[str, list[Claim]] = {}
    for claim in _literals(script):
        found.setdefault(claim.key, []).append(claim)
    for claims_ in found.values():
        if len({claim.value for claim in claims_}) == 1:
            yield claims_[0]


def _literals(script: SourceFile) -> Iterator[Claim]:
    try:
        tree = ast.parse(script.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            pairs = [(node.targets[0].slice, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        for name, value in pairs:
            match name, value:
                case ast.Constant(value=str(key)), ast.Constant(value=str(text)) if re.fullmatch(
                    r"[A-Z][A-Z0-9_]+", key
                ):
                    yield Claim(key, text, "run-script", script.path, value.lineno)


def _metadata_claims(submission: Submission) -> Iterator[Claim]:
    """Scalars of groups such as ``config`` or ``hyperparameters``; other keys describe results."""
    path = submission.metadata_file.path if submission.metadata_file else ""

    def walk(group: Mapping[str, Any], inside: bool, depth: int) -> Iterator[Claim]:
        for name, value in group.items():
            if isinstance(value, dict) and depth < _DEEPEST_GROUP:
                named = bool(_METADATA_GROUPS.search(str(name)))
                yield from walk(value, inside or named, depth + 1)
            elif (
                inside and isinstance(value, (str, int, float)) and re.fullmatch(r"\w+", str(name))
            ):
                yield Claim(str(name), str(value), "json", path, 1)

    if submission.metadata:
        yield from walk(submission.metadata, inside=False, depth=0)


def _main_line(sources: Iterable[SourceFile]) -> list[SourceFile]:
    """Without side runs, unless there is nothing else; evaluations, which give the score, last."""
    everything = sorted(sources, key=lambda s: ("eval" in PurePosixPath(s.path).name, s.path))
    return [s for s in everything if not is_side_run(s.path)] or everything


def is_side_run(path: str) -> bool:
    """Whether a file's name speaks of an ablation, a baseline, a set-up or the like."""
    return bool(_SIDELINE.search(PurePosixPath(path).stem))
