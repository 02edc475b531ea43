from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.audit import audit
from auditor.report.model import Level
from auditor.rules.base import Rule
from auditor.rulesets import DEFAULT, Ruleset, load, parsed, read, shipped
from auditor.toml import File, Table, TomlError

RULESET = load()
ENTRIES = [entry for name in shipped() for entry in load(name).rules.values()]
OF_YOURS = 'about = "mine"\nextends = "2026-05"\n'


def test_limits_are_those_of_the_readme():
    assert RULESET.limits.artifact_bytes == 16_000_000
    assert RULESET.limits.train_seconds == RULESET.limits.eval_seconds == 600
    assert RULESET.limits.world_size == 8


def test_an_unknown_date_is_an_error():
    with pytest.raises(FileNotFoundError):
        load("1999-01")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_every_entry_is_complete(entry):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", entry.slug)
    assert entry.ids and all(re.fullmatch(r"[A-Z]\d", each) for each in entry.ids)
    assert entry.ruling and "\n" not in entry.ruling
    assert entry.status in {"RULED", "CONSENSUS", "DISPUTED"}
    assert entry.evidence and set(entry.evidence) <= {"static", "logs", "run", "rerun", "human"}
    assert ("run" in entry.evidence) == bool(entry.probes)
    assert entry.summary[0].islower() and not entry.summary.endswith(".")
    assert entry.ruling.endswith(".")
    assert entry.sources and len(set(entry.sources)) == len(entry.sources)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_only_what_was_ruled_is_called_a_violation(entry):
    assert entry.status == "RULED" or entry.strongest is not Level.VIOLATION


def test_a_contested_word_is_not_cited_as_a_ruling():
    """#1376 was called ruled by participants; no maintainer's word on it was found."""
    assert not any(source.endswith("/1376") for entry in ENTRIES for source in entry.sources)


def test_implemented_rules_agree_with_the_ruleset():
    from auditor.rules.registry import RULES

    for rule in RULES:
        entry = RULESET.rules[rule.slug]
        assert rule.code in entry.ids
        assert rule.status == entry.status
        assert set(rule.sources) <= set(entry.sources), rule.slug


def test_the_ruleset_of_march_says_what_had_been_ruled_by_then():
    march = load("2026-03")
    assert RULESET.rules.keys() - march.rules.keys() == {
        "target-gated-expert",
        "byte-spread-mixture",
        "boundary-state-leak",
        "lossy-tokenizer",
    }
    assert march.rules["prequant-ttt"].status == "DISPUTED"
    assert march.rules["prequant-ttt"].strongest is Level.QUESTION
    assert not any(source.endswith("/1972") for source in march.rules["prequant-ttt"].sources)
    assert march.rules["late-calibration"].strongest is Level.VIOLATION
    assert march.rules["slot"] == RULESET.rules["slot"]
    assert march.limits == RULESET.limits


def test_a_finding_speaks_as_its_ruleset_does(submission):
    rule = next(rule for rule in registered() if rule.slug == "prequant-ttt")

    def check(program):
        yield rule.finding(Level.VIOLATION, submission.entry.path, 1, "breaks: it does")

    rules = [Rule(**{**vars(rule), "check": check})]
    (may,) = audit(submission, RULESET, rules=rules).findings
    (march,) = audit(submission, load("2026-03"), rules=rules).findings
    assert (may.level, may.status) == (Level.VIOLATION, "RULED")
    assert (march.level, march.status) == (Level.QUESTION, "DISPUTED")
    assert may.sources == rule.sources
    assert march.sources == load("2026-03").rules["prequant-ttt"].sources


def registered():
    from auditor.rules.registry import RULES

    return RULES


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return read(str(path))

    return write


