"""Numbers and durations as logs write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

NUMBER = r"\d[\d,]*(?:\.\d+)?"
UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)(?![A-Za-z0-9_/])"
_SECONDS = {"mi": 60.0, "m": 60.0, "h": 3600.0, "ho": 3600.0}
_LONGEST_NUMBER = 24


def number(text: str) -> float:
    """The value of what NUMBER matched; infinite if it is absurdly long."""
    plain = text.replace(",", "").replace("_", "")
    return float(plain) if len(plain) <= _LONGEST_NUMBER else float("inf")


def seconds(value: str, unit: str) -> float:
    """A duration in seconds; ``unit`` as UNIT matches it."""
    unit = unit.lower()
    if unit == "ms" or unit.startswith("milli"):
        return number(value) / 1000
    return number(value) * _SECONDS.get(unit[:2], 1.0)


# The word in front of a duration that is a measurement, and what makes it something else.
_TIMED = re.compile(
    rf"""(?:
        (?P<key>[A-Za-z][\w-]*|\bt)["']?\s*[:=]\s*     # eval_time:310ms, t=5.3s, elapsed=4s
      | \b(?P<word>time|elapsed|in|took|after|total|wall|clock|wallclock|spent|of)\s*[:=]?\s+
      | (?P<bracket>\()
      )
      (?P<number>{NUMBER})\s?(?P<unit>{UNIT})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_UNIT_IN_KEY = re.compile(
    rf"\b(?P<key>[A-Za-z][\w-]*?_(?P<unit>ms|s|secs?|seconds))[\"']?\s*[:=]\s*(?P<number>{NUMBER})(?![\d.\w])",
    re.IGNORECASE,
)
_NO_MEASUREMENT = re.compile(
    r"(?i)avg|average|mean|budget|cap\b|limit|max|min_|timeout|reserv|effective|target|\beta\b|remain"
    r"|per_|step_time|this_step|wait|every|interval|delay|warmdown|threshold|startup|save|^wall$"
)


def durations(text: str) -> Iterator[tuple[str, float]]:
    """Measured durations on a line: the key or word in front and the seconds."""
    for match in _TIMED.finditer(text):
        key = (match["key"] or match["word"] or "").lower()
        if not _NO_MEASUREMENT.search(key):
            yield key, seconds(match["number"], match["unit"])
    if "_" in text:
        for match in _UNIT_IN_KEY.finditer(text):
            if not _NO_MEASUREMENT.search(match["key"]):
                yield match["key"].lower(), seconds(match["number"], match["unit"])
