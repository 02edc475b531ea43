from __future__ import annotations

import copy
import json
from importlib import resources

import jsonschema
import pytest

from auditor.report.json import render
from auditor.report.model import Report
from auditor.rulesets import load

SCHEMA = json.loads(resources.files("auditor.report").joinpath("schema-v1.json").read_text())
RULESET = load()
HOSTILE = "\x1b[2J\u202e\x00`\ud800</script>"


def strict(schema):
    """The schema, refusing keys that it doesn't describe."""
    schema = copy.deepcopy(schema)
    for part in (schema, *schema["$defs"].values()):
        part.setdefault("additionalProperties", False)
    return schema


def test_the_output_is_what_the_schema_describes(whole):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(render(whole, RULESET)), strict(SCHEMA))
    jsonschema.validate(json.loads(render(Report(()), RULESET)), strict(SCHEMA))


@pytest.mark.parametrize("key", ["verdict", "findings", "checks", "settings"])
def test_the_schema_refuses_a_missing_key(whole, key):
    document = json.loads(render(whole, RULESET))
    del document["submissions"][0][key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_values_arrive(whole):
    document = json.loads(render(whole, RULESET))
    (submission,) = document["submissions"]
    assert document["version"] == 1
    assert submission["verdict"] == "violation"
    assert submission["findings"][0]["line"] == 4
    assert submission["findings"][0]["steps"][1]["line"] == 5
    assert submission["findings"][0]["fingerprint"] == whole.submissions[0].findings[0].fingerprint
    assert submission["checks"][3] == {
        "rule": "seeds",
        "outcome": "not-checked",
        "reason": "not built yet",
        "probes": [],
    }
    assert submission["settings"]["TTT_ENABLED"]["value"] == "1"
    assert submission["problems"][1]["party"] == "submission"
    assert document["problems"][0]["where"] == "nowhere"


def test_the_output_is_deterministic_ascii(whole, finding):
    hostile = Report((whole.submissions[0],))
    assert render(hostile, RULESET) == render(copy.deepcopy(hostile), RULESET)
    from dataclasses import replace

    bad = replace(whole.submissions[0], findings=(finding(message=HOSTILE),))
    text = render(Report((bad,)), RULESET)
    assert text.isascii() and all(c.isprintable() or c == "\n" for c in text)
    assert json.loads(text)["submissions"][0]["findings"][0]["message"] == HOSTILE
