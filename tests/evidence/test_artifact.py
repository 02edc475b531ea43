"""The code that is handed in: what counts, and how it counts."""

from __future__ import annotations

from auditor.evidence.artifact import packed, shipped
from auditor.submission.model import SourceFile, Submission

ENTRY = SourceFile("r/x/train_gpt.py", "import mixer\n")
MIXER = SourceFile("r/x/mixer.py", "N = 3\n")
DATA = SourceFile("r/data/prepare.py", "print(1)\n")
KERNEL = SourceFile("r/x/kernel.c", "int one(void) { return 1; }\n", "c")


def test_helpers_in_the_folder_count_and_each_once() -> None:
    given = Submission(
        "r/x",
        ENTRY,
        modules={"mixer": MIXER, "mixer.py": MIXER, "prepare": DATA},
        natives=(KERNEL,),
    )
    ours = shipped(given)
    assert set(ours.helpers) == {MIXER.path, KERNEL.path}
    assert ours.code == sum(len(s.text) for s in (ENTRY, MIXER, KERNEL))


def test_sizes_are_those_of_the_files_and_payloads_lie_in_their_hosts() -> None:
    decoded = SourceFile("r/x/train_gpt.py!payload-1", "x = 1\n" * 999, host=ENTRY.path)
    string = SourceFile("r/x/train_gpt.py!native-1", "int f;", "c", host=ENTRY.path)
    given = Submission(
        "r/x",
        ENTRY,
        modules={"inner": decoded},
        payloads={ENTRY.path: (decoded,)},
        natives=(string,),
        files={ENTRY.path: 321},
    )
    assert shipped(given).code == 321


def test_packed_code_is_smaller_and_takes_any_text() -> None:
    long = SourceFile("a.py", "value = 1  # \ud800\n" * 500)
    assert 0 < packed([long, MIXER]) < 500
