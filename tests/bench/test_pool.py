"""One process per task: whatever one task does, the others end as they should."""

from __future__ import annotations

import os
import time

from auditor.bench.pool import Ended, run_each


def work(task: str) -> str:
    if task == "raise":
        raise ValueError("two\nlines")
    if task == "die":
        os._exit(7)
    if task == "hang":
        time.sleep(60)
    if task == "grow":
        return str(len(bytearray(150 << 20)))
    return task.upper()


def run(*tasks: str, jobs: int = 2, timeout: float = 30.0) -> dict[str, Ended[str, str]]:
    return {ended.task: ended for ended in run_each(work, tasks, jobs=jobs, timeout=timeout)}


def test_every_task_ends_once_with_its_own_outcome() -> None:
    ended = run("a", "raise", "die", "b", "c")
    assert {task: e.value for task, e in ended.items()} == {
        "a": "A", "b": "B", "c": "C", "raise": None, "die": None,
    }  # fmt: skip
    assert ended["raise"].error.startswith("ValueError: two lines at ")
    assert ended["die"].error == "the process died with exit code 7"
    assert ended["a"].error == ""


def test_a_hanging_task_is_ended() -> None:
    ended = run("hang", "a", jobs=1, timeout=0.5)
    assert (ended["hang"].value, ended["hang"].error) == (None, "took longer than 0.5 s")
    assert ended["a"].value == "A"


def test_memory_is_measured_per_task() -> None:
    ended = run("grow", "a", jobs=1)
    assert ended["grow"].peak_bytes - ended["a"].peak_bytes > 100 << 20


def test_no_task_is_no_work() -> None:
    assert run() == {}
