"""Bytes of code, of the compressed model and of both together."""

from __future__ import annotations

import re

from auditor.evidence.reading.numbers import NUMBER, number
from auditor.evidence.runlog import Figure

_LEAST, _MOST = 200, 120_000_000  # more than this is validation text or an uncompressed model
_BYTES = rf"({NUMBER})\s*(?:bytes|byte|B\b)?(?![\d.]|\s*[KMG]i?B)"
_CODE = re.compile(
    rf"(?i)\b(?:code(?:[ _]size)?|code[ _]bytes|script[ _]size)\b(?:\s*\(([^)]*)\))?[\"']?\s*[:=]\s*{_BYTES}"
)
_TOTAL = re.compile(
    r"(?i)\b(?:total(?:[ _]compressed)?[ _](?:submission|artifact)(?:[ _](?:size|bytes))?"
    r"|final[ _]submission[ _]bytes|total[ _](?:bytes|size)|submission[ _](?:size|bytes)"
    r"|size check passed|size check|artifact_bytes|bytes_total|total)"
    rf"\b\s*([\w+.\-()/ ]{{0,40}}?)[\"']?\s*[:=]\s*{_BYTES}"
)
_MODEL = re.compile(
    r"(?i)\b(?:seriali[sz]ed(?:[ _]model)?|compressed(?:[ _]model)?(?:[ _]bytes|[ _]size|[ _]blob(?:[ _]bytes)?)?"
    r"|compressed_blob_bytes|model_bytes|quant_bytes|qsize|model|artifact(?:[ _]size)?)"
    rf"(?:[ _]([A-Za-z][\w+.\-/]*(?: \w+)?))?[\"']?\s*[:=]\s*(?:[\w./]+ bytes:)?{_BYTES}"
)
_RAW = re.compile(r"(?i)fp32|bf16|fp16|raw|bfloat|uncompressed")


class Sizes:
    """Collects the sizes of one run; the last one of a kind stands."""

    def __init__(self) -> None:
        self.code: Figure | None = None
        self.model: Figure | None = None
        self.total: Figure | None = None
        self._raw_model = 0.0
        self._code_is_compressed = False
        self._named_total = False

    def take(self, text: str, line: int) -> bool:
        """Reads the sizes on a line; returns whether there are any."""
        return any([self._code(text, line), self._total(text, line), self._model(text, line)])

    def _code(self, text: str, line: int) -> bool:
        found = _CODE.search(text)
        if not found or not _LEAST / 10 <= number(found[2]) <= _MOST:
            return False
        kind = (found[1] or "").lower()
        compressed = "compressed" in kind and "uncompressed" not in kind
        if compressed or not self._code_is_compressed:
            self.code = Figure(number(found[2]), line, kind)
            self._code_is_compressed = compressed
        return True

    def _total(self, text: str, line: int) -> bool:
        found = _TOTAL.search(text)
        if not found or not _LEAST <= number(found[2]) <= _MOST:
            return False
        value, kind = number(found[2]), found[1].strip(" ()")
        if (self.code and value == self._raw_model + self.code.value) or _RAW.search(kind):
            return True  # of the uncompressed model
        if kind or not self._named_total:
            self.total = Figure(value, line, kind)
            self._named_total = bool(kind)
        return True

    def _model(self, text: str, line: int) -> bool:
        found = _MODEL.search(text)
        if not found or not number(found[2]) >= _LEAST:
            return False
        value, kind = number(found[2]), (found[1] or "").strip()
        plain = text[found.start() : found.end()].lower().startswith("serialized model:")
        if plain or _RAW.search(kind):
            self._raw_model = value
        elif value <= _MOST:
            self.model = Figure(value, line, kind)
        return True
