"""The evidence as plots: inline SVG that takes its colours and fonts from the page around it.

Importing this imports matplotlib. Every plot has its numbers in words too, for readers that see none.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from statistics import fmean
from typing import Any, TypeGuard

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from auditor.evidence.headline import seed_of
from auditor.evidence.record import Run
from auditor.evidence.runlog import Phase
from auditor.evidence.summary import Evidence, name_of, total_bytes
from auditor.report.escape import visible

RUNS = 12  # that are drawn
WIDTH = 340.0  # of a plot, in its own units: about the width of a phone
ROW = 26.0  # height of one bar's row
EDGE = 10.0
HEAD, FOOT = 22.0, 30.0  # above and below the rows of a panel

# Colours that nothing else has, each replaced by the page's own for light and dark.
INK, MUTED, GRID, GROUND = "#010101", "#010102", "#010103", "#010109"
SERIES = ("#010105", "#010106", "#010107", "#010108")
COLOURS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    GROUND: "--card",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}
STYLES = ("-", "--", "-.", ":")

STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pgcheck",
    "text.parse_math": False,  # labels are text from logs
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.labelsize": 10,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "grid.color": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "hatch.color": GROUND,
    "hatch.linewidth": 0.7,
}


@dataclass(frozen=True)
class Plot:
    """``svg`` is empty where the evidence has nothing to draw; ``words`` then says what is missing."""

    title: str
    words: str  # what is drawn, in a sentence
    svg: str = ""


def plots(evidence: Evidence, prefix: str) -> list[Plot]:
    """All of them, in order. ``prefix`` keeps the ids of several pages' plots apart."""
    with matplotlib.rc_context(STYLE):
        return [
            draw(evidence, f"{prefix}-{name}")
            for name, draw in (
                ("scores", _scores),
                ("running", _running),
                ("time", _time),
                ("bytes", _bytes),
            )
        ]


def _scores(evidence: Evidence, name: str) -> Plot:
    """A point per run, the claimed score as a line through them."""
    title = "BPB per seed against the claim"
    runs = [
        (run, run.headline.val_bpb)
        for run in evidence.runs[:RUNS]
        if run.headline and _finite(run.headline.val_bpb)
    ]
    if not runs:
        return Plot(title, "No log holds a final score, so none is drawn.")
    claim = evidence.claims.score
    seeds = {s.seed: s.value for s in evidence.claims.of("val_bpb") if s.headline}
    figure, axes = _rows(len(runs), head=22 if claim else 6, foot=38)
    values = [value for _, value in runs]
    if claim and _finite(claim.value):
        values.append(claim.value)
        axes.axvline(claim.value, color=MUTED, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"claimed {visible(claim.text, 20)}",
            (claim.value, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(0, 5),
            ha="center",
            color=MUTED,
        )
    told = [
        (at, seeds[seed_of(run.log)])
        for at, (run, _) in enumerate(runs)
        if seeds.get(seed_of(run.log))
    ]
    values.extend(value for _, value in told)
    axes.plot([v for _, v in told], [at for at, _ in told], "D", mfc="none", mec=MUTED, ms=8)
    axes.plot([value for _, value in runs], range(len(runs)), "o", color=SERIES[0], ms=6)
    room = (max(values) - min(values)) or abs(values[0]) * 0.01 or 1.0
    axes.set_xlim(min(values) - room * 0.22, max(values) + room * 0.42)
    for at, (_, value) in enumerate(runs):
        axes.annotate(
            f"{value:.5f}", (value, at), textcoords="offset points", xytext=(9, -3.5), color=INK
        )
    _label_rows(axes, [run for run, _ in runs])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("bits per byte; a diamond is what is claimed of one seed")
    shown = ", ".join(f"{name_of(run)} {value:.8g}" for run, value in runs)
    against = f"; claimed is {claim.text}" if claim else "; no claimed score was found"
    return _plot(figure, name, title, f"The logs show {shown}{against}.")


def _running(evidence: Evidence, name: str) -> Plot:
    """The running score of each run over its evaluation."""
    title = "Running BPB over the evaluation"
    curves = [(run, _curve(run)) for run in evidence.runs[:RUNS]]
    curves = [(run, curve) for run, curve in curves if len(curve) > 1]
    if not curves:
        return Plot(title, "No log follows the score through the evaluation, so none is drawn.")
    figure = _figure(220)
    head = 10 + 14 * math.ceil(len(curves) / 3)
    axes = _axes(figure, 220, left=42, right=24, head=head, foot=40)
    look = zip(cycle(SERIES), cycle(STYLES), strict=False)
    for (run, curve), (colour, style) in zip(curves, look, strict=False):
        done, scores = zip(*curve, strict=True)
        axes.plot(done, scores, style, color=colour, linewidth=1.6, label=_short(run))
    claim = evidence.claims.score
    if claim and _finite(claim.value):
        axes.axhline(claim.value, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2)
        above = fmean(score for _, curve in curves for _, score in curve) > claim.value
        axes.annotate(
            f"claimed {visible(claim.text, 20)}",
            (1, claim.value),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            xytext=(0, -11 if above else 4),
            ha="right",
            color=MUTED,
        )
        axes.margins(y=0.12)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("of the evaluation done")
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handlelength=2.2
    )
    ends = ", ".join(
        f"{name_of(run)} from {curve[0][1]:.4f} to {curve[-1][1]:.4f}" for run, curve in curves
    )
    return _plot(figure, name, title, f"The running score goes: {ends}.")


