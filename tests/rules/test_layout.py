"""What a pull request adds and changes, which no fixture on disk can show."""

from __future__ import annotations

import pytest

from auditor import rulesets
from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules.base import NotChecked
from auditor.rules.layout import check_record
from auditor.submission.model import Pull, SourceFile, Submission

FOLDER = "records/track_10min_16mb/2026-04-01_Cell"
OTHER = "records/track_10min_16mb/2026-03-30_Cell"
WHOLE = ("README.md", "submission.json", "train_gpt.py", "train_seed1.log")


def found(
    added: tuple[str, ...] = (),
    modified: tuple[str, ...] = (),
    names: tuple[str, ...] = WHOLE,
    folder: str = FOLDER,
    readme: str = "# Cell",
) -> list[Finding]:
    inside = tuple(f"{folder}/{name}" if folder else name for name in names)
    submission = Submission(
        folder,
        SourceFile(f"{folder}/train_gpt.py" if folder else "train_gpt.py", ""),
        readme=(SourceFile(f"{folder}/README.md", readme),),
        metadata={"val_bpb": 1.2},
        metadata_file=SourceFile(f"{folder}/submission.json", '{"val_bpb": 1.2}', "text"),
        files=dict.fromkeys(inside),
        pull=Pull(tuple(sorted((*inside, *added))) if folder else added, modified),
    )
    return list(check_record(Record(submission, rulesets.load().limits)))


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def test_a_whole_folder_and_nothing_else_is_silent():
    assert found() == []


def test_files_beside_the_folder_are_asked_about():
    (finding,) = found(added=("logs/seed1.log", "notes.md"))
    assert (finding.level, finding.path) == (Level.QUESTION, "logs/seed1.log")
    assert "2 files outside" in finding.message


def test_changed_code_beside_the_folder_is_a_suspect():
    (finding,) = found(added=("notes.md",), modified=("train_gpt.py",))
    assert (finding.level, finding.path) == (Level.SUSPECT, "train_gpt.py")


def test_a_changed_ignore_list_is_a_note():
    assert levels(found(modified=(".gitignore",))) == [Level.NOTE]


def test_no_log_for_a_claimed_score_is_a_violation():
    assert levels(found(names=WHOLE[:3])) == [Level.VIOLATION]


def test_another_whole_folder_may_be_the_one_that_is_entered():
    beside = tuple(f"{OTHER}/{name}" for name in WHOLE)
    findings = found(added=beside, names=WHOLE[:3])
    assert levels(findings) == [Level.SUSPECT]  # the note on two folders goes to the first of them


def test_several_folders_are_noted_once():
    beside = tuple(f"{FOLDER}2/{name}" for name in WHOLE)
    assert levels(found(added=beside)) == [Level.NOTE]


@pytest.mark.parametrize("readme", ["A non-record run.", "step:500 train_loss:3.1"])
def test_what_the_readme_says_makes_a_missing_log_a_question(readme: str):
    assert levels(found(names=WHOLE[:3], readme=readme)) == [Level.QUESTION]


@pytest.mark.parametrize("readme", ["Preliminary, on one node.", "**Projected BPB: < 1.1**"])
def test_a_score_that_is_not_final_may_be_a_drafts(readme: str):
    assert levels(found(names=WHOLE[:3], readme=readme)) == [Level.SUSPECT]


def test_logs_outside_the_folder_may_be_the_missing_ones():
    findings = found(added=("logs/seed1.log",), names=WHOLE[:3])
    assert levels(findings) == [Level.QUESTION, Level.QUESTION]


def test_gaps_of_a_record_that_was_there_before_are_not_this_pull_requests():
    assert found(modified=(f"{FOLDER}/README.md",), names=WHOLE[:3]) == []


def test_a_new_script_without_a_record_folder_is_asked_about():
    assert levels(found(added=("train_gpt.py",), folder="")) == [Level.QUESTION]


def test_a_change_of_the_core_script_is_a_note():
    assert levels(found(modified=("train_gpt.py",), folder="")) == [Level.NOTE]


def test_a_lone_script_is_not_checked():
    submission = Submission("", SourceFile("train_gpt.py", ""))
    with pytest.raises(NotChecked):
        list(check_record(Record(submission, rulesets.load().limits)))
