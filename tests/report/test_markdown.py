from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auditor.report.markdown import LIMIT, element, fence, inline, render
from auditor.report.model import Check, Level, Outcome, Report, SettingInForce, Step
from auditor.rulesets import load
from auditor.submission.model import Party, Problem

RULESET = load()
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(text):
    """Every token of the Markdown, those within lines too."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def skeleton(text):
    """The structure without the words in it."""
    kinds = [(t.type, t.tag) for t in tokens(text) if t.type not in ("text", "text_special")]
    return [kind for kind in kinds if kind[0] not in ("softbreak",)]


def words_of(text):
    """What is read outside of code, the names of rulings left out."""
    read, linked = [], ""
    for token in tokens(text):
        if token.type in ("link_open", "link_close"):
            linked = str(token.attrs.get("href", ""))
        elif token.type in ("text", "text_special", "html_block"):
            ruling = re.search(r"/(pull|issues)/\d+$", linked)
            read.append("" if ruling else token.content)
    return " ".join(read)


def test_golden(whole, golden):
    golden("golden.md", re.sub(r"pgcheck [\d.]+,", "pgcheck X,", render(whole, RULESET)))


def test_the_verdict_and_what_was_not_checked_come_first(report):
    lines = render(Report((report,)), RULESET).split("\n")
    assert lines[0] == ("### pgcheck: Violation; breaks target-in-key (N1); please show slot (C1)")
    assert "**3 of 6 rules were not checked.**" in lines[2]
    assert "- not built yet: seeds, margin" in lines


def test_no_findings_is_not_called_clean(report):
    text = render(Report((replace(report, findings=()),)), RULESET)
    assert text.startswith("### pgcheck: No findings\n") and "clean" not in text.lower()
    nothing = tuple(Check(c.rule, Outcome.NOT_CHECKED, "can't be parsed") for c in report.checks)
    text = render(Report((replace(report, findings=(), checks=nothing),)), RULESET)
    assert text.startswith("### pgcheck: Inconclusive\n")


def test_places_are_links_where_the_commit_is_known(report):
    path = "records/track_10min_16mb/2026-03-26_Cache/train_gpt.py"
    url = f"https://github.com/openai/parameter-golf/blob/{report.revision}/{path}#L3"
    assert f"({url})" in render(Report((report,)), RULESET)
    assert "/blob/" not in render(Report((replace(report, revision=None),)), RULESET)


def test_code_and_flow_of_a_finding(report):
    (block, *_) = (t for t in tokens(render(Report((report,)), RULESET)) if t.type == "fence")
    assert block.content.split("\n") == [
        "    1 | def score(stream, ctx, mask):",
        "    2 |     key = ctx & mask",
        "1   3 |     gold = stream[1:]",
        "  > 4 |     key = (key ^ (gold * 36313)) & mask",
        "2   5 |     return full[key] / seen[key]",
        "",
    ]


def test_claims_are_marked(report):
    text = render(Report((replace(report, revision=None),)), RULESET)
    assert "| bits per byte | all runs | 0.54405149 (mean of 3) | ✓ 0.5441 (mean of 3) |" in text
    assert "| ✗ 0.5511 (0.00613 more) README.md:10 |" in text
    assert "| not stated |" in text


HOSTILE = [
    "`code` ``` ~~~ ````",
    "| a | b |",
    "<script>alert(1)</script> </details> <!-- -->",
    "@openai/maintainers fixes #1 openai/parameter-golf#2 GH-3",
    "https://evil.example www.evil.example me@evil.example [x](https://evil.example) ![i](u)",
    "&lt;b&gt; &#64;openai $x$ $$y$$",
    "# heading\n\n- list\n\n1. list\n\n---\n\n    code\n\n> quote\n\n[a]: http://x",
    "- - 1) + = \u202e\u2066\x1b[2J\x00\u200b@x",
    "\\` \\| \\< \\@me \\\\",
    "",
    " ",
]


def hostile(report, finding, text):
    """The report with this text wherever a submission can put one."""
    bad = finding(
        path=text, message=text, clears=text, steps=(Step(text, 1, text), Step(text, 3, text))
    )
    bad = replace(bad, line=1, end_line=1)
    flat = " ".join(re.split(r"[\r\n]+", text))
    return replace(
        report,
        path="folder",
        entry=text,
        given=text,
        findings=(bad,),
        checks=(Check("slot", Outcome.NOT_CHECKED, text),),
        settings=(SettingInForce(text, text, text, text, text, (text,)),),
        problems=(Problem(text, text, Party.SUBMISSION, text),),
        sources={text: f"{flat}\nb\n{flat} x\n"},
        unread=text,
    )


def said(report, finding, text):
    run = replace(report.evidence.runs[0], why=text)
    run = replace(run, log=replace(run.log, path=text, seed=None))
    evidence = replace(report.evidence, runs=(run, *report.evidence.runs))
    bad = hostile(replace(report, evidence=evidence), finding, text)
    return render(Report((bad,), (Problem(text, text, Party.TOOL, text),)), RULESET)


def check_inert(report, finding, text):
    comment = said(report, finding, text)
    if text.strip():
        assert skeleton(comment) == skeleton(said(report, finding, "harmless"))
    markup = [t.content for t in tokens(comment) if t.type in ("html_block", "html_inline")]
    for html in markup:
        assert set(re.findall(r"<[^>]*>", html)) <= {
            *("<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>")
        }
    read = words_of(comment)
    assert not re.search(r"@\w|#\d|://|www\.|GH-", read)
    for token in tokens(comment):
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith("https://github.com/openai/parameter-golf/")
    assert all(char.isprintable() or char in "\n\u200b" for char in comment)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_submission_stays_text(report, finding, text):
    check_inert(report, finding, text)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80) | st.text("`|<>@#*_[]()!~\\&$-+=1.: \n", max_size=60))
def test_any_text_stays_text(report, finding, text):
    check_inert(replace(report, revision=None), finding, text)


@given(st.text(max_size=80) | st.text("`|<>@#*_[]()!~\\&$-+=1.: ", max_size=60))
def test_inline_text_is_read_as_it_was_written(text):
    (paragraph,) = (t for t in PARSER.parse(f"a {inline(text)} z") if t.type == "inline")
    read = "".join(t.content for t in paragraph.children).replace("\u200b", "")
    shown = " ".join(text.split())
    if shown.isprintable():
        assert read == f"a {shown} z"


@given(st.lists(st.text("`a ~|", max_size=12), min_size=1, max_size=5))
def test_a_fence_holds_what_it_is_given(rows):
    block, *others = PARSER.parse(fence(rows))
    assert not others and block.content == "\n".join(rows) + "\n"


def test_an_element_holds_no_element():
    assert element("<b>'&\"") == "&lt;b&gt;&#x27;&amp;&quot;"


def test_what_does_not_fit_is_left_out_and_named(report, finding):
    notes = [
        finding(
            level=Level.NOTE, message=f"note {n} " + "<&>" * 150, line=n % 5 + 1, end_line=n % 5 + 1
        )
        for n in range(100)
    ]
    long = replace(report, findings=(*report.findings, *notes))
    text = render(Report((long,)), RULESET)
    assert LIMIT * 0.9 < len(text.encode()) <= LIMIT
    assert "*Left out, the comment would be too long: the details of notes.*" in text
    assert "<summary>violation: target-in-key (N1) at train_gpt.py:4</summary>" in text
    assert "**Claims against what the logs show**" in text
    assert text.count("<details>") == text.count("</details>")

    violations = [replace(note, level=Level.VIOLATION) for note in notes]
    text = render(Report((replace(long, findings=tuple(violations)),)), RULESET)
    assert len(text.encode()) <= LIMIT and "the details of violations" in text
    assert text.startswith("### pgcheck: Violation")

    text = render(Report((report,) * 300), RULESET)
    assert len(text.encode()) <= LIMIT and "verdicts" in text


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text("<&\u202e\U0001f600`", min_size=500, max_size=600), number=st.integers(1, 400))
def test_the_limit_holds_for_any_text(report, finding, text, number):
    bad = hostile(report, finding, text)
    many = replace(bad, findings=bad.findings * number, checks=bad.checks * number)
    assert len(render(Report((many,)), RULESET).encode()) <= LIMIT
