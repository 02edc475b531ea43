"""The numbers of a README and of the pull request's title."""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditor.evidence.quantities import Quantity, number, numbers, quantity, role_of, words_of
from auditor.evidence.stated import Stated
from auditor.evidence.tables import Row, Table, tables
from auditor.submission.model import SourceFile, Submission

_SEED = re.compile(r"(?:seed|s)?\s*[=:#]?\s*(\d{1,9})(?:\s*\(.{0,60}\))?", re.IGNORECASE)
_STATISTICS = {"mean": "mean", "avg": "mean", "average": "mean", "std": "std", "stdev": "std"}
_NAMED_SCORES = (
    re.compile(r"val[_ ]?bpb\W{0,12}?(\d\.\d{2,})", re.IGNORECASE),
    re.compile(r"(?<![\d.+\u2212-])(\d\.\d{2,})\W{0,4}(?:val[_ ]?)?bpb\b", re.IGNORECASE),
)
_SCORE = re.compile(r"(?<![\w.+\u2212-])([0-3]\.\d{4,})(?![\w.]*\d)(?!\s*(?:nats|std))")
_MEMBER = re.compile(r"seed\W{0,4}(?P<seed>\d{1,9})\b(?P<rest>.{3,200})", re.IGNORECASE)
_SIGNED = re.compile(r"[-+\u2212]\s*$")
_EXACT = re.compile(r"[~\u2248]?\s*\d\.\d{3,}")
_ELSEWHERE = re.compile(r"#\s?\d|\bPR\b|sota|leaderboard|merged|record|published", re.IGNORECASE)
_CLOCK = re.compile(
    r"\beval(?:uation)?(?: time)?\b[*:\s]{0,6}(?P<about>[~\u2248])?\s*(?P<seconds>\d{2,4}(?:\.\d+)?)\s?s\b",
    re.IGNORECASE,
)
_FIRST_PART = 15  # lines with text in which a README states its headline
_LEAST = 0.01  # less is a difference


def read(submission: Submission) -> Iterator[Stated]:
    """The title's score, then what the README says: headline, tables with seeds, lines on seeds."""
    title = submission.pull.title if submission.pull else None
    if title:
        score = _title_score(title)
        if score is not None:
            yield _score(score, "title", "", 1, "title")
    for readme in submission.readme[:1]:
        headline = _headline(readme)
        if headline is not None:
            yield headline
        found = False
        for table in tables(readme.text):
            for stated in _from_table(table, readme.path):
                found = True
                yield stated
        if not found:
            yield from _from_lines(readme)
        yield from _clocks(readme)


def _score(text: str, kind: str, path: str, line: int, label: str) -> Stated:
    return Stated("val_bpb", float(text), text, kind, path, line, headline=True, label=label)


def _named_score(text: str) -> re.Match[str] | None:
    """``val_bpb: 1.0812``, else ``1.0812 BPB``."""
    found = (match for pattern in _NAMED_SCORES for match in pattern.finditer(text))
    return next((m for m in found if float(m[1]) > _LEAST), None)


def _title_score(title: str) -> str | None:
    named = _named_score(title) or _SCORE.search(title)
    return named[1] if named else None


def _headline(readme: SourceFile) -> Stated | None:
    """The score in the README's title, or the first line that names one and nothing else's."""
    numbered = list(enumerate(readme.text[:20_000].splitlines(), 1))
    lines = [(at, line) for at, line in numbered if line.strip() and len(line) < 400][:_FIRST_PART]
    title = next(((at, line) for at, line in lines if line.startswith("# ")), None)
    score = _title_score(title[1]) if title else None
    if title and score is not None:
        return _score(score, "readme", readme.path, title[0], "title")
    for at, line in lines:
        found = _named_score(line) if not line.startswith("|") else None
        if found and not _SIGNED.search(line[: found.start()]) and _is_total(line[: found.end()]):
            return _score(found[1], "readme", readme.path, at, "text")
    return None


def _is_total(text: str) -> bool:
    """Whether a line, up to a score, speaks of the submission as a whole."""
    words = words_of(text)
    return role_of(words) == "final" and quantity(f"{text} bpb") is not None and "seed" not in words


def _from_table(table: Table, path: str) -> Iterator[Stated]:
    """One row for each seed, or one column for each."""
    columns = [_seed(cell) for cell in table.header[1:]]
    if sum(seed is not None for seed in columns) >= 2:
        yield from _seeds_in_columns(table, path)
    else:
        yield from _seeds_in_rows(table, path)


