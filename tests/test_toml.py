from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.toml import LONGEST, TomlError, parse, read

TEXT = '''\
name = "x"
note = """
[not.a.header]
key = 1
"""

[one.two]
# a comment
number = 0
"a b".c = "d"

[[many]]
good = true

[[many]]  # the second
day = 2026-05-02
'''


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda top: top.whole("name"), "f:1: 'name' must be a whole number"),
        (lambda top: top.text("absent"), "f:1: lacks 'absent', a text"),
        (lambda top: top.table("one").table("two").number("number"), "f:9: 'number' must be a pos"),
        (lambda top: top.table("one").table("two").texts("number"), "f:9: 'number' must be a list"),
        (lambda top: top.table("one").table("two").table("a b").day("c"), "f:10: 'c' must be a da"),
        (lambda top: next(top.tables("many")).text("good"), "f:13: 'good' must be a text"),
        (lambda top: list(top.tables("many"))[1].text("good"), "f:15: lacks 'good', a text"),
        (lambda top: list(top.tables("many"))[1].close(), "f:16: 'day' is not a key that belongs"),
        (lambda top: top.choice("name", ["y", "z"]), "f:1: 'name' is 'x', not one of y, z"),
        (lambda top: list(top.tables("name")), "f:1: 'name' must be an array of tables"),
    ],
)
def test_a_fault_is_named_with_its_line(asked, message):
    with pytest.raises(TomlError) as caught:
        asked(parse(TEXT, "f"))
    assert str(caught.value).startswith(message)


def test_what_is_right_is_read():
    top = parse(TEXT, "f")
    assert top.text("name") == "x"
    assert top.text("absent", "default") == "default"
    assert [each.flag("good") for each in top.tables("many")] == [True, False]
    assert str(list(top.tables("many"))[1].day("day")) == "2026-05-02"


def test_a_misspelt_key_gets_a_hint():
    top = parse("resaon = 'x'", "f")
    top.text("reason", "")
    with pytest.raises(TomlError, match=r"f:1: 'resaon' is not a key.*did you mean reason"):
        top.close()


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        ("true", "whole"),
        ("1.5", "whole"),
        ("inf", "number"),
        ("nan", "number"),
        ("-1", "number"),
        ('" "', "text"),
        ('["a", ""]', "texts"),
        ('["a", 1]', "texts"),
        ("[1, true]", "wholes"),
        ("2026-05-02T10:00:00", "day"),
        ('"2026-05-02"', "day"),
        ("1", "flag"),
        ("[1]", "table"),
    ],
)
def test_values_of_another_kind_are_refused(value, ask):
    with pytest.raises(TomlError, match=r"^f:1: 'k' must "):
        getattr(parse(f"k = {value}", "f"), ask)("k")


def test_broken_syntax_names_its_line():
    with pytest.raises(TomlError, match=r"^f:2: is no TOML: [^\n]+$"):
        parse("a = 1\nb = = 2\n", "f")


def test_files_that_can_not_be_read(tmp_path):
    with pytest.raises(TomlError, match="can't be read: No such file"):
        read(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe4'")
    with pytest.raises(TomlError, match="is not UTF-8"):
        read(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (LONGEST + 1))
    with pytest.raises(TomlError, match="is larger than"):
        read(tmp_path / "huge.toml")


@given(st.text() | st.text(alphabet="[]{}=.\"'#\n a1-:T,", max_size=200))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        parse(text, "f").close()
    except TomlError as error:
        assert str(error).startswith("f:") and "\n" not in str(error)


def test_deep_nesting_is_refused():
    with pytest.raises(TomlError):
        parse("a = " + "[" * 20_000, "f")
