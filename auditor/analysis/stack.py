"""Room for recursion: deeply nested code must not overflow the interpreter's stack."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

STACK_BYTES = 512 * 1024 * 1024
RECURSION = 60_000
NAME = "deep-stack"
T = TypeVar("T")


def with_deep_stack(work: Callable[[], T]) -> T:
    """Run ``work`` where recursion over deeply nested code can't overflow the C stack."""
    if threading.current_thread().name == NAME:
        return work()
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, work()))
        except BaseException as error:
            outcome.append((False, error))

    collecting = gc.isenabled()
    gc.disable()  # the graph lives as long as the work does: looking for garbage costs a third of it
    old_limit, old_size = sys.getrecursionlimit(), threading.stack_size(STACK_BYTES)
    sys.setrecursionlimit(max(old_limit, RECURSION))
    try:
        thread = threading.Thread(target=run, name=NAME, daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old_size)
        sys.setrecursionlimit(old_limit)
        if collecting:
            gc.enable()
    good, value = outcome[0]
    if not good:
        raise value
    result: T = value
    return result
