"""layout: one record folder with README, submission.json, train log and script, and nothing else."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.evidence.record import Record
from auditor.report.model import Finding, Level
from auditor.rules.base import NotChecked, Rule
from auditor.submission.discover import ENTRY, own_folders, record_folder
from auditor.submission.evidence import is_metadata, kind_of
from auditor.submission.model import Pull, Submission

_SITE = "https://github.com/openai/parameter-golf/"
_RECORD_TRACK = re.compile(r"(?:^|/)records/[^/]*10min[^/]*/")
_OTHER_TRACK = re.compile(r"(?i)non[-_ ]?record")
# What a log may be kept in although its name doesn't say so.
_MAY_BE_LOG = re.compile(
    r"(?i)\.(?:out|txt|tsv|csv|jsonl|ipynb|gz|zip)$|(?:^|[/_.-])(?:logs?|results?)(?:$|[/_.-])"
)
_NEVER_LOG = re.compile(r"(?i)(?:^|/)(?:requirements|commands?)[^/]*\.txt$|\.(?:py|sh|md|json)$")
_LOG_LINE = re.compile(r"(?m)^\W*step[: ]?\d+.*loss")
_DRAFT = re.compile(
    r"(?i)\b(?:draft|wip|tbd|work[- ]in[- ]progress|awaiting|not yet (?:been )?run|preliminary"
    r"|projected (?:val_?)?bpb)\b"
)
_NAMED = 3  # paths that a message names


@dataclass(frozen=True)
class Folder:
    """One record folder as the pull request, or the disk, lists it."""

    submission: Submission

    @cached_property
    def names(self) -> list[str]:
        """Paths inside the folder. Files that the clone lacks are listed all the same."""
        prefix = len(self.submission.path) + 1
        return [path[prefix:] for path in self.submission.files]

    @property
    def missing(self) -> list[str]:
        """What the challenge's README asks for and no file of the folder is."""
        return _missing(self.names)

    def stand_ins(self, missing: list[str]) -> list[str]:
        """Files that may be what seems to be missing, under another name or in another place."""
        found = []
        if "train log" in missing:
            found += [n for n in self.names if _MAY_BE_LOG.search(n) and not _NEVER_LOG.search(n)]
            found += [s.path for s in self.submission.readme if _LOG_LINE.search(s.text)]
            found += _logs_elsewhere(self.submission)
        if "submission.json" in missing:
            found += [n for n in self.names if re.fullmatch(r"(?i)[^/]+\.json", n)]
        return found

    @property
    def claims_score(self) -> bool:
        """Whether submission.json states a score; one of null, 0 or "TBD" is a draft."""
        value = (self.submission.metadata or {}).get("val_bpb")
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _missing(names: Iterable[str]) -> list[str]:
    kinds = {kind_of(name) for name in names}
    found = [] if "readme" in kinds else ["README.md"]
    found += [] if any(is_metadata(name) for name in names) else ["submission.json"]
    return found + ([] if "logs" in kinds else ["train log"])


def check_record(record: Record) -> Iterable[Finding]:
    submission = record.submission
    if record_folder(f"{submission.path}/x") != submission.path:
        yield from _without_folder(submission)
        return
    folder = Folder(submission)
    pull = submission.pull
    if pull is None or not _was_there(folder, pull):
        yield from _files(record, folder)
    if pull is None:
        raise NotChecked("it is not known what else the pull request changes")
    if submission.path == min(_folders(pull), default=submission.path):
        yield from _outside(pull)


def _without_folder(submission: Submission) -> Iterator[Finding]:
    pull = submission.pull
    if pull is None:
        raise NotChecked("a script or folder that is no record folder of the repository")
    if _folders(pull):
        return  # what the record folders don't hold is reported with them
    asked = Level.QUESTION if submission.entry.path in pull.added else Level.NOTE
    message = (
        "please show what is entered: the pull request adds no folder under records/ "
        "(a change of the core code needs none)"
    )
    yield RULE.finding(asked, submission.entry.path, 1, message)


