"""The same program under other names: what a rule that decides by flow must not notice."""

from __future__ import annotations

from dataclasses import dataclass, replace

from auditor.submission.model import SourceFile, Submission


@dataclass
class Renaming:
    """Renames local variables and joins lines; counts the files and remembers each text once."""

    renamed: int = 0
    left: int = 0  # could not be parsed here, so stay as they are

    def submission(self, submission: Submission) -> Submission:
        """The submission with every Python file passed through the minifier."""
        done: dict[str, SourceFile] = {}

        def rename(source: SourceFile) -> SourceFile:
            if source.path not in done:
                done[source.path] = self._source(source)
            return done[source.path]

        return replace(
            submission,
            entry=rename(submission.entry),
            modules={name: rename(s) for name, s in submission.modules.items()},
            payloads={
                host: tuple(rename(s) for s in group) for host, group in submission.payloads.items()
            },
        )

    def _source(self, source: SourceFile) -> SourceFile:
        if source.language != "python":
            return source
        text = rename_locals(source.text)
        if text is None:
            self.left += 1
            return source
        self.renamed += 1
        return replace(source, text=text)


def rename_locals(text: str) -> str | None:
    """Python source with meaningless local names and joined lines; None if it can't be parsed.

    Globals keep their names, because other files import them; annotations and docstrings stay, so
    that only names and layout differ.
    """
    import python_minifier

    try:
        result = python_minifier.minify(
            text,
            rename_locals=True,
            rename_globals=False,
            remove_annotations=False,
            remove_literal_statements=False,
            remove_pass=False,
            remove_object_base=False,
            remove_explicit_return_none=False,
            remove_builtin_exception_brackets=False,
            combine_imports=False,
            hoist_literals=False,
            convert_posargs_to_args=False,
            constant_folding=False,
        )
    except (SyntaxError, ValueError, RecursionError, python_minifier.UnstableMinification):
        return None
    return str(result)
