from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import date
from importlib import resources

import html5lib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.report.html import index, render
from auditor.report.model import Check, IdleWaiver, Outcome, Report, SettingInForce, Step, Waiver
from auditor.rulesets import load
from auditor.submission.model import Party, Problem

RULESET = load()
STYLE = resources.files("auditor.report").joinpath("templates").joinpath("style.css").read_text()
SVG = "{http://www.w3.org/2000/svg}"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def parsed(page):
    """The page's elements; anything that HTML does not allow is an error."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def words_of(element):
    return " ".join("".join(element.itertext()).split())


@pytest.fixture
def bare(report):
    """The report without what is drawn."""
    return replace(report, evidence=None)


def test_golden(whole, golden, monkeypatch):
    monkeypatch.setattr("auditor.report.plots.plots", lambda evidence, prefix: [])
    page = render(whole, RULESET)
    page = page.replace(STYLE, "")
    page = re.sub(r"version [\d.]+", "version X", page)
    golden("golden.html", "\n".join(line.rstrip() for line in page.splitlines() if line.strip()))


def test_the_page_is_whole_and_loads_nothing(whole):
    tree = parsed(render(whole, RULESET))
    names = Counter(element.tag for element in tree.iter())
    assert names["main"] == names["h1"] == 1
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(names)
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on") and name not in ("src", "srcset"), (element.tag, name)
            if "://" in value:
                assert (element.tag, name) == ("a", "href"), value
                assert value.startswith("https://github.com/openai/parameter-golf/")
    assert "url(" not in STYLE and "@import" not in STYLE
    assert "default-src 'none'" in render(whole, RULESET)


def test_ids_are_unique_and_every_anchor_leads_somewhere(whole, report):
    tree = parsed(render(Report((report, report), whole.problems), RULESET))
    ids = Counter(element.attrib["id"] for element in tree.iter() if "id" in element.attrib)
    assert max(ids.values()) == 1
    for element in tree.iter():
        for name in ("href", "aria-labelledby"):
            value = element.attrib.get(name, "")
            wanted = value.split() if name != "href" else [value[1:]] if value[:1] == "#" else []
            assert set(wanted) <= set(ids), value


def test_the_verdict_and_what_was_not_checked_come_first(report):
    tree = parsed(render(Report((report,)), RULESET))
    headings = [words_of(e) for e in tree.iter() if e.tag in ("h1", "h2")]
    assert headings[:3] == ["2026-03-26_Cache", "Violation", "Not checked: 3 of 6 rules"]
    (verdict,) = (e for e in tree.iter() if e.attrib.get("class") == "verdict violation")
    told = words_of(verdict)
    assert "breaks target-in-key N1" in told
    assert "please show slot C1" in told
    assert "not built yet: seeds, margin" in told


@pytest.mark.parametrize(
    ("outcome", "reason", "heading", "words"),
    [
        (Outcome.RAN, "", "No findings", "no verdict of innocence"),
        (Outcome.PARTLY, "no log", "No findings", "in part only (no log): slot"),
        (Outcome.NOT_CHECKED, "can't be parsed", "Inconclusive", "can't be parsed: slot"),
    ],
)
def test_no_findings_is_not_called_clean(bare, outcome, reason, heading, words):
    nothing = replace(bare, findings=(), checks=(Check("slot", outcome, reason),))
    page = render(Report((nothing,)), RULESET)
    tree = parsed(page)
    assert heading in [words_of(e) for e in tree.iter() if e.tag == "h2"]
    assert words in words_of(tree)
    assert "clean" not in page.replace(STYLE, "").lower()


def test_the_flow_is_linked_with_the_listing(bare):
    tree = parsed(render(Report((bare,)), RULESET))
    rows = {e.attrib["id"]: e for e in tree.iter() if e.attrib.get("class", "").startswith("row")}
    first = [words_of(row) for anchor, row in rows.items() if anchor.startswith("s1-f1-")]
    assert first[2:] == [
        "31 gold = stream[1:]",
        "4 key = (key ^ (gold * 36313)) & mask",
        "52 return full[key] / seen[key]",
    ]
    links = [e.attrib["href"] for e in rows["s1-f1-1-L3"].iter() if e.tag == "a"]
    assert links[0].endswith("2026-03-26_Cache/train_gpt.py#L3")
    assert links[1] == "#s1-f1-step1"
    (step,) = (e for e in tree.iter() if e.attrib.get("id") == "s1-f1-step1")
    assert "#s1-f1-1-L3" in [e.attrib.get("href") for e in step.iter()]
    assert "gold = stream[1:]" in words_of(step)
    marks = [words_of(e) for e in rows["s1-f1-1-L4"].iter() if e.tag == "mark"]
    assert "".join(marks).replace(" ", "") == "key=(key^(gold*36313))&mask"


def test_without_a_commit_nothing_links_to_github_lines(bare):
    page = render(Report((replace(bare, revision=None, given="folder"),)), RULESET)
    assert "/blob/" not in page and "/commit/" not in page


def test_claims_are_marked_cell_by_cell(report):
    tree = parsed(render(Report((report,)), RULESET))
    (table,) = (e for e in tree.iter() if e.attrib.get("class") == "claims")
    rows = [[words_of(cell) for cell in row.iter() if cell.tag in ("th", "td")]
            for row in table.iter() if row.tag == "tr"]  # fmt: skip
    assert rows[0] == "quantity, of, logs show, submission.json, README, title".split(", ")
    assert rows[1] == [
        "bits per byte",
        "all runs",
        "0.54405149 mean of 3",
        "0.5441 ✓ agrees with mean of 3",
        "not stated",
        "0.5440 ✓ agrees with mean of 3",
    ]
    assert rows[3][:3] == ["seed 1337", "0.54496569", "not stated"]
    assert rows[3][3].startswith("0.5511 ✗ 0.00613 more")
    assert any(
        row[:3] == ["artifact, bytes", "all runs", "16,022,243 largest of 3"] for row in rows
    )


def test_what_a_run_would_settle_is_listed(bare):
    check = replace(bare.checks[0], probes=("exactly once",))
    text = words_of(parsed(render(Report((replace(bare, checks=(check,)),)), RULESET)))
    assert "exactly once (each validation target is scored once, and none is left out):" in text


def test_what_has_no_data_is_left_out_and_said(report):
    empty = replace(report.evidence, runs=())
    text = words_of(parsed(render(Report((replace(report, evidence=empty),)), RULESET)))
    assert "No log of a run was found" in text
    assert "Byte budget: No log tells how large the artifact is." in text
    assert "<svg" not in render(Report((replace(report, evidence=empty),)), RULESET)
    text = words_of(parsed(render(Report((replace(report, evidence=None),)), RULESET)))
    assert "The evidence is shown with the folder's entry script." in text


def test_waivers_stay_visible(bare):
    waiver = Waiver("agreed on #1", "a maintainer", date(2026, 5, 2), None, "waivers.toml:3")
    findings = tuple(replace(each, waived=waiver) for each in bare.findings)
    idle = IdleWaiver("waivers.toml:9", "slot", "matches no finding")
    page = render(Report((replace(bare, findings=findings),), idle_waivers=(idle,)), RULESET)
    text = words_of(parsed(page))
    assert "The checks that ran found nothing that is not waived." in text
    assert "agreed on #1 (a maintainer, 2026-05-02; waivers.toml:3)" in text
    assert "waivers.toml:9: slot: matches no finding" in text


HOSTILE = (
    "</code></script><img src=x onerror=alert(1)>\"'>{{7*7}}\x1b[2J\u202eevil\u2066\x00\ud800&lt;"
)


def hostile(report, finding, text):
    """The report with this text wherever a submission can put one."""
    bad = finding(
        path=text, message=text, clears=text, steps=(Step(text, 1, text), Step(text, 9, text))
    )
    return replace(
        report,
        path=text,
        entry=text,
        given=text,
        findings=(bad,),
        checks=(Check("slot", Outcome.NOT_CHECKED, text),),
        settings=(SettingInForce(text, text, text, text, text, (text,)),),
        problems=(Problem(text, text, Party.SUBMISSION, text),),
        sources={text: f"{text}\n{text} = '{text}'\n\n{text}\n"},
        unread=text,
    )


def test_hostile_text_stays_text(report, bare, finding):
    benign, bad = (
        render(Report((hostile(bare, finding, text),)), RULESET) for text in ("harmless", HOSTILE)
    )
    assert all(char.isprintable() or char == "\n" for char in bad)
    kinds = [{e.tag for e in parsed(page).iter()} for page in (benign, bad)]
    assert kinds[0] == kinds[1]
    assert "{{7*7}}" in bad and r"\u202e" in bad

    run = report.evidence.runs[0]
    log = replace(run.log, path=f"{HOSTILE}$\\frac{{1}}{{2}}$", seed=None)
    evidence = replace(report.evidence, runs=(replace(run, log=log, why=HOSTILE),) * 2)
    page = render(Report((replace(report, evidence=evidence),)), RULESET)
    assert not {"img", "script"} & {e.tag for e in parsed(page).iter()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
def test_any_text_gives_a_well_formed_page(bare, finding, text):
    parsed(render(Report((hostile(bare, finding, text),)), RULESET))


def test_a_ten_megabyte_line_costs_a_line(bare, finding):
    line = "x = 1; " * 1_500_000
    big = finding(line=1, end_line=1, column=7_000_000, message=line, steps=())
    page = render(Report((replace(bare, findings=(big,), sources={bare.entry: line}),)), RULESET)
    assert len(page) < len(STYLE) + 30_000


def test_the_index_links_to_every_page(whole, report):
    both = Report((report, replace(report, findings=())), whole.problems)
    tree = parsed(index(both, RULESET, ["a.html", "b.html"]))
    assert [e.attrib["href"] for e in tree.iter() if e.tag == "a"] == ["a.html", "b.html"]
    text = words_of(tree)
    assert "breaks target-in-key (N1); please show slot (C1)" in text
    assert "1 violation, 1 question, 1 note" in text and "3 of 6 ran" in text
    assert "nowhere: no such folder" in text


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme):
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in STYLE.split("@media", 2)[:2]
    )
    colours = light if scheme == "light" else dark
    assert set(light) == set(dark)
    texts = set(colours) - {"page", "card", "sunken", "line", "marked"}
    for text in texts:
        least = 3.0 if text.startswith("series") else 4.5
        for ground in ("page", "card", "sunken", "marked"):
            if text.startswith("series") and ground != "card":
                continue
            assert contrast(colours[text], colours[ground]) >= least, (text, ground)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(report, finding, tmp_path, width):
    """In a real browser, with lines and paths longer than any screen."""
    long = finding(
        message="word" * 200, path="deep/" * 60 + "x.py", steps=(Step("a/" * 99, 1, "y" * 400),)
    )
    wide = replace(
        report, findings=(*report.findings, long), sources={**report.sources, long.path: "z" * 5000}
    )
    page = render(Report((wide,)), RULESET)
    measure = (
        "<script>onload = () => parent.document.title = JSON.stringify("
        "[document.documentElement.scrollWidth, innerWidth])</script></body>"
    )
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page).replace("</body>", measure)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frame = f'<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(frame)
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --dump-dom"
        " --disable-background-networking --disable-component-update --disable-sync"
        " --disable-web-security --allow-file-access-from-files --window-size=1400,1000"
    ).split()
    dom = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path}/profile", f"file://{tmp_path}/frame.html"],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    found = re.search(r"<title>(.*?)</title>", dom)
    assert found, "the page did not load"
    scrolled, inner = json.loads(found[1])
    assert inner == width and scrolled <= width