def _curve(run: Run) -> Curve:
    """Percent done and running score."""
    points = run.log.progress
    return [(100 * p.done, p.val_bpb) for p in points if _finite(p.done) and _finite(p.val_bpb)]


def _time(evidence: Evidence, name: str) -> Plot:
    """Training with calibration, and evaluation: a bar per run, the limit as a line."""
    title = "Time budgets"
    limits = evidence.limits
    panels = [
        ("training and calibration", limits.train_seconds, _train_parts),
        ("evaluation", limits.eval_seconds, _eval_parts),
    ]
    bars = [
        (label, limit, [(run, parts(run)) for run in evidence.runs[:RUNS] if parts(run)])
        for label, limit, parts in panels
    ]
    drawn = [panel for panel in bars if panel[2]]
    if not drawn:
        return Plot(title, "No log tells how long training or evaluation took.")
    heights = [HEAD + ROW * len(rows) + FOOT for _, _, rows in drawn]
    figure = _figure(sum(heights))
    longest = max(
        max(limit, *(sum(p[1] for p in parts) for _, parts in rows)) for _, limit, rows in drawn
    )
    words, top = [], 0.0
    for (label, limit, rows), height in zip(drawn, heights, strict=True):
        below = sum(heights) - top - height
        axes = _axes(figure, sum(heights), head=top + HEAD, foot=below + FOOT)
        top += height
        _bars(axes, rows, limit, longest, lambda seconds: f"{seconds:,.2f} s")
        axes.set_title(f"{label}: the line is {limit:.0f} s", pad=5)
        totals = ", ".join(
            f"{name_of(run)} {sum(p[1] for p in parts):,.1f} s" for run, parts in rows
        )
        words.append(f"{label}: {totals}, of {limit:.0f} s")
    missing = "" if len(drawn) == 2 else " Of the other budget no log tells anything."
    return _plot(figure, name, title, f"{'; '.join(words).capitalize()}.{missing}")


Curve = list[tuple[float, float]]
Parts = list[tuple[str, float]]  # what and how much, in the order they are stacked


def _train_parts(run: Run) -> Parts:
    if run.log.train_seconds is None:
        return []
    calibration = run.log.seconds(Phase.CALIBRATION)
    parts = [("training", run.log.train_seconds.value), ("calibration", calibration)]
    return [part for part in parts if _finite(part[1]) and part[1] > 0]


def _eval_parts(run: Run) -> Parts:
    stages = [s for s in run.log.stages if s.phase is Phase.EVAL and not s.nested]
    return [(s.label, s.seconds) for s in stages if _finite(s.seconds) and s.seconds > 0]


def _bytes(evidence: Evidence, name: str) -> Plot:
    """Code and model per run, and below how far each is from the limit."""
    title = "Byte budget"
    limit = evidence.limits.artifact_bytes
    rows = [(run, _byte_parts(run)) for run in evidence.runs[:RUNS]]
    rows = [(run, parts) for run, parts in rows if parts]
    if not rows:
        return Plot(title, "No log tells how large the artifact is.")
    height = HEAD + ROW * len(rows) + FOOT
    figure = _figure(2 * height)
    axes = _axes(figure, 2 * height, head=HEAD, foot=height + FOOT)
    totals = [sum(part[1] for part in parts) for _, parts in rows]
    _bars(axes, rows, limit, max(limit, *totals), lambda size: f"{size:,.0f}")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:.0f} MB"))
    axes.set_title(f"code and model: the line is {limit:,}", pad=5)
    below = _axes(figure, 2 * height, head=height + HEAD, foot=FOOT)
    _distances(below, rows, [total - limit for total in totals])
    shown = ", ".join(
        f"{name_of(run)} {total:,.0f}" for (run, _), total in zip(rows, totals, strict=True)
    )
    return _plot(figure, name, title, f"Bytes of code and model: {shown}; the limit is {limit:,}.")


