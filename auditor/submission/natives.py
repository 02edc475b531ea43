"""Native code: C, C++ and CUDA sources in files and in strings."""

from __future__ import annotations

import ast
import re

from auditor.analysis.parse import Unparseable, parse
from auditor.submission.model import SourceFile

# Words without which a Python file is not searched for native code.
_WORTH_A_LOOK = ("#include", "__global__", 'extern "C"', "load_inline", "RawKernel", "RawModule")
_CUDA = re.compile(r"__global__|__device__|\bblockIdx\b|<<<|cuda_runtime|__shared__")
_CPP = re.compile(
    r"\bstd::|\btemplate\s*<|torch/extension|pybind11|\bnamespace\b|\bclass\s+\w+\s*[:{]|\bat::"
)
_C = re.compile(
    r"#include\s*[<\"]"
    r"|^\s*(?:static |inline |extern |const |unsigned )*[\w:<>]+[\s*&]+\w+\s*\([^;{}()]*\)\s*\{",
    re.MULTILINE,
)
_MIN_LENGTH = 40


def natives_in(source: SourceFile) -> tuple[SourceFile, ...]:
    """The native sources that a Python file holds as strings, first line at ``host_line``."""
    if not any(word in source.text for word in _WORTH_A_LOOK):
        return ()
    try:
        tree = parse(source)
    except Unparseable:
        return ()
    found: list[SourceFile] = []
    for node in ast.walk(tree):
        text = _string(node)
        if text is not None and (language := native_language(text)):
            path = f"{source.path}!native-{len(found) + 1}"
            line = getattr(node, "lineno", 1)
            found.append(SourceFile(path, text, language, host=source.path, host_line=line))
    return tuple(found)


def native_language(text: str) -> str | None:
    """c, cpp or cuda when the text reads like such code, else None."""
    if len(text) < _MIN_LENGTH or "{" not in text or ";" not in text or not _C.search(text):
        return None
    if "def " in text and "import " in text and "#include" not in text:
        return None  # a Python source in a string
    return "cuda" if _CUDA.search(text) else "cpp" if _CPP.search(text) else "c"


def _string(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):  # a template: numbers stand in for what is filled in
        parts = [part.value if isinstance(part, ast.Constant) else "0" for part in node.values]
        return "".join(str(part) for part in parts)
    return None
