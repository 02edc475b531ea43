"""Dated rulesets: which rules apply, how firmly each stands and where it was ruled. Data only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from auditor.report.model import Level

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = "2026-05"


@dataclass(frozen=True)
class RuleEntry:
    """What a ruleset says of one rule, whether or not this version can check it."""

    slug: str
    ids: tuple[str, ...]  # rulebook ids, such as N1
    status: str  # RULED | CONSENSUS | DISPUTED
    summary: str  # what the rule forbids or asks for, in one line
    evidence: tuple[str, ...]  # what can decide it: static | logs | run | rerun | human
    strongest: Level  # the strongest level that a finding may have
    sources: tuple[str, ...]  # URLs
    ruling: str  # how it was ruled, and what is open about it


@dataclass(frozen=True)
class Limits:
    """Budgets and bars of the challenge."""

    artifact_bytes: int
    train_seconds: float
    eval_seconds: float
    validation_documents: int
    seeds: int
    margin_nats: float
    margin_p: float
    world_size: int
    validation_bytes: int  # raw bytes of the validation documents
    validation_tokens: Mapping[str, int]  # targets in them, by known tokenizer


@dataclass(frozen=True)
class Ruleset:
    name: str
    limits: Limits
    rules: Mapping[str, RuleEntry]  # by slug, in rulebook order
    repository: str  # the challenge's, https://github.com/owner/name


def load(name: str = DEFAULT) -> Ruleset:
    """The ruleset of that date; ``FileNotFoundError`` if there is none."""
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    rules = {slug: _entry(slug, row, data["links"]) for slug, row in data["rules"].items()}
    return Ruleset(name, Limits(**data["limits"]), rules, data["links"]["repository"])


def _entry(slug: str, row: Mapping[str, Any], links: Mapping[str, str]) -> RuleEntry:
    return RuleEntry(
        slug=slug,
        ids=tuple(row["ids"]),
        status=row["status"],
        summary=row["summary"],
        evidence=tuple(row["evidence"]),
        strongest=Level(row["strongest"]),
        sources=tuple(_urls(row, links)),
        ruling=row["ruling"].strip(),
    )


def _urls(row: Mapping[str, Any], links: Mapping[str, str]) -> Iterator[str]:
    if row.get("readme"):
        yield links["readme"]
    yield from (f"{links['issue']}/{number}" for number in row.get("issues", ()))
    yield from (f"{links['pull']}/{number}" for number in row.get("pulls", ()))
