"""What counts as found, missed and falsely reported."""

from __future__ import annotations

import pytest

from auditor.bench.labels import Expect, Row
from auditor.bench.scoring import (
    AuditedPull,
    AuditedSubmission,
    Judgement,
    Result,
    Spot,
    judge,
    keeps_result,
    tally,
)
from auditor.report.model import Level

FOLDER = "records/t/x"
SCRIPT = f"{FOLDER}/train_gpt.py"
KEY, SLOT = "target-in-key", "slot"
BUILT = frozenset({KEY, SLOT, "oracle-selection"})


def row(expect: Expect, line: int | None = 100, *, rule: str = KEY, path: str = SCRIPT) -> Row:
    return Row(1, "abc", path, rule, expect, line, "high")


def spot(
    level: Level = Level.VIOLATION,
    line: int = 100,
    *,
    rule: str = KEY,
    path: str = SCRIPT,
    strongest: Level = Level.VIOLATION,
) -> Spot:
    return Spot(rule, level, strongest, path, line, line)


def pull(
    *spots: Spot, folder: str = FOLDER, unchecked: dict[str, str] | None = None
) -> AuditedPull:
    files = frozenset({SCRIPT, f"{FOLDER}/helper.py", f"{FOLDER}/train.log"})
    submission = AuditedSubmission(folder, SCRIPT, "x", files, spots, unchecked or {})
    return AuditedPull((submission,))


def result(one: Row, given: AuditedPull, *others: Row) -> Judgement:
    return judge(one, [one, *others], given, BUILT)


VIOLATION, CLEAN = row(Expect.VIOLATION), row(Expect.CLEAN)


class TestViolationRows:
    @pytest.mark.parametrize(
        "found",
        [
            spot(),
            spot(Level.SUSPECT),
            spot(line=900),
            spot(path=f"{SCRIPT}!payload-1!payload-1"),
        ],
    )
    def test_found_anywhere_in_the_right_file(self, found: Spot) -> None:
        assert result(VIOLATION, pull(found)).result is Result.FOUND

    @pytest.mark.parametrize(
        "other",
        [
            spot(Level.NOTE),
            spot(Level.QUESTION),
            spot(rule=SLOT),
            spot(path=f"{FOLDER}/helper.py"),
            spot(path=f"{SCRIPT}x"),
        ],
    )
    def test_missed_without_a_firm_finding_of_the_rule_in_the_file(self, other: Spot) -> None:
        assert result(VIOLATION, pull(other)).result is Result.MISSED

    def test_a_question_is_found_where_the_ruleset_lets_the_rule_say_no_more(self) -> None:
        asked = spot(Level.QUESTION, rule=SLOT, strongest=Level.QUESTION)
        judged = result(row(Expect.VIOLATION, rule=SLOT), pull(asked))
        assert (judged.result, judged.as_question) == (Result.FOUND, True)
        firm = result(row(Expect.VIOLATION, rule=SLOT), pull(asked, spot(rule=SLOT)))
        assert (firm.result, firm.as_question) == (Result.FOUND, False)

    @pytest.mark.parametrize("path", [f"{FOLDER}/train.log", SCRIPT])
    def test_a_row_without_a_line_of_code_is_found_in_any_file(self, path: str) -> None:
        vague = row(Expect.VIOLATION, None, path=path)
        assert result(vague, pull(spot(path=f"{FOLDER}/helper.py"))).result is Result.FOUND
        elsewhere = pull(spot(path="records/t/y/train_gpt.py"), folder="records/t/y")
        lonely = AuditedPull(
            (
                AuditedSubmission(
                    "records/t/y", "", "x", frozenset(), elsewhere.submissions[0].spots
                ),
            )
        )
        assert result(vague, lonely).result is Result.MISSED

    def test_an_innocent_line_can_not_find_it(self) -> None:
        innocent = row(Expect.CLEAN, 300)
        assert result(VIOLATION, pull(spot(line=305)), innocent).result is Result.MISSED
        assert result(VIOLATION, pull(spot(line=320)), innocent).result is Result.FOUND
        close = row(Expect.CLEAN, 106)
        assert result(VIOLATION, pull(spot(line=104)), close).result is Result.FOUND

    @pytest.mark.parametrize("rule", [KEY, "oracle-selection"])
    def test_the_ngram_ruling_is_met_by_any_of_its_mechanisms(self, rule: str) -> None:
        ruling = row(Expect.VIOLATION, rule="ngram-hash-ruling")
        assert result(ruling, pull(spot(rule=rule))).result is Result.FOUND
        assert result(ruling, pull(spot(rule=SLOT))).result is Result.MISSED

    def test_why_it_was_missed(self) -> None:
        unread = row(Expect.VIOLATION, path=f"{FOLDER}/other.py")
        unchecked = pull(unchecked={KEY: "too deep"})
        assert "not part" in result(unread, pull()).reason
        assert "too deep" in result(VIOLATION, unchecked).reason
        assert "boom" in result(VIOLATION, AuditedPull(error="boom")).reason
        assert "no such" in result(VIOLATION, AuditedPull(problems=("no such commit",))).reason


