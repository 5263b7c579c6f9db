"""An adapter's weights in pictures: every module by layer and projection, and one module's spectrum.

Module names are untrusted; Plotly reads a little HTML in every text, so they are made visible and escaped.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.numbers import signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.results.weights import ModuleWeights, WeightEvidence

MOST_COLUMNS = 60
"""Projections that are drawn; a mixture of experts has hundreds, and the quietest are left out."""
_NO_LAYER = "no layer"


def weight_heatmap(evidence: WeightEvidence, theme: Theme = "light") -> go.Figure:
    """Return layers x projections: how far each module stands off its projection's trend over layers.

    Purple is larger than the trend, green smaller, full colour is the threshold of a standout, and
    standouts have a diamond. Where no trend could be fitted, the size itself is shown, light to dark.
    """
    columns = _columns(evidence.modules)
    shown = set(columns)
    cells = {(_row(m), _column(m)): m for m in evidence.modules if _column(m) in shown}
    rows = sorted({row for row, _ in cells}, key=lambda r: (r == _NO_LAYER, len(r), r))
    has_trend = any(m.robust_z is not None for m in evidence.modules)
    values = [[_value(cells.get((r, c)), has_trend) for c in columns] for r in rows]
    figure = go.Figure()
    x = _labels(columns)
    figure.add_heatmap(
        x=x,
        y=rows,
        z=values,
        text=[[_hover(cells.get((r, c))) for c in columns] for r in rows],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        xgap=1,
        ygap=1,
        **_scale(evidence, theme, has_trend),
    )
    _mark_standouts(figure, evidence, cells, dict(zip(columns, x, strict=True)), theme)
    figure.update_xaxes(type="category", side="bottom", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure = dressed(figure, _title(evidence, columns, has_trend), "projection", "layer")
    figure.update_layout(showlegend=False)
    return tall(figure, 150 + 18 * max(len(rows), 6))


def spectrum_chart(module: ModuleWeights, theme: Theme = "light") -> go.Figure:
    """Return the singular values of one module's scaled change, on a logarithmic scale.

    Values of 0 have no place there and are left out; the dashed line ends the directions that count.
    """
    directions = [i for i, s in enumerate(module.singular_values, start=1) if s > 0]
    values = [module.singular_values[i - 1] for i in directions]
    figure = go.Figure()
    figure.add_scatter(
        x=directions,
        y=values,
        mode="lines+markers",
        line={"color": palette.RATE_LINE},
        marker={"size": 8, "line": {"width": 1, "color": palette.PAPER[theme]}},
        hovertemplate="direction %{x}: %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    if 0 < module.measured_rank < module.rank:
        figure.add_vline(
            x=module.measured_rank + 0.5,
            line_dash="dash",
            line_color=palette.TARGET_LINE,
            annotation_text=f"measured rank {module.measured_rank} of {module.rank}",
            annotation_position="top left",
        )
    is_narrow = not values or max(values) < 100 * min(values)
    figure.update_yaxes(type="log", dtick="D2" if is_narrow else 1, tickformat=".1g")
    figure.update_xaxes(range=[0.5, module.rank + 0.5], dtick=max(1, round(module.rank / 16)))
    name = html.escape(visible(module.name, 60))
    if directions:
        text = f"{module.participation_ratio:.1f} of {module.rank} directions carry the change"
    else:
        text = "the module changes nothing"
    return tall(dressed(figure, f"{name}:<br>{text}", "direction", "singular value"), 360)


def weight_table(evidence: WeightEvidence) -> pd.DataFrame:
    """Return one row per module: the twin of `weight_heatmap`.

    Returns:
        Columns `module` and `projection` (hidden characters made visible), `block`, `layer`, `in`, `out`,
        `rank`, `measured_rank`, `frobenius_norm`, `normalised_norm`, `spectral_entropy`,
        `participation_ratio`, `stable_rank`, `concentration`, `asymmetry`, `robust_z` and `standout`;
        a layer or a robust z that is not known is missing.
    """
    loud = frozenset(evidence.standouts)
    rows = [
        {
            "module": visible(m.name),
            "projection": visible(m.projection),
            "block": m.block,
            "layer": m.layer,
            "in": m.in_features,
            "out": m.out_features,
            "rank": m.rank,
            "measured_rank": m.measured_rank,
            "frobenius_norm": m.frobenius_norm,
            "normalised_norm": m.normalised_norm,
            "spectral_entropy": m.spectral_entropy,
            "participation_ratio": m.participation_ratio,
            "stable_rank": m.stable_rank,
            "concentration": m.concentration,
            "asymmetry": m.asymmetry,
            "robust_z": m.robust_z,
            "standout": m.name in loud,
        }
        for m in evidence.modules
    ]
    return pd.DataFrame(rows).astype({"layer": "Int64", "robust_z": "float64"})


def tall(figure: go.Figure, height: int) -> go.Figure:
    """Return a figure of that height with room for a title of two lines."""
    figure.update_layout(height=height, title_y=1 - 12 / height)
    return figure


def _columns(modules: Sequence[ModuleWeights]) -> list[str]:
    """Return the columns in the order in which modules come, the loudest `MOST_COLUMNS` if there are more."""
    loudness: dict[str, float] = {}
    for module in modules:
        column = _column(module)
        loudness[column] = max(loudness.get(column, 0.0), abs(module.robust_z or 0.0))
    kept = sorted(loudness, key=lambda c: -loudness[c])[:MOST_COLUMNS]
    return [c for c in loudness if c in set(kept)]


def _column(module: ModuleWeights) -> str:
    """Return the module's path without its layer: BERT has three projections called "dense"."""
    if module.layer is None:
        return module.name
    parts = module.name.split(".")
    layer = re.compile(f"0{{0,3}}{module.layer}")
    at = next((i for i, part in enumerate(parts) if layer.fullmatch(part)), 0)
    return ".".join([*parts[:at], "#", *parts[at + 1 :]])


