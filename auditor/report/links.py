"""Where on GitHub a place of a submission can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from auditor.report.model import SubmissionReport
from auditor.rulesets import Ruleset

_REVISION = re.compile(r"[0-9a-f]{40}")
_PULL = re.compile(r"#(\d{1,9})")


@dataclass(frozen=True)
class Links:
    """Links into the repository at the audited commit; none where the commit isn't known."""

    repository: str
    revision: str | None
    hosts: Mapping[str, tuple[str, int]]  # of what was unpacked: the file and line it came from

    @classmethod
    def of(cls, report: SubmissionReport, ruleset: Ruleset) -> Links:
        known = report.revision and _REVISION.fullmatch(report.revision)
        return cls(ruleset.repository, report.revision if known else None, report.hosts)

    def place(self, path: str, line: int = 0) -> str:
        """The file at that line, or where it was unpacked; empty where that can't be told."""
        if self.revision is None or not path:
            return ""
        host, unpacked, _ = path.partition("!payload-")
        if unpacked:
            host, line = self.hosts.get(path, (host, 0))
        try:
            url = f"{self.repository}/blob/{self.revision}/{quote(host)}"
        except UnicodeEncodeError:
            return ""
        plain = "?plain=1" if host.endswith(".md") else ""
        return f"{url}{plain}#L{line}" if line > 0 else url

    def commit(self) -> str:
        return f"{self.repository}/commit/{self.revision}" if self.revision else ""


def pull(report: SubmissionReport, ruleset: Ruleset) -> str:
    """The pull request's page, if the input was named as one."""
    found = _PULL.fullmatch(report.given)
    return f"{ruleset.repository}/pull/{found[1]}" if found else ""


def short(url: str) -> str:
    """A ruling's source in a word: ``#779``, ``README.md``."""
    found = re.fullmatch(r"https://github\.com/[^/]+/[^/]+/(pull|issues)/(\d+)", url)
    if found:
        return f"#{found[2]}"
    name = url.rstrip("/").rpartition("/")[2].partition("#")[0]
    return name or url
