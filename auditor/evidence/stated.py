"""One number that a submission states of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stated:
    """A number that the submission states of itself.

    ``what`` is ``val_bpb``, ``val_loss`` (nats per token), ``artifact_bytes``, ``code_bytes``,
    ``model_bytes``, ``train_seconds``, ``eval_seconds`` or ``steps``; ``value`` is in bytes or
    seconds. ``text`` is the number as written, in units of ``scale``: it tells how many digits are
    claimed. ``kind`` is ``json``, ``readme`` or ``title``.
    """

    what: str
    value: float
    text: str
    kind: str
    path: str  # empty for the title
    line: int
    seed: int | None = None  # of one seed; None speaks of the whole (a mean, a maximum)
    headline: bool = False  # the claimed score, not a baseline or an intermediate one
    label: str = ""  # the key or the column's header as written
    of: str = ""  # mean | std | max | min, where it is said
    role: str = "final"  # final | stage (before quantisation …) | aside (a baseline, a target …)
    scale: float = 1.0
    about: bool = False  # hedged: ~226 s

    @property
    def unit(self) -> float:
        """One unit in the last digit that is written, in bits per byte, nats, bytes or seconds."""
        if "." in self.text:
            decimals, _, exponent = self.text.partition(".")[2].partition("e")
            return self.scale * 10.0 ** (int(exponent or 0) - len(decimals))
        zeros = len(self.text) - len(self.text.rstrip("0"))
        return self.scale * (10.0 ** max(0, zeros - 1) if self.about and zeros > 1 else 1.0)

    def agrees(self, value: float, unit: float = 0.0) -> bool:
        """Whether ``value``, itself written to ``unit``, rounds or is cut to what is stated."""
        coarser = max(self.unit, unit) * (1.0 + 1e-6)
        return -0.5 * coarser <= value - self.value < coarser or abs(value - self.value) <= unit