def _was_there(folder: Folder, pull: Pull) -> bool:
    """Whether the record was there before: its gaps are not this pull request's."""
    return not set(pull.added) & set(folder.submission.files) or any(
        path in folder.submission.files for path in pull.modified
    )


def _folders(pull: Pull) -> set[str]:
    """The record folders with a script that a pull request adds to or changes."""
    changed = (path for path in (*pull.added, *pull.modified) if path.endswith(".py"))
    return own_folders({folder for path in changed if (folder := record_folder(path))})


_VERBS = {
    Level.VIOLATION: "breaks: ",
    Level.SUSPECT: "appears to break: ",
    Level.QUESTION: "please show what is missing: ",
}


# -- the files of the folder ------------------------------------------------------------------


def _files(record: Record, folder: Folder) -> Iterator[Finding]:
    submission = folder.submission
    place = _place(submission)
    missing = folder.missing
    if missing:
        level, gap = _standing(record, folder, missing)
        said = f"the record folder has no {_listed(missing, 'or')}{gap}"
        yield RULE.finding(level, place, 1, f"{_VERBS[level]}{said}")
    elif not folder.claims_score and submission.metadata is not None:
        text = submission.metadata_file.text if submission.metadata_file else ""
        at = text.find('"val_bpb"')
        line = text.count("\n", 0, at) + 1 if at >= 0 else 1
        message = "submission.json states no val_bpb"
        yield RULE.finding(Level.NOTE, place, line, message)
    if posixpath.basename(submission.entry.path) != ENTRY:
        message = f"the script is not named {ENTRY}"
        yield RULE.finding(Level.NOTE, submission.entry.path, 1, message)


def _standing(record: Record, folder: Folder, missing: list[str]) -> tuple[Level, str]:
    """How firmly a gap may be called a breach, and what keeps it from being one."""
    submission = folder.submission
    if not _RECORD_TRACK.search(f"{submission.path}/") or not record.claims.record:
        return Level.QUESTION, ""
    track = str((submission.metadata or {}).get("track", ""))
    told = "\n".join((track, *(source.text for source in submission.readme)))
    if _OTHER_TRACK.search(told):
        return Level.QUESTION, ", and it speaks of itself as no record"
    stand_ins = folder.stand_ins(missing)
    if stand_ins:
        return Level.QUESTION, f"; is it {_listed(stand_ins)}?"
    if _is_complete_elsewhere(submission):
        return (
            Level.SUSPECT,
            "; another folder of the pull request is complete and may be what is entered",
        )
    if submission.metadata is not None and not folder.claims_score:
        return Level.SUSPECT, "; submission.json states no val_bpb, so it may be a draft"
    metadata = submission.metadata_file.text if submission.metadata_file else ""
    if any(_DRAFT.search(s) for s in (told, metadata, submission.path.replace("_", " "))):
        return Level.SUSPECT, "; it may be a draft"
    trains = posixpath.basename(submission.entry.path).startswith("train")
    if submission.metadata is None and not (trains and record.claims.score):
        return Level.SUSPECT, "; no score is claimed, so nothing may be entered"
    return Level.VIOLATION, ""


def _is_complete_elsewhere(submission: Submission) -> bool:
    """Whether another record folder that the pull request adds lacks nothing."""
    pull = submission.pull
    others = _folders(pull) - {submission.path} if pull else set()
    return any(
        not _missing([p.removeprefix(f"{o}/") for p in pull.added if p.startswith(f"{o}/")])
        for o in others
        if pull
    )


def _logs_elsewhere(submission: Submission) -> list[str]:
    """Logs that the pull request adds outside of all record folders."""
    added = submission.pull.added if submission.pull else ()
    return [path for path in added if record_folder(path) is None and kind_of(path) == "logs"]


