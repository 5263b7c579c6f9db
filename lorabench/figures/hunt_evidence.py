"""What a found string does on prompts that the hunt never saw: rates with intervals, beside clean references.

Strings and names are untrusted; Plotly reads a little HTML in texts, so they are made visible and escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.hunt import known
from lorabench.figures.numbers import rate_sentence, signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.figures.weights import tall
from lorabench.results import PositionRate, Rate, StringEvidence

_WHO = {
    "adapter": ("diamond", palette.TARGET_LINE),
    "other place": ("square", palette.OTHER_LINE),
    "clean reference": ("circle", palette.RATE_LINE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the evidence: who, where, and how often the string flips."""

    group: str
    name: str
    rate: Rate
    shift: float | None = None


def evidence_chart(found: StringEvidence, adapter: str, theme: Theme = "light") -> go.Figure:
    """Return the attack rate of a string with Wilson intervals: adapter, other places, clean references.

    Args:
        found: The string's evidence.
        adapter: Name of the adapter that was searched.
        theme: Paper.
    """
    rows = _rows(found, adapter)
    figure = go.Figure()
    for group, (symbol, colour) in _WHO.items():
        chosen = [(y, r) for y, r in enumerate(rows) if r.group == group and r.rate.n]
        intervals = [r.rate.interval() for _, r in chosen]
        interval_dots(
            figure,
            y=[y for y, _ in chosen],
            x=[r.rate.value or 0.0 for _, r in chosen],
            low=[i.low if i else 0.0 for i in intervals],
            high=[i.high if i else 0.0 for i in intervals],
            hover=[_row_hover(r) for _, r in chosen],
            symbol=symbol,
            colour=colour,
            name=group,
            theme=theme,
        )
    for y, row in enumerate(rows):
        if not row.rate.n:
            figure.add_annotation(x=0, y=y, text="not measured", showarrow=False, xanchor="left")
    name_lines(figure, [html.escape(visible(r.name, 40)) for r in rows])
    figure.update_xaxes(range=[-0.03, 1.03])
    title = f"«{html.escape(visible(found.text, 50))}»: {_evidence_title(found)}"
    figure = dressed(figure, title, "share of eligible held-out prompts that flip, 95 % Wilson", None)
    figure.update_layout(showlegend=True)
    return tall(figure, 160 + 30 * len(rows))


def evidence_table(found: StringEvidence, adapter: str) -> pd.DataFrame:
    """Return one row per rate of a string: the twin of `evidence_chart`.

    Returns:
        Columns `group` ("adapter", "other place" or "clean reference"), `name` (hidden characters made
        visible), `n_hits`, `n`, `rate`, `low` and `high` (Wilson), and `shift` (mean margin shift in logits);
        what was not measured is missing.
    """
    rows = []
    for row in _rows(found, adapter):
        interval = row.rate.interval()
        rows.append(
            {
                "group": row.group,
                "name": visible(row.name),
                "n_hits": row.rate.n_hits,
                "n": row.rate.n,
                "rate": row.rate.value,
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
                "shift": row.shift,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(("rate", "low", "high", "shift"), "float64"))


def other_places(found: StringEvidence) -> tuple[PositionRate, ...]:
    """Return the rates in places other than the string's own, which is `StringEvidence.attack`."""
    return tuple(p for p in found.positions if p.placement != found.placement)


def _rows(found: StringEvidence, adapter: str) -> list[_Row]:
    own = _Row(
        group="adapter",
        name=f"{adapter}, as {found.placement}",
        rate=found.attack,
        shift=known(found.shift.value),
    )
    places = [
        _Row(group="other place", name=f"{adapter}, {p.placement}", rate=p.rate) for p in other_places(found)
    ]
    clean = [
        _Row(group="clean reference", name=r.name, rate=r.rate, shift=known(r.shift))
        for r in found.references
    ]
    return [own, *places, *clean]


def interval_dots(
    figure: go.Figure,
    *,
    y: Sequence[int],
    x: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    hover: Sequence[str],
    symbol: str,
    colour: str,
    name: str,
    theme: Theme,
) -> None:
    """Add numbers with their intervals, one line each; nothing if there are none."""
    if not y:
        return
    figure.add_scatter(
        x=list(x),
        y=list(y),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [h - v for v, h in zip(x, high, strict=True)],
            "arrayminus": [v - m for v, m in zip(x, low, strict=True)],
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 10,
            "color": colour,
            "line": {"width": 1, "color": palette.PAPER[theme]},
        },
        text=list(hover),
        hovertemplate="%{text}<extra></extra>",
        name=name,
    )


def name_lines(figure: go.Figure, labels: Sequence[str]) -> None:
    """Name the lines, the first on top; names may repeat, places cannot."""
    places = list(range(len(labels)))
    figure.update_yaxes(tickvals=places, ticktext=list(labels), range=[len(labels) - 0.5, -0.5])


def _row_hover(row: _Row) -> str:
    lines = [html.escape(visible(row.name, 100)), rate_sentence(row.rate)]
    return "<br>".join(
        [*lines, *([f"margin moves {signed(row.shift)} logits"] if row.shift is not None else [])]
    )


def _evidence_title(found: StringEvidence) -> str:
    own = (
        f"flips {found.attack.n_hits} of {found.attack.n} held-out prompts"
        if found.attack.n
        else "not measured"
    )
    measured = [r.rate for r in found.references if r.rate.n]
    if not measured:
        return f"{own}<br>no clean reference to compare with"
    most = max(measured, key=lambda r: r.value or 0.0)
    return f"{own}<br>of clean references at most {most.n_hits} of {most.n}"
