"""Flows as steps: the stations of a value's way, one per source line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from auditor.analysis.graph import Call, Node
from auditor.analysis.program import Program
from auditor.report.model import Finding, Level, Step

MAX_STEPS = 12


def call_site(node: Node, beside: Node) -> tuple[str, int]:
    """Path and line of the call that leads to ``node`` from the code that ``beside`` also runs in."""
    shared = {id(call) for call in _chain(beside.ctx.call)}
    place = (node.path, node.line)
    for call in _chain(node.ctx.call):
        if id(call) in shared or call.at is None:
            break
        place = (call.path, getattr(call.at, "lineno", node.line))
    return place


def _chain(call: Call | None) -> Iterator[Call]:
    """The call and those around it, innermost first."""
    while call is not None:
        yield call
        call = call.parent


def step(program: Program, node: Node, text: str) -> Step:
    return Step(node.path, node.line, text, node.column)


def flow_steps(program: Program, stations: Iterable[tuple[Node, str]]) -> tuple[Step, ...]:
    """Steps for ``stations`` with repeated lines merged; the middle of a long way is left out."""
    steps: list[Step] = []
    for station, text in stations:
        node = program.scores.outputs.get(station.uid, station) if "report" in text else station
        if steps and steps[-1].path == node.path and steps[-1].line == node.line:
            if text != steps[-1].text and text.startswith(("the count", "reaches")):
                steps[-1] = Step(node.path, node.line, text, node.column)
            continue
        if any(s.path == node.path and s.line == node.line and s.text == text for s in steps):
            continue
        steps.append(step(program, node, text))
    if len(steps) > MAX_STEPS:
        half = MAX_STEPS // 2
        steps = [*steps[:half], *steps[-half:]]
    return tuple(steps)


def of_claimed(program: Program, finding: Finding, way: Sequence[Node]) -> Finding:
    """The finding; a suspect where its ``way`` leads to another score than the stated ones."""
    unclaimed = all(program.learning.is_unclaimed(node) for node in way[-2:])
    if finding.level is not Level.VIOLATION or not unclaimed:
        return finding
    message = finding.message.replace("breaks: ", "appears to break: ", 1)
    gap = "; but the claimed score is printed without it"
    return replace(finding, level=Level.SUSPECT, message=message + gap)