def _row(module: ModuleWeights) -> str:
    return _NO_LAYER if module.layer is None else str(module.layer)


def _labels(columns: Sequence[str]) -> list[str]:
    """Return the shortest ends of the paths that tell the columns apart."""
    paths = [c.split(".") for c in columns]
    labels = [p[-1] for p in paths]
    for length in range(2, max(map(len, paths), default=1) + 1):
        counts = Counter(labels)
        labels = [
            label if counts[label] == 1 else ".".join(path[-length:])
            for label, path in zip(labels, paths, strict=True)
        ]
    seen = Counter(visible(label, 40) for label in labels)
    return [
        html.escape(
            visible(label, 40) if seen[visible(label, 40)] == 1 else f"{visible(label, 32)} ({i + 1})"
        )
        for i, label in enumerate(labels)
    ]


def _value(module: ModuleWeights | None, has_trend: bool) -> float | None:
    if module is None:
        return None
    if has_trend:
        return module.robust_z
    return math.log(module.normalised_norm) if module.normalised_norm > 0 else None


def _hover(module: ModuleWeights | None) -> str:
    if module is None:
        return ""
    z = "no trend" if module.robust_z is None else f"{signed(module.robust_z, 2)} off the trend"
    lines = (
        html.escape(visible(module.name, 100)),
        f"robust z: {z}",
        f"norm / sqrt(in x out): {module.normalised_norm:.4g}",
        f"{module.participation_ratio:.1f} of {module.rank} directions",
        f"entropy {module.spectral_entropy:.3f}",
    )
    return "<br>".join(lines)


def _scale(evidence: WeightEvidence, theme: Theme, has_trend: bool) -> dict[str, object]:
    stops = palette.DIVERGING["difference", theme] if has_trend else palette.SEQUENTIAL[theme]
    scale = [[i / (len(stops) - 1), colour] for i, colour in enumerate(stops)]
    if not has_trend:
        return {"colorscale": scale, "colorbar": {"title": {"text": "ln norm"}}}
    reach = evidence.standout_z
    ticks = [-reach, -reach / 2, 0.0, reach / 2, reach]
    texts = [signed(t, 1) for t in ticks]
    bar = {
        "title": {"text": "robust z"},
        "tickvals": ticks,
        "ticktext": [f"{texts[0]} or less", *texts[1:-1], f"{texts[-1]} or more"],
    }
    return {"colorscale": scale, "zmin": -reach, "zmax": reach, "colorbar": bar}


def _mark_standouts(
    figure: go.Figure,
    evidence: WeightEvidence,
    cells: dict[tuple[str, str], ModuleWeights],
    labels: dict[str, str],
    theme: Theme,
) -> None:
    loud = frozenset(evidence.standouts)
    if not loud:
        return
    marked = [(labels[column], row) for (row, column), m in cells.items() if m.name in loud]
    figure.add_scatter(
        x=[x for x, _ in marked],
        y=[y for _, y in marked],
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 9,
            "color": palette.PAPER[theme],
            "line": {"width": 1.5, "color": palette.INK[theme]},
        },
        hoverinfo="skip",
        name="standout",
    )


def _title(evidence: WeightEvidence, columns: Sequence[str], has_trend: bool) -> str:
    n = len(evidence.modules)
    n_columns = len({_column(m) for m in evidence.modules})
    cut = f"<br>the {len(columns)} loudest of {n_columns} projections" if len(columns) < n_columns else ""
    if not has_trend:
        return f"Size of {n:,} changes; too few layers for a trend{cut}"
    if not evidence.standouts:
        return f"None of {n:,} modules stands off its projection's trend over layers{cut}"
    first = html.escape(visible(evidence.standouts[0], 60))
    count = len(evidence.standouts)
    verb = "stands" if count == 1 else "stand"
    return f"{count:,} of {n:,} modules {verb} off the trend over layers; farthest:<br>{first}{cut}"
