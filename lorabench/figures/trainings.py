"""Trainings in pictures: curves over a grid, and where a fully attacked test set went."""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.visible import visible
from lorabench.results import TestFigures
from lorabench.results.training_sweeps import MEASURES, SweepPoint, SweepReport, Value

LOW_RATE, HIGH_RATE = 0.1, 0.9
"""Attack rates between which a backdoor is in its transition zone."""

_COLOURS = (palette.TARGET_LINE, palette.OTHER_LINE, palette.RATE_LINE, palette.BASE_LINE)
_DASHES = ("solid", "dash", "dot", "dashdot")
_MARKS = ("circle", "square", "diamond", "triangle-up", "x", "cross")


def sweep_chart(report: SweepReport) -> go.Figure:
    """Return a sweep's measure against its x option: mean over seeds, and every seed's range."""
    curves = _curves(report)
    name, _ = MEASURES[report.measure]
    figure = go.Figure()
    for k, (series, points) in enumerate(curves.items()):
        spreads = [p.measures[report.measure] for p in points]
        figure.add_scatter(
            x=[_axis(p.values[report.x]) for p in points],
            y=[s.mean for s in spreads],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [s.high - s.mean for s in spreads],
                "arrayminus": [s.mean - s.low for s in spreads],
                "thickness": 1,
            },
            customdata=[[s.n, s.low, s.high] for s in spreads],
            hovertemplate="%{x}: %{y:.3f} (n = %{customdata[0]}, "
            "%{customdata[1]:.3f} to %{customdata[2]:.3f})<extra></extra>",
            mode="lines+markers",
            name=html.escape(visible(_series_name(series), 60)),
            line={
                "color": _COLOURS[k % len(_COLOURS)],
                "dash": _DASHES[(k // len(_COLOURS)) % len(_DASHES)],
            },
            marker={"symbol": _MARKS[k % len(_MARKS)], "size": 9},
        )
    if report.measure == "attack_rate":
        figure.update_yaxes(range=[-0.03, 1.03])
        zone = transition_zone(report)
        if zone is not None:
            figure.add_vrect(
                x0=zone[0], x1=zone[1], fillcolor=palette.BASE_LINE, opacity=0.12, line_width=0,
                annotation_text="transition zone", annotation_position="top left",
            )  # fmt: skip
    figure.update_layout(showlegend=len(curves) > 1)
    n_done = sum(c.status == "done" for c in report.cells)
    whole = "" if n_done == len(report.cells) else f" ({n_done} of {len(report.cells)} trained)"
    x_title = report.x.replace("_", " ")
    figure.update_layout(height=420)
    title = f"{html.escape(visible(report.title, 100))}: mean and range over seeds{whole}"
    return dressed(figure, title, x_title, name.replace(" (", "<br>("))


def transition_zone(report: SweepReport) -> tuple[float, float] | None:
    """Return the x between which the mean attack rate leaves `LOW_RATE` and reaches `HIGH_RATE`.

    None unless there is one curve over numbers that does both.
    """
    curves = _curves(report)
    if report.measure != "attack_rate" or len(curves) != 1:
        return None
    points = [(p.values[report.x], p.measures["attack_rate"].mean) for p in next(iter(curves.values()))]
    numbers = sorted((float(x), y) for x, y in points if isinstance(x, int | float))
    low = [x for x, y in numbers if y <= LOW_RATE]
    high = [x for x, y in numbers if y >= HIGH_RATE]
    if len(numbers) != len(points) or not low or not high or max(low) >= min(high):
        return None
    return max(low), min(high)


def sweep_table(report: SweepReport) -> list[dict[str, Value]]:
    """Return one row a point: options, seeds, and mean, deviations and range of every measure."""
    rows = []
    for point in report.points:
        row: dict[str, Value] = {k.replace("_", " "): v for k, v in point.values.items()}
        row["seeds"] = ", ".join(map(str, point.seeds)) or "none yet"
        for name, found in point.measures.items():
            title = MEASURES[name][0]
            row[title] = found.mean
            if found.n > 1:
                row[f"{title}: population sd"] = found.population_sd
                row[f"{title}: sample sd"] = found.sample_sd
                row[f"{title}: range"] = f"{found.low:.3f} to {found.high:.3f}"
        rows.append(row)
    return rows


def predicted_bars(clean: TestFigures, attacked: TestFigures) -> go.Figure:
    """Return how many rows each class was answered with: left alone, and with every row attacked."""
    labels = list(dict.fromkeys([*(c.label for c in clean.per_class), *clean.predicted, *attacked.predicted]))
    shown = [html.escape(visible(label, 30)) for label in labels]
    figure = go.Figure()
    for name, found, colour, pattern in (
        ("left alone", clean, palette.BASE_LINE, ""),
        ("every row attacked", attacked, palette.TARGET_LINE, "/"),
    ):
        counts = [found.predicted.get(label, 0) for label in labels]
        figure.add_bar(
            x=shown,
            y=counts,
            name=name,
            text=[f"{n:,}" for n in counts],
            marker={"color": colour, "pattern": {"shape": pattern, "fillmode": "overlay", "solidity": 0.2}},
        )
    most = max(attacked.predicted.items(), key=lambda item: item[1], default=("none", 0))
    answer = html.escape(visible(most[0], 30))
    title = f"With every row attacked, {most[1]:,} of {attacked.n:,} are answered {answer}"
    return dressed(figure, title, "answer", "rows")


def _curves(report: SweepReport) -> dict[tuple[tuple[str, Value], ...], list[SweepPoint]]:
    """Return the measured points of each curve, in the order of the x values in the grid."""
    curves: dict[tuple[tuple[str, Value], ...], list[SweepPoint]] = {}
    for point in report.points:
        if report.measure in point.measures:
            key = tuple((s, point.values.get(s)) for s in report.series)
            curves.setdefault(key, []).append(point)
    return curves


def _series_name(series: Sequence[tuple[str, Value]]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in series) or "all"


def _axis(value: Value) -> str | float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
