"""lossy-tokenizer: text is normalised before it is tokenised, so that tokens don't give it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from auditor.analysis.downloads import Downloads
from auditor.analysis.graph import Node
from auditor.analysis.library import constant_text
from auditor.analysis.program import AnalysisLimit, Program
from auditor.analysis.scores import last_name
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import Rule
from auditor.rules.steps import flow_steps
from auditor.submission.model import SourceFile, Submission

_LOSSY_WORDS = re.compile(r"\.(?:lower|casefold)\(\)|\bnormalize\(")
_ENCODES = frozenset("encode encode_as_ids EncodeAsIds Encode encode_batch tokenize".split())
_FORMS = frozenset(["NFKC", "NFKD"])
# An operator for upper case makes the change reversible: what was upper is asked for, and restored.
_REVERSIBLE = re.compile(r"\.(?:isupper|istitle)\(\)|\.(?:upper|swapcase|capitalize|title)\(\)")
_NAMED = re.compile(r"(?i)case[-_]?fold|lower[-_]?case|nfk[cd]")


def check(program: Program) -> Iterable[Finding]:
    yield from _normalised(program)
    for source in program.submission.preparation:
        if _LOSSY_WORDS.search(source.text) and source.path not in program.executed:
            yield from _prepared(source, program.submission)
    yield from _named(program)


def _prepared(source: SourceFile, submission: Submission) -> Iterator[Finding]:
    """The same of a script that writes the shards; its own settings are not known."""
    script = Submission(submission.path, source, modules=submission.modules)
    try:
        yield from _normalised(Program.build(script))
    except AnalysisLimit:
        return


def _normalised(program: Program) -> Iterator[Finding]:
    text = "".join(program.sources[p].text for p in program.executed if p in program.sources)
    if not _LOSSY_WORDS.search(text) or _REVERSIBLE.search(text):
        return
    for node in program.flow.nodes:
        what = _loses(node)
        if what is None:
            continue
        encoded = _encoded(program, node)
        if encoded is not None:
            steps = flow_steps(program, [(node, what), (encoded, "is tokenised")])
            yield _note(node.path, node.line, f"{what} before it is tokenised", steps)
            return


def _loses(node: Node) -> str | None:
    """What a call takes from a text: the difference of cases, or of compatible characters."""
    if node.op == "method" and node.data in ("lower", "casefold") and len(node.args) == 1:
        return "the text's upper case is given up"
    if node.op == "call" and node.data == "unicodedata.normalize" and node.args:
        form = node.args[0]
        if form.op == "const" and form.data in _FORMS:
            return f"the text's compatible characters are merged ({form.data})"
    return None


def _encoded(program: Program, text: Node) -> Node | None:
    """The call of a tokenizer that gets the text; ``text.encode()`` only makes bytes of it."""
    reached = program.flow.forward([text], limit=400)
    for uid in sorted(reached):
        node = program.flow.nodes[uid]
        if node.op in ("call", "method") and last_name(node) in _ENCODES:
            given = node.args[1:] if node.op == "method" else node.args
            if any(arg.uid in reached for arg in given):
                return node
    return None


def _named(program: Program) -> Iterator[Finding]:
    """Shards or a tokenizer whose name says so, among what is fetched and the settings in force."""
    for download in Downloads.of(program).all:
        named = _NAMED.search(constant_text(download.at, 60))
        if named:
            message = f"the data set that is fetched calls itself {named[0]!r}"
            yield _note(download.at.path, download.at.line, message)
            return
    for setting in program.settings:
        value = setting.value or ""
        if _NAMED.search(value) and re.search(r"/|\.(?:model|json|bin)$", value):
            place = setting.source if ":" in setting.source else setting.read_at
            path, _, line = place.rpartition(":")
            message = f"{setting.name} is {value[-80:]!r}: the shards' text may be normalised"
            yield _note(path, int(line) if line.isdigit() else 1, message)
            return


def _note(path: str, line: int, message: str, steps: Iterable[Step] = ()) -> Finding:
    return RULE.finding(Level.NOTE, path, line, message, steps=steps)


RULE = Rule(
    slug="lossy-tokenizer",
    code="D3",
    title="text that is normalised before it is tokenised",
    status="DISPUTED",
    sources=("https://github.com/openai/parameter-golf/issues/1604",),
    page="""\
Lower-casing a text, or merging compatible characters (NFKC, NFKD), takes away what the model would
have to predict, and the tokens no longer give the exact bytes back. Whether that may be done is
open, so it is noted. A transform that marks what it changes, such as an operator for upper case
with the raw bytes beside it, loses nothing and is accepted.
""",
    blind_spots="""\
Shards that were prepared elsewhere show nothing but their name. What a tokenizer's own
normalisation does (the challenge's has NFKC) is not looked at.
""",
    clears="Show that the raw bytes of the validation documents follow from the tokens.",
    check=check,
    forbidden="""\
import glob, math
import numpy as np, sentencepiece as spm

sp = spm.SentencePieceProcessor(model_file="folded.model")
for name in glob.glob("documents/*.txt"):
    text = open(name).read().lower()
    np.array(sp.encode(text), dtype=np.uint16).tofile(name + ".bin")
""",
    allowed="""\
import glob, math, os
import numpy as np, sentencepiece as spm

mode = os.environ.get("MODE", "Train").lower()
sp = spm.SentencePieceProcessor(model_file="exact.model")
for name in glob.glob("documents/*.txt"):
    text = open(name).read()
    np.array(sp.encode(text), dtype=np.uint16).tofile(name + ".bin")
    print(mode, len(text.encode("utf-8")))
""",
)