def _byte_parts(run: Run) -> Parts:
    total, code = total_bytes(run), run.log.code_bytes
    if total is None or not _finite(total[0]):
        return []
    own = code.value if code and 0 < code.value < total[0] else 0.0
    return [("model", total[0] - own), ("code", own)] if own else [("artifact", total[0])]


def _distances(axes: Axes, rows: Sequence[tuple[Run, Parts]], over: Sequence[float]) -> None:
    """How far above or below the limit each run is, magnified."""
    colours = [SERIES[1] if value > 0 else SERIES[0] for value in over]
    axes.barh(range(len(rows)), over, height=0.55, color=colours)
    widest = max(map(abs, over)) or 1.0
    axes.set_xlim(-widest * (1.1 if min(over) < 0 else 0.9), widest * 1.1)
    axes.axvline(0, color=INK, linewidth=1.2)
    for at, value in enumerate(over):
        axes.annotate(
            f"{abs(value):,.0f} {'over' if value > 0 else 'left'}",
            (0, at),
            textcoords="offset points",
            xytext=(-6 if value > 0 else 6, -3.5),
            ha="right" if value > 0 else "left",
            fontweight="bold" if value > 0 else "normal",
        )
    _label_rows(axes, [run for run, _ in rows])
    axes.set_title("distance to the limit, magnified", pad=5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:+,.0f} KB" if value else "0")
    )


def _bars(
    axes: Axes,
    rows: Sequence[tuple[Run, Parts]],
    limit: float,
    longest: float,
    amount: Callable[[float], str],
) -> None:
    """A stacked bar for each run; the limit is a line, the sum stands above the bar's end."""
    for at, (_, parts) in enumerate(rows):
        start = 0.0
        for number, (_, size) in enumerate(parts):
            axes.barh(
                at,
                size,
                left=start,
                height=0.42,
                color=SERIES[number % 2],
                edgecolor="none",
                hatch="////" if number % 2 else None,
            )
            start += size
        over = start > limit
        axes.annotate(
            f"{amount(start)}, {amount(start - limit)} over" if over else amount(start),
            (0, at),
            textcoords="offset points",
            xytext=(1, 6),
            fontsize=10,
        )
    axes.set_xlim(0, longest * 1.03)
    axes.axvline(limit, color=INK, linewidth=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    _label_rows(axes, [run for run, _ in rows])


def _label_rows(axes: Axes, runs: Sequence[Run]) -> None:
    axes.set_ylim(len(runs) - 0.5, -0.7)  # the first run on top
    axes.set_yticks(range(len(runs)), [_short(run) for run in runs])


def _rows(count: int, head: float, foot: float) -> tuple[Figure, Axes]:
    height = head + ROW * count + foot
    figure = _figure(height)
    return figure, _axes(figure, height, head=head, foot=foot)


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72)


def _axes(
    figure: Figure,
    height: float,
    *,
    left: float = 80,
    right: float = EDGE,
    head: float,
    foot: float,
) -> Axes:
    """Axes with these margins, in the plot's units."""
    return figure.add_axes(
        (
            left / WIDTH,
            foot / height,
            (WIDTH - left - right) / WIDTH,
            (height - head - foot) / height,
        )
    )


def _plot(figure: Figure, name: str, title: str, words: str) -> Plot:
    return Plot(title, visible(words, 2000), _inline(figure, name, title, visible(words, 2000)))


def _inline(figure: Figure, name: str, title: str, words: str) -> str:
    """The SVG element: no prologue, no metadata, no style of its own, ids that start with ``name``."""
    FigureCanvasSVG(figure)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    for waste in ("metadata", "style"):
        body = re.sub(rf"<{waste}\b.*?</{waste}>\s*", "", body, flags=re.S)
    body = re.sub(r"font(-family)?: ([^;\"]*? )?'DejaVu Sans'[^;\"]*;?", _font, body)
    body = body.replace("xlink:href=", "href=")
    for colour, variable in COLOURS.items():
        body = body.replace(colour, f"var({variable})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    height = figure.get_figheight() * 72
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(words)}</desc>{body.strip()}'
    )


def _font(found: re.Match[str]) -> str:
    """The size stays; the family is the page's."""
    size = re.search(r"[\d.]+px", found[0])
    return f"font-size: {size[0]};" if size else ""


def _short(run: Run) -> str:
    """Its name in at most 13 characters: of a log's name the end tells more."""
    name = visible(name_of(run)).removesuffix(".log").removesuffix(".txt")
    return name if len(name) <= 13 else f"…{name[-12:]}"


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def legend(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What the parts of the time bars are: the run and its stages with their seconds."""
    for run in evidence.runs[:RUNS]:
        parts = [*_train_parts(run), *_eval_parts(run)]
        if parts:
            yield name_of(run), ", ".join(f"{label} {size:,.1f} s" for label, size in parts)
