from __future__ import annotations

from auditor.report.listing import listing
from auditor.report.model import Step


def shown(excerpt):
    return [(line.row.number, line.steps, line.gap) for line in excerpt.lines]


def test_the_lines_of_a_flow_in_the_order_of_each_file(finding):
    text = {"a.py": [f"line {n}" for n in range(1, 100)], "b.py": ["only"]}
    steps = (
        Step("b.py", 1, "one"),
        Step("a.py", 50, "two"),
        Step("a.py", 10, "three"),
        Step("a.py", 50, "four"),
        Step("gone.py", 3, "five"),
    )
    found = finding(path="a.py", line=12, end_line=13, steps=steps)
    first, second = listing(found, lambda path: text.get(path, []), 80)
    assert (first.path, second.path) == ("a.py", "b.py")
    assert shown(second) == [(1, (1,), False)]
    assert shown(first) == [
        *((n, (3,) if n == 10 else (), False) for n in range(8, 15)),
        (48, (), True),
        (49, (), False),
        (50, (2, 4), False),
        (51, (), False),
    ]
    assert [line.row.number for line in first.lines if line.main] == [12, 13]
    assert [line.row.number for line in first.lines if line.row.marked] == [10, 12, 13, 50]


def test_the_empty_end_of_a_file_is_no_line(finding):
    found = finding(path="a.py", line=1, end_line=1, steps=())
    (only,) = listing(found, lambda path: ["x = 1", ""], 80)
    assert [line.row.number for line in only.lines] == [1]
