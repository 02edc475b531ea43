from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.report.model import Check, Level, Outcome, Report, Step
from auditor.report.text import TextRenderer
from auditor.rulesets import load
from auditor.submission.model import Party, Problem

GOLDEN = Path(__file__).with_name("golden.txt")
RULESET = load()


def rendered(report, **options):
    stream = io.StringIO()
    TextRenderer(stream, RULESET, **options).submission(report)
    return stream.getvalue()


def unwrapped(text):
    return " ".join(text.split())


def test_golden(whole):
    stream = io.StringIO()
    renderer = TextRenderer(stream, RULESET, show_settings=True)
    renderer.submission(whole.submissions[0])
    renderer.problem(whole.problems[0])
    renderer.closing(whole)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_a_pipe_gets_100_columns_and_no_colour(report, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = rendered(report)
    assert "\x1b" not in text
    assert 60 < max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_prose_is_wrapped_to_the_width(report, width):
    prose = "word " * 100
    text = rendered(replace(report, findings=(replace(report.findings[0], message=prose),)))
    assert unwrapped(prose) in unwrapped(text)
    for line in rendered(report, width=width).splitlines():
        assert len(line) <= width or max(map(len, line.split())) > width // 2


def test_colour_on_a_terminal_unless_told_not_to(report, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    TextRenderer(terminal, RULESET).submission(report)
    assert "\x1b[1;31mviolation[target-in-key]" in terminal.getvalue()

    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    plain.isatty = lambda: True
    TextRenderer(plain, RULESET).submission(report)
    assert "\x1b[1;31m" not in plain.getvalue()


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level.VIOLATION, "breaks N1: the realised token must not"),
        (Level.SUSPECT, "appears to break N1: the realised token must not"),
        (Level.QUESTION, "please show that N1 is kept: the realised token must not"),
        (Level.NOTE, "why: N1: the realised token must not"),
    ],
)
def test_each_level_has_its_words(report, finding, level, words):
    text = unwrapped(rendered(replace(report, findings=(finding(level=level),))))
    assert words in text


def test_no_findings_is_not_called_clean(report):
    text = rendered(replace(report, findings=()))
    assert "verdict: no findings" in text
    assert "checks: 3 of 6 ran" in text
    assert "clean" not in text.lower()


def test_inconclusive(report):
    unchecked = tuple(Check(c.rule, Outcome.NOT_CHECKED, "can't be parsed") for c in report.checks)
    text = rendered(replace(report, findings=(), checks=unchecked))
    assert "verdict: inconclusive" in text
    assert "can't be parsed: target-in-key, slot, late-calibration" in text


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil\u2066 a\u200bb `x` \r\n\x00 \x9b31m \ud800 \u2028"


def test_nothing_hostile_reaches_the_terminal(report, finding):
    bad = finding(path=HOSTILE, message=HOSTILE, clears=HOSTILE, steps=(Step(HOSTILE, 1, HOSTILE),))
    hostile = replace(
        report,
        path=HOSTILE,
        entry=HOSTILE,
        revision=HOSTILE,
        findings=(bad,),
        checks=(Check("slot", Outcome.NOT_CHECKED, HOSTILE),),
        settings=tuple(
            replace(s, name=HOSTILE, default=HOSTILE, value=HOSTILE, source=HOSTILE)
            for s in report.settings
        ),
        problems=(Problem(HOSTILE, HOSTILE, Party.SUBMISSION, HOSTILE),),
        sources={HOSTILE: "\n\n\n" + HOSTILE.replace("\r\n", "") + "\n"},
    )
    stream = io.StringIO()
    renderer = TextRenderer(stream, RULESET, show_settings=True)
    renderer.submission(hostile)
    renderer.problem(hostile.problems[0])
    renderer.closing(Report((hostile, hostile)))
    text = stream.getvalue()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert r"\x1b[2J" in text and r"\u202e" in text and "`x`" in text


def test_a_ten_megabyte_line_costs_a_line(report, finding):
    line = "x = 1; " * 1_500_000
    big = finding(
        line=1, end_line=1, column=7_000_000, message=line, steps=(Step(report.entry, 1, line),)
    )
    text = rendered(replace(report, findings=(big,), sources={report.entry: line}))
    assert len(text) < 6_000
    frame = next(row for row in text.splitlines() if row.startswith("> 1 |"))
    assert frame.startswith("> 1 | ...") and frame.endswith("...") and len(frame) <= 100


def test_a_finding_without_its_source_still_has_its_place(report):
    text = rendered(replace(report, sources={}))
    assert f"--> {report.entry}:4" in text
    assert " | " not in text