def _seeds_in_rows(table: Table, path: str) -> Iterator[Stated]:
    at = next((i for i, name in enumerate(table.header) if re.match(r"seeds?\b", name, re.I)), None)
    rows = [
        (row, *_subject(row.cells[at or 0], at is not None))
        for row in table.rows
        if len(row.cells) > (at or 0)
    ]
    if not any(seed is not None for _, seed, _ in rows):
        return
    for row, seed, of in rows:
        if seed is None and not of:
            continue
        for name, cell in zip(table.header, row.cells, strict=False):
            meaning = quantity(name)
            if meaning is not None and cell:
                yield from _cell(table, meaning, name, cell, row, path, seed, of)


def _seeds_in_columns(table: Table, path: str) -> Iterator[Stated]:
    for row in table.rows:
        meaning = quantity(row.cells[0])
        if meaning is None:
            continue
        for name, cell in zip(table.header[1:], row.cells[1:], strict=False):
            seed, of = _subject(name, False)
            if (seed is not None or of) and cell:
                yield from _cell(table, meaning, row.cells[0], cell, row, path, seed, of)


def _cell(
    table: Table,
    meaning: Quantity,
    name: str,
    cell: str,
    row: Row,
    path: str,
    seed: int | None,
    of: str,
) -> Iterator[Stated]:
    amount = number(cell, meaning.what, meaning.unit)
    if amount is None or _SIGNED.match(cell):
        return
    role = "aside" if role_of(words_of(table.heading)) == "aside" else meaning.role
    yield Stated(
        meaning.what,
        amount.value,
        amount.text,
        "readme",
        path,
        row.line,
        seed=seed,
        label=f"{table.line}:{name}",
        of=of or meaning.of,
        role=role,
        scale=amount.scale,
        about=amount.about,
    )


def _subject(cell: str, bare: bool) -> tuple[int | None, str]:
    """The seed that a cell names, or the statistic. ``bare``: a lone number is a seed."""
    seed = _seed(cell) if bare or re.match(r"s(eed)?\W*\d", cell, re.IGNORECASE) else None
    if seed is None and not bare and re.fullmatch(r"42|1337|2024|2025|314|999|7|0", cell):
        seed = int(cell)
    words = words_of(cell)
    of = next((_STATISTICS[w] for w in words if w in _STATISTICS), "")
    return seed, of


def _seed(cell: str) -> int | None:
    found = _SEED.fullmatch(cell.strip())
    return int(found[1]) if found else None


def other_scores(submission: Submission) -> Iterator[Stated]:
    """Scores in tables without seeds, such as ablations; rows that cite other records left out."""
    for readme in submission.readme[:1]:
        for table in tables(readme.text):
            if any(_seed(cell) for cell in table.header[1:]) or list(_from_table(table, "")):
                continue
            for at, name in enumerate(table.header):
                meaning = quantity(name)
                if meaning is None or meaning.what != "val_bpb" or meaning.of:
                    continue
                for row in table.rows:
                    cell = row.cells[at] if at < len(row.cells) else ""
                    if _ELSEWHERE.search(" ".join(row.cells)) or not _EXACT.match(cell):
                        continue
                    amount = number(cell, "val_bpb")
                    if amount is not None and amount.value > _LEAST:
                        yield Stated(
                            "val_bpb", amount.value, amount.text, "readme", readme.path, row.line
                        )


def _clocks(readme: SourceFile) -> Iterator[Stated]:
    """``Eval: ~226s``: times of evaluation in prose."""
    for at, line in enumerate(readme.text[:100_000].splitlines(), 1):
        found = _CLOCK.search(line) if len(line) < 400 and "|" not in line else None
        if found and role_of(words_of(line[: found.start()])) != "aside":
            hedged = found["about"] is not None
            yield Stated(
                "eval_seconds",
                float(found["seconds"]),
                found["seconds"],
                "readme",
                readme.path,
                at,
                label="line",
                about=hedged,
            )


def _from_lines(readme: SourceFile) -> Iterator[Stated]:
    """``- Seed 42: val_bpb 1.0812`` where no table has the seeds."""
    if "seed" not in readme.text.lower():
        return
    for number_, line in enumerate(readme.text[:200_000].splitlines(), 1):
        if len(line) > 300 or "|" in line:
            continue
        found = _MEMBER.search(line)
        if found is None or role_of(words_of(line)) == "aside":
            continue
        amounts = [
            a for _, a in numbers(found["rest"], "val_bpb") if "." in a.text and len(a.text) > 4
        ]
        if len(amounts) == 1 and 0 < amounts[0].value < 4:
            yield Stated(
                "val_bpb",
                amounts[0].value,
                amounts[0].text,
                "readme",
                readme.path,
                number_,
                seed=int(found["seed"]),
                label="line",
            )
