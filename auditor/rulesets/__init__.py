"""Dated rulesets: which rules apply, how firmly each stands and where it was ruled. Data only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import resources

from auditor.report.model import Level
from auditor.toml import Table, TomlError, parse
from auditor.toml import read as read_toml

DEFAULT = "2026-05"
STATUSES = ("RULED", "CONSENSUS", "DISPUTED")
EVIDENCE = ("static", "logs", "run", "rerun", "human")
LEVELS = tuple(level.value for level in Level)

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CITATIONS = ("readme", "pulls", "issues")

# One changed input, one predicted result: what a run of the submission can show.
PROBES = {
    "incompressible data": "on uniformly random tokens no code length is shorter than the data",
    "changed future": "scores before a place are the same, whatever comes after it",
    "changed document": "a document's scores are the same, whatever document comes before it",
    "sum over the vocabulary": "the probabilities of all tokens sum to 1 at each place",
    "exactly once": "each validation target is scored once, and none is left out",
    "byte denominator": "the bytes that are counted are those of the decoded text",
    "opened files": "which files are read, and when",
    "no network": "the evaluation ends with the same score without a network",
    "artifact alone": "the score comes from a process that has the artifact and the code only",
    "moving weights": "each weight that a step should change changes, and no other does",
    "smoke run": "the script starts and ends in its own folder",
}


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
    limits: tuple[str, ...] = ()  # the fields of Limits that it measures by
    probes: tuple[str, ...] = ()  # the probes of a run that can settle it, among PROBES


@dataclass(frozen=True)
class Limits:
    """Budgets and bars of the challenge."""

    artifact_bytes: int
    train_seconds: float
    accepted_train_seconds: float  # the most, with calibration, that an accepted record took
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
    about: str = ""  # what it is, in one line


LIMITS = tuple(each.name for each in fields(Limits))


def shipped() -> tuple[str, ...]:
    """The names of the rulesets that come with the package, the oldest first."""
    files = (each.name for each in resources.files(__name__).iterdir())
    return tuple(sorted(name[: -len(".toml")] for name in files if name.endswith(".toml")))


def load(name: str = DEFAULT) -> Ruleset:
    """The shipped ruleset of that date; ``FileNotFoundError`` if there is none."""
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return parsed(parse(text, f"{name}.toml"), name)


def read(path: str) -> Ruleset:
    """The ruleset in a file, which may extend a shipped one; TomlError says what is wrong."""
    if not os.path.exists(path):
        raise TomlError(f"{path}: no such ruleset or file; shipped are {', '.join(shipped())}")
    return parsed(read_toml(path), os.path.basename(path))


def parsed(top: Table, name: str) -> Ruleset:
    """The ruleset that a file's top table describes.

    ``extends`` names the shipped ruleset that it starts from: keys replace that one's, rule by rule,
    and ``drops`` lists rules that it does not have. TomlError for anything else than expected.
    """
    base = load(top.choice("extends", shipped())) if "extends" in top else None
    about = top.text("about")
    repository = top.text("repository", base.repository if base else None).rstrip("/")
    if not repository.startswith("https://"):
        raise top.error("must start with https://", "repository")
    limits = _limits(top.table("limits"), base.limits if base else None)
    rules = dict(base.rules) if base else {}
    for slug in top.texts("drops", ()):
        if rules.pop(slug, None) is None:
            raise top.error(f"names {slug!r}, which is no rule of the ruleset it extends", "drops")
    table = top.table("rules")
    for slug in table.names():
        if not _SLUG.fullmatch(slug):
            raise table.error("is no name of a rule: lower-case words joined by hyphens", slug)
        rules[slug] = _entry(slug, table.table(slug), rules.get(slug), repository)
    top.close()
    if not rules:
        raise top.error("has no [rules.NAME]")
    return Ruleset(name, limits, rules, repository, about)


def _limits(table: Table, base: Limits | None) -> Limits:
    tokens = table.table("validation_tokens")
    own = {name: tokens.whole(name) for name in tokens.names()}
    if base is None and not own:
        raise table.error("lacks [limits.validation_tokens], the targets by tokenizer")
    whole, number = table.whole, table.number
    found = Limits(
        artifact_bytes=whole("artifact_bytes", base.artifact_bytes if base else None),
        train_seconds=number("train_seconds", base.train_seconds if base else None),
        accepted_train_seconds=number(
            "accepted_train_seconds", base.accepted_train_seconds if base else None
        ),
        eval_seconds=number("eval_seconds", base.eval_seconds if base else None),
        validation_documents=whole(
            "validation_documents", base.validation_documents if base else None
        ),
        seeds=whole("seeds", base.seeds if base else None),
        margin_nats=number("margin_nats", base.margin_nats if base else None),
        margin_p=number("margin_p", base.margin_p if base else None),
        world_size=whole("world_size", base.world_size if base else None),
        validation_bytes=whole("validation_bytes", base.validation_bytes if base else None),
        validation_tokens={**(base.validation_tokens if base else {}), **own},
    )
    table.close()
    return found


def _entry(slug: str, table: Table, base: RuleEntry | None, repository: str) -> RuleEntry:
    """One rule; what it leaves out is as in ``base``, and required where there is none."""
    status = table.choice("status", STATUSES, base.status if base else None)
    strongest = Level(table.choice("strongest", LEVELS, base.strongest.value if base else None))
    if strongest is Level.VIOLATION and status != "RULED":
        key = "strongest" if "strongest" in table else "status"
        raise table.error("does not fit: only what is RULED can be a violation", key)
    entry = RuleEntry(
        slug=slug,
        ids=table.texts("ids", base.ids if base else None),
        status=status,
        summary=table.text("summary", base.summary if base else None),
        evidence=_chosen(table, "evidence", EVIDENCE, base.evidence if base else None),
        strongest=strongest,
        sources=_sources(table, base, repository),
        ruling=table.text("ruling", base.ruling if base else None),
        limits=_chosen(table, "limits", LIMITS, base.limits if base else ()),
        probes=_chosen(table, "probes", tuple(PROBES), base.probes if base else ()),
    )
    table.close()
    return entry


def _chosen(
    table: Table, key: str, allowed: tuple[str, ...], default: tuple[str, ...] | None
) -> tuple[str, ...]:
    found = table.texts(key, default)
    wrong = next((each for each in found if each not in allowed), None)
    if wrong is not None:
        raise table.error(f"has {wrong!r}, not one of {', '.join(allowed)}", key)
    return found


def _sources(table: Table, base: RuleEntry | None, repository: str) -> tuple[str, ...]:
    """URLs; a rule that cites anything cites it all anew."""
    cited = any(key in table for key in _CITATIONS)
    own = tuple(_urls(table, repository))
    if cited or base is None:
        if not own:
            raise table.error(f"cites nothing; it needs one of {', '.join(_CITATIONS)}")
        return own
    return base.sources


def _urls(table: Table, repository: str) -> Iterator[str]:
    if table.flag("readme"):
        yield f"{repository}/blob/main/README.md"
    yield from (f"{repository}/issues/{number}" for number in table.wholes("issues"))
    yield from (f"{repository}/pull/{number}" for number in table.wholes("pulls"))
