"""How learning rate and momentum change, as functions of what the caller measured.

All ranks must be given the same numbers: the time of one of them, not each its own.
"""

from __future__ import annotations


def warmdown(elapsed: float, limit: float, step_time: float, steps: int) -> float:
    """The share of the learning rate, from 1 to 0, ``elapsed`` seconds into training.

    It is 1 until what is left of ``limit`` is the time of ``steps`` steps of ``step_time`` seconds,
    then the share of that time that is left.
    """
    if not (elapsed >= 0 and limit > 0 and step_time >= 0 and steps >= 0):
        raise ValueError(
            f"no schedule for {elapsed} of {limit} seconds and {steps} steps of {step_time} seconds"
        )
    left = max(limit - elapsed, 0.0)
    needed = steps * step_time
    return left / needed if left < needed else 1.0


def momentum(step: int, first: float = 0.92, last: float = 0.99, steps: int = 1500) -> float:
    """Muon's momentum at a step, counted from 0: it rises evenly over ``steps`` steps."""
    share = min(step / steps, 1.0) if steps else 1.0
    return (1 - share) * first + share * last
