"""The forms a report can take, by name. The module of a form is imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.report.model import Report
    from auditor.rulesets import Ruleset

Render = Callable[["Report", "Ruleset"], str]
Index = Callable[["Report", "Ruleset", "Sequence[str]"], str]


class MissingPackages(Exception):
    """A format needs packages that are not installed; the message says how to get them."""


@dataclass(frozen=True)
class Format:
    """``module`` has ``render(report, ruleset) -> str``: the whole report, a pure function.

    ``quotes``: it shows code, so the sources of the findings are kept until it is rendered.
    ``evidence``: it shows runs and claims. ``pages``: it can be a folder with a page for each
    submission; the module has ``index(report, ruleset, pages)`` too. ``needs``: packages of the
    optional dependencies that have the format's name.
    """

    name: str
    module: str
    quotes: bool = True
    evidence: bool = False
    pages: bool = False
    needs: tuple[str, ...] = ()

    def renderer(self) -> Render:
        """``MissingPackages`` if what it needs is not installed."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingPackages(
                f"--format {self.name} needs {' and '.join(missing)}: "
                f"pip install 'pgcheck[{self.name}]'"
            )
        render: Render = importlib.import_module(self.module).render
        return render

    def indexer(self) -> Index:
        """For a format with ``pages``: makes the page that links to them."""
        index: Index = importlib.import_module(self.module).index
        return index


TEXT = "text"  # not among them: it streams one submission after another (report/text.py)

FORMATS: Mapping[str, Format] = {
    form.name: form
    for form in (
        Format(
            "html",
            "auditor.report.html",
            evidence=True,
            pages=True,
            needs=("jinja2", "matplotlib"),
        ),
        Format("markdown", "auditor.report.markdown", evidence=True),
        Format("json", "auditor.report.json", quotes=False, evidence=True),
        Format("sarif", "auditor.report.sarif", quotes=False),
        Format("github", "auditor.report.github", quotes=False),
        Format("waivers", "auditor.report.baseline", quotes=False),
    )
}
