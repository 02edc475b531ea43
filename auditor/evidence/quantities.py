"""What a name means: ``bytes_total``, ``Post-TTT BPB`` or ``train time (s)`` as a quantity.

Keys of submission.json and headers of README tables name the same few quantities in hundreds of
spellings; the words in them decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Quantity:
    """A quantity, what statistic of it, and whose.

    ``of`` is ``mean``, ``std``, ``max``, ``min`` or empty; ``role`` is ``final`` for the run's end,
    ``stage`` for something on the way there (before quantisation, without adaptation), ``aside``
    for what is not this run's at all (a baseline, a target). ``unit`` is what the name says of it.
    """

    what: str
    of: str = ""
    role: str = "final"
    unit: str = ""


@dataclass(frozen=True)
class Number:
    """A number as written: ``text`` its digits, ``value`` in ``scale`` units."""

    text: str
    value: float
    scale: float = 1.0
    about: bool = False  # hedged: ~226 s


_WORD = re.compile(r"[a-z]+|\d+|[\u03b4\u0394±\u03c3]")
_PER_SEED = re.compile(r"per[\s_-]*seed|by[\s_-]*seed")
_DIFFERENCE = frozenset(
    "delta gain gap diff difference improvement improvements reduction saving savings margin headroom"
    " ratio pct percent vs minus drop change \u03b4 remaining slack over under reserve lift penalty cost"
    " per bits rate".split()
)
_ASIDE = frozenset(
    "baseline baselines base prev previous prior sota leaderboard control variant ablation ablations"
    " comparison compare compared merged attribution target targets limit cap budget threshold"
    " estimate estimated estimates predicted prediction projected expected extrapolated invalid"
    " retracted oracle lineage credits hyperparameters config configuration architecture parent"
    " reference old original originally buggy allowed naive compliance beat disclosure history uniform"
    " checkpoint milestone milestones experiment experiments alternative subset smoke other"
    " p value statistic df goal hoped teacher unigram curve local"
    " reproduction reproduced initial diagnostic diagnostics rejected negative failed sweep".split()
)
_STAGE = frozenset(
    "pre before raw ema swa roundtrip rt quant quantized quantised prequant standard without no"
    " postquant postema non chunk training unquantized unquantised fp32 bf16 neural nn only overlap"
    " pass1 warmup hessian hessians serialize compression compile last float dense".split()
)
_STATISTICS = {
    **dict.fromkeys("mean avg average averaged".split(), "mean"),
    **dict.fromkeys("std stdev sd stddev \u03c3 sigma deviation".split(), "std"),
    **dict.fromkeys("max maximum worst largest highest".split(), "max"),
    **dict.fromkeys("min minimum best smallest lowest".split(), "min"),
}
_UNITS = {
    **dict.fromkeys("ms millis milliseconds msec".split(), "ms"),
    **dict.fromkeys("s sec secs seconds second".split(), "s"),
    **dict.fromkeys("min mins minutes minute m".split(), "min"),
    **dict.fromkeys("h hr hrs hour hours".split(), "h"),
    **dict.fromkeys("b byte bytes".split(), "b"),
    "kb": "kb",
    "mb": "mb",
    "kib": "kib",
    "mib": "mib",
}
_SCALES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "b": 1.0, "kb": 1e3, "mb": 1e6}
_SCALES |= {"kib": 1024.0, "mib": 1024.0**2}

_NUMBER = re.compile(
    r"(?<![\w.])(?P<about>[~≈<>≤≥+\u2212±-])?\s*\**`?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+(?:e-?\d\d?)?|\d+)"
    r"`?\**\s*(?P<unit>[a-zA-Z]+)?(?![\d.]*\d)"
)


@lru_cache(maxsize=4096)
def quantity(name: str) -> Quantity | None:
    """The quantity that a key or a table header names, or None."""
    ordered = _WORD.findall(_PER_SEED.sub(" ", name.lower()))[:24]
    words = set(ordered)
    if words & _DIFFERENCE:
        return None
    what = _score(words) or _size(words) or _time(words) or _steps(words)
    if what is None:
        return None
    of = next((_STATISTICS[w] for w in ordered if w in _STATISTICS), "")
    if what == "eval_seconds" and of == "min" and "min" in words:
        of = ""  # minutes
    unit = next((_UNITS[w] for w in reversed(ordered) if w in _UNITS), "")
    role = role_of(words)
    if role == "stage" and what not in ("val_bpb", "val_loss"):
        role = "final"
    return Quantity(what, of, role, unit)


def role_of(words: set[str]) -> str:
    if words & _ASIDE:
        return "aside"
    return "stage" if words & _STAGE else "final"


def words_of(name: str) -> set[str]:
    return set(_WORD.findall(name.lower())[:24])


def _score(words: set[str]) -> str | None:
    if words & {"bpb", "bpp"}:
        return "val_bpb"
    if "train" in words or "training" in words:
        return None
    if "loss" in words and words & {"val", "valid", "validation", "nats", "slide", "final"}:
        return "val_loss"
    return "val_loss" if words == {"nats"} or words == {"mean", "nats"} else None


def _size(words: set[str]) -> str | None:
    if words & {
        "vocab",
        "batch",
        "dim",
        "raw",
        "uncompressed",
        "hidden",
        "token",
        "tokens",
        "time",
    }:
        return None
    if not words & {"bytes", "byte", "size", "artifact", "submission", "mb", "b"}:
        return None
    if words & {"val", "dataset", "data", "tokenizer", "chunk", "params", "parameters"}:
        return None
    if "code" in words and not words & {"model", "artifact", "total"}:
        return "code_bytes"
    if words & {"total", "artifact", "submission"}:
        return "artifact_bytes"
    if words & {"model", "weights", "compressed", "quantized", "quantised", "ptz"}:
        return "model_bytes"
    return "artifact_bytes" if words <= {"bytes", "size", "b", "mb", "seed"} else None


def _time(words: set[str]) -> str | None:
    clock = words & {
        "time",
        "wallclock",
        "seconds",
        "wall",
        "timer",
        "sec",
        "runtime",
        "clock",
        "hours",
    }
    if not clock and not words & {"ms", "s"}:
        return None
    if words & {"step", "steps", "average", "token", "tokens", "tok"}:
        return None
    if words & {"eval", "evaluation"}:
        return "eval_seconds"
    if words & {"ttt", "slot", "compile", "warmup", "prep"}:
        return None
    if words & {"train", "training"} or words <= {
        "wallclock",
        "seconds",
        "wall",
        "clock",
        "s",
        "ms",
    }:
        return "train_seconds"
    return None


def _steps(words: set[str]) -> str | None:
    if words & {
        "ttt",
        "slot",
        "warmup",
        "warmdown",
        "time",
        "ms",
        "max",
        "planned",
        "local",
        "swa",
    }:
        return None
    if "steps" in words and words <= _STEP_WORDS:
        return "steps"
    return "steps" if words == {"step", "stop"} or words == {"step"} else None


_STEP_WORDS = frozenset(
    "steps train training completed mean avg average total final done step stop seed num".split()
)


def number(text: str, what: str, unit: str = "") -> Number | None:
    """The first number of ``text`` as an amount of ``what``; None if there is none or it's a bound.

    Sizes come in bytes, times in seconds. ``unit`` holds where the text names none.
    """
    found = _NUMBER.search(text[:400])
    return _as_amount(found, what, unit) if found else None


def numbers(text: str, what: str) -> list[tuple[int, Number]]:
    """Every number of ``text`` that can be an amount of ``what``, with the place where it begins."""
    found = ((m.start("digits"), _as_amount(m, what, "")) for m in _NUMBER.finditer(text))
    return [(at, amount) for at, amount in found if amount is not None]


def _as_amount(found: re.Match[str], what: str, unit: str) -> Number | None:
    sign, digits = found["about"] or "", found["digits"]
    if sign and sign not in "~≈":
        return None
    plain = digits.replace(",", "")
    if len(plain) > 20:
        return None
    value = float(plain)
    own = _UNITS.get((found["unit"] or "").lower(), "")
    scale = _scale(what, value, own or unit)
    if scale is None:
        return None
    return Number(plain, value * scale, scale, bool(sign))


def _scale(what: str, value: float, unit: str) -> float | None:
    """What one unit of the written number is worth; None if it can't be such a quantity."""
    if what in ("val_bpb", "val_loss"):
        return 1.0 if 0 <= value < 20 else None
    if what == "steps":
        return 1.0 if value == int(value) and value < 1e8 else None
    if what.endswith("_seconds"):
        if unit not in ("ms", "s", "min", "h"):
            unit = "ms" if value > 5000 else "s"
        elif unit == "s" and value > 400_000:
            unit = "ms"
        return _SCALES[unit]
    if unit == "b" or value >= 1000:
        return 1.0 if value >= 1000 else (1e6 if 0 < value < 40 and value != int(value) else None)
    return _SCALES[unit] if unit in ("kb", "mb", "kib", "mib") else None
