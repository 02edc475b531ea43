"""Text from a submission, made safe to print: a terminal must show it, never obey it."""

from __future__ import annotations


def visible(text: str, limit: int | None = None) -> str:
    """``text`` with control, bidirectional and invisible characters written as escapes.

    ``limit`` cuts the input, in characters, before anything else looks at it.
    """
    if limit is not None and len(text) > limit:
        text = text[:limit] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
