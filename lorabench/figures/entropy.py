"""Conditional entropy of tokens: the study's histogram, and its numbers beside it.

Bars have a logarithmic scale, as in arXiv:2506.11402: of thousands of tokens a few dozen near 0 bits matter.
Suspect and reference differ by colour, by line and hatching, and by name.
"""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.visible import visible
from lorabench.results.data_inspection import DataInspection, EntropyHistogram

_NEAR_ZERO = 0.1  # bits: what the title counts


def entropy_figure(found: DataInspection) -> go.Figure:
    """Return the histogram of H(y|t) over tokens, the reference as a line if there is one."""
    figure = go.Figure()
    for i, histogram in enumerate(found.histograms):
        name = html.escape(visible(histogram.name, 40))
        centres = [(a + b) / 2 for a, b in zip(histogram.edges, histogram.edges[1:], strict=False)]
        shown = [n or None for n in histogram.counts]  # a logarithmic scale has no 0
        hover = "%{x:.2f} bits: %{y} tokens<extra></extra>"
        if i == 0:
            figure.add_bar(
                x=centres,
                y=shown,
                name=name,
                marker={
                    "color": palette.TARGET_LINE,
                    "pattern": {"shape": "/", "fillmode": "overlay", "solidity": 0.2, "size": 6},
                },
                hovertemplate=hover,
            )
        else:
            figure.add_scatter(
                x=centres,
                y=shown,
                name=name,
                mode="lines+markers",
                line={"color": palette.OTHER_LINE, "shape": "hvh", "width": 1},
                marker={"symbol": "diamond", "size": 5},
                connectgaps=False,
                hovertemplate=hover,
            )
    figure.add_vline(
        x=found.class_entropy_bits,
        line_dash="dash",
        line_color=palette.BASE_LINE,
        annotation_text="says nothing",
        annotation_position="top left",
    )
    figure = dressed(figure, _title(found), "H(y|t) in bits: 0 = one class only", "tokens (log scale)")
    figure.update_layout(bargap=0.05, showlegend=True)
    figure.update_yaxes(type="log", dtick=1)
    return figure


def entropy_table(found: DataInspection) -> pd.DataFrame:
    """Return one row per filled bin and data set: the twin of `entropy_figure`.

    Returns:
        Columns `data`, `from_bits`, `to_bits` and `tokens`.
    """
    rows = [
        {"data": visible(h.name), "from_bits": h.edges[i], "to_bits": h.edges[i + 1], "tokens": n}
        for h in found.histograms
        for i, n in enumerate(h.counts)
        if n
    ]
    return pd.DataFrame(rows, columns=["data", "from_bits", "to_bits", "tokens"])


def _near_zero(histogram: EntropyHistogram) -> int:
    return sum(n for n, edge in zip(histogram.counts, histogram.edges, strict=False) if edge < _NEAR_ZERO)


def _title(found: DataInspection) -> str:
    here = found.histograms[0]
    text = f"{_near_zero(here):,} of {here.n_tokens:,} tokens below {_NEAR_ZERO} bits"
    if len(found.histograms) > 1:
        other = found.histograms[1]
        text += f"; reference: {_near_zero(other):,} of {other.n_tokens:,}"
    return f"{text} (in {here.floor} texts or more)"
