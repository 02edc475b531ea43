from __future__ import annotations

from dataclasses import replace

from auditor.evidence.claims import Claims, Stated
from auditor.evidence.record import Record, Run
from auditor.evidence.runlog import Progress, RunLog, Score
from auditor.evidence.summary import POINTS, comparison, evidence
from auditor.rulesets import load


def rows(evidence, what):
    return [row for row in comparison(evidence) if row.what == what]


def agreement(row, kind):
    return [told.agrees_with for told in row.told.get(kind, ())]


def test_scores_of_the_whole_and_of_each_seed(evidence):
    whole, *seeds = rows(evidence, "val_bpb")
    assert (whole.run, whole.shown.which) == ("", "mean of 3")
    assert agreement(whole, "json") == ["mean of 3"] and agreement(whole, "readme") == []
    assert [row.run for row in seeds] == ["seed 42", "seed 1337", "seed 2024"]
    assert [agreement(row, "readme") for row in seeds] == [["seed 42"], [""], []]


def test_sizes_are_compared_with_the_largest_first_and_exactly(evidence):
    whole = rows(evidence, "artifact_bytes")[0]
    assert (whole.shown.which, whole.shown.value) == ("largest of 3", 16_022_243)
    assert agreement(whole, "json") == [""]
    one = Stated("artifact_bytes", 15_948_371, "15948371", "json", "x", 1)
    told = replace(evidence, claims=Claims((one,)))
    assert agreement(rows(told, "artifact_bytes")[0], "json") == ["seed 1337"]


def test_a_time_may_be_that_of_one_stage(evidence):
    stated = Stated("eval_seconds", 574, "574", "readme", "x", 1, seed=1337)
    told = replace(evidence, claims=Claims((stated,)))
    (row,) = (row for row in rows(told, "eval_seconds") if row.seed == 1337)
    assert row.shown.value == 78.4 + 573.8
    assert agreement(row, "readme") == ["eval_cache of seed 1337"]


def test_a_seed_without_a_log_and_a_log_without_a_seed(evidence):
    stated = Stated("val_bpb", 0.5, "0.5", "json", "x", 1, seed=7, headline=True)
    unnamed = replace(
        evidence.runs[0], log=replace(evidence.runs[0].log, seed=None, path="a/b.log")
    )
    told = replace(evidence, runs=(unnamed,), claims=Claims((stated,)))
    named, unseen = rows(told, "val_bpb")
    assert (named.run, named.seed) == ("b.log", None)
    assert (unseen.run, unseen.shown) == ("seed 7", None)
    assert agreement(unseen, "json") == [""]


def test_baselines_stages_and_spreads_are_no_claims(evidence):
    others = (
        Stated("val_bpb", 1.2244, "1.2244", "readme", "x", 1),
        Stated("val_loss", 2.0, "2.0", "readme", "x", 2, role="stage"),
        Stated("val_loss", 0.1, "0.1", "readme", "x", 3, of="std"),
    )
    told = replace(evidence, claims=Claims(others))
    assert not any(row.told for row in comparison(told))


def test_what_no_report_shows_is_left_behind(submission, monkeypatch):
    points = tuple(Progress("x", n + 1, n / 999, 1.0) for n in range(1000))
    log = RunLog("a.log", progress=points, scores=(Score("x", 1, 1.0),))
    monkeypatch.setattr("auditor.evidence.headline.runs_of", lambda record: (Run(log, None),))
    (run,) = evidence(Record(submission, load().limits)).runs
    assert len(run.log.progress) == POINTS
    assert (run.log.progress[0], run.log.progress[-1]) == (points[0], points[-1])
    assert run.log.scores == ()
