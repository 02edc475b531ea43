"""Source text becomes a tree, or one clear reason why not."""

from __future__ import annotations

import ast
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.analysis import newer_grammar
from auditor.analysis.parse import MAX_DEPTH, Unparseable, parse, statements
from auditor.submission.model import Party, SourceFile


def tree(text: str) -> ast.Module:
    return parse(SourceFile("train_gpt.py", text))


def depth(node: ast.AST) -> int:
    return 1 + max((depth(child) for child in ast.iter_child_nodes(node)), default=0)


@pytest.mark.parametrize(
    "text",
    ["\ufeffx = 1\n", "x = 1\r\ny = 2\r\n", "x = 1\ry = 2\r", "x = 1\0\n", "", "\n\n# only this"],
)
def test_odd_but_readable(text: str) -> None:
    assert isinstance(tree(text), ast.Module)


def test_line_numbers_count_every_line_end() -> None:
    assert [node.lineno for node in tree("a = 1\r\nb = 2\rc = 3\n").body] == [1, 2, 3]


def test_invalid_escapes_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree("pattern = '\\d+ once'\n")


def _compiles(text: str) -> bool:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        ast.parse(text)
    except RecursionError:
        return False
    finally:
        sys.setrecursionlimit(before)
    return True


@pytest.mark.parametrize("joiner", ["+", "-", "*", "|", "@"])
def test_long_chain_comes_back_shallow(joiner: str) -> None:
    text = "x = " + joiner.join(f"a{i}" for i in range(5000))
    if sys.version_info[:2] == (3, 12) and not _compiles(text):
        pytest.skip("this Python's own limit on nesting can't be raised")
    chain = tree(text)
    assert depth(chain) < 40
    names = [n for n in ast.walk(chain) if isinstance(n, ast.Name) and n.id != "x"]
    assert sorted(n.id for n in names) == sorted(f"a{i}" for i in range(5000))
    assert all(n.lineno == 1 for n in names)


def test_short_chain_keeps_its_shape() -> None:
    text = "x = " + " + ".join("abcdef")
    assert ast.dump(tree(text)) == ast.dump(ast.parse(text))


def test_ten_megabyte_line() -> None:
    value = tree("x = '" + "a" * 10_000_000 + "'").body[0]
    assert isinstance(value, ast.Assign)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "-" * 5000 + "a",
        "a" + ".b" * 5000,
        "f(" * 3000 + ")" * 3000,
        "x = " + "(" * 5000 + ")" * 5000,
        "if a:\n pass\n" + "elif b:\n pass\n" * (MAX_DEPTH + 10),
        "x = [" + "1," * 1_500_000 + "]",
        "def broken(:\n",
        "— a README, no script",
        "x = f'{1'",
        "  indented\nx",
        "x = " + "9" * 10_000,
    ],
)
def test_unparseable_says_why(text: str) -> None:
    with pytest.raises(Unparseable) as caught:
        tree(text)
    problem = caught.value.problem
    assert problem.what.startswith("not checked: ") and "\n" not in str(problem)
    assert problem.where == "train_gpt.py"


def test_syntax_error_is_the_submissions_and_names_the_line() -> None:
    with pytest.raises(Unparseable) as caught:
        tree("x = 1\ny = = 2\n")
    assert caught.value.problem.party is Party.SUBMISSION
    assert "line 2" in caught.value.problem.what


NEWER = {
    "same quotes": ("f'{a['k']}'", "f\"{a['k']}\""),
    "backslash": (r"f'{'\n'.join(b)}'", None),
    "nested": ("f'{f'{f'{a}'}'}'", None),
    "conversion and spec": ("f'{a['k']!r:>{w['n']}}'", "f\"{a['k']!r:>{w['n']}}\""),
    "debug": ("f'{a['k']=}'", None),
    "implicit concatenation": ("'x' f'{a['k']}' 'y{}'", "f\"x{a['k']}y{{}}\""),
    "braces": ("f'{{{a['k']}}}'", "f\"{{{a['k']}}}\""),
    "keyword after a digit": ("f'{a['k']if 0else b}'", None),
    "keyword after a bracket": ("f'{w((a-(0 if b else 1))for a in b)} {a['k']}'", None),
}


@pytest.mark.parametrize("name", NEWER)
def test_newer_fstrings(name: str) -> None:
    new, old = NEWER[name]
    module = tree(f"x = {new}\n")
    (assign,) = module.body
    assert isinstance(assign, ast.Assign) and isinstance(assign.value, ast.JoinedStr)
    names = {n.id for n in ast.walk(assign.value) if isinstance(n, ast.Name)}
    assert names <= {"a", "b", "w"} and names
    if old is not None:
        expected = ast.parse(old, mode="eval").body
        assert ast.unparse(_merged(assign.value)) == ast.unparse(_merged(expected))


def _merged(node: ast.expr) -> ast.expr:
    """With neighbouring constants of an f-string joined, as ``ast.parse`` has them."""
    assert isinstance(node, ast.JoinedStr)
    values: list[ast.expr] = []
    for value in node.values:
        last = values[-1] if values else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            values[-1] = ast.Constant(str(last.value) + str(value.value))
        else:
            values.append(value)
    return ast.JoinedStr(values)


def test_newer_grammar_keeps_every_line() -> None:
    text = "\n".join(
        [
            "first = 1",
            "log(f'{d['a']} {",
            "    second  # a comment",
            "}' f'''",
            "{third['x']}''', fourth)",
            "fifth = f'{e['b']}'; sixth = 2",
            "def seventh[T](p: T) -> T: return f'{p['c']}'",
            "type Alias = int",
            "ninth = 3",
        ]
    )
    lines = {n.id: n.lineno for n in ast.walk(tree(text)) if isinstance(n, ast.Name)}
    expected = {
        "first": 1,
        "d": 2,
        "second": 3,
        "third": 5,
        "fourth": 5,
        "fifth": 6,
        "e": 6,
        "sixth": 6,
    }
    assert {name: lines[name] for name in expected} == expected
    assert lines["p"] == 7 and lines["ninth"] == 9


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads such f-strings itself")
def test_deep_nesting_in_newer_grammar_ends_in_a_problem() -> None:
    with pytest.raises(Unparseable):
        tree("x = f'{a['k']}'\n" + "f(" * 3000 + ")" * 3000)


def test_rewriting_reports_what_is_no_python() -> None:
    with pytest.raises(newer_grammar.NotPython):
        newer_grammar.rewrite("def (:\n")


def test_equal_texts_share_a_tree() -> None:
    assert tree("shared = 1") is tree("shared = 1")


def test_statements_are_all_there_with_their_level() -> None:
    text = "if a:\n  for b in c:\n    d\nelse:\n  try:\n    e\n  except F:\n    g\n"
    text += "match h:\n  case 1:\n    i\n"
    found = list(statements(ast.parse(text)))
    expected = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)]
    assert len(found) == len(expected)
    assert max(level for _, level in found) == 4


@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    try:
        assert isinstance(tree(text), ast.Module)
    except Unparseable as error:
        assert error.problem.party in (Party.SUBMISSION, Party.TOOL)
