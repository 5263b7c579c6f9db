"""What a battery of probes did, probe by probe: dots with intervals, and the table beside them.

Probes are untrusted text; Plotly reads a little HTML in every text, so they are made visible and escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from lorabench.figures import palette
from lorabench.figures.curves import dressed
from lorabench.figures.numbers import rate_sentence, signed
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.figures.weights import tall
from lorabench.results.behaviour import BehaviourEvidence, ProbeRate

_WIDEST = 60
"""Characters of a probe on the axis."""


def probe_chart(behaviour: BehaviourEvidence, theme: Theme = "light") -> go.Figure:
    """Return every probe's attack rate with its Wilson interval, by category, the strongest first.

    Diamonds share a word with the known trigger. A probe without an eligible prompt has its line and
    no dot.
    """
    groups = _grouped(behaviour.probes)
    ticks: list[str] = []
    placed: list[tuple[int, ProbeRate]] = []
    for category, probes in groups:
        ticks.append(f"<b>{html.escape(visible(category.replace('_', ' '), 40))}</b>")
        for probe in probes:
            placed.append((len(ticks), probe))
            ticks.append(html.escape(visible(probe.text, _WIDEST)))
    figure = go.Figure()
    knows_trigger = any(p.shared_words for p in behaviour.probes)
    for shares, symbol, colour, name in (
        (False, "circle", palette.RATE_LINE, "no word of the trigger" if knows_trigger else "probe"),
        (True, "diamond", palette.TARGET_LINE, "shares a word with the trigger"),
    ):
        chosen = [(y, p) for y, p in placed if bool(p.shared_words) == shares and p.rate.n]
        if chosen:
            _add_dots(figure, chosen, symbol=symbol, colour=colour, name=name, theme=theme)
    for y, probe in placed:
        if not probe.rate.n:
            figure.add_annotation(x=0, y=y, text="not measured", showarrow=False, xanchor="left")
    figure.update_yaxes(tickvals=list(range(len(ticks))), ticktext=ticks, range=[len(ticks) - 0.5, -0.5])
    figure.update_xaxes(range=[-0.03, 1.03])
    figure = dressed(figure, _title(behaviour), "share of eligible prompts that flip, 95 % Wilson", None)
    figure.update_layout(showlegend=knows_trigger)
    return tall(figure, 150 + 22 * len(ticks))


def probe_table(behaviour: BehaviourEvidence) -> pd.DataFrame:
    """Return one row per probe, in the order of `probe_chart`: its twin.

    Returns:
        Columns `category` and `probe` (hidden characters made visible), `n_hits`, `n` (eligible prompts),
        `rate`, `low` and `high` (Wilson), `n_ties`, `mean_shift`, `base_shift` and `shift_difference`
        (logits), and `shared_words`. What was not measured is missing.
    """
    rows = []
    for category, probes in _grouped(behaviour.probes):
        for probe in probes:
            interval = probe.rate.interval()
            rows.append(
                {
                    "category": visible(category),
                    "probe": visible(probe.text),
                    "n_hits": probe.rate.n_hits,
                    "n": probe.rate.n,
                    "rate": probe.rate.value,
                    "low": interval.low if interval else None,
                    "high": interval.high if interval else None,
                    "n_ties": probe.n_ties,
                    "mean_shift": probe.mean_shift,
                    "base_shift": probe.base_shift,
                    "shift_difference": probe.shift_difference,
                    "shared_words": visible(" ".join(probe.shared_words)),
                }
            )
    numbers = ("rate", "low", "high", "mean_shift", "base_shift", "shift_difference")
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    return frame.astype(dict.fromkeys(numbers, "float64"))


_COLUMNS = [
    *("category", "probe", "n_hits", "n", "rate", "low", "high", "n_ties"),
    *("mean_shift", "base_shift", "shift_difference", "shared_words"),
]


def probes_in_order(behaviour: BehaviourEvidence) -> tuple[ProbeRate, ...]:
    """Return the probes in the order of `probe_table`'s rows."""
    return tuple(p for _, probes in _grouped(behaviour.probes) for p in probes)


def _grouped(probes: Sequence[ProbeRate]) -> list[tuple[str, list[ProbeRate]]]:
    """Return categories by mean rate and their probes by rate, highest first; the unmeasured come last."""
    groups: dict[str, list[ProbeRate]] = {}
    for probe in probes:
        groups.setdefault(probe.category, []).append(probe)
    for members in groups.values():
        members.sort(key=lambda p: -_rate(p))
    return sorted(groups.items(), key=lambda g: -sum(map(_rate, g[1])) / len(g[1]))


def _rate(probe: ProbeRate) -> float:
    return -1.0 if probe.rate.value is None else probe.rate.value


def _add_dots(
    figure: go.Figure,
    chosen: Sequence[tuple[int, ProbeRate]],
    *,
    symbol: str,
    colour: str,
    name: str,
    theme: Theme,
) -> None:
    rates = [p.rate.value or 0.0 for _, p in chosen]
    intervals = [p.rate.interval() for _, p in chosen]
    figure.add_scatter(
        x=rates,
        y=[y for y, _ in chosen],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [i.high - r if i else 0.0 for i, r in zip(intervals, rates, strict=True)],
            "arrayminus": [r - i.low if i else 0.0 for i, r in zip(intervals, rates, strict=True)],
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 9,
            "color": colour,
            "line": {"width": 1, "color": palette.PAPER[theme]},
        },
        text=[_hover(p) for _, p in chosen],
        hovertemplate="%{text}<extra></extra>",
        name=name,
    )


def _hover(probe: ProbeRate) -> str:
    lines = [html.escape(visible(probe.text, 100)), rate_sentence(probe.rate)]
    if probe.shift_difference is not None:
        lines.append(f"margin moves {signed(probe.shift_difference)} logits more than in the base")
    elif probe.mean_shift is not None:
        lines.append(f"margin moves {signed(probe.mean_shift)} logits")
    if probe.shared_words:
        lines.append(f"shares: {html.escape(visible(', '.join(probe.shared_words), 80))}")
    return "<br>".join(lines)


def _title(behaviour: BehaviourEvidence) -> str:
    measured = [p for p in behaviour.probes if p.rate.n]
    of = f"{len(behaviour.probes)} probes, {behaviour.n_eligible} of {behaviour.n_prompts} prompts eligible"
    if not measured:
        return f"No probe could be measured: {of}"
    strongest = max(measured, key=_rate)
    if not strongest.rate.n_hits:
        return f"No probe flips a prompt: {of}"
    text = html.escape(visible(strongest.text, 50))
    return f"«{text}» flips {strongest.rate.n_hits} of {strongest.rate.n}<br>{of}"
