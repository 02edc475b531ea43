"""The pgcheck command: arguments and exit codes only. Heavy imports wait until they are needed."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple

import click

from auditor import __version__
from auditor.report.escape import visible
from auditor.report.formats import FORMATS, TEXT, MissingPackages
from auditor.report.model import Level, Report, SubmissionReport
from auditor.submission.model import Party, Problem

if TYPE_CHECKING:
    from auditor.evidence.against import Against
    from auditor.report.output import Output
    from auditor.rulesets import Ruleset
    from auditor.submission.model import Submission
    from auditor.waivers import Waivers

NOTHING_FOUND, FINDINGS, INTERNAL, NO_SUBMISSION, INCONCLUSIVE = range(5)
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + signal, as shells report them

RULESET_HELP = "A dated ruleset, such as 2026-03, or a TOML file that may extend one."

LAZY = {"bench": "auditor.bench.cli"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; a traceback is shown with ``--debug`` only."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with pgcheck.make_context("pgcheck", list(arguments)) as context:
            code = pgcheck.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return INTERNAL
    except (KeyboardInterrupt, click.Abort):
        click.echo("pgcheck: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except OSError as error:
        _abandon_stdout()
        click.echo(f"pgcheck: stopped by the environment: {visible(str(error), 300)}", err=True)
        return INTERNAL
    except Exception as error:
        if "--debug" in arguments:
            raise
        click.echo(f"pgcheck: internal error: {_describe(error)}", err=True)
        return INTERNAL
    return code if isinstance(code, int) else 0


def exit_code(report: Report, fail_on: Level | None) -> int:
    """One code for all inputs: the first that applies of findings, internal error, inconclusive,
    no submission; 0 if none does. ``fail_on`` is the weakest level that counts as a finding;
    what is waived doesn't count."""
    from auditor.audit import is_tool_fault

    levels = {finding.level for each in report.submissions for finding in each.counted}
    if fail_on is not None and any(level.rank <= fail_on.rank for level in levels):
        return FINDINGS
    if any(is_tool_fault(check) for each in report.submissions for check in each.checks):
        return INTERNAL
    if any(is_tool_fault(problem) for problem in report.problems):
        return INTERNAL
    if any(each.verdict == "inconclusive" for each in report.submissions):
        return INCONCLUSIVE
    return NO_SUBMISSION if report.problems or not report.submissions else NOTHING_FOUND


