"""What a run ran on: the accelerator's name and the versions of software."""

from __future__ import annotations

import re

from auditor.evidence.runlog import Words

_DEVICE = re.compile(
    r"(?:NVIDIA |Tesla |AMD |Instinct |Apple )*(?:GeForce )?"
    r"\b(?:[HBA]\d00|GH200|L40S?|L4|T4|V100|P100|RTX(?: Pro)? ?\d{4}|MI\d{3}X?|A[1-6]0G?|A[2456]000|GB10|M[1-5])\b"
    r"(?:[ -](?:Ti|SUPER|SXM\d?|PCIe|NVL|HBM\de?|Pro|Max|Ultra|Blackwell|Laptop|GPU|Ada|Generation|\d{2,3} ?GB)\b)*"
)
_TABLE_ROW = re.compile(r"\|\s+\d+\s+(\S.{2,40}?)\s+(?:On|Off)\s*\|")
_NAMED = ("nvidia", "gpu", "device", "hardware", "accelerator")
_VERSIONS = (
    ("python", re.compile(r"(?i)\bpython(?: version)?\s*[:=]?\s*v?(\d+\.\d+(?:\.\d+)?)")),
    (
        "torch",
        re.compile(r"(?i)\b(?:py)?torch(?: version|_version)?\s*[:=]?\s*v?(\d+\.\d+[\w.+]*)"),
    ),
    ("cuda", re.compile(r"(?i)\bcuda(?: version|_version)?\s*[:=]?\s*v?(\d+\.\d+)")),
    ("driver", re.compile(r"(?i)\bdriver version\s*[:=]\s*(\d+[\d.]+)")),
    ("triton", re.compile(r"(?i)\btriton(?: version)?\s*[:=]?\s*v?(\d+\.\d+[\w.]*)")),
    ("rocm", re.compile(r"(?i)\brocm[ /_-]?v?(\d+\.\d+[\d.]*)")),
    ("mlx", re.compile(r"(?i)\bmlx_version\s*[:=]?\s*v?(\d+\.\d+[\w.]*)")),
)
_HINTS = ("python", "torch", "cuda", "triton", "mlx_version", "rocm", "ROCm")


class Machine:
    """Collects hardware and software; the first mention of each stands."""

    def __init__(self) -> None:
        self.hardware: Words | None = None
        self.software: dict[str, str] = {}

    def table(self, line: str, number: int) -> None:
        """Reads a row of nvidia-smi's table."""
        row = _TABLE_ROW.match(line) if self.hardware is None else None
        if row:
            self.hardware = Words(row[1], number)
        elif "Version" in line:
            self._versions(line)

    def take(self, text: str, low: str, number: int) -> bool:
        """Reads a message; returns whether it says something new."""
        read = any(hint in low for hint in _HINTS) and self._versions(text)
        if self.hardware is None and any(name in low for name in _NAMED):
            device = _DEVICE.search(text)
            if device:
                self.hardware = Words(device[0].strip(), number)
                read = True
        return read

    def _versions(self, text: str) -> bool:
        read = False
        for name, pattern in _VERSIONS:
            found = pattern.search(text) if name not in self.software else None
            if found:
                self.software[name] = found[1]
                read = True
        return read
