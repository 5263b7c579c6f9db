"""What carries a found effect: layers of the adapter, and classes of tokens.

Names are untrusted; Plotly reads a little HTML in every text, so they are made visible and escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.hunt import known
from lorabench.figures.hunt_evidence import interval_dots, name_lines
from lorabench.figures.numbers import signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.figures.weights import tall
from lorabench.results import Enrichment, LayerGroup, StringEvidence

SIGNIFICANT = 0.05
"""q below which a class of tokens is said to stand out."""


def layer_chart(found: StringEvidence, theme: Theme = "light") -> go.Figure:
    """Return how much of the effect goes when the adapter is switched off in each group of layers.

    Below 0 the effect grew; above 1 the margin fell below that of the prompts without the string.
    """
    groups = found.layers
    shares = [known(g.restored) for g in groups]
    figure = go.Figure()
    figure.add_bar(
        x=[layers_text(g) for g in groups],
        y=shares,
        marker={"color": palette.RATE_LINE, "line": {"width": 1, "color": palette.PAPER[theme]}},
        text=["n/m" if s is None else f"{s:.2f}" for s in shares],
        textposition="outside",
        cliponaxis=False,
        customdata=[signed(known(g.margin), 2) for g in groups],
        hovertemplate="layers %{x} off: %{y:.2f} of the effect goes, mean margin %{customdata} logits"
        "<extra></extra>",
        showlegend=False,
    )
    figure.add_hline(y=0, line_width=1, line_color=palette.BASE_LINE)
    figure.add_hline(y=1, line_width=1, line_dash="dash", line_color=palette.BASE_LINE)
    figure.update_xaxes(type="category", showgrid=False)
    return tall(
        dressed(figure, _layer_title(groups), "layers switched off", "share of the effect that goes"), 360
    )


def layer_table(found: StringEvidence) -> pd.DataFrame:
    """Return one row per group of layers: the twin of `layer_chart`.

    Returns:
        Columns `first`, `last`, `margin` (mean of the held-out prompts with the string, in logits) and
        `restored` (share of the effect that goes).
    """
    rows = [
        {"first": g.first, "last": g.last, "margin": known(g.margin), "restored": known(g.restored)}
        for g in found.layers
    ]
    frame = pd.DataFrame(rows, columns=["first", "last", "margin", "restored"])
    return frame.astype({"margin": "float64", "restored": "float64"})


def layers_text(group: LayerGroup) -> str:
    """Return "10 to 14", or "10" for one layer."""
    return str(group.first) if group.first == group.last else f"{group.first} to {group.last}"


def enrichment_chart(enrichment: Sequence[Enrichment], theme: Theme = "light") -> go.Figure:
    """Return each class of tokens with its AUC and interval; diamonds stand out after correction."""
    ordered = enrichment_in_order(enrichment)
    figure = go.Figure()
    for stands_out, symbol, colour, name in (
        (True, "diamond", palette.TARGET_LINE, f"stands out (q below {SIGNIFICANT:g})"),
        (False, "circle", palette.BASE_LINE, "does not"),
    ):
        chosen = [
            (y, e)
            for y, e in enumerate(ordered)
            if known(e.auc) is not None and (e.q < SIGNIFICANT) == stands_out
        ]
        interval_dots(
            figure,
            y=[y for y, _ in chosen],
            x=[e.auc for _, e in chosen],
            low=[e.low for _, e in chosen],
            high=[e.high for _, e in chosen],
            hover=[_class_hover(e) for _, e in chosen],
            symbol=symbol,
            colour=colour,
            name=name,
            theme=theme,
        )
    figure.add_vline(x=0.5, line_width=1, line_dash="dash", line_color=palette.BASE_LINE)
    name_lines(figure, [html.escape(visible(e.name, 40)) for e in ordered])
    figure.update_xaxes(range=[-0.03, 1.03])
    x = "chance that a token of the class moves the adapter more than another token (AUC, 95 %)"
    figure = dressed(figure, _class_title(ordered), x, None)
    figure.update_layout(showlegend=bool(ordered))
    return tall(figure, 160 + 26 * max(len(ordered), 2))


def enrichment_table(enrichment: Sequence[Enrichment]) -> pd.DataFrame:
    """Return one row per class of tokens, in the order of `enrichment_chart`: its twin.

    Returns:
        Columns `class` (hidden characters made visible), `n_members`, `n_others`, `auc`, `low`, `high`,
        `median` and `median_others` (logits), and `q`.
    """
    rows = [
        {
            "class": visible(e.name),
            "n_members": e.n_members,
            "n_others": e.n_others,
            **{name: known(getattr(e, name)) for name in _CLASS_NUMBERS},
        }
        for e in enrichment_in_order(enrichment)
    ]
    frame = pd.DataFrame(rows, columns=["class", "n_members", "n_others", *_CLASS_NUMBERS])
    return frame.astype(dict.fromkeys(_CLASS_NUMBERS, "float64"))


_CLASS_NUMBERS = ("auc", "low", "high", "median", "median_others", "q")


def enrichment_in_order(enrichment: Sequence[Enrichment]) -> tuple[Enrichment, ...]:
    """Return classes by AUC, the highest first."""
    return tuple(sorted(enrichment, key=lambda e: -(known(e.auc) or 0.0)))


def _class_hover(found: Enrichment) -> str:
    lines = (
        html.escape(visible(found.name, 100)),
        f"AUC {found.auc:.2f} [{found.low:.2f}, {found.high:.2f}], q = {found.q:.2g}",
        f"median shift {signed(found.median, 2)} logits (n = {found.n_members:,})",
        f"others {signed(found.median_others, 2)} logits (n = {found.n_others:,})",
    )
    return "<br>".join(lines)


def _layer_title(groups: Sequence[LayerGroup]) -> str:
    measured = [g for g in groups if known(g.restored) is not None]
    if not measured:
        return "No layers were switched off"
    most = max(measured, key=lambda g: g.restored)
    return f"Without the adapter in layers {layers_text(most)}, {most.restored:.2f} of the effect goes"


def _class_title(ordered: Sequence[Enrichment]) -> str:
    if not ordered:
        return "No class of tokens was compared"
    loud = [e for e in ordered if e.q < SIGNIFICANT]
    if not loud:
        return f"None of {len(ordered)} classes of tokens stands out"
    most = max(loud, key=lambda e: abs(e.auc - 0.5))
    name = html.escape(visible(most.name, 40))
    count = f"{len(loud)} of {len(ordered)} classes of tokens stand out"
    return f"{count}<br>«{name}» most: AUC {most.auc:.2f}, q = {most.q:.2g}"
