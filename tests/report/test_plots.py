from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from auditor.evidence.claims import Claims
from auditor.evidence.runlog import Figure, Progress
from auditor.report.plots import RUNS, plots

TITLES = [
    "BPB per seed against the claim",
    "Running BPB over the evaluation",
    "Time budgets",
    "Byte budget",
]


@pytest.fixture
def drawn(evidence):
    return plots(evidence, "s1")


def texts(plot):
    return ["".join(e.itertext()) for e in ElementTree.fromstring(plot.svg).iter("text")]


def test_each_plot_is_well_formed_and_says_what_it_shows(drawn):
    assert [plot.title for plot in drawn] == TITLES
    for plot in drawn:
        svg = ElementTree.fromstring(plot.svg)
        assert svg.attrib["role"] == "img"
        assert [svg[0].text, svg[1].text] == [plot.title, plot.words]
    assert "seed 42 0.54373998" in drawn[0].words and "claimed is 0.5441" in drawn[0].words
    assert "seed 1337 652.2 s" in drawn[2].words
    assert "seed 42 16,022,243" in drawn[3].words


def test_the_page_decides_on_colours_and_fonts(drawn):
    for plot in drawn:
        assert not re.search(r"#[0-9a-f]{6}\b|font-family|DejaVu", plot.svg)
        assert "var(--ink)" in plot.svg and "var(--muted)" in plot.svg
        assert "<style" not in plot.svg and "<metadata" not in plot.svg
        assert "http" not in plot.svg


def test_the_same_numbers_give_the_same_bytes_and_no_id_twice(evidence, drawn):
    assert plots(evidence, "s1") == drawn
    both = "".join(plot.svg for plot in [*drawn, *plots(evidence, "s2")])
    ids = re.findall(r' id="([^"]*)"', both)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', both)) <= set(ids)


def test_what_is_over_a_limit_is_said_in_words(drawn):
    assert "652.20 s, 52.20 s over" in texts(drawn[2])
    assert "22,243 over" in texts(drawn[3]) and "51,629 left" in texts(drawn[3])


def test_what_is_missing_is_said_instead(evidence):
    for plot in plots(replace(evidence, runs=(), claims=Claims()), "s1"):
        assert plot.svg == "" and plot.words.startswith("No log")
    quiet = [replace(run, log=replace(run.log, stages=(), progress=())) for run in evidence.runs]
    _, running, time, _ = plots(replace(evidence, runs=tuple(quiet)), "s1")
    assert running.svg == ""
    assert time.svg and "Of the other budget no log tells anything." in time.words


def test_numbers_that_are_none_are_left_out(evidence):
    nan = float("nan")
    run = evidence.runs[0]
    log = replace(
        run.log,
        total_bytes=Figure(nan, 1),
        train_seconds=Figure(float("inf"), 1),
        progress=(Progress("x", 1, nan, nan), Progress("x", 2, 0.5, nan)),
    )
    broken = replace(run, log=log, headline=replace(run.headline, val_bpb=nan))
    assert "nan" not in "".join(p.svg for p in plots(replace(evidence, runs=(broken,)), "s1"))


def test_many_runs_and_names_from_logs(evidence):
    run = evidence.runs[0]
    log = replace(run.log, path="a/<b>$x^2$ & very long name.log", seed=None)
    many = tuple(replace(run, log=log) for _ in range(RUNS + 5))
    for plot in plots(replace(evidence, runs=many), "s1"):
        ElementTree.fromstring(plot.svg)
    names = [text for text in texts(plots(replace(evidence, runs=many), "s1")[0]) if "…" in text]
    assert names == ["…ry long name"] * RUNS
