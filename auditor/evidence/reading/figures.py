"""Single numbers of a run: seed, sizes of model and data, and how much was scored."""

from __future__ import annotations

import re

from auditor.evidence.reading.numbers import NUMBER, number
from auditor.evidence.runlog import Figure

# All on lower-case text.
_WORDS = ("seed", "world", "param", "shards", "tokens", "iterations", "gpus", "ws:")
_NAMED = re.compile(
    r"\b(seed|world[ _]?size|ws|(?:model_|total[ _])?param(?:eter)?s(?: total)?|(?:train_)?shards"
    r"|val(?:idation)?[ _]tokens|iterations|gpus)[\"']?(?:\s*[:=]\s*|(?<=seed) )"
    rf"({NUMBER})(?![\d.]|\s*[a-z]*b\b)"
)
_NAMES = {"ws": "world_size", "worldsize": "world_size", "gpus": "world_size"}
_LOADER = re.compile(r"^val(?:_loader)?:.*\b(?:tokens|n):(\d+)")
_SHARDS = re.compile(r"^[^\d]*(?:order|data|train)[^\d]*\b(\d{1,5}) shards\b")
_SCORED_TOKENS = re.compile(
    r"\b(?:tokens_scored|scored_tokens|scored_targets|n_tokens|total_tokens|total_targets|tokens|targets)"
    rf"\s*[:=]\s*({NUMBER})"
)
_SCORED_BYTES = re.compile(
    rf"\b(?:scored_bytes|n_(?:sidecar_)?bytes|val_bytes|bytes)\s*[:=]\s*({NUMBER})(?!\s*b)"
)
_COVERAGE = re.compile(rf"\bcoverage\w*\s*[:=]?\s*({NUMBER})\s*(%?)")
_TERSE = re.compile(r"(p|s):(\d{1,10})")
_TERSE_NAMES = {"p": "parameters", "s": "seed"}
_FEWEST_PARAMETERS = 100_000
_FEWEST_SCORED = 1000


class Figures:
    """Collects the numbers of one run: the first of a kind, but the last count of what was scored."""

    def __init__(self) -> None:
        self.found: dict[str, Figure] = {}

    def take(self, low: str, line: int, scored: bool) -> bool:
        """Reads a line; ``scored`` says that it states a score. Returns whether it had a figure."""
        read = False
        if any(word in low for word in _WORDS):
            for match in _NAMED.finditer(low):
                self._named(_name(match[1]), Figure(number(match[2]), line, match[1]))
                read = True
            if "shards" in low and (shards := _SHARDS.match(low)):
                self.found.setdefault("train_shards", Figure(number(shards[1]), line))
                read = True
        if low.startswith("val") and (loader := _LOADER.match(low)):
            self.found.setdefault("val_tokens", Figure(number(loader[1]), line))
            read = True
        if ":" in low[:8] and (terse := _TERSE.fullmatch(low)):
            self.found.setdefault(_TERSE_NAMES[terse[1]], Figure(number(terse[2]), line))
            read = True
        if scored or "scored" in low or "done" in low:
            self._count("scored_tokens", _SCORED_TOKENS, low, line)
            self._count("scored_bytes", _SCORED_BYTES, low, line)
        return ("coverage" in low and self._coverage(low, line)) or read

    def _named(self, name: str, figure: Figure) -> None:
        first = self.found.get(name)
        if name == "parameters":
            if figure.value < _FEWEST_PARAMETERS:
                return
            if first is not None and first.kind.startswith("param"):
                first = None  # of a part, perhaps: "model_params" and "total params" say more
        if first is None:
            self.found[name] = figure

    def _count(self, name: str, pattern: re.Pattern[str], low: str, line: int) -> None:
        found = pattern.search(low)
        if found and number(found[1]) > _FEWEST_SCORED:
            self.found[name] = Figure(number(found[1]), line)

    def _coverage(self, low: str, line: int) -> bool:
        found = _COVERAGE.search(low)
        share = number(found[1]) / (100 if found[2] else 1) if found else 2.0
        if share <= 1:
            self.found["coverage"] = Figure(share, line)
        return share <= 1


def _name(word: str) -> str:
    name = word.replace(" ", "_")
    if "param" in name:
        return "parameters"
    if name == "shards":
        return "train_shards"
    if name.startswith("val"):
        return "val_tokens"
    return _NAMES.get(name, name)