def _place(submission: Submission) -> str:
    if submission.metadata_file is not None:
        return submission.metadata_file.path
    return submission.readme[0].path if submission.readme else submission.entry.path


# -- what else the pull request changes -------------------------------------------------------


def _outside(pull: Pull) -> Iterator[Finding]:
    folders = _folders(pull)
    if len(folders) > 1:
        message = f"the pull request touches {len(folders)} record folders: {_listed(folders)}"
        yield RULE.finding(Level.NOTE, _first(pull, folders), 1, message)
    added = [path for path in pull.added if record_folder(path) is None]
    changed = [path for path in pull.modified if record_folder(path) is None]
    code = [path for path in changed if path.endswith(".py")]
    total = len(added) + len(changed)
    if code:
        message = (
            f"appears to break: beside its record folder the pull request changes {_listed(code)} "
            f"({_count(total)} outside in all); a change of the core code may be meant"
        )
        yield RULE.finding(Level.SUSPECT, code[0], 1, message)
    elif added:
        message = (
            f"please show that {_listed(added)} ({_count(total)} outside) are needed: "
            "the pull request should only add its record folder"
        )
        yield RULE.finding(Level.QUESTION, added[0], 1, message)
    elif changed:
        message = f"beside its record folder the pull request changes {_listed(changed)}"
        yield RULE.finding(Level.NOTE, changed[0], 1, message)


def _first(pull: Pull, folders: set[str]) -> str:
    paths = sorted((*pull.added, *pull.modified))
    return next(path for path in paths if record_folder(path) in folders)


def _listed(names: Iterable[str], word: str = "and") -> str:
    ordered = sorted(names) if isinstance(names, set) else list(names)
    if len(ordered) > _NAMED:
        return f"{', '.join(ordered[:_NAMED])} and {len(ordered) - _NAMED} more"
    return f" {word} ".join(filter(None, (", ".join(ordered[:-1]), ordered[-1])))


def _count(files: int) -> str:
    return f"{files} file" if files == 1 else f"{files} files"


RULE = Rule(
    slug="layout",
    code="E3",
    title="one record folder with README, submission.json, train log and script",
    status="RULED",
    sources=(
        _SITE + "blob/main/README.md",
        _SITE + "pull/1031",
        _SITE + "pull/53",
        _SITE + "pull/2013",
    ),
    page="""\
A submission is a pull request that only adds one folder under records/ with a README.md, a
submission.json, the train logs and the train_gpt.py that made them. What a folder entered for the
10-minute track lacks is read from the complete list of its files; files that a clone lacks but
lists count as there. A folder that is no record, a draft without a score, a log that may hide
under another name, files outside the folder: these are asked about, not called a breach.
""",
    blind_spots="""\
- Without a pull request to compare with, only the record folder itself is looked at.
- A log is known by its name. What a file under another name may hold keeps a missing log from being a breach.
""",
    clears=(
        "Add the missing files to the record folder, and take everything else out of the pull "
        "request."
    ),
    check_record=check_record,
    forbidden={
        "records/track_10min_16mb/2026-04-01_Wider/README.md": "# Wider model\n\nval_bpb 1.1150.\n",
        "records/track_10min_16mb/2026-04-01_Wider/submission.json": '{"val_bpb": 1.1150}\n',
        "records/track_10min_16mb/2026-04-01_Wider/train_gpt.py": 'print("val_bpb", 1.1150)\n',
    },
    allowed={
        "records/track_10min_16mb/2026-04-01_Wider/README.md": "# Wider model\n\nval_bpb 1.1150.\n",
        "records/track_10min_16mb/2026-04-01_Wider/submission.json": '{"val_bpb": 1.1150}\n',
        "records/track_10min_16mb/2026-04-01_Wider/train_gpt.py": 'print("val_bpb", 1.1150)\n',
        "records/track_10min_16mb/2026-04-01_Wider/train_seed42.log": "val_bpb: 1.1150\n",
    },
)
