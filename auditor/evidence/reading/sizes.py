"""Bytes of code, of the compressed model and of both together."""

from __future__ import annotations

import re

from auditor.evidence.reading.numbers import NUMBER, number
from auditor.evidence.runlog import Figure

_LEAST, _MOST = 200, 120_000_000  # more than this is validation text or an uncompressed model
_MOST_TOTALS = 200
_BYTES = rf"({NUMBER})\s*(?:bytes|byte|b\b)?(?![\d.]|\s*[kmg]i?b)"
_KIND = r"((?:[\w+.\-/ ]|\([^()]{0,30}\)){0,40}?)"  # int6+zstd, int6+zlib(level=9)
_CODE = re.compile(
    r"\b(?:code(?:[ _](?:size|bytes))?|script[ _]size)\b(?:\s*\(([^()]{0,40})\))?[\"']?"
    rf"\s*[:=]\s*{_BYTES}"
)
_TOTAL = re.compile(
    r"\b(?:(?:total|final)(?:[ _][a-z]+)?[ _](?:submission|artifact)(?:[ _](?:size|bytes))?|total[ _](?:bytes|size)"
    r"|submission[ _](?:size|bytes)|artifact_bytes|bytes_total|total)"
    rf"\b\s*{_KIND}[\"']?\s*[:=]\s*{_BYTES}"
)
_NO_SIZE = re.compile(r"ms\b|wall|time|second|token|step|param|window")
_OF_LIMIT = re.compile(r"(?<![\d.,])(\d[\d,]{4,})\s*(?:bytes)?\s*/\s*16[,_]?000[,_]?000\b")
_MODEL = re.compile(
    r"\b(?:seriali[sz]ed(?:[ _]model)?|compressed(?:[ _]model)?(?:[ _]blob)?(?:[ _](?:bytes|size))?"
    r"|model_bytes|quant_bytes|qsize|model|artifact(?:[ _]size)?)"
    rf"(?![a-z])[ _]?{_KIND}[\"']?\s*[:=]\s*(?:[\w./]+ bytes:)?{_BYTES}"
)
_WORDS = ("bytes", "size", "code", "artifact", "total", "budget", "seriali")
_RAW = re.compile(r"fp32|bf16|fp16|raw|bfloat|uncompressed")


class Sizes:
    """Collects the sizes of one run; the last one of a kind stands."""

    def __init__(self) -> None:
        self.code: Figure | None = None
        self.model: Figure | None = None
        self.total: Figure | None = None
        self._artifact: Figure | None = None  # the model, or all that is shipped
        self.totals: list[Figure] = []  # of every variant
        self._raw_model = 0.0
        self._code_is_compressed = False
        self._named_total = False

    def take(self, low: str, line: int) -> bool:
        """Reads the sizes on a line in lower case; returns whether there are any."""
        if not any(word in low for word in _WORDS):
            return False
        return any([self._code(low, line), self._total(low, line), self._model(low, line)])

    def _code(self, low: str, line: int) -> bool:
        found = _CODE.search(low)
        if not found or not _LEAST / 10 <= number(found[2]) <= _MOST:
            return False
        kind = found[1] or ""
        compressed = "compressed" in kind and "uncompressed" not in kind
        if compressed or not self._code_is_compressed:
            self.code = Figure(number(found[2]), line, kind)
            self._code_is_compressed = compressed
        return True

    def _total(self, low: str, line: int) -> bool:
        of_limit = _OF_LIMIT.search(low)
        found = of_limit or _TOTAL.search(low)
        value = number(found[1] if of_limit else found[2]) if found else 0.0
        if not found or not _LEAST <= value <= _MOST:
            return False
        kind = "" if of_limit else found[1].strip()
        if _NO_SIZE.search(kind) or "param" in low:
            return False
        if (self.code and value == self._raw_model + self.code.value) or _RAW.search(kind):
            return True  # of the uncompressed model
        if len(self.totals) < _MOST_TOTALS:
            self.totals.append(Figure(value, line, kind))
        if kind or not self._named_total:
            self.total = Figure(value, line, kind)
            self._named_total = bool(kind)
        return True

    def _model(self, low: str, line: int) -> bool:
        found = False
        for match in _MODEL.finditer(low):
            value, kind = number(match[2]), match[1].strip()
            if value < _LEAST:
                continue
            found = True
            plain = low.startswith("serialized model:", match.start())
            if (plain and value > self._raw_model / 2) or _RAW.search(kind):
                self._raw_model = value
            elif low.startswith("artifact", match.start()):
                self._artifact = Figure(value, line, kind)
            elif value <= _MOST:
                self.model = Figure(value, line, kind)
        return found

    def settled(self) -> tuple[Figure | None, Figure | None]:
        """The model's and the whole's bytes, as far as they speak of one artifact."""
        model, total = self.model or self._artifact, self.total
        if total is None and self._artifact and model and model is not self._artifact:
            total = self._artifact  # code and model: the model was told beside it
        if model and total and model.value > total.value:
            model = None  # it was not compressed
        if model and total and total.line < model.line and total.kind != model.kind:
            total = None  # of another variant, written before
        return model, total
