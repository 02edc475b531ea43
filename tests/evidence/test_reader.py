"""Whole logs, one of each format family: every figure with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.evidence import reader
from auditor.evidence.runlog import Figure, Phase, RunLog
from auditor.submission.model import Claim, SourceFile

Read = Callable[[str], RunLog]
ReadAll = Callable[[str], tuple[RunLog, ...]]


def values(run: RunLog) -> dict[str, tuple[float, int]]:
    """Every figure that was read, with its line."""
    fields = vars(run).items()
    return {name: (f.value, f.line) for name, f in fields if isinstance(f, Figure)}


def stages(run: RunLog) -> list[tuple[str, str, float, bool]]:
    return [(s.phase.value, s.label, s.seconds, s.within is not None) for s in run.stages]


def test_plain(run: Read) -> None:
    found = run("plain.log")
    assert values(found) == {
        "seed": (1337, 34),
        "world_size": (8, 31),
        "parameters": (17_000_001, 30),
        "train_shards": (80, 28),
        "steps": (13300, 43),
        "planned_steps": (20000, 37),
        "train_seconds": (600.061, 43),
        "code_bytes": (50_000, 46),
        "model_bytes": (15_800_000, 48),
        "total_bytes": (15_850_000, 49),
        "val_tokens": (62_021_632, 29),
    }
    assert found.hardware and found.hardware.text == "NVIDIA H100 80GB HBM3"
    assert found.software == {
        "python": "3.12.3",
        "torch": "2.10.0+cu128",
        "cuda": "12.8",
        "driver": "570.00.01",
    }
    assert found.settings["embed_lr"].text == "0.05" and found.settings["embed_lr"].line == 32
    assert found.source_lines == ((1, 14),)  # and nothing was read out of it
    assert [(s.step, s.val_bpb) for s in found.scores if s.step is not None] == [
        (0, 4.1),
        (1000, 1.415),
        (13300, 1.214),
    ]
    assert [(s.label, s.line, s.val_loss, s.val_bpb) for s in found.final_scores] == [
        ("final_int8_zlib_roundtrip", 50, 2.07, 1.226),
        ("final_int8_zlib_roundtrip_exact", 51, 2.07001234, 1.22598765),
    ]
    assert found.total_bytes and found.total_bytes.kind == "int8+zlib"
    unread = [w.text for w in found.unread]
    assert any(text.startswith("peak memory") for text in unread)
    assert "swa:start step:12000" not in unread  # an event, among the settings


def test_phased(run: Read) -> None:
    found = run("phased.log")
    assert values(found) == {
        "seed": (42, 6),
        "world_size": (8, 9),
        "parameters": (35_900_000, 12),
        "train_shards": (80, 10),
        "steps": (4901, 19),
        "planned_steps": (20000, 15),
        "train_seconds": (596.113, 19),
        "code_bytes": (27_000, 25),
        "model_bytes": (15_920_000, 32),
        "total_bytes": (15_947_000, 33),
        "val_tokens": (40_540_160, 11),
    }
    assert stages(found) == [
        ("train", "train_time", 596.113, False),
        ("eval", "diagnostic pre-quantization post-ema", 7.0, False),
        ("calibration", "GPTQ:collected", 3.5, True),
        ("serialisation", "GPTQ:quantized in", 10.1, True),
        ("serialisation", "GPTQ:compressed+saved in", 64.7, True),
        ("serialisation", "serialize_wallclock", 79.455, False),
        ("serialisation", "Deserialize", 18.2, False),
        ("eval", "diagnostic quantized", 11.0, False),
        ("warmup", "ttt_lora:compile warmup done", 111.4, False),
        ("eval", "quantized_ttt_phased", 479.5, True),
        ("eval", "total_eval_time", 479.6, False),
        ("other", "artifact_production_wallclock", 825.352, False),
    ]
    assert found.seconds(Phase.CALIBRATION) == 3.5  # within the wall clock of another phase
    assert found.seconds(Phase.CALIBRATION, Phase.SERIALISATION) == pytest.approx(79.455 + 18.2)
    assert found.seconds(Phase.EVAL) == pytest.approx(7 + 11 + 479.6)
    assert [(p.label, p.val_bpb) for p in found.progress] == [
        ("ttp", 1.0780),
        ("ttp", 1.0570),
        ("ttp", 1.0554),
    ]
    done = [p.done for p in found.progress]  # its batches are counted down
    assert done == sorted(done) and done[0] < 0.01 and done[-1] > 0.99


def test_terse(run: Read) -> None:
    found = run("terse.log")
    assert values(found) == {
        "seed": (42, 7),
        "world_size": (8, 5),
        "parameters": (26_900_000, 4),
        "train_shards": (80, 2),
        "steps": (4648, 12),
        "planned_steps": (20000, 9),
        "train_seconds": (600.028, 12),
        "code_bytes": (94_000, 16),
        "total_bytes": (15_874_000, 18),
        "val_tokens": (62_021_632, 3),
    }
    assert stages(found)[1:] == [
        ("eval", "diag", 2.025, False),
        ("eval", "q_rt", 16.007, False),
        ("eval", "ttt", 455.7, True),
        ("eval", "eval:ttt", 456.084, False),
    ]
    assert [(p.done, p.val_bpb, p.seconds) for p in found.progress] == [
        (1 / 1893, 1.173605, 1.5),
        (1.0, 0.442064, 455.6),
    ]
    assert found.final_scores[-2].val_loss == 0.745676


def test_prose_with_time_stamps(run: Read) -> None:
    found = run("prose.log")
    assert values(found) == {
        "seed": (314, 1),
        "world_size": (2, 3),
        "parameters": (29_926_689, 5),
        "steps": (7000, 8),
        "planned_steps": (7000, 7),
        "train_seconds": (598.3, 9),
        "model_bytes": (15_143_381, 11),
        "total_bytes": (15_193_381, 16),
        "val_tokens": (62_021_633, 6),
    }
    assert [(s.label, s.val_bpb) for s in found.final_scores] == [
        ("EMA BPB", 0.995687),
        ("Quantized", 1.007057),
        ("Legal TTT", 1.002453),
    ]
    assert stages(found)[1:] == [("eval", "TTT eval", 499.0, False)]


def test_a_failsafe_ends_the_evaluation(run: Read) -> None:
    found = run(
        "seed:1\nngram_eval [ 58.1%] bpb=0.806136 t=547s\nngram_eval [ 59.4%] bpb=0.802990 t=559s\n"
        "FAILSAFE: ngram eval time 570s exceeds budget\n"
        "ngram_eval DONE: bpb=0.800415 tokens=37619648 t=570s\ncoverage=0.607\n"
        "final_int8_zlib_roundtrip val_loss:1.3482 val_bpb:0.8004 eval_time:570471ms\n"
    )
    assert found.progress[-1].done == 0.594 and found.progress[-1].seconds == 559
    assert found.scored_tokens == Figure(37_619_648, 5)
    assert found.coverage == Figure(0.607, 6)
    assert found.seconds(Phase.EVAL) == 570.471


def test_several_runs_in_one_file(runs: ReadAll) -> None:
    one = (
        "seed:{0}\nworld_size:8\nmodel_params:1000000\nstep:0/9 val_loss:6.9 val_bpb:4.1 train_time:0ms\n"
        "step:9/9 val_loss:2.0 val_bpb:1.{0} train_time:9000ms\n"
        "final_exact val_loss:2.1 val_bpb:1.3{0}\n"
    )
    found = runs(one.format(7) + "\n" + one.format(42))
    assert [(r.first_line, r.last_line) for r in found] == [(1, 6), (8, 13)]
    assert [r.seed and r.seed.value for r in found] == [7, 42]
    assert [r.final_scores[-1].val_bpb for r in found] == [1.37, 1.342]
    assert [r.settings["seed"].line for r in found] == [1, 8]
    assert len(runs(one.format(7) * 2)) == 1  # a terminal's copy of the log


def test_evaluation_in_a_second_process_belongs_to_the_run(run: Read) -> None:
    found = run(
        "seed:7\nstep:0/9 train_loss:6.9 train_time:0ms\nstep:9/9 train_loss:2.0 train_time:9000ms\n"
        "final_exact val_loss:2.1 val_bpb:1.37\nseed:7\nworld_size:8\nmodel_params:1000000\n"
        "legal_ttt_exact val_loss:2.0 val_bpb:1.33\n"
    )
    assert [s.val_bpb for s in found.final_scores] == [1.37, 1.33]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        "numpy==2.0.0\ntorch==2.9.1+cu128\n",
        "# Results\n\nWe reach a val_bpb of **1.11** with seed 42.\n",
        '{"val_bpb": 1.1, "seed": 42, "steps": 100, "val_loss": 2.0}',
        '[{"val_bpb": 1.1, "seed": 42}]',
        "placeholder: full 8xH100 run pending",
        "import os\nimport torch\n\ndef main():\n    print('val_bpb:1.0 seed:1')\n",
        "[" * 100_000,
    ],
)
def test_what_is_no_log_gives_no_run(runs: ReadAll, text: str) -> None:
    assert runs(text) == ()


def test_settings_that_were_read_before_are_used() -> None:
    claims = [Claim("TTT", "on", "log", "a.log", 3)]
    text = "seed:1\nstep:1/2 train_loss:2.0\nstep:2/2 train_loss:1.9\n"
    (found,) = reader.read(SourceFile("a.log", text), claims)
    assert set(found.settings) == {"ttt"} and found.settings["ttt"].line == 3


def test_unread_messages_are_bounded(run: Read) -> None:
    noise = "".join(
        f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)} says nothing\n" for n in range(5000)
    )
    found = run("step:1/2 train_loss:2.0\nstep:2/2 train_loss:1.9\n" + noise + "z" * 9000)
    assert 0 < len(found.unread) <= 200 and max(len(w.text) for w in found.unread) <= 300


# ---- any text ----

PIECES = st.sampled_from(
    """step:1/2 train_loss:2.0|step:2/2 val_loss:1.9 val_bpb:1.1 train_time:600001ms|seed:7|seed: 8
    final_exact val_loss:2.0 val_bpb:1.2|ngram [3/9] bpb=1.1 t=4s|eval_time:5ms|total_eval_time:9.0s
    Code size: 5 bytes|Total submission size int8+zlib: 99999 bytes|import os|def f():|    return 1
    if __name__ == "__main__":|beginning eval timer|[rank3]: seed:9|stopping_early: wallclock_cap
    |  0  NVIDIA H100 On  ||coverage=99999999999999999999%|bpb=|loss|\x1b[1mval_bpb:1.0|(|[|""".replace(
        "\n", "|"
    ).split("|")
)
ANY_LINES = st.lists(PIECES | st.text(max_size=60), max_size=40)


@given(ANY_LINES, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_gives_lines_within_it(lines: list[str], end: str) -> None:
    text = end.join(lines)
    last = max(1, len(reader.split_lines(text)))
    for run in reader.read(SourceFile("a.log", text)):
        places = [f.line for f in vars(run).values() if isinstance(f, Figure)]
        for several in (run.stages, run.scores, run.progress, run.unread):
            places += [found.line for found in several]  # type: ignore[attr-defined]
        places += [w.line for w in run.settings.values()]
        assert all(run.first_line <= place <= run.last_line for place in places)
        assert 1 <= run.first_line <= run.last_line <= last
        assert all(stage.seconds >= 0 for stage in run.stages)
        assert all(0 <= p.done <= 1 for p in run.progress)


@pytest.mark.parametrize(
    "line",
    [
        "a" * 200_000,
        "1" * 200_000,
        "val_bpb" * 30_000,
        "total " * 30_000 + "bytes",
        "(" * 100_000 + " val_bpb",
        "step:1/2 loss " + "1," * 100_000,
        "[12:00:00]" * 20_000 + " val_bpb:1.0",
        "\x1b[1m" * 50_000 + "bpb",
        "_ms=1 " * 40_000 + "time",
    ],
)
def test_hostile_lines_end_soon(runs: ReadAll, line: str) -> None:
    runs("\n".join([line] * 3))
