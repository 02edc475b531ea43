"""A rule's page: what the ruleset says of it, and how it is checked."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator

from auditor.rules.base import Rule
from auditor.rulesets import RuleEntry

WIDTH = 80


def page(entry: RuleEntry, rule: Rule | None) -> str:
    """Plain text; ``rule`` is None for a rule that this version can't check."""
    return "\n\n".join(_sections(entry, rule))


def _sections(entry: RuleEntry, rule: Rule | None) -> Iterator[str]:
    title = f"{entry.slug} ({', '.join(entry.ids)})"
    yield f"{title}\n{'=' * len(title)}"
    yield textwrap.fill(f"{entry.summary[0].upper()}{entry.summary[1:]}.", WIDTH)
    if rule is not None:
        yield inspect.cleandoc(rule.page)
    yield (
        f"Status:     {entry.status}\n"
        f"Strongest:  {entry.strongest.value}\n"
        f"Decided by: {', '.join(entry.evidence)}\n"
        f"Checked:    {'yes' if rule else 'not in this version'}"
    )
    yield f"Ruling\n------\n{textwrap.fill(entry.ruling, WIDTH)}"
    if rule is not None:
        yield from _examples(rule)
        yield f"What clears it\n--------------\n{textwrap.fill(rule.clears, WIDTH)}"
    yield "\n".join(("Sources\n-------", *entry.sources))


def _examples(rule: Rule) -> Iterator[str]:
    for title, code in (("Forbidden", rule.forbidden), ("Allowed", rule.allowed)):
        files = {"": code} if isinstance(code, str) else code
        parts = []
        for name, text in files.items():
            body = textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")
            parts.append(f"{name}\n\n{body}" if name else body)
        if any(files.values()):
            yield f"{title}\n{'-' * len(title)}\n" + "\n\n".join(parts)
