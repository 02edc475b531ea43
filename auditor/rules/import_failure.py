"""import-failure: the script needs a module, a package or a Python that nothing provides."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from auditor.analysis.parse import Unparseable, nodes_on, parse, statements
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules.base import Rule
from auditor.submission.discover import record_folder
from auditor.submission.model import Party, SourceFile, Submission

_SITE = "https://github.com/openai/parameter-golf/"
# requirements.txt of the challenge's main branch, and what those packages bring along. Its README:
# "Evaluation will be in the RunPod environment with all packages installed."
_LISTED = """numpy tqdm torch huggingface_hub kernels setuptools typing_extensions datasets tiktoken
sentencepiece"""
_BROUGHT_ALONG = """triton sympy mpmath networkx jinja2 markupsafe fsspec filelock packaging yaml
requests urllib3 certifi idna charset_normalizer httpx httpcore h11 anyio aiohttp pandas pyarrow dill
multiprocess xxhash regex pkg_resources dateutil pytz six torchgen functorch"""
# Not listed, but merged records import it without a word: the image has it. The challenge's README
# sets mlx up for Apple's machines.
_IN_IMAGE = "flash_attn flash_attn_interface pip wheel torchvision torchaudio psutil mlx"
# Compressors that many records ship their weights with: worth a line, not a question.
_COMPRESSORS = frozenset("zstandard brotli".split())
_GONE = "distutils imp asynchat asyncore"  # of older Pythons' standard library
PROVIDED = frozenset(f"{_LISTED} {_BROUGHT_ALONG} {_IN_IMAGE} {_GONE}".split())
# Packages under another name than their module's.
_DISTRIBUTIONS = {
    "brotli": ("brotlicffi", "brotlipy"),
    "cv2": ("opencv",),
    "dotenv": ("python-dotenv",),
    "fla": ("flash-linear-attention",),
    "PIL": ("pillow",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "zstd": ("pyzstd",),
}

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+(.+))", re.MULTILINE
)
_TRY = (ast.Try, getattr(ast, "TryStar", ast.Try))
# An f-string whose replacement field holds the string's own quote (grammar of 3.12), from that quote
# on. Searched for behind each prefix, because plain searches for a few letters are fast.
_PREFIXES = ("f", "F", "fr", "Fr", "fR", "FR")
_NESTED = {
    q: re.compile(rf"{q}(?:\\.|{{{{|{{[^{q}{{}}\n]*}}|[^{q}\\{{\n])*{{(?!{{)[^{q}{{}}\n]*{q}")
    for q in "\"'"
}
_RAN_ON = re.compile(r"\bRunning Python (3\.\d+)")
_WANTS = re.compile(r"(?i)\bpython[ `=:>~]{0,4}(3\.\d+)")
_NEWER = (3, 12)


def check_record(record: Record) -> Iterable[Finding]:
    submission = record.submission
    sources = _sources(submission)
    for source in sources:
        yield from _broken(source)
    yield from _too_new(submission, sources)
    yield from _missing(record, sources)
    yield from _outside(submission)


def _sources(submission: Submission) -> list[SourceFile]:
    """The Python that the entry leads to, decoded payloads included."""
    payloads = [source for group in submission.payloads.values() for source in group]
    found = {s.path: s for s in (submission.entry, *submission.modules.values(), *payloads)}
    return [source for source in found.values() if source.language == "python"]


# -- text that is no Python -------------------------------------------------------------------


def _broken(source: SourceFile) -> Iterator[Finding]:
    try:
        parse(source)
    except Unparseable as error:
        what = error.problem.what.removeprefix("not checked: ")
        if error.problem.party is not Party.SUBMISSION or source.host or "valid" not in what:
            return  # too much for the tool, or decoded wrongly by it
        line = re.search(r"line (\d+)", what)
        message = f"appears to break: {what}; only a grammar newer than 3.14's would explain it"
        yield RULE.finding(Level.SUSPECT, source.path, int(line[1]) if line else 1, message)


# -- grammar that is newer than the stated Python ---------------------------------------------


def _too_new(submission: Submission, sources: list[SourceFile]) -> Iterator[Finding]:
    place = next(filter(None, map(_newer_line, sources)), None)
    if place is None:
        return
    path, line = place
    stated = _stated_python(submission)
    needs = "this f-string holds its own quotes, which Python reads from 3.12 on"
    if stated is None:
        message = f"{needs}; no log or README says which Python runs it"
        yield RULE.finding(Level.NOTE, path, line, message)
    elif stated[0] < _NEWER:
        version = ".".join(map(str, stated[0]))
        message = f"please show which Python runs this: {needs}, but {stated[1]} says {version}"
        yield RULE.finding(Level.QUESTION, path, line, message)


def _newer_line(source: SourceFile) -> tuple[str, int] | None:
    """Where a source uses the newer grammar of f-strings first."""
    lines = {source.text.count("\n", 0, start) + 1 for start in _nested(source.text)}
    if not lines:
        return None
    try:
        tree = parse(source)
    except Unparseable:
        return None
    # A comment or another string may hold such text: only what was read as an f-string counts.
    spans = [n.lineno for n in nodes_on(tree, lines) if isinstance(n, ast.JoinedStr)]
    found = lines & set(spans)
    return (source.path, min(found)) if found else None


def _nested(text: str) -> Iterator[int]:
    """Where something like an f-string with its own quote inside begins."""
    for quote, pattern in _NESTED.items():
        for prefix in _PREFIXES:
            opening = f"{prefix}{quote}"
            start = text.find(opening)
            while start >= 0:
                if pattern.match(text, start + len(prefix)):
                    yield start
                start = text.find(opening, start + 1)


def _stated_python(submission: Submission) -> tuple[tuple[int, int], str] | None:
    """The newest Python that the logs, else the READMEs, speak of, and where."""
    for sources, pattern in ((submission.logs, _RAN_ON), (submission.readme, _WANTS)):
        found = []
        for source in sources:
            for match in pattern.finditer(source.text):
                line = source.text.count("\n", 0, match.start()) + 1
                found.append((_version(match[1]), f"{source.path}:{line}"))
        if found:
            return max(found)
    return None


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor[:3])


# -- modules that nothing provides ------------------------------------------------------------


def _missing(record: Record, sources: list[SourceFile]) -> Iterator[Finding]:
    submission = record.submission
    local = {part for name in submission.modules for part in (name.split(".")[0], name)}
    reported: set[str] = set()
    for source in sources:
        unknown = _imported(source.text) - PROVIDED - sys.stdlib_module_names - local - reported
        if unknown:
            told = _told(submission)
            unknown = {name for name in unknown if not _is_told(name, told)}
        if not unknown:
            continue
        for name, line in _unguarded(source, record):
            if name in unknown and name not in reported:
                reported.add(name)
                yield _unprovided(name, source.path, line, submission)


def _unprovided(name: str, path: str, line: int, submission: Submission) -> Finding:
    alone = not submission.readme and not submission.requirements  # nowhere to name it
    if alone or name in _COMPRESSORS:
        message = f"{name} is imported, and nothing beside the script says how it is set up"
        return RULE.finding(Level.NOTE, path, line, message)
    message = (
        f"please show what provides {name}: it is neither a file of the submission nor in the "
        "challenge's requirements.txt, and no requirements.txt, README or run script beside it "
        "names it"
    )
    return RULE.finding(Level.QUESTION, path, line, message)


def _imported(text: str) -> set[str]:
    """The first parts of the names in import lines; more than is really imported, never less."""
    found = set()
    for module, names in _IMPORT.findall(text):
        for name in [module] if module else names.split(","):
            word = re.match(r"\s*(\w+)", name)
            if word:
                found.add(word[1])
    return found


def _told(submission: Submission) -> str:
    """Everything beside the script that may name a package, in lower case."""
    sources = (*submission.requirements, *submission.readme, *submission.run_scripts)
    return "\n".join(source.text.lower() for source in sources)


def _is_told(name: str, told: str) -> bool:
    spellings = (name, *_DISTRIBUTIONS.get(name, ()))
    return any(_spelled(spelling.lower()).search(told) for spelling in spellings)


@cache
def _spelled(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(name).replace('_', '[-_ ]')}(?![a-z0-9])")


def _unguarded(source: SourceFile, record: Record) -> Iterator[tuple[str, int]]:
    """Imports that run: at the top of a source, or in a function that the live path reaches."""
    try:
        tree = parse(source)
    except Unparseable:
        return
    reached = record.program.tracer.reached if record.program else frozenset()
    todo = list(tree.body)
    for statement, _ in statements(tree) if reached else ():
        function = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        if function and (source.path, statement.lineno) in reached:
            todo.extend(statement.body)  # type: ignore[attr-defined]
    for statement in todo:
        if isinstance(statement, ast.Import):
            yield from ((alias.name.split(".")[0], statement.lineno) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module.split(".")[0], statement.lineno
        elif isinstance(statement, _TRY) and not _falls_back(statement):
            todo.extend(statement.body)


def _falls_back(statement: ast.Try) -> bool:
    """Whether a failed import is survived; a handler that raises or exits only words the failure."""
    return not statement.handlers or any(
        not any(isinstance(part, ast.Raise) or _exits(part) for part in ast.walk(handler))
        for handler in statement.handlers
    )


def _exits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("exit", "quit", "sys.exit")


def _outside(submission: Submission) -> Iterator[Finding]:
    """Modules that a record's script finds only outside its folder; the challenge's own are fine."""
    if record_folder(f"{submission.path}/x") != submission.path:
        return
    found = sorted(
        source.path
        for source in submission.modules.values()
        if not source.path.startswith((f"{submission.path}/", "data/")) and not source.host
    )
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        message = (
            "please show that the script runs inside its record folder: "
            f"it needs {found[0]}{more}, outside of it"
        )
        yield RULE.finding(Level.QUESTION, submission.entry.path, 1, message)


RULE = Rule(
    slug="import-failure",
    code="E3",
    title="the script needs something that nothing provides",
    status="RULED",
    sources=(_SITE + "blob/main/README.md",),
    page="""\
The script must compile and run inside its own record folder; broken scripts are not accepted.
Packages may be used freely if a requirements.txt or the record's README says how to set them up.
What is read here: text that no Python can parse, f-strings of Python 3.12 where the log or the README
says that an older Python runs, and imports that are met on the way without a fallback and that
neither the folder nor the challenge's requirements.txt provides. Only a run shows that a script
works.
""",
    blind_spots="""\
- Nothing is imported: whether a package of the stated version has what the script asks of it is not known.
- Imports under `try`, or in code that the settings switch off, are not counted.
- Files that the script opens while it runs are not asked for.
""",
    clears=(
        "Add the missing file, or name the package in a requirements.txt and its set-up in the README."
    ),
    check_record=check_record,
    forbidden={
        "train_gpt.py": "import my_fused_kernels\n\nprint(my_fused_kernels.score())\n",
        "README.md": "# Fused kernels\n",
    },
    allowed={
        "train_gpt.py": """\
import brotli

try:
    import my_fused_kernels
except ImportError:
    my_fused_kernels = None
print(len(brotli.compress(open(__file__, "rb").read())))
""",
        "README.md": "# Kernels\n\n    pip install brotli\n",
    },
)