def test_a_file_may_extend_a_shipped_ruleset(written):
    mine = written(
        f"{OF_YOURS}drops = ['margin']\n[limits]\nseeds = 1\n"
        "[limits.validation_tokens]\nsp9 = 7\n"
        "[rules.slot]\nstatus = 'RULED'\nstrongest = 'suspect'\npulls = [9]\n"
    )
    assert (mine.name, mine.about) == ("mine.toml", "mine")
    assert mine.limits.seeds == 1 and mine.limits.artifact_bytes == 16_000_000
    assert mine.limits.validation_tokens["sp9"] == 7 and "sp1024" in mine.limits.validation_tokens
    assert "margin" not in mine.rules
    slot, before = mine.rules["slot"], RULESET.rules["slot"]
    assert (slot.status, slot.strongest) == ("RULED", Level.SUSPECT)
    assert slot.sources == ("https://github.com/openai/parameter-golf/pull/9",)
    assert (slot.summary, slot.ids) == (before.summary, before.ids)
    assert list(mine.rules) == [slug for slug in RULESET.rules if slug != "margin"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: lacks 'about'"),
        ("about = 'x'\nrepository = 'https://x'\n", ":1: lacks [limits.validation_tokens]"),
        (f"{OF_YOURS}repository = 'javascript:x'\n", ":3: 'repository' must start with https"),
        ("about = 'x'\nextends = '2020-01'\n", ":2: 'extends' is '2020-01', not one of 2026-03, "),
        (f"{OF_YOURS}extent = 1\n", ":3: 'extent' is not a key"),
        (f"{OF_YOURS}drops = ['no-rule']\n", ":3: 'drops' names 'no-rule', which is no rule"),
        (f"{OF_YOURS}[limits]\nseeds = 0\n", ":4: 'seeds' must be at least 1"),
        (f"{OF_YOURS}[limits]\ntrain_seconds = '600'\n", ":4: 'train_seconds' must be a number"),
        (f"{OF_YOURS}[limits]\ngpus = 8\n", ":4: 'gpus' is not a key"),
        (f"{OF_YOURS}[rules.slot]\nstrongest = 'error'\n", ":4: 'strongest' is 'error', not one"),
        (f"{OF_YOURS}[rules.slot]\nstrongest = 'violation'\n", ":4: 'strongest' does not fit"),
        (f"{OF_YOURS}[rules.two-pass]\nstatus = 'DISPUTED'\n", ":4: 'status' does not fit"),
        (f"{OF_YOURS}[rules.slot]\nevidence = ['eval']\n", ":4: 'evidence' has 'eval', not one"),
        (f"{OF_YOURS}[rules.slot]\nlimits = ['__class__']\n", ":4: 'limits' has '__class__'"),
        (f"{OF_YOURS}[rules.slot]\npulls = []\n", ":3: cites nothing"),
        (f"{OF_YOURS}[rules.slot]\npulls = ['#7']\n", ":4: 'pulls' must be a list of positive"),
        (f"{OF_YOURS}[rules.slot]\ncheck = 'x'\n", ":4: 'check' is not a key"),
        (f"{OF_YOURS}[rules.mine]\nids = ['Z1']\n", ":3: lacks 'status'"),
        (f"{OF_YOURS}[rules.'No Rule']\n", ":3: 'No Rule' is no name of a rule"),
        (f"{OF_YOURS}rules = 3\n", ":3: 'rules' must be a table"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(written, text, message):
    with pytest.raises(TomlError) as caught:
        written(text)
    assert f"mine.toml{message}" in str(caught.value)
    assert "\n" not in str(caught.value)


NAMES = st.sampled_from(
    "extends drops about limits rules slot two-pass seeds train_seconds validation_tokens status "
    "strongest evidence ids summary ruling pulls issues readme".split()
)
VALUES = st.recursive(
    st.sampled_from([DEFAULT, "RULED", "violation", "note", "static", "slot", "", 0, 1, -1])
    | st.booleans()
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_shape_is_a_ruleset_or_refused(data):
    try:
        found = parsed(Table(File("f", ""), {"about": "x", "extends": DEFAULT, **data}), "f")
    except TomlError as error:
        assert str(error).startswith("f:1: ")
    else:
        assert isinstance(found, Ruleset) and found.rules
