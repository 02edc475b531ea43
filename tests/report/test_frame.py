from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from auditor.report.escape import visible
from auditor.report.frame import AFTER, BEFORE, LONGEST, excerpt, frame
from auditor.submission.text import split_lines


def rows(text, line, *, end=None, column=0, room=40):
    return list(frame(split_lines(text), line, end or line, column, room))


def pointed(text, line, **options):
    row = next(row for row in rows(text, line, **options) if row.marked)
    start, length = row.caret
    return row.code[start : start + length]


def test_context_is_shown_around_the_line():
    text = "\n".join(f"line {n}" for n in range(1, 21))
    assert [row.number for row in rows(text, 10)] == list(range(10 - BEFORE, 10 + AFTER + 1))
    assert [row.number for row in rows(text, 1)] == [1, 2]
    assert [row.number for row in rows(text, 20)] == [18, 19, 20]


def test_a_range_is_marked_and_cut():
    text = "\n".join("x" for _ in range(50))
    assert sum(row.marked for row in rows(text, 3, end=5)) == 3
    assert sum(row.marked for row in rows(text, 3, end=40)) == LONGEST


@pytest.mark.parametrize("line", [0, -1, 3])
def test_a_line_that_is_not_there_has_no_frame(line):
    assert rows("a\nb", line) == []


def test_the_caret_marks_the_statement():
    assert pointed("if a:\n    b = c  \n", 2) == "b = c"
    assert pointed("a=1;b=2;c=3", 1, column=4) == "b=2"
    assert pointed("\tx = 1", 1, column=1) == "x = 1"


def test_the_caret_finds_its_place_in_a_long_line():
    text = "a=1;" * 500 + "bad=7;" + "a=1;" * 500
    assert pointed(text, 1, column=2000) == "bad=7"
    assert all(len(row.code) <= 40 for row in rows(text, 1, column=2000))


def test_the_caret_counts_wide_characters_and_escapes():
    (row,) = rows("'\u65e5\u672c\x1b'; y = 2", 1, column=7)
    assert row.code == "'\u65e5\u672c\\x1b'; y = 2"
    assert row.caret == (12, 5)


@pytest.mark.parametrize("column", [0, 5, 10_000])
def test_any_column_is_survived(column):
    assert rows("", 1, column=column)[0].caret is None
    assert rows("x", 1, column=column)[0].code == "x"


def test_an_excerpt_is_one_line_of_code():
    assert excerpt(["", "\t  a = 1  "], 2, 3, 40) == "a = 1"
    assert excerpt(["a=1;" * 50 + "b=2"], 1, 200, 40) == "...;a=1;a=1;a=1;b=2"
    assert excerpt(["a=1;" * 50 + "b=2"], 1, 4, 40).startswith("a=1;a=1;")
    assert excerpt(["a"], 2, 0, 40) == ""


def test_lines_are_counted_as_the_parser_counts_them():
    text = "a = 1\r\nb = '\x0c\u2028\x1c'\rc = 3\n"
    numbers = [node.lineno for node in ast.parse(text).body]
    lines = split_lines(text)
    assert [lines[n - 1][0] for n in numbers] == ["a", "b", "c"]


def test_visible_keeps_what_is_printable():
    assert visible("naïve `日本` ^ \\n") == "naïve `日本` ^ \\n"
    assert visible("a\tb\x7f\u202e\ufeff\xa0") == r"a\tb\x7f\u202e\ufeff\xa0"
    assert visible("abcdef", 3) == "abc..."


@given(
    text=st.text(st.characters() | st.sampled_from(";\t\r\n\x1b\u202e\u65e5"), max_size=200),
    line=st.integers(-1, 6),
    length=st.integers(0, 9),
    column=st.integers(0, 250),
    room=st.integers(20, 60),
)
def test_any_text_fits_and_is_printable(text, line, length, column, room):
    for row in rows(text, line, end=line + length, column=column, room=room):
        assert row.code.isprintable()
        assert cell_len(row.code) <= room
        if row.caret:
            start, width = row.caret
            assert start >= 0 and width > 0 and start + width <= cell_len(row.code)
