"""Settings decide which branches are alive: code defaults, claims, logs, and what a run proves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.submission.model import Claim

Trace = Callable[..., Any]

SWITCH = """
import os
if {test}:
    show("on")
else:
    show("off")
"""


@pytest.mark.parametrize(
    ("test", "alive"),
    [
        ('int(os.environ.get("TTT", "0"))', "off"),
        ('int(os.environ.get("TTT", "1"))', "on"),
        ('bool(int(os.getenv("TTT", "0")))', "off"),
        ('os.environ.get("TTT", "0") == "1"', "off"),
        ('os.environ.get("TTT", "true").lower() in ("1", "true")', "on"),
        ('os.environ.get("TTT", default="") != ""', "off"),
        ('not int(os.environ.get("TTT", 0))', "on"),
        ('float(os.environ.get("ALPHA", "0.3")) > 0 and int(os.environ.get("TTT", "0"))', "off"),
        ('float(os.environ.get("ALPHA", "0.3")) > 0.5 or int(os.environ.get("TTT", "1"))', "on"),
        ('0 < int(os.environ.get("EPOCHS", "3")) < 2', "off"),
        ('os.environ.get("MODE", "slide") in {"slide", "ttt"}', "on"),
        ('(lambda v: v * 2)(int(os.environ.get("TTT", "0")))', "off"),
        ('os.environ.get("PATH_TO_CACHE") is None or True', "on"),
    ],
)
def test_code_defaults_prune_branches(trace: Trace, test: str, alive: str) -> None:
    assert trace(SWITCH.format(test=test)).values == [alive]


@pytest.mark.parametrize(
    "test",
    [
        'os.environ["TTT"]',
        'int(os.environ["TTT"])',
        "x > 3",
        'int(os.environ.get("RANK", "0")) == x',
        'int(os.environ.get("TTT", "1")) and x',
        '"TTT" in os.environ',
    ],
)
def test_unknown_tests_keep_both_branches(trace: Trace, test: str) -> None:
    assert trace(SWITCH.format(test=test)).values == ["on", "off"]


def test_claims_beat_code_defaults(trace: Trace) -> None:
    code = SWITCH.format(test='int(os.environ.get("TTT_ENABLED", "0"))')
    assert trace(code).values == ["off"]
    assert trace(code, claims={"TTT_ENABLED": "1"}).values == ["on"]
    assert trace(code, claims={"OTHER": "1"}).values == ["off"]


def test_claims_give_values_to_required_settings(trace: Trace) -> None:
    code = SWITCH.format(test='int(os.environ["TTT"]) > 2')
    assert trace(code, claims={"TTT": "3"}).values == ["on"]
    assert trace(code, claims={"TTT": "2"}).values == ["off"]
    assert trace(SWITCH.format(test='"TTT" in os.environ'), claims={"TTT": "0"}).values == ["on"]


def test_settings_are_listed_with_where_they_come_from(trace: Trace) -> None:
    traced = trace(
        """
        import os
        a = int(os.environ.get("EPOCHS", "1"))
        b = int(os.environ.get("STRIDE", "64"))
        """,
        claims={"EPOCHS": "3"},
    )
    found = {s.name: (s.default, s.value, s.source, s.read_at) for s in traced.program.settings}
    assert found == {
        "EPOCHS": ("1", "3", "README.md:1", "train_gpt.py:3"),
        "STRIDE": ("64", "64", "code default", "train_gpt.py:4"),
    }


def test_a_script_can_set_its_own_environment(trace: Trace) -> None:
    code = """
    import os
    {first}
    if int(os.environ.get("TTT", "0")):
        show("on")
    else:
        show("off")
    """
    assert trace(code.format(first='os.environ["TTT"] = "1"')).values == ["on"]
    assert trace(code.format(first='os.environ.setdefault("TTT", "1")')).values == ["on"]
    assert trace(code.format(first='os.environ["OTHER"] = "1"')).values == ["off"]


def test_the_world_has_eight_processes(trace: Trace) -> None:
    code = """
    import os
    world = int(os.environ.get("WORLD_SIZE", "1"))
    show(world, 8 // world)
    if world > 1:
        show("many")
    else:
        show("one")
    """
    assert trace(code).values == [8, 1, "many"]
    assert trace(code, claims={"WORLD_SIZE": "1"}).values == [8, 1, "many"]


def test_ranks_are_unknown(trace: Trace) -> None:
    code = """
    import os
    rank = int(os.environ["RANK"])
    if rank == 0:
        show("first")
    else:
        show("others")
    """
    assert trace(code).values == ["first", "others"]
    assert trace(code, claims={"RANK": "0"}).values == ["first", "others"]


def test_guards_never_stop_a_run_that_gave_a_score(trace: Trace) -> None:
    """A refusal that would end every run is not what happened."""
    guard = """
    import os
    if int(os.environ.get("WORLD_SIZE", "1")) {sign} 1:
        raise ValueError("one process only")
    show("scored")
    """
    assert trace(guard.format(sign=">")).values == ["scored"]
    assert trace(guard.format(sign="<")).values == ["scored"]


def test_an_undecided_guard_hides_only_its_own_branch(trace: Trace) -> None:
    traced = trace(
        """
        def check(n):
            if n % 8:
                raise ValueError("not divisible")
            return "kept"
        show(check(n))
        """
    )
    assert traced.values == ["kept"]


QUIET = """
import os
def log(text):
    print(text)
enabled = int(os.environ.get("ADAPT", "0"))
if enabled:
    log(f"adaptation pass {step} begins")
    show("adapted")
else:
    log("plain evaluation only")
    show("plain")
"""


def test_logs_prove_that_a_branch_ran(trace: Trace) -> None:
    assert trace(QUIET).values == ["plain"]
    assert trace(QUIET, logs=["step 1\nadaptation pass 0 begins\n"]).values == ["adapted"]
    assert trace(QUIET, logs=["step 1\nplain evaluation only\n"]).values == ["plain"]


def test_a_log_line_that_both_branches_print_proves_nothing(trace: Trace) -> None:
    code = QUIET.replace("plain evaluation only", "adaptation pass skipped")
    both = code.replace('f"adaptation pass {step} begins"', '"adaptation pass skipped"')
    assert trace(both, logs=["adaptation pass skipped\n"]).values == ["plain"]


def test_only_the_beginning_of_a_line_counts(trace: Trace) -> None:
    assert trace(QUIET, logs=["we left out the adaptation pass 0\n"]).values == ["plain"]


def test_most_logs_must_show_it(trace: Trace) -> None:
    hit, miss = "adaptation pass 0 begins\n", "step 1\n"
    assert trace(QUIET, logs=[hit, miss, miss]).values == ["plain"]
    assert trace(QUIET, logs=[hit, hit, miss]).values == ["adapted"]


def test_a_log_refutes_a_claim(trace: Trace) -> None:
    """The README says off, the run printed what only the other branch prints: the default holds."""
    code = QUIET.replace('"0"', '"1"')
    assert trace(code, claims={"ADAPT": "0"}).values == ["plain"]
    log = "adaptation pass 0 begins\n"
    assert trace(code, claims={"ADAPT": "0"}, logs=[log]).values == ["adapted"]


def test_a_log_does_not_refute_what_a_log_says(trace: Trace) -> None:
    claim = Claim("ADAPT", "0", "log", "run0.log", 1)
    code = QUIET.replace('"0"', '"1"')
    assert trace(code, claims=[claim], logs=["adaptation pass 0 begins\n"]).values == ["plain"]


def test_arguments_take_their_defaults_and_what_the_command_says(trace: Trace) -> None:
    code = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--adapt", action="store_true")
    parser.add_argument("--stride", "-s", dest="step", type=int, default=64)
    args = parser.parse_args()
    show(args.epochs, args.adapt, args.step)
    """
    assert trace(code).values == [1, False, 64]
    assert trace(code, claims={"--epochs": "3", "--adapt": "1"}).values == [3, True, 64]


def test_settings_travel_through_a_class_of_constants(trace: Trace) -> None:
    code = """
    import os
    class Hyper:
        epochs = int(os.environ.get("EPOCHS", 2))
        lr = float(os.environ.get("LR", 1e-3))
        twice = epochs * 2
    args = Hyper()
    show(Hyper.epochs, args.twice, args.lr)
    """
    assert trace(code).values == [2, 4, 1e-3]
    assert trace(code, claims={"EPOCHS": "5"}).values == [5, 10, 1e-3]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 // 2 + 3 * 4 - 2 ** 3", 7),
        ("(1 << 20) - 1 & 0xFFFF", 65535),
        ("-5 % 3", 1),
        ("'a' + 'b' * 2", None),
        ("f'{3:03d}-{\"x\"}'", "003-x"),
        ("len('four')", 4),
        ("max(3, 4)", 4),
        ("int('12') if True else 0", 12),
        ("'a,b'.split(',')[1]", "b"),
        ("(1, 2, 3)[1:][0]", 2),
        ("{'a': 1}['a']", 1),
        ("'|'.join(['x', 'y'])", "x|y"),
        ("1 / 0", None),
        ("2 ** 10 ** 10", None),
        ("int('no')", None),
        ("1 << 100000", None),
        ("not (1 > 2 or 3 < 2)", True),
        ("1 < 2 < 3", True),
        ("1 < 3 < 3", False),
        ("None is None", True),
        ("2 in (1, 2)", True),
        ("'k' in {'k': 1}", True),
        ("3 not in [1, 2]", True),
    ],
)
def test_constants_fold(trace: Trace, expression: str, value: object) -> None:
    """None stands for what stays unknown: errors, and arithmetic that could grow without bound."""
    (node,) = trace(f"show({expression})").shown
    assert (node.data if node.op == "const" else None) == value
