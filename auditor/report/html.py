"""The report as a page of HTML: no script, no network, everything in one file.

Every text that the template writes passes ``visible`` and is escaped; only what is made here of
such parts is marked up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

import jinja2
from markupsafe import Markup

from auditor import __version__
from auditor.evidence.headline import seed_of
from auditor.evidence.record import Run
from auditor.evidence.summary import QUANTITIES, Reading, figure
from auditor.report import html_code, words
from auditor.report import links as linking
from auditor.report.claims_table import COLUMNS, ClaimRow, amount, claim_rows
from auditor.report.escape import visible
from auditor.report.frame import source_lines
from auditor.report.links import Links
from auditor.report.listing import Lines, listing
from auditor.report.model import (
    Check,
    Finding,
    Level,
    Outcome,
    Report,
    SettingInForce,
    SubmissionReport,
)
from auditor.rulesets import PROBES, RuleEntry, Ruleset
from auditor.submission.model import Party

LONGEST = 2_000  # characters of any text

LEVEL_WORDS = {**words.WORDS, Level.NOTE: "to note"}
VERDICTS = {
    "violation": "Violation",
    "suspect": "Suspect",
    "question": "Question",
    "no-findings": "No findings",
    "inconclusive": "Inconclusive",
}
PARTIES = {
    Party.SUBMISSION: "for the submission's author",
    Party.TOOL: "of pgcheck's own",
    Party.ENVIRONMENT: "of the environment it ran in",
}


def render(report: Report, ruleset: Ruleset) -> str:
    """One page; several submissions follow one another on it."""
    submissions = [
        _submission(each, ruleset, f"s{number}")
        for number, each in enumerate(report.submissions, start=1)
    ]
    title = submissions[0]["name"] if len(submissions) == 1 else "pgcheck report"
    return _template("page").render(
        title=title, submissions=submissions, **_common(report, ruleset)
    )


def index(report: Report, ruleset: Ruleset, pages: Sequence[str]) -> str:
    """The page that links to the pages of all submissions, ``pages`` in their order."""
    rows = [
        {"report": each, "href": page, "name": _name(each), "verdict": VERDICTS[each.verdict]}
        for each, page in zip(report.submissions, pages, strict=True)
    ]
    return _template("index").render(title="pgcheck report", rows=rows, **_common(report, ruleset))


def _common(report: Report, ruleset: Ruleset) -> dict[str, Any]:
    return {
        "problems": report.problems,
        "idle_waivers": report.idle_waivers,
        "ruleset": ruleset,
        "version": __version__,
        "style": Markup(_resource("style.css")),
        "words": words,
        "parties": PARTIES,
        "Level": Level,
    }


def _submission(report: SubmissionReport, ruleset: Ruleset, prefix: str) -> dict[str, Any]:
    links = Links.of(report, ruleset)
    lines_of = source_lines(report.sources)
    return {
        "prefix": prefix,
        "report": report,
        "name": _name(report),
        "links": links,
        "pull": linking.pull(report, ruleset),
        "verdict": VERDICTS[report.verdict],
        "level_words": LEVEL_WORDS,
        "accusations": _accusations(report, prefix),
        "unchecked": words.reasons(report, Outcome.NOT_CHECKED),
        "unchecked_count": sum(c.outcome is Outcome.NOT_CHECKED for c in report.checks),
        "partly": words.reasons(report, Outcome.PARTLY),
        "probes": [(name, PROBES.get(name, ""), rules) for name, rules in words.probes(report)],
        "findings": [
            {
                **_finding(each, report, ruleset, links, lines_of, f"{prefix}-f{number}"),
                "first": first,
            }
            for number, (each, first) in enumerate(_firsts(report.findings, prefix), start=1)
        ],
        "checks": list(_checks(report, ruleset)),
        "settings": _settings(report.settings),
        "at": lambda place: _place(place, report.path, links),
        "problems": [
            (party, [problem for _, problem in group])
            for party, group in groupby(words.by_party(report.problems), key=lambda pair: pair[0])
        ],
        **_evidence(report, prefix),
    }


def _name(report: SubmissionReport) -> str:
    """The record folder's own name; for a script beside its entry, the script's too."""
    folder = report.path.rstrip("/").rpartition("/")[2]
    script = words.inside(report.entry, report.path)
    if not folder:
        return script
    return folder if script == "train_gpt.py" else f"{folder}: {script}"


@dataclass(frozen=True)
class Accusation:
    """A rule that a level speaks of, with the page's first finding of it."""

    rule: str
    code: str
    anchor: str


def _accusations(report: SubmissionReport, prefix: str) -> Mapping[Level, list[Accusation]]:
    found: dict[Level, dict[str, Accusation]] = {}
    for number, each in enumerate(report.findings, start=1):
        if each.waived:
            continue
        known = found.setdefault(each.level, {})
        known.setdefault(each.rule, Accusation(each.rule, each.code, f"{prefix}-f{number}"))
    return {level: list(found[level].values()) for level in Level if level in found}


def _firsts(findings: Sequence[Finding], prefix: str) -> Iterator[tuple[Finding, str]]:
    """Each finding with the anchor of the first of its rule; empty for that one itself."""
    seen: dict[str, str] = {}
    for number, each in enumerate(findings, start=1):
        yield each, seen.get(each.rule, "")
        seen.setdefault(each.rule, f"{prefix}-f{number}")


