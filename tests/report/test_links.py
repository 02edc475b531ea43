from __future__ import annotations

from dataclasses import replace

import pytest

from auditor.report.links import Links, pull, short
from auditor.rulesets import load

RULESET = load()
BLOB = f"https://github.com/openai/parameter-golf/blob/{'0123456789abcdef' * 2}01234567"


@pytest.mark.parametrize(
    ("path", "line", "url"),
    [
        ("a/b c(1).py", 3, "/a/b%20c%281%29.py#L3"),
        ("a/b.py", 0, "/a/b.py"),
        ("README.md", 7, "/README.md?plain=1#L7"),
        ("a.py!payload-1", 900, "/a.py#L2"),
        ("a.py!payload-9", 900, "/a.py"),
        ('a"><script>.py', 1, "/a%22%3E%3Cscript%3E.py#L1"),
    ],
)
def test_places_in_the_audited_commit(report, path, line, url):
    known = replace(report, revision=BLOB.rpartition("/")[2], hosts={"a.py!payload-1": ("a.py", 2)})
    assert Links.of(known, RULESET).place(path, line) == BLOB + url


@pytest.mark.parametrize("revision", [None, "HEAD", "0123abc", "javascript:alert(1)"])
def test_no_links_without_a_whole_commit(report, revision):
    links = Links.of(replace(report, revision=revision), RULESET)
    assert links.place("a.py", 1) == links.commit() == ""


def test_no_link_to_what_is_no_path(report):
    links = Links.of(report, RULESET)
    assert links.place("\ud800", 1) == links.place("", 1) == ""


def test_pull_requests_and_short_names(report):
    assert pull(replace(report, given="#825"), RULESET).endswith("/parameter-golf/pull/825")
    assert pull(replace(report, given="#8x"), RULESET) == ""
    assert short("https://github.com/openai/parameter-golf/issues/1017") == "#1017"
    assert short("https://github.com/openai/parameter-golf/blob/main/README.md") == "README.md"