class TestInnocentRows:
    @pytest.mark.parametrize("level", [Level.VIOLATION, Level.SUSPECT, Level.QUESTION])
    @pytest.mark.parametrize("expect", [Expect.CLEAN, Expect.INACTIVE])
    def test_anything_above_a_note_is_a_false_alarm(self, level: Level, expect: Expect) -> None:
        assert result(row(expect), pull(spot(level, 999))).result is Result.FALSE_ALARM
        assert result(row(expect), pull(spot(Level.NOTE))).result is Result.SILENT
        assert result(row(expect), pull(spot(level, rule=SLOT))).result is Result.SILENT

    def test_beside_a_violation_it_speaks_of_its_own_lines(self) -> None:
        assert result(CLEAN, pull(spot(line=112)), row(Expect.VIOLATION, 500)).result is (
            Result.FALSE_ALARM
        )
        assert result(CLEAN, pull(spot(line=113)), row(Expect.VIOLATION, 500)).result is (
            Result.SILENT
        )
        other_rule = row(Expect.VIOLATION, 500, rule=SLOT)
        assert result(CLEAN, pull(spot(line=113)), other_rule).result is Result.FALSE_ALARM

    def test_an_accepted_submission_must_have_no_violation_at_all(self) -> None:
        accepted = row(Expect.ACCEPTED, None, rule="*")
        in_helper = spot(rule=SLOT, path=f"{FOLDER}/helper.py")
        assert result(accepted, pull(in_helper)).result is Result.FALSE_ALARM
        assert result(accepted, pull(spot(Level.SUSPECT))).result is Result.SILENT

    def test_silence_about_an_unread_file_proves_nothing(self) -> None:
        assert result(CLEAN, AuditedPull(error="boom")).result is Result.NOT_READ
        unread = row(Expect.CLEAN, path=f"{FOLDER}/other.py")
        assert result(unread, pull()).result is Result.NOT_READ


def test_disputed_rows_are_listed_and_rules_that_do_not_exist_are_not_scored() -> None:
    assert result(row(Expect.DISPUTED), pull(spot())).result is Result.LISTED
    assert result(row(Expect.VIOLATION, rule="margin"), pull()).result is Result.NOT_BUILT


def test_a_tally_adds_up() -> None:
    judged = [
        result(VIOLATION, pull(spot())),
        result(VIOLATION, pull()),
        result(CLEAN, pull(spot())),
        result(CLEAN, pull()),
        result(row(Expect.DISPUTED), pull()),
        result(row(Expect.VIOLATION, rule="margin"), pull()),
    ]
    counts = tally(judged)
    assert (counts.found, counts.missed, counts.violations) == (1, 1, 2)
    assert (counts.false_alarms, counts.silent, counts.innocents) == (1, 1, 2)
    assert (counts.listed, counts.not_built, counts.not_read) == (1, 1, 0)


class TestRenaming:
    def keeps(self, one: Row, plain: AuditedPull, renamed: AuditedPull, *others: Row) -> bool:
        return keeps_result(one, [one, *others], plain, renamed, BUILT)

    def test_lines_may_move_but_results_may_not_change(self) -> None:
        assert self.keeps(VIOLATION, pull(spot(line=100)), pull(spot(line=3)))
        assert self.keeps(VIOLATION, pull(spot()), pull(spot(Level.SUSPECT)))
        assert not self.keeps(VIOLATION, pull(spot()), pull())
        assert not self.keeps(CLEAN, pull(), pull(spot(line=3)))

    def test_in_a_mixed_file_the_findings_must_be_as_many(self) -> None:
        beside = row(Expect.VIOLATION, 500)
        one, two = pull(spot(line=500)), pull(spot(line=3), spot(line=4))
        assert self.keeps(CLEAN, one, pull(spot(line=3)), beside)
        assert not self.keeps(CLEAN, one, two, beside)
        assert not self.keeps(beside, one, two, CLEAN)

    def test_disputed_rows_keep_their_kinds_of_finding(self) -> None:
        disputed = row(Expect.DISPUTED)
        assert self.keeps(disputed, pull(spot(), spot()), pull(spot()))
        assert not self.keeps(disputed, pull(spot()), pull())
