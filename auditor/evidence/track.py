"""Which track a submission is entered in."""

from __future__ import annotations

import re

from auditor.submission.model import Submission

_OTHER_TRACK = re.compile(
    r"non[\s_-]*record|unlimited[\s_-]*compute|not a record|\bWIP\b|work in progress|\bdraft\b",
    re.IGNORECASE,
)
_SAYS_SO = re.compile(
    r"^\W*non[\s_-]?record\b[^\n]{0,40}\bsubmission|\(non[- ]record submission\)"
    r"|\bthis (?:is|run|folder|package|submission)\b[^.\n]{0,60}\bnon[- ]record\b"
    r"|\bsubmitting\b[^.\n]{0,30}\bnon[- ]record\b|\bnot a record(?:[- ]track)? (?:claim|submission)",
    re.IGNORECASE | re.MULTILINE,
)
_KEYS = (
    "track",
    "name",
    "title",
    "status",
    "category",
    "submission_type",
    "type",
    "blurb",
    "run_name",
)


def is_record(submission: Submission) -> bool:
    """Whether it is entered for the leaderboard: nothing in its place, name, title or README
    says otherwise."""
    data = submission.metadata or {}
    if data.get("non_record") is True or data.get("record_claim") is False:
        return False
    if data.get("record") is False:
        return False
    title = (submission.pull.title if submission.pull else None) or ""
    said = [submission.path, title, *(str(data[key])[:120] for key in _KEYS if key in data)]
    said += [_first_lines(readme.text) for readme in submission.readme[:1]]
    if any(_OTHER_TRACK.search(text) for text in said):
        return False
    return not any(
        _SAYS_SO.search(r.text[:40_000].replace("**", "")) for r in submission.readme[:1]
    )


def _first_lines(text: str) -> str:
    """The title, and the line below it."""
    return "\n".join([line for line in text[:4000].splitlines() if line.strip()][:2])
