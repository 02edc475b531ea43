"""What counts as a statement about settings, what doesn't, and which statement wins."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.model import SourceFile, Submission
from auditor.submission.settings import Settings, claims, resolve

FOLDER = "records/track/2026-01-01_Example"


def submission(
    *,
    readme: str = "",
    logs: dict[str, str] | None = None,
    scripts: dict[str, str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Submission:
    def files(texts: dict[str, str] | None) -> tuple[SourceFile, ...]:
        return tuple(
            SourceFile(
                f"{FOLDER}/{name}",
                textwrap.dedent(text),
                "python" if name.endswith(".py") else "text",
            )
            for name, text in (texts or {}).items()
        )

    return Submission(
        path=FOLDER,
        entry=SourceFile(f"{FOLDER}/train_gpt.py", "print('hello')\n"),
        readme=files({"README.md": readme}),
        logs=files(logs),
        run_scripts=files(scripts),
        metadata=metadata,
        metadata_file=SourceFile(f"{FOLDER}/submission.json", "{}"),
    )


def values(given: Submission) -> dict[str, str]:
    return {key: claim.value for key, claim in resolve(given).items()}


def in_readme(text: str) -> dict[str, str]:
    return values(submission(readme=textwrap.dedent(text)))


def in_log(text: str) -> dict[str, str]:
    return values(submission(logs={"train.log": text}))


def in_script(text: str, name: str = "run.sh") -> dict[str, str]:
    return values(submission(scripts={name: text}))


def test_environment_given_to_a_launcher() -> None:
    given = submission(
        readme="# T\n## Run\n```\nmodal run go.py --extra-env 'DEPTH=3;MODE=a,b'\n```\n",
        scripts={"go.py": "env = {'DEPTH': '1', 'WIDTH': '2'}\n"},
    )
    found = values(given)
    assert (found["depth"], found["mode"], found["width"]) == ("3", "a,b", "2")


def test_profiles_of_a_launcher_that_disagree_say_nothing() -> None:
    found = in_script("a = {'DEPTH': '1', 'WIDTH': '2'}\nb = {'DEPTH': '3'}\n", "go.py")
    assert "depth" not in found and found["width"] == "2"


class TestReadmeCommands:
    def test_continued_command_with_prefixes_and_options(self) -> None:
        found = in_readme(
            """
            ## Run
            ```bash
            SEED=7 CACHE_ON=1 \\
            LAYERS="9,10" \\
            torchrun --standalone --nproc_per_node=8 train_gpt.py --ttt-epochs 3 --lr=0.1 --fast
            ```
            """
        )
        assert found == {
            "seed": "7",
            "cache_on": "1",
            "layers": "9,10",
            "--ttt-epochs": "3",
            "--lr": "0.1",
            "--fast": "true",
        }

    def test_the_claim_names_file_and_line(self) -> None:
        (claim,) = claims(submission(readme="# T\n\n```\nA_B=1 python train_gpt.py\n```\n"))
        assert (claim.kind, claim.path, claim.line) == ("readme", f"{FOLDER}/README.md", 4)

    @pytest.mark.parametrize(
        "command",
        [
            "export CACHE_ON=1\npython train_gpt.py",
            "env CACHE_ON=1 python3 train_gpt.py",
            "docker run -e CACHE_ON=1 image torchrun train_gpt.py",
            "CACHE_ON=${CACHE_ON:-1} torchrun train_gpt.py",
            "X=1\nCACHE_ON=$X torchrun train_gpt.py | tee log",
            "for seed in 1 2; do CACHE_ON=1 SEED=$seed torchrun train_gpt.py; done",
            "$ CACHE_ON=1 torchrun train_gpt.py  # CACHE_ON=0 is slower",
            "cd x && CACHE_ON='1' torchrun records/track/2026-01-01_Example/train_gpt.py",
        ],
    )
    def test_ways_to_pass_a_setting(self, command: str) -> None:
        assert in_readme(f"# T\n```bash\n{command}\n```\n") == {"cache_on": "1"}

    @pytest.mark.parametrize(
        "command",
        [
            "CACHE_ON=1 torchrun other.py",
            "CACHE_ON=1 torchrun records/track/2026-01-01_Another/train_gpt.py",
            "CACHE_ON=$1 torchrun train_gpt.py",
            "CACHE_ON=$(cat flag) torchrun train_gpt.py",
            "CACHE_ON=1\npython train_gpt.py",
            "if true; then\nexport CACHE_ON=1\nfi\npython train_gpt.py",
        ],
    )
    def test_what_settles_nothing(self, command: str) -> None:
        assert "cache_on" not in in_readme(f"# T\n```bash\n{command}\n```\n")

    def test_ablations_and_baselines_give_way_to_the_record(self) -> None:
        found = in_readme(
            """
            # Title with no baseline
            ## Reproduction
            ```bash
            CACHE_ON=1 torchrun --nproc_per_node=8 train_gpt.py
            # without the cache
            CACHE_ON=0 torchrun --nproc_per_node=8 train_gpt.py
            ```
            ## Ablation
            ```bash
            CACHE_ON=0 torchrun --nproc_per_node=8 train_gpt.py
            ```
            ## Small
            ```bash
            CACHE_ON=0 torchrun --nproc_per_node=1 train_gpt.py
            ```
            """
        )
        assert found == {"cache_on": "1"}

    def test_a_set_apart_command_speaks_where_no_other_does(self) -> None:
        assert in_readme("# T\n## Local\n```\nA_B=1 python train_gpt.py\n```") == {"a_b": "1"}


class TestReadmeProse:
    def test_code_spans_and_tables(self) -> None:
        found = in_readme(
            """
            # T
            Neural model only (`CACHE_ON=0`, `TWO_PASS=0`), layers `LAYER_LIST=3,4`.

            | Setting | Value |
            |---|---|
            | `TTT_EPOCHS` | 3 |
            | BUCKETS_MAX | 4,194,304 |
            """
        )
        assert found == {
            "cache_on": "0",
            "two_pass": "0",
            "layer_list": "3,4",
            "ttt_epochs": "3",
            "buckets_max": "4194304",
        }

    @pytest.mark.parametrize(
        "line",
        [
            "Set `CACHE_ON=1` to enable it if you like.",
            "`CACHE_ON=1` would be slower",
            "By default `CACHE_ON=1`.",
            "We compared `CACHE_ON=1` and `CACHE_ON=0`.",
            "score=1.2, p=0.5, x = 3",
        ],
    )
    def test_hedged_or_contradictory_prose_says_nothing(self, line: str) -> None:
        assert in_readme(f"# T\n{line}\n") == {}


class TestRunScripts:
    def test_defaults_exports_and_env_files(self) -> None:
        assert in_script(
            """
            #!/bin/bash
            CACHE="${CACHE:-1}"
            export TTT_EPOCHS=3   # three
            CACHE_ON="$CACHE" SEED="$1" torchrun "$DIR/train_gpt.py"
            """
        ) == {"ttt_epochs": "3", "cache_on": "1"}
        assert in_script("A_B=1\nexport C_D='x'\n", "settings.env") == {"a_b": "1", "c_d": "x"}
        assert in_script("env:\n  A_B: '1'\n", "launch.yaml") == {"a_b": "1"}

    def test_python_launchers_give_their_literals(self) -> None:
        text = "import os\nos.environ['A_B'] = '1'\nos.environ['C_D'] = x\nrun(env={'E_F': '2'})\n"
        assert in_script(text, "launch.py") == {"a_b": "1", "e_f": "2"}
        assert in_script("def (:", "launch.py") == {}

    def test_a_script_inherits_what_the_readme_passes(self) -> None:
        found = values(
            submission(
                readme="# T\n```\nSEED=3 MODE_ON=1 bash run.sh\n```\n",
                scripts={"run.sh": 'SEED="${SEED:-1}"\nSEED="$SEED" torchrun train_gpt.py\n'},
            )
        )
        assert found == {"seed": "3", "mode_on": "1"}

    def test_endless_doubling_stays_small(self) -> None:
        doubling = "export A=ab\n" + "A=$A$A\n" * 60 + "torchrun train_gpt.py\n"
        assert in_script(doubling) == {}

    def test_scripts_that_call_each_other_end(self) -> None:
        calls = {"a.sh": "A_B=1 bash b.sh", "b.sh": "bash a.sh"}
        assert values(submission(scripts=calls)) == {}


class TestLogs:
    @pytest.mark.parametrize(
        ("line", "key", "value"),
        [
            ("ngram_enabled:0", "ngram_enabled", "0"),
            ("  slot_enabled: False", "slot_enabled", "False"),
            ("  ve_layers: 9,10", "ve_layers", "9,10"),
            ("  compressor: brotli", "compressor", "brotli"),
            ("batch_tokens:512 seq_len:1024 compile:True", "seq_len", "1024"),
            ("{'ttt_enabled': True, 'lr': 0.1}", "ttt_enabled", "True"),
            ('{"ttt_enabled": true, "lr": 0.1}', "ttt_enabled", "true"),
            ("Namespace(ttt_enabled=True, lr=0.1, mode='x')", "mode", "x"),
            ("condition:CACHE_ORDER=0", "cache_order", "0"),
            ("ttt:start chunks=10 lr=0.002 ttt_epochs=3", "ttt_lr", "0.002"),
            ("ttt:start chunks=10 lr=0.002 ttt_epochs=3", "ttt_epochs", "3"),
            ("[rank0]: cache_on=1", "cache_on", "1"),
            ("2026-01-01 10:00:00,123 - INFO - cache_on=1", "cache_on", "1"),
            ("+ CACHE_ON=1 torchrun train_gpt.py", "cache_on", "1"),
            ("cache_mode:lean profile:full", "profile", "full"),
            ("a_mode=x b_mode=y", "b_mode", "y"),
            ("slot:begin", "slot", "on"),
            ('timings:{"cache_eval_ms": 405.5, "copy_ms": 0.0}', "cache_eval", "on"),
            ("slot: skipped", "slot", "off"),
        ],
    )
    def test_formats(self, line: str, key: str, value: str) -> None:
        assert in_log(line)[key] == value

    @pytest.mark.parametrize(
        "line",
        [
            "step:100/2000 val_loss:1.5 train_time:5ms",
            "final val_bpb:0.4 cache_on:1",
            "Hyperparameters:",
            "warmup_step:1/20",
            "took 12.5s, done",
            "swa:applying",
            "https://example.org/x",
            "| 0  card  On | 00000000:1B:00.0 Off |",
            "x" * 10_000 + " cache_on:1",
        ],
    )
    def test_what_is_no_setting(self, line: str) -> None:
        assert in_log(line) == {}

    def test_a_tag_is_not_a_pair(self) -> None:
        assert in_log("swa:applying count:7") == {"swa_count": "7"}

    def test_a_name_with_several_values_is_a_metric(self) -> None:
        assert in_log("alpha:0.1\nbeta:1\nalpha:0.2\nbeta:True\n") == {"beta": "1"}

    @pytest.mark.parametrize("before", ["", "started\n"])
    def test_printed_source_is_skipped(self, before: str) -> None:
        source = textwrap.dedent(
            '''\
            """Doc: cache_on=1"""
            import os
            from math import log
            CACHE_ON = 1
            def main(cache_on=1):
                slot_enabled: bool = False
                run(cache_on=True, order=3)

            if __name__ == "__main__":
                main()

            ====================
            Hyperparameters:
              cache_on: False
            '''
        )
        assert in_log(before + source) == {"cache_on": "False"}

    def test_source_printed_twice_hides_nothing_between(self) -> None:
        source = (
            "import os\nimport sys\ndef main():\n    a=1\nif __name__ == '__main__':\n    main()\n"
        )
        assert in_log(f"{source}cache_on:0\n{source}ttt_on:1\n") == {"cache_on": "0", "ttt_on": "1"}


class TestAuthority:
    COMMAND = "# T\n`CACHE_ON=1`\n```\nCACHE_ON=2 torchrun train_gpt.py\n```\n"

    def test_each_kind_outranks_the_ones_before(self) -> None:
        metadata = {"cache_on": 9, "config": {"cache_on": 0, "deep": {"x": True}}}
        script = {"run.sh": "CACHE_ON=3 torchrun train_gpt.py"}
        log = {"train.log": "cache_on:4"}
        prose = "# T\n`CACHE_ON=1`\n"
        called = "# T\n```\nCACHE_ON=2 torchrun train_gpt.py\nbash run.sh\n```\n"
        winning = [
            values(submission(metadata=metadata))["cache_on"],
            values(submission(metadata=metadata, readme=prose))["cache_on"],
            values(submission(metadata=metadata, readme=self.COMMAND))["cache_on"],
            values(submission(readme=self.COMMAND, scripts=script))["cache_on"],
            values(submission(readme=called, scripts=script))["cache_on"],
            values(submission(readme=called, scripts=script, logs=log))["cache_on"],
        ]
        assert winning == ["0", "1", "2", "2", "3", "4"]

    def test_logs_that_disagree_yield_to_the_command(self) -> None:
        logs = {"old.txt": "cache_on:0", "train_seed1.log": "cache_on:1"}
        logs["train_seed2.log"] = "cache_on:0"
        assert values(submission(readme=self.COMMAND, logs=logs))["cache_on"] == "2"
        assert values(submission(logs=logs))["cache_on"] == "0"

    def test_side_runs_speak_only_where_nothing_else_does(self) -> None:
        side = {"ablation_cache.log": "cache_on:0"}
        assert values(submission(logs=side))["cache_on"] == "0"
        assert values(submission(logs={**side, "train.log": "other_on:1"})) == {"other_on": "1"}
        assert values(submission(readme=self.COMMAND, logs=side))["cache_on"] == "2"


class TestSettings:
    def look(self, log: str, name: str, default: str | None) -> str | None:
        return Settings.of(submission(logs={"train.log": log})).lookup(name, default)[0]

    def test_default_without_a_claim(self) -> None:
        assert Settings({}).lookup("CACHE_ON", "0") == ("0", None)
        assert Settings({}).lookup("CACHE_ON", None) == (None, None)

    def test_the_world_has_eight_processes_and_ranks_differ(self) -> None:
        settings = Settings.of(submission(logs={"train.log": "world_size:1\nrank:0\n"}))
        assert settings.lookup("WORLD_SIZE", "1") == ("8", None)
        assert settings.lookup("RANK", "0") == (None, None)
        assert settings.lookup("LOCAL_RANK", "0") == (None, None)

    @pytest.mark.parametrize(
        ("log", "default", "value"),
        [
            ("cache_enabled:False", "1", "0"),
            ("cache_enabled:True", None, "1"),
            ("cache_enabled:True", "false", "true"),
            ("cache_enabled:False", "True", "False"),
            ("cache_enabled:4.0", "2", "4"),
            ("cache_enabled:4.0", "2.0", "4.0"),
            ("cache:True", "0", "1"),
            ("cache:start n=1", "0", "1"),
            ("cache:disabled", "1", "0"),
            ("cache:start n=1", "7", "7"),
            ("cache:on\ncache_enabled:0", "1", "0"),
        ],
    )
    def test_logged_values_in_the_spelling_that_code_parses(
        self, log: str, default: str | None, value: str
    ) -> None:
        assert self.look(log, "CACHE_ENABLED", default) == value

    def test_an_event_is_no_number(self) -> None:
        assert self.look("cache_order:start n=1", "CACHE_ORDER", "5") == "5"
        assert self.look("cache_order:start n=1", "CACHE_ORDER", "0") == "1"

    def test_arguments_by_either_spelling(self) -> None:
        given = submission(readme="# T\n```\npython train_gpt.py --ttt-epochs 3 --a_b=4\n```\n")
        settings = Settings.of(given)
        assert settings.lookup_argument("--ttt-epochs", "1")[0] == "3"
        assert settings.lookup_argument("ttt_epochs", "1")[0] == "3"
        assert settings.lookup_argument("--a-b", "1")[0] == "4"
        assert settings.lookup_argument("--other", "1") == ("1", None)

    def test_claims_given_with_the_submission_are_used(self) -> None:
        (claim,) = claims(submission(logs={"train.log": "cache_on:1"}))
        given = Submission(FOLDER, SourceFile("t.py", ""), claims=(claim,))
        assert Settings.of(given).lookup("CACHE_ON", "0") == ("1", claim)


@given(text=st.text(max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    """Whatever stands in the files, reading them ends without an exception."""
    fenced = f"# T\n```bash\n{text}\ntorchrun train_gpt.py\n```\n{text}"
    for claim in claims(submission(readme=fenced, logs={"l.log": text}, scripts={"r.sh": text})):
        assert claim.line >= 1
