"""One process per task: a crash, a hang or a memory peak is that task's alone, and is measured."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

Task = TypeVar("Task")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Ended(Generic[Task, Value]):
    """How a task ended: with a value, or with ``error`` in one line.

    ``seconds`` are wall time, ``cpu_seconds`` what the task and its own subprocesses used: on a
    busy machine only the latter can be compared.
    """

    task: Task
    value: Value | None
    error: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass
class _Running(Generic[Task]):
    task: Task
    process: BaseProcess
    started: float


def run_each(
    work: Callable[[Task], Value], tasks: Iterable[Task], *, jobs: int, timeout: float
) -> Iterator[Ended[Task, Value]]:
    """Runs ``work`` on every task in a process of its own, ``jobs`` at a time; yields as they end.

    ``timeout`` is in seconds per task. Order is that of completion.
    """
    waiting = iter(tasks)
    running: dict[Connection, _Running[Task]] = {}
    try:
        while True:
            while len(running) < jobs and (task := next(waiting, None)) is not None:
                _start(work, task, running)
            if not running:
                return
            oldest = min(r.started for r in running.values())
            ready = wait(list(running), max(0.0, oldest + timeout - time.monotonic()))
            for connection, each in list(running.items()):
                if connection in ready or time.monotonic() - each.started > timeout:
                    del running[connection]
                    yield _end(connection, each, connection in ready, timeout)
    finally:
        for each in running.values():
            each.process.kill()


def _start(
    work: Callable[[Task], Value], task: Task, running: dict[Connection, _Running[Task]]
) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_child, args=(work, task, sender), daemon=True)
    process.start()
    sender.close()  # the child's end: its death then reads as end of file here
    running[receiver] = _Running(task, process, time.monotonic())


def _end(
    connection: Connection, running: _Running[Task], answered: bool, timeout: float
) -> Ended[Task, Value]:
    value = None
    seconds, cpu, peak = time.monotonic() - running.started, 0.0, 0
    if not answered:
        running.process.kill()
        error = f"took longer than {timeout:g} s"
    else:
        try:
            value, error, seconds, cpu, peak = connection.recv()
        except EOFError:
            running.process.join()
            error = f"the process died with exit code {running.process.exitcode}"
    running.process.join()
    connection.close()
    return Ended(running.task, value, error, seconds, cpu, peak)


def _child(work: Callable[[Task], Value], task: Task, sender: Connection) -> None:
    started, cpu = time.monotonic(), _cpu_seconds()
    value, error = None, ""
    try:
        value = work(task)
    except Exception as problem:  # anything at all is this task's result, not the run's end
        error = _one_line(problem)
    sender.send((value, error, time.monotonic() - started, _cpu_seconds() - cpu, _peak_bytes()))


def _one_line(problem: Exception) -> str:
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(problem).__name__}: {problem}{where}".replace("\n", " ")


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _peak_bytes() -> int:
    """The most memory this process has held, in bytes; 0 where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
