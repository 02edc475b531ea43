"""byte-accounting: bits per byte that are divided by more bytes than the documents have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from auditor.analysis.byte_tables import Constant, Twice, constant_ratio, spaces_twice
from auditor.analysis.graph import Node
from auditor.analysis.learning import Scoring
from auditor.analysis.program import Program
from auditor.evidence.measure import (
    FITS,
    Measure,
    known_ratio,
    measures,
    megabytes,
    same_in_all,
    side_measures,
)
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level, Step
from auditor.rules.base import NotChecked, Rule
from auditor.rules.steps import flow_steps
from auditor.rulesets import Limits

_SITE = "https://github.com/openai/parameter-golf/"


def check(program: Program) -> Iterable[Finding]:
    for twice in spaces_twice(program):
        yield _spaces(program, twice)


def _spaces(program: Program, twice: Twice) -> Finding:
    stations = [
        (twice.flag, "a word with a space before it is told apart"),
        (twice.length, "its length counts that space already"),
        (twice.total, "one more byte is added for it"),
    ]
    steps = flow_steps(program, [*stations, *_output(program, twice.total)])
    message = "breaks: the space before a word is counted in the word's length and added once more"
    at = twice.length
    return RULE.finding(Level.VIOLATION, at.path, at.line, message, steps=steps, column=at.column)


def _output(program: Program, node: Node) -> list[tuple[Node, str]]:
    output = program.scores.reaches_output(node)
    return [] if output is None else [(output, "and divides the reported score")]


def _constants(program: Program, limits: Limits) -> Iterator[Finding]:
    seen: set[tuple[str, int]] = set()
    for scoring in program.learning.headline:
        constant = constant_ratio(program, scoring)
        if constant is not None and (constant.at.path, constant.at.line) not in seen:
            seen.add((constant.at.path, constant.at.line))
            yield _constant(program, scoring, constant, limits)


def _constant(program: Program, scoring: Scoring, constant: Constant, limits: Limits) -> Finding:
    """The average of a known tokenizer is right for the whole set; any other number is a guess."""
    stations = [
        (scoring.at, "the loss per token"),
        (constant.at, f"divided by {constant.ratio:.4g} bytes per token"),
        (scoring.output, "and reported"),
    ]
    message = (
        f"bits per byte are bits per token divided by the constant {constant.ratio:.4g}, not by the "
        "bytes of the scored text"
    )
    least = limits.validation_bytes / max(limits.validation_tokens.values())
    if known_ratio(constant.ratio, limits):
        level, lead = Level.NOTE, ""
    elif constant.ratio < least:  # which makes the score worse, unless its tokens are shorter still
        level, lead = Level.QUESTION, "please show the bytes of the text: "
    else:
        level, lead = Level.VIOLATION, "breaks: "
    at, steps = constant.at, flow_steps(program, stations)
    return RULE.finding(level, at.path, at.line, lead + message, steps=steps, column=at.column)


def check_record(record: Record) -> Iterable[Finding]:
    if record.program is not None:
        yield from _constants(record.program, record.limits)
    told = [m for m in measures(record) if m.ratio is not None]
    if not told:
        raise NotChecked("no log states the tokens of its validation set and a score in both units")
    judged = [m for m in told if m.per_token and not m.fits]
    firm = any(m.backs(record.claims) for m in judged)
    odd = [m for m in judged if m.oddity > FITS]
    if odd:
        yield _odd_headline(odd, firm)
    wrong = [m for m in judged if m not in odd and m.excess(m.ratio) > FITS and not m.other_set]
    if wrong:
        yield _wrong_for_all(wrong, firm)
    yield from _odd_others(record)


def _wrong_for_all(runs: Sequence[Measure], firm: bool) -> Finding:
    """Every score of the log was divided by the same, wrong number of bytes."""
    first = runs[0]
    excess = first.excess(first.ratio)
    sure = first.plain is not None or same_in_all(m.ratio for m in runs if m.ratio)
    if firm and sure and excess > 2 * FITS:
        return _finding(Level.VIOLATION, runs, f"breaks: {_sum(first)}")
    return _finding(
        Level.QUESTION, runs, f"please show what the score is divided by: {_sum(first)}"
    )


def _odd_headline(runs: Sequence[Measure], firm: bool) -> Finding:
    """The headline was divided by more bytes than the other scores of the same log."""
    message = f"the headline's {_compared(runs[0])}"
    if firm and _same_to_the_digit(runs):
        message = f"breaks: {message}; all {len(runs)} runs imply the same, to the last digit"
        return _finding(Level.VIOLATION, runs, message)
    message = (
        f"please show what the score is divided by: {message}, or which loss each of them is of"
    )
    return _finding(Level.QUESTION, runs, message)


def _odd_others(record: Record) -> Iterator[Finding]:
    """A score that is not the headline was divided by more bytes than the others, in all runs."""
    by_label: dict[str, list[Measure]] = {}
    for measure in side_measures(record):
        if measure.per_token and measure.oddity > FITS:
            by_label.setdefault(measure.score.label, []).append(measure)
    for label, runs in by_label.items():
        if _same_to_the_digit(runs):
            message = f"appears to break: {label}'s {_compared(runs[0])}; it is not the headline"
            yield _finding(Level.SUSPECT, runs, message)


def _same_to_the_digit(runs: Sequence[Measure]) -> bool:
    """Bytes per token that a table gives: a mixture's would differ from run to run."""
    exact = [m.ratio for m in runs if m.ratio and m.ratio.exact]
    return len(exact) == len(runs) and same_in_all(exact)


