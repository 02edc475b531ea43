"""Numbers and durations as logs write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)(?![A-Za-z0-9_/=:])"
_LONGEST_NUMBER = 24  # characters

_DURATION = re.compile(rf"(?<![\w.,])({NUMBER})\s?({UNIT})")
# What stands in front of a duration that is a measurement: a key, a word or a bracket.
_BEFORE = re.compile(
    r"(?:([a-z][\w-]*)(?: ?\([a-z ]*\))?[\"']?\s*[:=]\s*"
    r"|\b(time|elapsed|in|took|after|total|wall|clock|wallclock|spent|of)\s*[:=]?\s+|\()$"
)
_UNIT_IN_KEY = re.compile(rf"_(ms|s|secs?|seconds)[\"']?\s*[:=]\s*({NUMBER})(?![\d.\w])")
_KEY = re.compile(r"[a-z][\w-]*$")
_TIME = re.compile(r"time|elapsed|took|^in$|^t$|wall|clock")
_LONGEST_KEY = 40  # characters
_NO_MEASUREMENT = re.compile(
    r"avg|average|mean|budget|cap\b|limit|max|min_|timeout|reserv|effective|target|\beta\b|remain"
    r"|per_|step_time|this_step|wait|every|interval|delay|warmdown|threshold|startup|save|^wall$"
)


def number(text: str) -> float:
    """The value of what NUMBER matched; infinite if it is absurdly long."""
    plain = text.replace(",", "")
    return float(plain) if len(plain) <= _LONGEST_NUMBER else float("inf")


def seconds(value: str, unit: str) -> float:
    """A duration in seconds; ``unit`` as UNIT matches it."""
    if unit == "ms" or unit.startswith("milli"):
        return number(value) / 1000
    if unit[0] == "m":
        return number(value) * 60
    return number(value) * (3600 if unit[0] == "h" else 1)


def durations(low: str) -> Iterator[tuple[str, float]]:
    """Measured durations on a line in lower case: the key or word in front and the seconds."""
    for match in _DURATION.finditer(low):
        before = _BEFORE.search(low, max(0, match.start() - _LONGEST_KEY), match.start())
        key = (before[1] or before[2] or "") if before else ""
        if match[2] in ("m", "h") and not _TIME.search(key):
            continue  # 201M is megabytes
        if before and not _NO_MEASUREMENT.search(key):
            yield key, seconds(match[1], match[2])
    for match in _UNIT_IN_KEY.finditer(low) if "_" in low else ():
        before = _KEY.search(low, max(0, match.start() - _LONGEST_KEY), match.start())
        if before and match[1] == "s" and not _TIME.search(before[0]):
            continue  # the plural of something
        key = f"{before[0]}_{match[1]}" if before else ""
        if key and not _NO_MEASUREMENT.search(key):
            yield key, seconds(match[2], match[1])
