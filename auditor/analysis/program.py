"""The Program: a submission, traced on its live path."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from auditor.analysis.claimed import Claimed
from auditor.analysis.flow import Flow
from auditor.analysis.gold import Gold
from auditor.analysis.graph import walk
from auditor.analysis.host import Refuted, SubmissionHost
from auditor.analysis.kernels import Kernels
from auditor.analysis.learning import Learning
from auditor.analysis.scores import Scores
from auditor.analysis.stack import with_deep_stack
from auditor.analysis.tables import Tables
from auditor.analysis.tokens import Tokens
from auditor.analysis.trace.tracer import AnalysisLimit, Tracer
from auditor.analysis.training import Training
from auditor.analysis.unlogged import Print, Unlogged
from auditor.report.model import SettingInForce
from auditor.submission.model import Claim, Problem, SourceFile, Submission

__all__ = ["AnalysisLimit", "Program"]

NOT_READ = "not checked: "  # how the problems of sources and payloads begin


@dataclass(eq=False)
class Program:
    """The traced submission: graph, stores, events, and what could not be read."""

    submission: Submission
    tracer: Tracer
    problems: tuple[Problem, ...]
    settings: tuple[SettingInForce, ...]
    executed: frozenset[str]  # paths of the sources that the trace ran through
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def build(cls, submission: Submission) -> Program:
        """Trace the submission from its entry script; raises AnalysisLimit when it's too large."""
        return with_deep_stack(lambda: _trace(submission))

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.tracer)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.flow)

    @cached_property
    def scores(self) -> Scores:
        return Scores(self.flow, self.tokens)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.flow, self.tokens, self.scores, Claimed(self.submission))

    @cached_property
    def training(self) -> Training:
        return Training(self.flow, self.tokens, self.learning)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.flow, self.tokens)

    @cached_property
    def kernels(self) -> Kernels:
        return Kernels(self.submission, self.flow)

    @cached_property
    def gold(self) -> Gold:
        return Gold(self.flow, self.tokens, self.scores, self.tables)

    @cached_property
    def blind(self) -> str | None:
        """Why silence about this program says nothing, if it doesn't."""
        if self.learning.scorings:
            return None
        entry = self.submission.entry.path
        for problem in (*self.problems, *self.submission.problems):
            if problem.what.startswith(NOT_READ) and problem.where.partition(":")[0] == entry:
                return problem.what.removeprefix(NOT_READ)
        return "no score of validation tokens was found in the code that runs"

    @cached_property
    def sources(self) -> dict[str, SourceFile]:
        return self.submission.by_path()

    def unlogged(self, path: str, line: int) -> Print | None:
        """What the logs would hold if the settings had switched this line on, and do not."""
        cache = self.facts.setdefault("unlogged", {})
        if path not in cache:
            source = self.sources.get(path)
            logs = self.submission.logs
            taken = _switched_on(self.tracer, path, {c.key for c in self._logged_claims})
            cache[path] = Unlogged(source, logs, taken) if source is not None else None
        known: Unlogged | None = cache[path]
        return known.at(line) if known is not None else None

    @property
    def _logged_claims(self) -> list[Claim]:
        return [claim for claim in self.submission.claims if claim.kind == "log"]

    def text(self, path: str, line: int) -> str:
        """The source line, without its indentation."""
        lines = self._lines(path)
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def _lines(self, path: str) -> list[str]:
        cache = self.facts.setdefault("lines", {})
        if path not in cache:
            source = self.sources.get(path)
            cache[path] = source.text.splitlines() if source else []
        lines: list[str] = cache[path]
        return lines


def _trace(submission: Submission) -> Program:
    refuted: set[str] = set()
    while True:
        host = SubmissionHost(submission, refuted)
        try:
            return _traced(submission, host)
        except Refuted as claim:
            refuted.add(claim.name)


def _traced(submission: Submission, host: SubmissionHost) -> Program:
    tracer = Tracer(host)
    host.tracer = tracer
    entry = host.module("__main__", submission.entry)
    try:
        tracer.run_module(entry)
        for payload in submission.payloads.get(submission.entry.path, ()):
            if payload.path not in host.executed:  # decoded, but run in a way that was not followed
                tracer.run_module(host.module("__main__", payload))
    except RecursionError:
        raise AnalysisLimit("the code is nested more deeply than what is analysed") from None
    return Program(
        submission,
        tracer,
        tuple(host.problems),
        _with_decisions(host, tracer),
        frozenset(host.executed),
    )


def _switched_on(tracer: Tracer, path: str, logged: set[str]) -> list[list[ast.stmt]]:
    """The blocks of a source that run because of settings of which the logs say nothing."""
    found = []
    for test, truth, at, where in tracer.decisions:
        if where != path or not isinstance(at, ast.If):
            continue
        names = {str(node.data).lower() for node in walk([test]) if node.op == "env"}
        block = at.body if truth else at.orelse
        if names and not names & logged and block:
            found.append(block)
    return found


def _with_decisions(host: SubmissionHost, tracer: Tracer) -> tuple[SettingInForce, ...]:
    """The settings, each with the branches that it switched on or off."""
    decides: dict[str, dict[str, None]] = {}
    for test, truth, at, path in tracer.decisions:
        for name in {node.data for node in walk([test]) if node.op == "env"}:
            branch = f"{path}:{getattr(at, 'lineno', 1)} {'taken' if truth else 'skipped'}"
            decides.setdefault(name, {})[branch] = None
    return tuple(
        replace(setting, decides=tuple(decides.get(setting.name, ())))
        for setting in host.settings.values()
    )
