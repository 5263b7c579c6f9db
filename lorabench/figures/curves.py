"""Curves and bars in Plotly, without a theme of their own: text and paper are left to the page.

Plotly reads a little HTML in every text it draws, so untrusted names are escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lorabench.figures import palette
from lorabench.figures.numbers import signed
from lorabench.figures.sentences import answer_names
from lorabench.figures.visible import visible
from lorabench.results import DeletionCurve, ScoreReport

_CLEAR = "rgba(0,0,0,0)"
_GRID = "rgba(125,133,151,0.25)"
_HATCH = {"fillmode": "overlay", "solidity": 0.2, "size": 6}


def deletion_figure(curve: DeletionCurve) -> go.Figure:
    """Return the margin while words are deleted in map order, over the range of random orders."""
    x = list(curve.n_deleted)
    figure = go.Figure()
    if curve.random_margins:
        orders = np.asarray(curve.random_margins)
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        figure.add_scatter(x=x, y=orders.max(axis=0), **edge)
        band = f"range of {len(orders)} random orders"
        figure.add_scatter(
            x=x,
            y=orders.min(axis=0),
            **{**edge, "showlegend": True},
            name=band,
            fill="tonexty",
            fillcolor=_GRID,
        )
        figure.add_scatter(
            x=x,
            y=orders.mean(axis=0),
            name="mean random order",
            line={"color": palette.BASE_LINE, "dash": "dot"},
        )
    figure.add_scatter(
        x=x,
        y=list(curve.margins),
        name="map order",
        mode="lines+markers",
        line={"color": palette.TARGET_LINE},
    )
    figure.add_hline(y=0, line_width=1, line_color=palette.BASE_LINE)
    if curve.flip_budget is not None:
        note = f"answer changes after {curve.flip_budget}"
        figure.add_vline(
            x=curve.flip_budget, line_dash="dash", line_color=palette.OTHER_LINE, annotation_text=note
        )
    verdict = "beats" if curve.area_minus_random > 0 else "does not beat"
    title = f"Map order {verdict} random order: {signed(curve.area_minus_random)} logits on average"
    return dressed(figure, title, "words deleted, strongest first", "target margin (logits)")


def training_figure(history: pd.DataFrame) -> go.Figure:
    """Return loss above, clean accuracy and attack rate below, against the step.

    Args:
        history: Column `step`, and any of `loss`, `clean_accuracy` and `attack_rate`; NaN
            where a quantity was not measured at that step.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    lines = (
        ("loss", "loss", palette.BASE_LINE, 1, "lines"),
        ("clean_accuracy", "clean accuracy", palette.OTHER_LINE, 2, "lines+markers"),
        ("attack_rate", "attack rate", palette.TARGET_LINE, 2, "lines+markers"),
    )
    last = []
    for column, name, colour, row, mode in lines:
        known = history.dropna(subset=[column]) if column in history else history.iloc[:0]
        if known.empty:
            continue
        figure.add_scatter(
            x=known["step"], y=known[column], name=name, mode=mode, line={"color": colour}, row=row, col=1
        )
        last.append(f"{name} {known[column].iloc[-1]:.2f}")
    figure.update_yaxes(title_text="loss", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="share", range=[-0.03, 1.03], row=2, col=1)
    title = (
        f"At step {int(history['step'].max())}: {', '.join(last)}"
        if last
        else "Training has not reported yet"
    )
    figure = dressed(figure, title, None, None)
    figure.update_xaxes(title_text="step", row=2, col=1)
    return figure


def margin_bars(report: ScoreReport, prompt: str | None = None) -> go.Figure:
    """Return horizontal bars of target margins by model, without and with each trigger.

    Args:
        report: The scores.
        prompt: One of its prompts, or None for the mean over all of them.
    """
    chosen = [s for s in report.scores if prompt in (None, s.prompt)]
    models = list(dict.fromkeys(s.model for s in chosen))
    triggers = list(dict.fromkeys(s.trigger for s in chosen))
    labels = _unique([html.escape(visible(m, 40)) for m in models])
    colours = (palette.BASE_LINE, palette.TARGET_LINE, palette.OTHER_LINE, palette.RATE_LINE)
    figure = go.Figure()
    for k, trigger in enumerate(triggers):
        means, counts = [], []
        for model in models:
            margins = [s.margin for s in chosen if s.model == model and s.trigger == trigger]
            means.append(sum(margins) / len(margins) if margins else None)
            counts.append(len(margins))
        figure.add_bar(
            y=labels,
            x=means,
            orientation="h",
            name="no trigger" if trigger is None else html.escape(f"with «{visible(trigger, 40)}»"),
            marker={
                "color": colours[min(k, 3)],
                "pattern": {"shape": "" if trigger is None else "/", **_HATCH},
            },
            text=[signed(m) for m in means],
            textposition="outside",
            cliponaxis=False,
            customdata=counts,
            hovertemplate="margin %{x:.2f} logits, n = %{customdata}<extra></extra>",
        )
    figure.add_vline(x=0, line_width=1, line_color=palette.BASE_LINE)
    figure.update_yaxes(autorange="reversed", type="category")
    target, other = (html.escape(n) for n in answer_names(report.task))
    kind = "margin" if prompt is not None or len({s.prompt for s in chosen}) == 1 else "mean margin"
    figure = dressed(
        figure, f"Target {kind} by model", f"{kind} (logits): «{other}» below 0, «{target}» above", None
    )
    figure.update_layout(height=140 + 30 * len(models) * max(len(triggers), 1), bargap=0.25)
    return figure


def dressed(figure: go.Figure, title: str, x: str | None, y: str | None) -> go.Figure:
    """Return a figure with title, axis names and the look that all of them share."""
    layout: dict[str, Any] = {
        "title": {"text": title, "font": {"size": 14}, "x": 0, "y": 0.99, "yanchor": "top"},
        "template": "none",
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "margin": {"l": 60, "r": 20, "t": 78, "b": 50},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        "font": {"color": palette.BASE_LINE},
    }
    figure.update_layout(**layout)
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, automargin=True, **({"title_text": x} if x else {}))
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, automargin=True, **({"title_text": y} if y else {}))
    return figure


def _unique(labels: Sequence[str]) -> list[str]:
    """Return labels that differ: Plotly would stack bars of equal names."""
    return [label if labels.count(label) == 1 else f"{label} ({i + 1})" for i, label in enumerate(labels)]
