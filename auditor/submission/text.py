"""How a text is cut into lines, the same for everybody who numbers them."""

from __future__ import annotations

import re


def split_lines(text: str) -> list[str]:
    """Lines as Python's parser counts them; ``str.splitlines`` also breaks at form feeds."""
    return re.split(r"\r\n|\r|\n", text) if "\r" in text else text.split("\n")
