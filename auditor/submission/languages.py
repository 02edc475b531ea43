"""Which language a file is written in, by its name."""

from __future__ import annotations

import posixpath

_LANGUAGES = {
    "python": (".py", ".pyw"),
    "c": (".c", ".h"),
    "cpp": (".cpp", ".cc", ".cxx", ".hpp", ".hh"),
    "cuda": (".cu", ".cuh"),
    "shell": (".sh", ".bash", ".slurm", ".sbatch", ".bat", ".ps1"),
}
NATIVE = ("c", "cpp", "cuda")
CODE_SUFFIXES = tuple(s for name in ("python", *NATIVE) for s in _LANGUAGES[name])
NATIVE_SUFFIXES = tuple(s for name in NATIVE for s in _LANGUAGES[name])
SHELL_SUFFIXES = _LANGUAGES["shell"]


def language_of(path: str) -> str:
    """The SourceFile language for this path; ``text`` for anything that is not code."""
    suffix = posixpath.splitext(path)[1].lower()
    return next((name for name, known in _LANGUAGES.items() if suffix in known), "text")