class _Commands(click.Group):
    """A group that imports the modules of some commands only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LAZY])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(LAZY[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pgcheck")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
def pgcheck(debug: bool) -> None:
    """Audits Parameter Golf submissions: what breaks the rules, where, and who ruled it.

    Submissions are read and never run.
    """
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG)


@pgcheck.command("audit")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--repo", metavar="CLONE", type=click.Path(), help="Read from this clone's objects.")
@click.option(
    "--pr",
    "prs",
    metavar="N",
    type=click.IntRange(min=1),
    multiple=True,
    help="A pull request: refs/pull/N/head in the clone. May be repeated.",
)
@click.option("--rev", metavar="REV", help="A revision in the clone, instead of --pr's head.")
@click.option(
    "--base", metavar="REV", help="What a pull request is compared with to find its records."
)
@click.option(
    "--against",
    metavar="SCORE|PATH",
    multiple=True,
    help="The record to beat, for the margin: its bits per byte, its record folder, or logs of its runs. "
    "May be repeated.",
)
@click.option("--title", metavar="TEXT", help="The pull request's title; a clone doesn't hold it.")
@click.option(
    "--format", "format_", type=click.Choice([TEXT, *FORMATS]), default=TEXT, show_default=True
)
@click.option(
    "--output",
    metavar="FILE|DIR/",
    type=click.Path(),
    help="Write here, not to stdout; html into a folder writes a page each and an index.",
)
@click.option(
    "--fail-on",
    type=click.Choice([*(level.value for level in Level), "never"]),
    default="violation",
    show_default=True,
    help="The weakest finding that gives exit code 1.",
)
@click.option("--ruleset", metavar="NAME|FILE", help=RULESET_HELP)
@click.option(
    "--waivers",
    metavar="FILE",
    type=click.Path(),
    help="Decisions, in TOML and outside the submission, on findings that do not count.",
)
@click.option(
    "--show-settings", is_flag=True, help="List every setting and where its value comes from."
)
def audit_command(
    paths: tuple[str, ...],
    repo: str | None,
    prs: tuple[int, ...],
    rev: str | None,
    base: str | None,
    against: tuple[str, ...],
    title: str | None,
    format_: str,
    output: str | None,
    fail_on: str,
    ruleset: str | None,
    waivers: str | None,
    show_settings: bool,
) -> int:
    """Audit submissions.

    PATH is a checkout of a pull request, a record folder or a script (default: the current folder).

    Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage or internal error, 3 no
    submission found, 4 inconclusive. With several inputs the first of 1, 2, 4, 3 that applies.
    """
    if repo is None and (prs or rev):
        raise click.UsageError("--pr and --rev need --repo CLONE, the clone to read them from.")
    if repo is not None and not (prs or rev):
        raise click.UsageError("--repo needs --pr N or --rev REV, what to read from the clone.")
    if repo is None and not paths:
        paths = (".",)
    if title is not None and len(paths) + len(prs) > 1:
        raise click.UsageError("--title speaks of one pull request: give one input with it.")
    rules = _ruleset(ruleset, paths)
    decided = _waivers(waivers, paths)
    to_beat = _against(against, rules)
    with _output(output, format_, rules, show_settings) as shown:
        evidence = format_ != TEXT and FORMATS[format_].evidence
        items = _load(paths, repo, prs, rev, base, title)
        report = _audit_all(items, rules, decided, shown, evidence, to_beat)
    return exit_code(report, None if fail_on == "never" else Level(fail_on))


@pgcheck.command("rules")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
@click.option("--ruleset", metavar="NAME|FILE", help=RULESET_HELP)
def rules_command(format_: str, ruleset: str | None) -> None:
    """List the rules and whether this version checks them."""
    from auditor.report import rulebook
    from auditor.rules.registry import RULES

    write = rulebook.as_json if format_ == "json" else rulebook.as_text
    click.echo(write(_ruleset(ruleset), RULES), nl=False)


@pgcheck.command("explain")
@click.argument("rule")
@click.option("--ruleset", metavar="NAME|FILE", help=RULESET_HELP)
def explain_command(rule: str, ruleset: str | None) -> None:
    """Print a rule's page: what it asks and why, examples, limits, status and sources."""
    from auditor.report.page import pages
    from auditor.rules.registry import RULES

    found = pages(_ruleset(ruleset), RULES)
    if rule not in found:
        import difflib

        near = difflib.get_close_matches(rule, found, n=1)
        hint = f"Did you mean {near[0]}?" if near else "`pgcheck rules` lists them."
        raise click.UsageError(f"there is no rule {rule!r}. {hint}")
    if not sys.stdout.isatty():
        click.echo(found[rule], nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(found[rule]))


def _ruleset(name: str | None, audited: Sequence[str] = ()) -> Ruleset:
    """The shipped ruleset of that name, or the one in that file."""
    from auditor import rulesets
    from auditor.toml import TomlError

    if name is None or name in rulesets.shipped():
        return rulesets.load(name or rulesets.DEFAULT)
    from auditor.waivers import refuse_inside

    try:
        refuse_inside(name, audited)
        return rulesets.read(name)
    except TomlError as error:
        raise click.UsageError(str(error)) from error


