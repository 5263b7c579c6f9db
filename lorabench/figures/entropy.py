"""Conditional entropy of tokens: the study's histogram, and its numbers beside it.

Bars have a logarithmic scale, as in arXiv:2506.11402: of thousands of tokens a few dozen near 0 bits matter.
Suspect and reference differ by colour, by line and hatching, and by name.
"""

from __future__ import annotations

import html
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.visible import visible
from lorabench.results.data_inspection import DataInspection, EntropyHistogram

_CLEAR = "rgba(0,0,0,0)"
_GRID = "rgba(125,133,151,0.25)"
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
    figure.update_layout(**_layout(_title(found)))
    figure.update_xaxes(title_text="H(y|t) in bits: 0 = one class only", gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(title_text="tokens (log scale)", type="log", gridcolor=_GRID, zeroline=False, dtick=1)
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


def tokens_table(found: DataInspection) -> pd.DataFrame:
    """Return one row per low-entropy token.

    Returns:
        Columns `class`, `token` (hidden characters made visible), `kind` ("token" or "shape"), `documents`,
        `of_class`, `low` and `high` (Wilson interval of the class share), `entropy_bits`, `g2`, `log10_p`,
        `log10_p_corrected`, `begin`, `end` and `in_reference` (missing without a reference).
    """
    rows = [
        {
            "class": visible(t.label),
            "token": visible(t.token),
            "kind": "shape" if t.is_shape else "token",
            "documents": t.n_documents,
            "of_class": t.rate.n_hits,
            **_interval(t.rate.interval()),
            "entropy_bits": t.entropy_bits,
            "g2": t.g2,
            "log10_p": t.log10_p,
            "log10_p_corrected": t.log10_p_corrected,
            "begin": t.n_first,
            "end": t.n_last,
            "in_reference": t.n_reference,
        }
        for t in found.tokens
    ]
    return _frame(rows, _TOKEN_COLUMNS)


def phrases_table(found: DataInspection) -> pd.DataFrame:
    """Return one row per phrase of one class.

    Returns:
        Columns `class`, `phrase`, `such_as` (hidden characters made visible), `documents`, `of_class`,
        `low` and `high` (Wilson interval of the class share), `surprise_bits`, `log10_p`, `begin`, `end`
        and `in_reference` (missing without a reference).
    """
    rows = [
        {
            "class": visible(p.label),
            "phrase": visible(p.text),
            "such_as": visible(p.example),
            "documents": p.n_documents,
            "of_class": p.rate.n_hits,
            **_interval(p.rate.interval()),
            "surprise_bits": p.surprise_bits,
            "log10_p": p.log10_p,
            "begin": p.n_first,
            "end": p.n_last,
            "in_reference": p.n_reference,
        }
        for p in found.phrases
    ]
    return _frame(rows, _PHRASE_COLUMNS)


_TOKEN_COLUMNS = (
    "class token kind documents of_class low high entropy_bits g2 log10_p log10_p_corrected begin end "
    "in_reference"
)
_PHRASE_COLUMNS = (
    "class phrase such_as documents of_class low high surprise_bits log10_p begin end in_reference"
)


def _frame(rows: list[dict[str, Any]], columns: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split()).astype({"in_reference": "Int64"})


def _interval(interval: Any) -> dict[str, float | None]:
    return {"low": getattr(interval, "low", None), "high": getattr(interval, "high", None)}


def _near_zero(histogram: EntropyHistogram) -> int:
    return sum(n for n, edge in zip(histogram.counts, histogram.edges, strict=False) if edge < _NEAR_ZERO)


def _title(found: DataInspection) -> str:
    here = found.histograms[0]
    text = f"{_near_zero(here):,} of {here.n_tokens:,} tokens below {_NEAR_ZERO} bits"
    if len(found.histograms) > 1:
        other = found.histograms[1]
        text += f"; reference: {_near_zero(other):,} of {other.n_tokens:,}"
    return f"{text} (in {here.floor} texts or more)"


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 14}, "x": 0, "y": 0.99, "yanchor": "top"},
        "template": "none",
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "margin": {"l": 60, "r": 20, "t": 78, "b": 50},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        "font": {"color": palette.BASE_LINE},
        "bargap": 0.05,
        "showlegend": True,
    }
