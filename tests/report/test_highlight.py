from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditor.report.highlight import highlighted

LINES = ['x = """open', "if still a string:", '"""', "if done:  # yes", "    y = 1.5"]


def kinds(path, lines, number):
    return [(p.kind, p.text) for p in highlighted(path, lines, (number,))[number] if p.text.strip()]


def test_a_string_stays_open_over_lines():
    assert kinds("a.py", LINES, 2) == [("s", "if still a string:")]
    assert kinds("a.py", LINES, 4) == [("k", "if"), ("", "done"), ("", ":"), ("c", "# yes")]


def test_the_suffix_of_the_host_tells_the_language():
    assert ("k", "if") in kinds("a.py!payload-1", LINES, 4)
    assert ("k", "return") in kinds("mixer.cu", ["return 1;"], 1)
    assert kinds("train.log", LINES, 4) == [("", LINES[3])]


def test_a_line_of_data_is_not_looked_at():
    assert kinds("a.py", [f"x = '{'A' * 2000}'", "if y:"], 2)[0] == ("k", "if")
    assert kinds("a.py", [f"x = '{'A' * 2000}'"], 1) == []


@given(st.lists(st.text(max_size=40).filter(lambda t: not set("\r\n") & set(t)), max_size=8))
def test_no_character_is_lost(lines):
    for path in ("a.py", "a.cu", "a.sh", "a.json", "a.txt"):
        found = highlighted(path, lines, range(1, len(lines) + 1))
        assert ["".join(p.text for p in found[n + 1]) for n in range(len(lines))] == lines
