"""A rule's page, in Markdown: what the ruleset says of it, and how it is checked.

``python -m auditor.report.page docs/rules`` writes the pages of all rules.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from auditor import rulesets
from auditor.rules.base import Example, Rule
from auditor.rulesets import Limits, RuleEntry, Ruleset

LANGUAGES = {".py": "python", ".md": "markdown", ".json": "json", ".sh": "sh", ".c": "c"}
MEASURES = {
    "artifact_bytes": "artifact: at most {:,} bytes, code and compressed model together",
    "train_seconds": "training: at most {:,} s",
    "accepted_train_seconds": "training with calibration: {:,} s is the most that was accepted",
    "eval_seconds": "evaluation: at most {:,} s",
    "validation_documents": "validation documents: the first {:,}",
    "seeds": "seeds: {}",
    "margin_nats": "margin: {} nats",
    "margin_p": "significance: p < {}",
    "world_size": "GPUs: {}",
    "validation_bytes": "raw bytes of the validation documents: {:,}",
    "validation_tokens": "validation targets: {}",
}
WRITTEN = """\
<!-- Written by `python -m auditor.report.page docs/rules` from auditor/rules and auditor/rulesets. -->
"""


def page(entry: RuleEntry, rule: Rule | None, limits: Limits, unbuilt: str = "") -> str:
    """Markdown that ends in a newline.

    ``rule`` is None for a rule that this version can't check, and ``unbuilt`` says why it can't.
    """
    return "\n\n".join(_sections(entry, rule, limits, unbuilt)) + "\n"


def pages(ruleset: Ruleset, rules: Sequence[Rule]) -> dict[str, str]:
    """The page of each rule of the ruleset, by slug; ``rules`` are the implemented ones."""
    from auditor.audit import why_unbuilt

    implemented = {rule.slug: rule for rule in rules}
    return {
        slug: page(entry, implemented.get(slug), ruleset.limits, why_unbuilt(entry))
        for slug, entry in ruleset.rules.items()
    }


def documents(ruleset: Ruleset, rules: Sequence[Rule]) -> dict[str, str]:
    """The files of docs/rules by name: a page for each rule, and a list of them."""
    found = {f"{slug}.md": WRITTEN + text for slug, text in pages(ruleset, rules).items()}
    rows = [
        f"| [{entry.slug}]({entry.slug}.md) | {', '.join(entry.ids)} | {entry.status} "
        f"| {entry.strongest.value} | {entry.summary} |"
        for entry in ruleset.rules.values()
    ]
    table = ["| rule | ids | status | strongest | what it asks |", "|---|---|---|---|---|", *rows]
    return {
        "README.md": f"{WRITTEN}# The rules, {ruleset.name}\n\n" + "\n".join(table) + "\n",
        **found,
    }


def _sections(entry: RuleEntry, rule: Rule | None, limits: Limits, unbuilt: str) -> Iterator[str]:
    yield f"# {entry.slug} ({', '.join(entry.ids)})"
    yield f"{entry.summary[0].upper()}{entry.summary[1:]}."
    if rule is not None:
        yield inspect.cleandoc(rule.page)
    yield (
        f"- **Status:** {entry.status}\n"
        f"- **Strongest finding:** {entry.strongest.value}\n"
        f"- **Decided by:** {', '.join(entry.evidence)}\n"
        f"- **Checked:** {'yes' if rule else f'not in this version: {unbuilt}'}"
    )
    if entry.probes:
        yield "## What a run would show\n\n" + "\n".join(
            f"- {name}: {rulesets.PROBES[name]}" for name in entry.probes
        )
    if rule is not None:
        yield from _example("Allowed", rule.allowed)
        yield from _example("Forbidden", rule.forbidden)
    numbers = _numbers(entry, limits)
    blind_spots = rule.blind_spots if rule else ""
    if numbers or blind_spots:
        yield "## Limits"
        yield from filter(None, (numbers, inspect.cleandoc(blind_spots)))
    if rule is not None:
        yield f"## What clears it\n\n{rule.clears}"
    yield f"## Ruling\n\n{entry.ruling}"
    yield "\n".join(f"- <{source}>" for source in entry.sources)


def _numbers(entry: RuleEntry, limits: Limits) -> str:
    values = {name: getattr(limits, name) for name in entry.limits}
    return "\n".join(
        f"- {MEASURES[name].format(_by_name(value) if isinstance(value, Mapping) else value)}"
        for name, value in values.items()
    )


def _by_name(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in values.items())


def _example(title: str, example: Example) -> Iterator[str]:
    """Each file of an example in a fence of its own."""
    files = {"train_gpt.py": example} if isinstance(example, str) else example
    if not any(files.values()):
        return
    yield f"## {title}"
    for name, text in files.items():
        if len(files) > 1:
            yield f"`{name}`"
        yield _fenced(text.strip("\n"), LANGUAGES.get(posixpath.splitext(name)[1], "text"))


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _write(folder: Path) -> None:
    """Writes every document and removes pages of rules that are gone."""
    from auditor.rules.registry import RULES

    found = documents(rulesets.load(), RULES)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {each.name for each in folder.glob("*.md")} - found.keys():
        (folder / stale).unlink()
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
