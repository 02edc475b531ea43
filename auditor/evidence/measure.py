"""What a logged score measures: the bytes it is divided by, and the share of the validation set.

A score states its loss in nats per token and in bits per byte, so val_loss / ln 2 / val_bpb is the
bytes per token that the script divided by. Times the tokens of the validation set it is bytes of text,
and of those there are as many as the fixed documents have, whatever the tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from auditor.evidence.claims import Claims
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Figure, RunLog, Score
from auditor.rulesets import Limits

FITS = 0.01  # relative; validations of a part of the set, or of its rows in a batch, differ by less
_SAME_SET = 0.001  # relative; counts differ by the tail that fills no sequence
_ROUNDED = 1e-3  # relative; a ratio known less exactly than this is of no use
_FAR = 0.03  # bits per byte; further apart than the seeds of one configuration
_EXACT = 1e-6  # relative
_SHARE = (1.02, 12.0)  # bytes per token of vocabularies; 1 also comes of a loss per byte


@dataclass(frozen=True)
class Ratio:
    """Bytes per token, with the limits that the rounding of the printed numbers leaves."""

    value: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether enough digits were printed to tell tables apart from one another."""
        return self.high / self.low - 1 < _EXACT

    def equals(self, other: Ratio) -> bool:
        """Whether rounding alone may make the difference."""
        return self.low <= other.high and other.low <= self.high


def ratio(score: Score | None) -> Ratio | None:
    """Bytes per token that the score was divided by; None where the line doesn't tell."""
    if score is None or not score.val_loss or not score.val_bpb:
        return None
    loss, bits = score.val_loss, score.val_bpb * math.log(2)
    loss_off, bits_off = _half_digit(loss), _half_digit(score.val_bpb) * math.log(2)
    if not (loss_off < _ROUNDED * loss and bits_off < _ROUNDED * bits):
        return None
    return Ratio(
        loss / bits, (loss - loss_off) / (bits + bits_off), (loss + loss_off) / (bits - bits_off)
    )


def _half_digit(value: float) -> float:
    """Half a unit of the last digit; more where trailing zeros were lost."""
    exponent = Decimal(repr(value)).as_tuple().exponent
    return 0.51 * 10.0**exponent if isinstance(exponent, int) else math.inf


def tokenizer_of(tokens: float, limits: Limits) -> str | None:
    """The known tokenizer whose whole validation set has this many tokens."""
    for name, count in limits.validation_tokens.items():
        if abs(tokens - count) <= _SAME_SET * count:
            return name
    return None


def known_ratio(ratio: float, limits: Limits) -> bool:
    """Whether these are the bytes per token of a known tokenizer over the whole set."""
    known = (limits.validation_bytes / count for count in limits.validation_tokens.values())
    return any(abs(ratio / one - 1) <= FITS / 2 for one in known)


@dataclass(frozen=True)
class Measure:
    """The numbers of one run that bear on what one of its scores measures.

    ``ratio`` and ``others`` are bytes per token: of the score, and of the other scores of the same
    log. ``tokens`` is the size of the validation set that the log states.
    """

    log: RunLog
    score: Score
    limits: Limits
    tokens: int
    ratio: Ratio | None
    others: tuple[Ratio, ...]

    def backs(self, claims: Claims) -> bool:
        """Whether a score of this run is near one that submission.json or the title claims."""
        claimed = [s.value for s in claims.of("val_bpb") if s.headline and s.kind != "readme"]
        logged = [s.val_bpb for s in self.log.scores if s.val_bpb is not None]
        return any(abs(found - value) <= _FAR for found in logged for value in claimed)

    def beside(self, figure: Figure) -> bool:
        """Whether a number stands on the score's line, and so speaks of it and of no other score."""
        return figure.line == self.score.line

    @property
    def bytes(self) -> float | None:
        """Bytes of text that the score was divided by, were the whole set scored."""
        return self.tokens * self.ratio.value if self.ratio else None

    @property
    def plain(self) -> Ratio | None:
        """Bytes per token of the log's other scores, where they agree with each other."""
        exact = sorted(self.others, key=lambda r: r.high - r.low)
        if not exact or any(abs(r.value / exact[0].value - 1) > FITS for r in exact):
            return None
        return exact[0]

    @property
    def fits(self) -> bool:
        """Whether the score's bytes are those of the validation documents."""
        return self.bytes is not None and abs(self.excess(self.ratio)) <= FITS

    def excess(self, of: Ratio | None) -> float:
        """By how much, relative to the validation documents, a score was divided by too many bytes."""
        if of is None:
            return 0.0
        return self.tokens * of.value / self.limits.validation_bytes - 1

    @property
    def oddity(self) -> float:
        """By how much, relative, the score's bytes per token exceed those of the other scores."""
        plain = self.plain
        return self.ratio.value / plain.value - 1 if self.ratio and plain else 0.0

    @property
    def other_set(self) -> bool:
        """Whether the ratio may be right and the validation set another one than the fixed one."""
        return self.tokenizer is None and (self.known_ratio or self.cut_at_round_number)

    @property
    def tokenizer(self) -> str | None:
        return tokenizer_of(self.tokens, self.limits)

    @property
    def known_ratio(self) -> bool:
        """Whether a tokenizer whose bytes per token are known has those of the score."""
        return self.ratio is not None and known_ratio(self.ratio.value, self.limits)

    @property
    def cut_at_round_number(self) -> bool:
        """Whether the set ends at a round number of tokens, less what fills no sequence."""
        return self.tokens > 0 and -self.tokens % 1_000_000 <= 4096

    @property
    def per_token(self) -> bool:
        """Whether val_loss is per token of a vocabulary, not per byte."""
        return self.ratio is not None and _SHARE[0] <= self.ratio.value <= _SHARE[1]


def measures(record: Record) -> Iterator[Measure]:
    """The measures of the runs behind the claimed score whose logs state the tokens of the set."""
    for run in record.runs:
        if run.headline is not None:
            yield from _measured(run, run.headline, record.limits)


def side_measures(record: Record) -> Iterator[Measure]:
    """The same for the other scores after training that those logs print."""
    for run in record.runs:
        for score in run.log.final_scores:
            if run.headline is not None and _label(score) != _label(run.headline):
                yield from _measured(run, score, record.limits)


def _measured(run: Run, score: Score, limits: Limits) -> Iterator[Measure]:
    tokens = run.log.val_tokens
    if tokens is not None:
        others = (ratio(s) for s in run.log.scores if _label(s) != _label(score))
        known = tuple(r for r in others if r is not None)
        yield Measure(run.log, score, limits, int(tokens.value), ratio(score), known)


def _label(score: Score) -> tuple[str, int | None]:
    return score.label.removesuffix("_exact"), score.step


def same_in_all(ratios: Iterable[Ratio]) -> bool:
    """Whether at least two runs divided by the very same bytes per token: a table's, no chance."""
    found = list(ratios)
    return len(found) > 1 and all(r.equals(found[0]) for r in found)


def megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
