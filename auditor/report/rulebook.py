"""All rules of a ruleset at once: a list for people, and everything for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from auditor import __version__
from auditor.audit import why_unbuilt
from auditor.report.page import pages
from auditor.rules.base import Rule
from auditor.rulesets import Ruleset

VERSION = 1


def as_text(ruleset: Ruleset, rules: Sequence[Rule]) -> str:
    """One line a rule: ids, status, the strongest level, and whether this version checks it."""
    implemented = {rule.slug for rule in rules}
    lines = [
        f"{entry.slug:22} {'/'.join(entry.ids):6} {entry.status:10} {entry.strongest.value:10} "
        f"{'checked' if entry.slug in implemented else why_unbuilt(entry)}"
        for entry in ruleset.rules.values()
    ]
    return "\n".join(lines) + "\n"


def as_json(ruleset: Ruleset, rules: Sequence[Rule]) -> str:
    """ASCII JSON that ends in a newline; keys may be added within a version."""
    implemented = {rule.slug: rule for rule in rules}
    texts = pages(ruleset, rules)
    document = {
        "version": VERSION,
        "pgcheck": __version__,
        "ruleset": ruleset.name,
        "about": ruleset.about,
        "limits": asdict(ruleset.limits),
        "rules": [
            {
                "rule": slug,
                "ids": list(entry.ids),
                "status": entry.status,
                "strongest": entry.strongest.value,
                "evidence": list(entry.evidence),
                "summary": entry.summary,
                "ruling": entry.ruling,
                "sources": list(entry.sources),
                "limits": list(entry.limits),
                "probes": list(entry.probes),
                "checked": slug in implemented,
                "unchecked_because": "" if slug in implemented else why_unbuilt(entry),
                "clears": implemented[slug].clears if slug in implemented else "",
                "page": texts[slug],
            }
            for slug, entry in ruleset.rules.items()
        ],
    }
    return json.dumps(document, indent=2) + "\n"