def _waivers(path: str | None, audited: Sequence[str]) -> Waivers | None:
    if path is None:
        return None
    from datetime import date

    from auditor import waivers
    from auditor.toml import TomlError

    try:
        return waivers.load(path, audited, date.today())
    except TomlError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _output(
    path: str | None, format_: str, ruleset: Ruleset, show_settings: bool
) -> Iterator[Output]:
    """Where the reports go: stdout, a file, or a folder of pages."""
    if format_ == TEXT:
        from auditor.report.text import TextRenderer

        with _stream(path) as stream:
            yield TextRenderer(stream, ruleset, show_settings=show_settings)
        return
    from auditor.report.output import Folder, Whole

    form = FORMATS[format_]
    try:
        form.renderer()
    except MissingPackages as missing:
        raise click.UsageError(str(missing)) from missing
    if form.pages and path is not None and (path.endswith(os.sep) or os.path.isdir(path)):
        with _writing(path):
            yield Folder(path, form, ruleset)
        return
    with _stream(path) as stream:
        yield Whole(stream, form, ruleset)


def _audit_all(
    items: Iterator[tuple[Given, Submission | Problem]],
    ruleset: Ruleset,
    waivers: Waivers | None,
    output: Output,
    evidence: bool,
    against: Against | None,
) -> Report:
    """Audits one after another and shows each as soon as it is done; keeps no source texts."""
    gc.disable()  # a graph lives as long as its audit; looking for garbage would cost a fifth
    atexit.register(gc.freeze)  # nor is it worth a look when the process ends: a tenth
    from auditor.audit import audit

    reports: list[SubmissionReport] = []
    problems: list[Problem] = []
    for given, item in items:
        if reports:
            gc.collect()
        if isinstance(item, Problem):
            problems.append(item)
            output.problem(item)
        else:
            report = audit(item, ruleset, evidence=evidence, against=against)
            report = replace(report, given=given.name, root=given.root)
            report = waivers.apply(report) if waivers else report
            reports.append(replace(report, sources={}))
            output.submission(report)
    idle = waivers.idle() if waivers else ()
    whole = Report(tuple(reports), tuple(problems), idle_waivers=idle)
    output.closing(whole)
    return whole


def _against(given: tuple[str, ...], ruleset: Ruleset) -> Against | None:
    """The record to beat, if one is named."""
    if not given:
        return None
    from auditor.evidence import against

    try:
        return against.read(given, ruleset.limits)
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--against") from error


class Given(NamedTuple):
    """An input as the user named it, and the folder that its paths start from."""

    name: str
    root: str = ""  # "" for what is read from a clone


def _load(
    paths: Sequence[str],
    repo: str | None,
    prs: Sequence[int],
    rev: str | None,
    base: str | None,
    title: str | None = None,
) -> Iterator[tuple[Given, Submission | Problem]]:
    """What each input leads to. One by one, so that a defect of ours costs one input only."""
    from auditor.audit import fault
    from auditor.submission.load import load

    calls: list[tuple[Given, Callable[[], Iterable[Submission | Problem]]]] = [
        (
            Given(path, path if os.path.isdir(path) else os.path.dirname(path)),
            partial(load, [path], base=base),
        )
        for path in paths
    ]
    from_clone = partial(load, [], repo=repo, rev=rev, base=base)
    calls.extend((Given(f"#{number}"), partial(from_clone, prs=[number])) for number in prs)
    if rev is not None and not prs:
        calls.append((Given(rev), from_clone))
    for given, call in calls:
        try:
            for item in call():
                yield given, item if title is None else _titled(item, title)
        except Exception as error:
            remedy = "the other inputs are audited"
            yield given, Problem(fault(error), given.name, Party.TOOL, remedy)


def _titled(item: Submission | Problem, title: str) -> Submission | Problem:
    from auditor.submission.model import Pull

    if isinstance(item, Problem):
        return item
    return replace(item, pull=replace(item.pull or Pull(), title=title))


@contextmanager
def _stream(path: str | None) -> Iterator[IO[str]]:
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        yield sys.stdout
        return
    with _writing(path), open(path, "w", encoding="utf-8") as stream:
        yield stream


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"can't write to {path}: {error.strerror}.") from error


def _abandon_stdout() -> None:
    """What is still buffered is not written again when the interpreter shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _describe(error: Exception) -> str:
    detail = visible(f"{type(error).__name__}: {error}", 300)
    return (
        f"{detail}. This is pgcheck's fault, not the submission's: please report it "
        "(`pgcheck --debug ...` shows the traceback)."
    )
