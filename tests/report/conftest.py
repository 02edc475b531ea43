"""Texts that are compared with a file beside the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Fails on any difference; with UPDATE_GOLDENS set, writes the file instead."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).with_name(name)
        if os.environ.get("UPDATE_GOLDENS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"UPDATE_GOLDENS=1 rewrites {name}"

    return check