def _compared(run: Measure) -> str:
    assert run.ratio and run.plain
    return (
        f"val_loss and val_bpb imply {run.ratio.value:.4f} bytes per token, the log's other scores "
        f"{run.plain.value:.4f} ({run.oddity:+.1%})"
    )


def _sum(run: Measure) -> str:
    assert run.ratio and run.bytes
    return (
        f"{run.tokens:,} tokens at {run.ratio.value:.4f} bytes each are {megabytes(run.bytes)}, the "
        f"validation documents have {megabytes(run.limits.validation_bytes)} "
        f"({run.excess(run.ratio):+.1%})"
    )


def _finding(level: Level, runs: Sequence[Measure], message: str) -> Finding:
    steps = [step for run in runs for step in _steps(run)]
    place = steps[1]
    return RULE.finding(level, place.path, place.line, message, steps=steps)


def _steps(run: Measure) -> tuple[Step, Step]:
    score, tokens = run.score, run.log.val_tokens
    assert tokens and run.ratio
    return (
        Step(run.log.path, tokens.line, f"{run.tokens:,} validation tokens"),
        Step(
            run.log.path,
            score.line,
            f"{score.val_loss} / ln 2 / {score.val_bpb} = {run.ratio.value:.4f} bytes per token",
        ),
    )


_SCRIPT = """\
import glob, math, os
import numpy as np, sentencepiece as spm, torch, torch.nn.functional as F

sp = spm.SentencePieceProcessor(model_file=os.environ["TOKENIZER_PATH"])
files = glob.glob(os.environ["DATA_PATH"] + "/fineweb_val_*.bin")
val = torch.from_numpy(np.fromfile(files[0], dtype=np.uint16).astype(np.int64))
model = torch.nn.Embedding(1024, 1024)
print(f"val_loader:shards pattern={files[0]} tokens:{val.numel() - 1}")
nats = F.cross_entropy(model(val[:-1]), val[1:]).item()
texts = sp.decode(val[1:].tolist())
print(f"final_roundtrip_exact val_loss:{nats:.8f} val_bpb:{nats / math.log(2) / RATIO:.8f}")
"""
_LOG = """\
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
step:20000/20000 val_loss:2.0606 val_bpb:STEP train_time:599000ms step_avg:29.95ms
final_roundtrip_exact val_loss:2.07269931 val_bpb:FINAL
"""

RULE = Rule(
    slug="byte-accounting",
    code="D1",
    title="the bytes-per-token denominator is wrong",
    status="RULED",
    sources=(_SITE + "blob/main/README.md", _SITE + "issues/897", _SITE + "pull/2138"),
    page="""\
Bits per byte are bits divided by the bytes of the original text, so that tokenizers can be compared.
A log tells which number a score was divided by: tokens of the validation set, times val_loss / ln 2 /
val_bpb. It must come to the bytes of the validation documents, 151.08 MB, with every tokenizer. More
bytes make a better score of the same predictions: leading spaces that are counted twice, byte tokens
that count as the six characters of their name, the text after a transform instead of the text
itself, a constant instead of a table.
""",
    blind_spots="""\
- The bytes are computed from the log's val_loss, val_bpb and token count. The byte table itself is not rebuilt
  from the tokenizer.
- Scores whose val_loss is not a mean over tokens are left out.
""",
    clears=(
        "Divide by the bytes of the decoded text of the scored tokens, and print that number beside "
        "the count of tokens."
    ),
    check=check,
    check_record=check_record,
    forbidden={
        "train_gpt.py": _SCRIPT.replace("RATIO", "2.8672"),
        "train_seed42.log": _LOG.replace("STEP", "1.0368").replace("FINAL", "1.04292834"),
    },
    allowed={
        "train_gpt.py": _SCRIPT.replace("RATIO", "(len(texts.encode()) / (val.numel() - 1))"),
        "train_seed42.log": _LOG.replace("STEP", "1.2204").replace("FINAL", "1.22758513"),
    },
)
