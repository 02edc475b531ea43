from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import auditor.audit
import auditor.submission.load
from auditor import __version__, cli, rulesets, waivers
from auditor.report.formats import FORMATS
from auditor.report.model import Check, Level, Outcome
from auditor.submission.model import Party, Problem

ROOT = Path(__file__).parents[1]


@pytest.fixture
def inputs(monkeypatch, submission, report):
    """Replaces loading and auditing: each path names what it leads to."""

    def problem(party):
        return Problem("it went wrong", "here", party, "do this")

    def checked(outcome, reason=""):
        return replace(report, findings=(), checks=(Check("slot", outcome, reason),))

    def at(level):
        return replace(report, findings=(replace(report.findings[0], level=level),))

    known = {
        **{level.value: at(level) for level in Level},
        "nothing": checked(Outcome.RAN),
        "inconclusive": checked(Outcome.NOT_CHECKED, "can't be parsed"),
        "rule-fault": checked(Outcome.NOT_CHECKED, "tool fault: KeyError"),
        "no-submission": problem(Party.SUBMISSION),
        "unreadable": problem(Party.ENVIRONMENT),
    }

    def load(paths, *, repo=None, prs=(), rev=None, base=None):
        for path in (*paths, *map(str, prs)):
            if path == "crash":
                raise ZeroDivisionError("boom")
            known_item = known.get(path, known["nothing"])
            if isinstance(known_item, Problem):
                yield known_item
            else:
                yield replace(submission, path=path)

    monkeypatch.setattr(auditor.submission.load, "load", load)
    monkeypatch.setattr(
        auditor.audit,
        "audit",
        lambda item, ruleset, **_: known.get(item.path, known["nothing"]),
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nothing"], 0),
        (["note"], 0),
        (["question"], 0),
        (["suspect"], 0),
        (["violation"], 1),
        (["inconclusive"], 4),
        (["unreadable"], 3),
        (["no-submission"], 3),
        (["rule-fault"], 2),
        (["crash"], 2),
        (["--fail-on", "suspect", "suspect"], 1),
        (["--fail-on", "suspect", "question"], 0),
        (["--fail-on", "note", "note"], 1),
        (["--fail-on", "never", "violation"], 0),
        (["--fail-on", "never", "inconclusive"], 4),
        (["nothing", "no-submission"], 3),
        (["no-submission", "inconclusive"], 4),
        (["inconclusive", "rule-fault"], 2),
        (["crash", "violation", "no-submission"], 1),
        (["--repo", "clone", "--pr", "7", "--pr", "8"], 0),
    ],
)
def test_exit_codes(inputs, capsys, arguments, code):
    assert cli.main(["audit", *arguments]) == code
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--pr", "7"],
        ["audit", "--repo", "clone"],
        ["audit", "--format", "xml"],
        ["audit", "--fail-on", "sometimes"],
        ["audit", "--output", "no/such/folder/report.txt"],
        ["audit", "--ruleset", "1999-01"],
        ["audit", "--waivers", "no/such/file.toml"],
        ["explain", "no-such-rule"],
        ["explain", "slot", "--ruleset", "no/such/file.toml"],
        ["rules", "--format", "xml"],
        ["rule", "slot"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_2_and_explained(inputs, capsys, arguments):
    assert cli.main(arguments) == 2
    assert "Error: " in capsys.readouterr().err


def test_a_title_is_handed_on_and_needs_one_input(inputs, monkeypatch, capsys, report):
    titles = []

    def audit(item, ruleset, **_):
        titles.append(item.pull.title)
        return report

    monkeypatch.setattr(auditor.audit, "audit", audit)
    cli.main(["audit", "here", "--title", "Record: val_bpb 1.1194"])
    assert titles == ["Record: val_bpb 1.1194"]
    assert cli.main(["audit", "here", "there", "--title", "Record"]) == 2


def test_the_current_folder_is_the_default(inputs, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        auditor.submission.load, "load", lambda paths, **options: seen.extend(paths) or iter(())
    )
    assert cli.main(["audit"]) == 3
    assert seen == ["."]


def test_each_report_names_its_input(inputs, capsys):
    cli.main(["audit", "suspect", "--repo", "clone", "--pr", "7"])
    headings = [
        line.split(":")[0] for line in capsys.readouterr().out.splitlines() if " at " in line
    ]
    assert headings == ["suspect", "#7"]


def test_a_crash_on_one_input_leaves_the_others(inputs, capsys):
    cli.main(["audit", "crash", "violation"])
    out = capsys.readouterr().out
    assert "not audited: crash" in out and "ZeroDivisionError: boom" in out
    assert "tool: " in out and "please report it" in out
    assert "violation[target-in-key]" in out


def test_json_goes_where_it_is_sent(inputs, tmp_path, capsys):
    target = tmp_path / "report.json"
    arguments = ["audit", "violation", "no-submission", "--format", "json"]
    assert cli.main([*arguments, "--output", str(target)]) == 1
    assert capsys.readouterr().out == ""
    document = json.loads(target.read_text())
    assert [s["verdict"] for s in document["submissions"]] == ["violation"]
    assert document["problems"][0]["what"] == "it went wrong"
    cli.main(arguments)
    assert json.loads(capsys.readouterr().out) == document


def test_html_goes_into_a_file_or_page_by_page_into_a_folder(inputs, tmp_path, capsys):
    arguments = ["audit", "violation", "note", "no-submission", "--format", "html", "--output"]
    assert cli.main([*arguments, str(tmp_path / "all.html")]) == 1
    assert (tmp_path / "all.html").read_text().count("<h1") == 2
    assert cli.main([*arguments, str(tmp_path / "pages") + os.sep]) == 1
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert names == ["2026-03-26_Cache-2.html", "2026-03-26_Cache.html", "index.html"]
    assert "it went wrong" in (tmp_path / "pages" / "index.html").read_text()
    assert capsys.readouterr().out == ""


def test_a_folder_is_no_place_for_json(inputs, tmp_path, capsys):
    assert cli.main(["audit", "note", "--format", "json", "--output", str(tmp_path)]) == 2
    assert "can't write to" in capsys.readouterr().err


def test_packages_that_a_format_lacks_are_named_before_anything_is_written(
    inputs, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    target = tmp_path / "report.html"
    assert cli.main(["audit", "note", "--format", "html", "--output", str(target)]) == 2
    message = "Error: --format html needs jinja2 and matplotlib: pip install 'pgcheck[html]'"
    assert message in capsys.readouterr().err.splitlines()
    assert not target.exists()


def test_settings_are_shown_on_request(inputs, capsys):
    cli.main(["audit", "violation"])
    assert "TTT_ENABLED" not in capsys.readouterr().out
    cli.main(["audit", "violation", "--show-settings"])
    assert "TTT_ENABLED" in capsys.readouterr().out


def test_an_unexpected_error_is_ours_and_one_line(inputs, monkeypatch, capsys):
    def broken(item, ruleset, **_):
        raise LookupError("\x1b[31mred")

    monkeypatch.setattr(auditor.audit, "audit", broken)
    assert cli.main(["audit", "nothing"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pgcheck's fault" in err and "\x1b" not in err
    with pytest.raises(LookupError):
        cli.main(["--debug", "audit", "nothing"])


def test_an_interrupt_is_no_verdict(inputs, monkeypatch, capsys):
    def interrupted(item, ruleset, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(auditor.audit, "audit", interrupted)
    assert cli.main(["audit", "nothing"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_lists_the_commands(capsys):
    assert cli.main(["--help"]) == 0
    commands = capsys.readouterr().out.partition("Commands:")[2].split()
    assert {"audit", "bench", "explain", "rules"} <= set(commands)


def test_explain_prints_the_page_as_markdown(capsys):
    assert cli.main(["explain", "slot"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# slot (C1)\n")
    assert "DISPUTED" in page and "/issues/1336" in page
    assert cli.main(["explain", "target-in-kye"]) == 2
    assert "Did you mean target-in-key?" in capsys.readouterr().err


def test_explain_renders_the_page_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["explain", "slot"]) == 0
    page = capsys.readouterr().out
    assert "slot (C1)" in page and "# slot" not in page and "```" not in page


def test_rules_lists_the_rules_of_a_ruleset(capsys):
    assert cli.main(["rules"]) == 0
    may = capsys.readouterr().out
    assert "target-gated-expert" in may and len(may.splitlines()) == len(rulesets.load().rules)
    assert cli.main(["rules", "--ruleset", "2026-03"]) == 0
    assert "target-gated-expert" not in capsys.readouterr().out


def test_rules_are_there_for_programs(capsys):
    assert cli.main(["rules", "--format", "json", "--ruleset", "2026-03"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["ruleset"]) == (1, "2026-03")
    assert document["limits"]["artifact_bytes"] == 16_000_000
    rules = {each["rule"]: each for each in document["rules"]}
    assert rules["prequant-ttt"]["strongest"] == "question"
    assert rules["prequant-ttt"]["checked"] and rules["prequant-ttt"]["clears"]
    assert rules["two-pass"]["page"].startswith("# two-pass (C4)\n")
    assert rules["import-failure"]["ids"] == ["E3"] and rules["import-failure"]["sources"]
    assert all(each["checked"] != bool(each["unchecked_because"]) for each in rules.values())


def test_an_audit_is_by_the_ruleset_asked_for(inputs, capsys, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('about = "mine"\nextends = "2026-03"\n')
    for name in ("2026-03", str(mine)):
        cli.main(["audit", "nothing", "--format", "json", "--ruleset", name])
        assert json.loads(capsys.readouterr().out)["ruleset"] == os.path.basename(name)
    assert cli.main(["audit", str(tmp_path), "--ruleset", str(mine)]) == 2
    assert "lies inside the audited folder" in capsys.readouterr().err


WAIVER = """[[waiver]]
submission = "violation"
rule = "{rule}"
path = "records/track_10min_16mb/2026-03-26_Cache/train_gpt.py"
reason = "accepted by the maintainers"
by = "a reviewer"
date = 2026-05-02
"""


def test_waived_findings_are_shown_and_do_not_fail(inputs, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("waivers.toml").write_text(
        WAIVER.format(rule="target-in-key") + WAIVER.format(rule="slot")
    )
    arguments = ["audit", "violation", "--waivers", "waivers.toml"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "violation[target-in-key]" in out
    assert "waived: accepted by the maintainers (a reviewer, 2026-05-02; " in out
    assert "findings: 1 violation, 1 of them waived" in out
    assert "verdict: no findings; waived target-in-key (N1)" in out
    assert "unused waivers:\n    waivers.toml:8: slot: matches no finding\n" in out
    assert cli.main([*arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (finding,) = document["submissions"][0]["findings"]
    assert finding["waived"]["by"] == "a reviewer" and finding["level"] == "violation"
    assert [each["rule"] for each in document["idle_waivers"]] == ["slot"]


def test_a_wrong_waiver_file_is_one_clear_line(inputs, capsys, tmp_path):
    path = tmp_path / "waivers.toml"
    path.write_text(WAIVER.format(rule="slot").replace("accepted by the maintainers", ""))
    assert cli.main(["audit", "violation", "--waivers", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == f"Error: {path}:5: 'reason' must not be blank"
    assert cli.main(["audit", str(tmp_path), "--waivers", str(path)]) == 2
    assert "lies inside the audited folder" in capsys.readouterr().err.splitlines()[-1]


def python(code, *arguments, **streams):
    """Runs a fresh interpreter that finds the package."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        **(streams or {"capture_output": True}),
    )


PGCHECK = "import sys; from auditor.cli import main; sys.exit(main())"


def test_version():
    assert python(PGCHECK, "--version").stdout == f"pgcheck, version {__version__}\n"


def test_a_closed_pipe_is_silent():
    reader, writer = os.pipe()
    os.close(reader)
    done = python(PGCHECK, "rules", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_the_environments_fault():
    with open("/dev/full", "w") as full:
        done = python(PGCHECK, "rules", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("pgcheck: stopped by the environment: ")
    assert done.stderr.count("\n") == 1


def test_an_audit_imports_nothing_heavy(tmp_path):
    script = tmp_path / "train_gpt.py"
    script.write_text("print('val_bpb', 1.2)\n")
    code = (
        "import sys; from auditor.cli import main; main(['audit', sys.argv[1]]); "
        "heavy = {'torch', 'numpy', 'pygments', 'jinja2', 'matplotlib', 'auditor.bench'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = python(code, str(script))
    assert done.returncode == 0, done.stderr


FIXTURE = "fixtures/submissions/violating/hashed_ngram_xor"


PACKED = "fixtures/submissions/violating/ngram_lzma_payload"


def test_reports_for_programs_name_files_on_disk(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.main(["audit", PACKED, "--format", "github"]) == 1
    assert f"::error file={PACKED}/train_gpt.py,line=4," in capsys.readouterr().out
    assert cli.main(["audit", PACKED, "--format", "sarif"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == f"{PACKED}/train_gpt.py"
    assert location["region"]["startLine"] == 4


def test_a_baseline_with_reasons_passes(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "waivers.toml"
    arguments = ["audit", FIXTURE, PACKED]
    assert cli.main([*arguments, "--format", "waivers", "--output", str(path)]) == 1
    waived = [*arguments, "--waivers", str(path)]
    assert cli.main(waived) == 2
    text = path.read_text().replace('reason = ""', 'reason = "a fixture"')
    path.write_text(text.replace('by = ""', 'by = "the tests"'))
    assert cli.main(waived) == 0
    assert "unused" not in capsys.readouterr().out


IGNORED = "# noqa  # pgcheck: ignore[target-in-key]  # type: ignore  # nosec"


def test_comments_in_audited_code_waive_nothing(capsys, tmp_path):
    code = (ROOT / FIXTURE / "train_gpt.py").read_text().splitlines()
    (tmp_path / "train_gpt.py").write_text(
        "\n".join(f"{line}  {IGNORED}" if line else "" for line in code)
    )
    (tmp_path / "waivers.toml").write_text(WAIVER.format(rule="target-in-key"))
    assert cli.main(["audit", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "violation[target-in-key]" in out and "waived" not in out
    assert "contested: a comment in the code asks to ignore this" in " ".join(out.split())


@pytest.mark.parametrize(
    ("name", "options"), [("sample", []), ("comment", ["--format", "markdown"])]
)
def test_the_readme_shows_real_output(capsys, monkeypatch, name, options):
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f".venv/bin/pgcheck audit {FIXTURE}\n" in readme
    sample = readme.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    assert cli.main(["audit", FIXTURE, *options]) == 1
    printed = capsys.readouterr().out
    pieces = textwrap.dedent(sample.strip("\n")).split("[...]")
    assert len(pieces) > 1
    for piece in pieces:
        assert piece.strip("\n") in printed, (
            f"the sample in README.md is not what is printed:\n{printed}"
        )


def test_the_readme_lists_every_option_and_format():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    options = {name for each in cli.audit_command.params for name in each.opts if "-" in name}
    for name in (*options, *FORMATS):
        assert f"`{name}" in readme, name


def test_the_files_that_the_readme_shows_are_right(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    waiver, ruleset = ("    [[waiver]]", '    about = "our fork"')
    for number, (first, read) in enumerate(((waiver, load_waivers), (ruleset, rulesets.read))):
        block = readme[readme.index(first) :]
        end = next(i for i, line in enumerate(block) if line and not line.startswith("    "))
        path = tmp_path / f"{number}.toml"
        path.write_text(textwrap.dedent("\n".join(block[:end])))
        read(str(path))


def load_waivers(path):
    return waivers.load(path, (), date(2026, 5, 2))


def test_ci_runs_what_the_readme_says():
    command = "sh tests/run.sh"
    assert f"\n    {command}\n" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == command