def _finding(
    finding: Finding,
    report: SubmissionReport,
    ruleset: Ruleset,
    links: Links,
    lines_of: Lines,
    anchor: str,
) -> dict[str, Any]:
    excerpts = listing(finding, lines_of, html_code.ROOM)
    paths = {excerpt.path: number for number, excerpt in enumerate(excerpts, start=1)}
    return {
        "finding": finding,
        "anchor": anchor,
        "word": LEVEL_WORDS[finding.level],
        "place": _Place(finding.path, finding.line, finding.end_line, report.path, links),
        "why": words.why(finding, ruleset),
        "entry": ruleset.rules.get(finding.rule),
        "sources": [(linking.short(url), url) for url in finding.sources],
        "excerpts": [
            {
                "place": _Place(each.path, 0, 0, report.path, links),
                "code": html_code.rows(each, lines_of, links, f"{anchor}-{number}"),
            }
            for number, each in enumerate(excerpts, start=1)
        ],
        "steps": [
            {
                "text": step.text,
                "place": _Place(step.path, step.line, step.line, report.path, links),
                "row": f"{anchor}-{paths[step.path]}-L{step.line}" if step.path in paths else "",
                "code": html_code.one_line(step.path, step.line, step.column, lines_of),
            }
            for step in finding.steps
        ],
    }


class _Place:
    """A place for the reader: as seen from the record folder, with its link if there is one."""

    def __init__(self, path: str, line: int, end_line: int, root: str, links: Links) -> None:
        end = f"-{end_line}" if end_line > line else ""
        self.text = words.inside(path, root) + (f":{line}{end}" if line else "")
        self.href = links.place(path, line)


def _place(place: str, root: str, links: Links) -> _Place:
    """A ``path:line``, perhaps with words after it; anything else is shown as it is."""
    path, _, rest = place.partition(":")
    line, _, after = rest.partition(" ")
    if not line.isdecimal() or len(line) > 7:
        return _Place(place, 0, 0, root, Links("", None, {}))
    found = _Place(path, int(line), 0, root, links)
    found.text += f" {after}" if after else ""
    return found


def _checks(report: SubmissionReport, ruleset: Ruleset) -> Iterator[tuple[Check, RuleEntry, str]]:
    """Those that did not run first; with each what it found."""
    order = [Outcome.NOT_CHECKED, Outcome.PARTLY, Outcome.RAN]
    for check in sorted(report.checks, key=lambda check: order.index(check.outcome)):
        entry = ruleset.rules.get(check.rule)
        if entry is not None:
            mine = [f for f in report.findings if f.rule == check.rule]
            yield check, entry, _tally(mine)


def _tally(findings: Sequence[Finding]) -> str:
    counts = ((level, sum(f.level is level for f in findings)) for level in Level)
    return ", ".join(words.count(number, level.value) for level, number in counts if number)


def _settings(settings: Iterable[SettingInForce]) -> Mapping[str, list[SettingInForce]]:
    """Those that are not at their default, and the others."""
    groups: dict[str, list[SettingInForce]] = {"changed": [], "others": []}
    for each in sorted(dict.fromkeys(settings), key=lambda setting: setting.name):
        groups["others" if _at_default(each) else "changed"].append(each)
    return groups


def _at_default(setting: SettingInForce) -> bool:
    if setting.value is None or setting.default is None:
        return setting.value is setting.default
    try:
        return float(setting.value) == float(setting.default)
    except ValueError:
        return setting.value == setting.default


def _evidence(report: SubmissionReport, prefix: str) -> dict[str, Any]:
    evidence = report.evidence
    if evidence is None:
        return {"evidence": None}
    from auditor.report.plots import legend, plots

    claims = claim_rows(evidence)
    return {
        "evidence": evidence,
        "runs": [_run(run) for run in evidence.runs],
        "run_columns": list(RUN_COLUMNS),
        "columns": [COLUMNS[kind] for kind in (claims[0].told if claims else ())],
        "claims": _grouped(claims),
        "plots": [(plot, Markup(plot.svg)) for plot in plots(evidence, prefix)],
        "legend": list(legend(evidence)),
    }


RUN_COLUMNS: Mapping[str, Reading] = {
    "steps": QUANTITIES["steps"],
    "training, s": QUANTITIES["train_seconds"],
    "evaluation, s": QUANTITIES["eval_seconds"],
    "code, bytes": QUANTITIES["code_bytes"],
    "model, bytes": QUANTITIES["model_bytes"],
    "artifact, bytes": QUANTITIES["artifact_bytes"],
    "validation tokens": figure("val_tokens"),
    "covered, %": figure("coverage", 100),
}


def _run(run: Run) -> dict[str, Any]:
    log, headline, seed = run.log, run.headline, seed_of(run.log)
    score = headline.val_bpb if headline else None
    found = [reading(run) for reading in RUN_COLUMNS.values()]
    names = zip(RUN_COLUMNS, found, strict=True)
    return {
        "place": f"{log.path}:{log.first_line}",
        "seed": "" if seed is None else str(seed),
        "score": amount("val_bpb", score) if score is not None and math.isfinite(score) else "",
        "label": headline.label if headline else "",
        "why": run.why,
        "scored_at": f"{log.path}:{headline.line}" if headline else "",
        "figures": [
            (amount(name, each[0]), f"{log.path}:{each[1]}") if each else ("", "")
            for name, each in names
        ],
        "hardware": log.hardware.text if log.hardware else "",
        "world_size": f"{log.world_size.value:.0f}" if log.world_size else "",
    }


def _grouped(rows: Sequence[ClaimRow]) -> list[tuple[str, list[ClaimRow]]]:
    groups: dict[str, list[ClaimRow]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return list(groups.items())


def _visible(value: object) -> object:
    """What every expression of a template passes before it is escaped."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, LONGEST)
    return value


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html")


def _resource(name: str) -> str:
    return (
        resources.files(__package__)
        .joinpath("templates")
        .joinpath(name)
        .read_text(encoding="utf-8")
    )
