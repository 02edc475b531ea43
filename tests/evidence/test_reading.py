"""Single lines of logs, by what is read from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditor.evidence.reading.lines import message, messages
from auditor.evidence.reading.numbers import durations
from auditor.evidence.runlog import Phase, RunLog

Read = Callable[[str], RunLog]
TRAINED = "seed:1\nstep:1/9 train_loss:3.0\nstep:9/9 train_loss:2.0 train_time:600000ms\n"


@pytest.mark.parametrize(
    ("line", "label", "val_bpb", "val_loss"),
    [
        ("final_int8_zlib_roundtrip val_loss:2.1 val_bpb:1.25 eval_time:310ms", "final_int8_zlib_roundtrip", 1.25, 2.1),
        ("ttt_sliding:done val_loss=1.89 val_bpb=1.119 elapsed=419.3s", "ttt_sliding:done", 1.119, 1.89),
        ("legal_ttt_exact val_loss:1.89064359 val_bpb:1.11900566", "legal_ttt_exact", 1.11900566, 1.89064359),
        ("DIAGNOSTIC post_ema val_loss:1.9 val_bpb:1.13 eval_time:2012ms", "DIAGNOSTIC post_ema", 1.13, 1.9),
        ("final_int6 val_loss:0.38 val_bpb:0.2292 exact:0.22922259 stride:64", "final_int6", 0.22922259, 0.38),
        ("final_ttt_T0.98_exact val_loss:1.8 val_bpb:1.11", "final_ttt_T0.98_exact", 1.11, 1.8),
        ("ppm_mixer val_bpb:0.97206308 eval_time:453715ms order=5 H=0.999", "ppm_mixer", 0.97206308, None),
        ("Quantized BPB:      1.007057", "Quantized", 1.007057, None),
        ("TTT BPB:          1.008960 (delta: -0.009764)", "TTT", 1.00896, None),
        ("ngram_pass1_total bpb:0.2835", "ngram_pass1_total", 0.2835, None),
        ('"pure_ar_bpb": 1.4707942821001148,', "pure_ar_bpb", 1.4707942821001148, None),
        ("val_loss: 2.773728  val_bpb: 1.073801  time: 410.7s", "val_bpb", 1.073801, 2.773728),
        ("final_raw val_loss:2.5", "final_raw", None, 2.5),
    ],
)  # fmt: skip
def test_scores(
    run: Read, line: str, label: str, val_bpb: float | None, val_loss: float | None
) -> None:
    (score,) = run(TRAINED + line).final_scores
    assert (score.label, score.val_bpb, score.val_loss) == (label, val_bpb, val_loss)


@pytest.mark.parametrize(
    "line",
    [
        "quant_gap: 0.014231 BPB (pre:1.163482 post:1.177713)",
        "ttt_gain_bpb: 0.22436",
        "delta_bpb=-0.00165387",
        "val_bpb:enabled tokenizer_kind=sentencepiece",
        "best_val_bpb: 1.05",
        "best_ckpt:save step:6552 train_loss:2.1322 train_bpb:1.2614 pool:1/10",
        "final val_bpb:nan",
        "val_bpb:1234.5",
        "submission target bpb: 1.05",
    ],
)
def test_no_scores(run: Read, line: str) -> None:
    assert run(TRAINED + line).scores == ()


def test_a_line_with_several_scores(run: Read) -> None:
    found = run(TRAINED + "agree:done llm_bpb=1.114 best_agree_bpb=1.111 gain_bpb=0.003 t=9.0s")
    assert [(s.label, s.val_bpb) for s in found.scores] == [
        ("agree:done llm_bpb", 1.114),
        ("agree:done best_agree_bpb", 1.111),
    ]


@pytest.mark.parametrize(
    ("line", "label", "done", "val_bpb", "seconds"),
    [
        ("  ttt_chunk [11/1893] bpb=1.158340 time=0.5s", "ttt_chunk", 11 / 1893, 1.15834, 0.5),
        ("tc[1501/1893]bpb=0.469 t=360.9s", "tc", 1501 / 1893, 0.469, 360.9),
        ("ngram_chunk [0/947] bpb=1.175644 time=600ms", "ngram_chunk", 0.0, 1.175644, 0.6),
        ("sliding_eval [ 10.6%] 12832/121136 windows running_bpb=1.1624", "sliding_eval", 12832 / 121136, 1.1624, None),
        ("ngram_eval [ 14.5%] bpb=1.094718 t=146s", "ngram_eval", 0.145, 1.094718, 146.0),
        ("ttp: b2/782 bl:2.8 bb:1.2326 rl:2.3 rb:1.0554 dl:83-89", "ttp", 2 / 782, 1.0554, None),
        ("prequant_ttt:epoch 1/21 val_bpb=1.084913 time=60.3s", "prequant_ttt:epoch", 1 / 21, 1.084913, 60.3),
        ("ttt [███░░] 27.6% chunk 261/947 bpb=1.12 ETA=1636s", "ttt", 261 / 947, 1.12, None),
    ],
)  # fmt: skip
def test_progress(
    run: Read, line: str, label: str, done: float, val_bpb: float, seconds: float | None
) -> None:
    found = run(TRAINED + line)
    assert found.scores == ()
    (point,) = found.progress
    assert (point.label, point.val_bpb, point.seconds) == (label, val_bpb, seconds)
    assert point.done == pytest.approx(done)


@pytest.mark.parametrize(
    ("line", "steps", "planned", "seconds"),
    [
        ("step:9/20 train_loss:2.0 train_time:599950ms step_avg:43ms", 9, 20, 599.95),
        ("step:9/20 train_loss:2.0 train_time:599,950ms", 9, 20, 599.95),
        ("9/20 train_loss: 2.0 train_time: 10.0m tok/s: 7668374", 9, 20, 600.0),
        ("s:9/20 tl:2.0 tt:600028ms sa:129.09ms", 9, 20, 600.028),
        ("step     9/20 | loss 2.0 | lr_mul 0.05 | 0.01 steps/s | 109s", 9, 20, 109.0),
        ("Step 9: train_loss=2.0 elapsed=12.5s", 9, None, 12.5),
        ("[default0]:9/20 train_loss: 2.0 train_time: 0.5m", 9, 20, 30.0),
        ("stopping_early: wallclock_cap train_time: 590116ms step: 9/20", 9, 20, 590.116),
    ],
)
def test_training(run: Read, line: str, steps: int, planned: int | None, seconds: float) -> None:
    found = run(f"step:0/{planned or 20} train_loss:3.0\nstep:1 train_loss:2.9\n{line}")
    assert found.steps and found.steps.value == steps and found.steps.line == 3
    assert planned is None or (found.planned_steps and found.planned_steps.value == planned)
    assert found.train_seconds and found.train_seconds.value == pytest.approx(seconds)


def test_a_clock_that_was_reset_before_it_is_printed(run: Read) -> None:
    found = run(TRAINED + "stopping_early: wallclock_cap train_time:0ms step:10/20")
    assert found.train_seconds and found.train_seconds.value == 600.0
    assert found.steps and found.steps.value == 10


@pytest.mark.parametrize(
    ("line", "phase", "seconds"),
    [
        ("GPTQ:collected 66 Hessians in 4.3s", Phase.CALIBRATION, 4.3),
        ("gptq:calibrated 68 layers in 2.1s", Phase.CALIBRATION, 2.1),
        ("gptq:generated 64 sequences in 196.7s", Phase.CALIBRATION, 196.7),
        ("gptq:collected hessians for 68 layers (6.7s)", Phase.CALIBRATION, 6.7),
        ("gptq:hessians collected layers=68 time=37.5s", Phase.CALIBRATION, 37.5),
        ("gptq:quantization done in 11260ms (gptq:66 naive:0)", Phase.SERIALISATION, 11.26),
        ("Serialize: per-group compression done in 97.8s", Phase.SERIALISATION, 97.8),
        ("phase:serialize wall_ms:43685 (quant+compress+save)", Phase.SERIALISATION, 43.685),
        ("ttt_lora:compile warmup done (122.0s)", Phase.WARMUP, 122.0),
        ("ttt: total 389133ms", Phase.EVAL, 389.133),
        ("total_eval_time:497.5s", Phase.EVAL, 497.5),
        ("[2026-04-19 11:28:15] Evaluation time: 499 seconds", Phase.EVAL, 499.0),
        ("eval:total 553.3s budget 600s", None, 0.0),  # a budget is no measurement
        ("prequant_ttt:done in 376.8s (8 gpus)", Phase.OTHER, 376.8),
        ("artifact_production_wallclock: 825.352s (must be < 600.0)", Phase.OTHER, 825.352),
        ("gptq:reserving 10s, effective=590000ms", None, 0.0),
        ("lr:embed=0.035 batch:786432 wall:600s seed:1337", None, 0.0),
        ("tttg: c1/95 lr:0.001000 t:0.3s", None, 0.0),
        ("bo:o=7 b=4194304 m=201M a=0.05+0.55*s(H-4.0)", None, 0.0),
        ("ttt:c=1893 w=969088 s=64 lr=0.0005", None, 0.0),
    ],
)
def test_stages(run: Read, line: str, phase: Phase | None, seconds: float) -> None:
    found = run(TRAINED + line).stages[1:]
    assert [(s.phase, s.seconds) for s in found] == ([(phase, seconds)] if phase else [])


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [  # one evaluation that is timed twice
        ("ttt:done val_bpb=1.11661 elapsed=419.3s|legal_ttt val_bpb:1.1166 eval_time:419571ms", 419.571),
        ("final_ttt val_bpb:1.1166 eval_time:358276ms|phase:ttt_eval wall_ms:358827", 358.827),
        ("ttt:short_docs time=24s|ttt:long_docs time=232s|final_ttt val_bpb:1.1 eval_time:358000ms", 358.0),
        ("beginning TTT eval timer|x_ttt val_bpb:1.1 eval_time:479000ms|total_eval_time:479.6s", 479.6),
        # and several
        ("final_int6_roundtrip val_bpb:1.15 eval_time:5000ms|final_sliding val_bpb:1.12 eval_time:80000ms", 85.0),
        ("ttt:done elapsed=43.1s|final_sliding val_bpb:1.12 eval_time:80000ms", 123.1),
        ("diag val_bpb:1.2 eval_time:9s|beginning eval timer|x val_bpb:1.1 eval_time:5s|total_eval_time:14.5s", 23.5),
        ("hint:precompute_done elapsed=164.5s|quantized_ttt val_bpb:1.05 eval_time:492000ms", 656.5),
    ],
)  # fmt: skip
def test_no_time_counts_twice(run: Read, lines: str, seconds: float) -> None:
    found = run(TRAINED + lines.replace("|", "\n"))
    assert found.seconds(Phase.EVAL) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("lines", "code", "model", "total"),
    [
        ("Code size: 46138 bytes|Total submission size: 67183487 bytes", 46138, None, 67183487),
        ("Serialized model: 67000000 bytes|Code size: 46138 bytes|Total submission size: 67046138", 46138, None, None),
        ("Serialized model int6(level=9): 14121116|Total submission size int6: 14202629", None, 14121116, 14202629),
        ("Code size: 16740 bytes (lzma compressed; raw 72788 bytes)", 16740, None, None),
        ("model:15567567 code:53472 total:15621039 (15.62 MB)", 53472, 15567567, 15621039),
        ("artifact: 16324677 bytes (model:16279396 code:45281)", 45281, 16279396, 16324677),
        ("Size check PASSED: 12,499,612 / 16,000,000 (78.1%)", None, None, 12499612),
        ("budget:15995705/16000000 (16.00/16.00MB) FITS", None, None, 15995705),
        ("FINAL_SUBMISSION_BYTES:15429019", None, None, 15429019),
        ("serialized_model_int8_zlib:12339367 bytes (payload:17551040)", None, 12339367, None),
        ("Total submission size int8+zlib: 17000000|Total submission size int6+zstd: 15984161", None, None, 15984161),
        ("params: total=27223129 ctx=26829913 (saved in artifact)", None, None, None),
        ("phase:TOTAL wall_ms:1018981 (17.0 min)", None, None, None),
        ("total_bytes=151080891", None, None, None),  # of validation text
    ],
)  # fmt: skip
def test_sizes(
    run: Read, lines: str, code: int | None, model: int | None, total: int | None
) -> None:
    found = run(TRAINED + lines.replace("|", "\n"))
    read = [found.code_bytes, found.model_bytes, found.total_bytes]
    assert [f and f.value for f in read] == [code, model, total]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("seed: 42", "seed", 42),
        ("=== Seed 42 ===", "seed", 42),
        ("world_size: 8", "world_size", 8),
        ("World size: 2, Grad accum: 4", "world_size", 2),
        ("gpus: 0,1,2,3", "world_size", 0),
        ("model_params:17039391", "parameters", 17039391),
        ("Total params: 29,926,689", "parameters", 29926689),
        ("train_loader:dataset:fineweb10B_sp1024 train_shards:80", "train_shards", 80),
        ("shard_order:ranked 80 shards by perplexity", "train_shards", 80),
        ("val_loader:shards pattern=./fineweb_val_*.bin tokens:62021632", "val_tokens", 62021632),
        ("Validation tokens: 62,021,633", "val_tokens", 62021633),
        ("evs:rank:0 DONE val_bpb=1.12 tokens=62023616 bytes=151084796", "scored_tokens", 62023616),
        ("evs:rank:0 DONE val_bpb=1.12 tokens=62023616 bytes=151084796", "scored_bytes", 151084796),
        ("coverage: 60.7%", "coverage", 0.607),
    ],
)
def test_figures(run: Read, line: str, name: str, value: float) -> None:
    found = getattr(run("step:1/2 train_loss:2.0\nstep:2/2 train_loss:1.9\n" + line), name)
    assert found and found.value == pytest.approx(value) and found.line == 3


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("GPU: NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"),
        ("device: NVIDIA GeForce RTX 5090", "NVIDIA GeForce RTX 5090"),
        ("|   0  NVIDIA H200                    On  |   00000000:8D:00.0 Off |      0 |", "NVIDIA H200"),
        ("fits an H100 in theory", None),
    ],
)  # fmt: skip
def test_hardware(run: Read, line: str, name: str | None) -> None:
    found = run(TRAINED + line).hardware
    assert (found.text if found else None) == name


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("[rank0]: seed:1", "seed:1"),
        ("[rank3]: seed:1", ""),
        ("evs:rank:4 DONE val_bpb=1.1", ""),
        ("2026-04-30T20:06:19Z   seed: 42", "seed: 42"),
        ("1776143958.273 ttpr: t:301.1s", "ttpr: t:301.1s"),
        ("[2026-04-19 11:28:15] Training time: 587 seconds", "Training time: 587 seconds"),
        ("\x1b[32mval_bpb:1.0\x1b[0m", "val_bpb:1.0"),
        ("1/20000 val_loss: 6.9", "1/20000 val_loss: 6.9"),
        ("[ppm_mix] tokens=45508608", "[ppm_mix] tokens=45508608"),
        ("ttt_sliding:done elapsed=275.6sttt_sliding:done elapsed=275.6s", "ttt_sliding:done elapsed=275.6s"),
    ],
)  # fmt: skip
def test_messages(line: str, text: str) -> None:
    assert message(line) == text


def test_copies_and_source_are_no_messages() -> None:
    lines = ["a:1", "a:1", "", "code", "b:2"]
    assert list(messages(lines, [(3, 4)])) == [(1, "a:1"), (5, "b:2")]


def test_durations() -> None:
    assert list(durations("done in 5s (eval_time:310ms, eta=9s) wall_ms:70")) == [
        ("in", 5.0),
        ("eval_time", 0.31),
        ("wall_ms", 0.07),
    ]
