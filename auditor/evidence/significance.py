"""One-sided t-tests: is a mean lower than another by at least a margin?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance


def p_lower(own: Sequence[float], other: Sequence[float], margin: float) -> float:
    """The p-value of "``own`` is lower than ``other`` by ``margin`` or less, in the mean".

    Of at least two values of ``own``; a lone ``other`` is taken as known exactly, several give
    Welch's test. Without any variance the p-value is 0 or 1.
    """
    error = variance(own) / len(own)
    others = variance(other) / len(other) if len(other) > 1 else 0.0
    difference = fmean(other) - fmean(own) - margin
    if error + others <= 0.0:
        return 0.0 if difference > 0 else 1.0
    freedom = (error + others) ** 2 / (
        error**2 / (len(own) - 1) + (others**2 / (len(other) - 1) if others else 0.0)
    )
    return upper_tail(difference / math.sqrt(error + others), freedom)


def upper_tail(t: float, freedom: float) -> float:
    """The probability that Student's t with so many degrees of freedom exceeds ``t``."""
    from mpmath import betainc  # needed by one rule, and only when it is asked

    tail = betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True) / 2
    return float(tail if t > 0 else 1 - tail)
