from __future__ import annotations

import os
from dataclasses import replace

import pytest

from auditor import rulesets
from auditor.audit import audit
from auditor.report.places import on_disk, place
from auditor.submission.model import SourceFile, Submission


@pytest.mark.parametrize(
    ("root", "path", "shown"),
    [
        ("", "records/x/a.py", "records/x/a.py"),
        (".", "records/x/a.py", "records/x/a.py"),
        ("records/x", "a.py", "records/x/a.py"),
        ("./records/x/", "a.py", "records/x/a.py"),
        ("../x", "a.py", "../x/a.py"),
        ("/elsewhere", "a.py", "/elsewhere/a.py"),
    ],
)
def test_paths_are_as_seen_from_the_working_folder(report, root, path, shown):
    assert on_disk(replace(report, root=root), path) == shown


def test_absolute_roots_inside_the_working_folder_are_relative(report):
    inside = os.path.join(os.getcwd(), "records")
    assert on_disk(replace(report, root=inside), "a.py") == "records/a.py"


def test_a_range_keeps_its_end(report):
    at = place(report, "a.py", 3, 5, 2)
    assert (at.line, at.end_line, at.column, at.decoded) == (3, 5, 2, "")


def test_an_audit_knows_the_hosts_of_what_it_quotes():
    """A payload in a payload stands where the outer one is unpacked in a real file."""
    from auditor.report.model import Level
    from auditor.rules.registry import RULES

    outer = SourceFile("a.py!payload-1", "pass\n", host="a.py", host_line=9)
    inner = SourceFile("a.py!payload-1!payload-1", "pass\n", host="a.py!payload-1", host_line=1)
    entry = SourceFile("a.py", "pass\n")
    packed = {"a.py": (outer,), outer.path: (inner,)}

    def check(record):
        yield RULES[0].finding(Level.NOTE, inner.path, 1, "inside")
        yield RULES[0].finding(Level.NOTE, entry.path, 1, "outside")

    rule = replace(RULES[0], check=None, check_record=check)
    found = audit(Submission("", entry, payloads=packed), rulesets.load(), rules=[rule])
    assert dict(found.hosts) == {inner.path: ("a.py", 9)}
    at = place(found, inner.path, 1)
    assert (at.path, at.line, at.decoded) == ("a.py", 9, f"{inner.path}:1")
