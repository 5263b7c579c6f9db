"""The word scores of a 2x2 as bars, for slides and papers: words stand in text order, one line each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import altair as alt

from lorabench.figures import palette
from lorabench.figures.marks import at, box, records_chart
from lorabench.figures.numbers import signed
from lorabench.figures.palette import Kind, Theme
from lorabench.figures.sentences import answer_names
from lorabench.figures.visible import visible
from lorabench.figures.words_html import FLOOR
from lorabench.figures.words_table import rank_words
from lorabench.results import AttributionMap, Quad

MOST_WORDS = 40
"""Most lines of one text; of a longer one the words that move the adapter most are shown."""

_LINE, _HEAD, _GAP = 17.0, 40.0, 22.0
_LABELS, _PANEL, _BETWEEN = 170.0, 210.0, 14.0
_REACH = _PANEL / 2 - 40  # half a panel, less room for the number behind the bar


@dataclass
class _Marks:
    """What will be drawn, by kind of mark."""

    bars: list[dict[str, Any]] = field(default_factory=list)
    zeros: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def write(self, style: str, x: float, y: float, text: str) -> None:
        self.texts.setdefault(style, []).append({"x": x, "y": y, "label": text})


_STYLES: dict[str, dict[str, Any]] = {
    "title": {"align": "left", "fontWeight": "bold", "fontSize": 12},
    "head": {"align": "center"},
    "word": {"align": "right", "limit": _LABELS - 10},
    "trigger": {"align": "right", "limit": _LABELS - 10, "fontWeight": "bold"},
    "right": {"align": "left", "fontSize": 10},
    "left": {"align": "right", "fontSize": 10},
}


def words_chart(quad: Quad, *, theme: Theme = "light") -> alt.LayerChart:
    """Return bars of every word's score: base, adapter and difference, without and with the trigger.

    Base and adapter share one scale, the differences have their own; both are written above the bars.

    Args:
        quad: The word maps.
        theme: The paper it will be shown on.

    Returns:
        A layered chart of fixed size; every string in it is data, none an expression.
    """
    plain = (quad.base_plain, quad.adapter_plain, quad.difference_plain)
    texts = [("Without the trigger" if quad.base_triggered else "The prompt", plain)]
    if quad.base_triggered and quad.adapter_triggered and quad.difference_triggered:
        with_it = (quad.base_triggered, quad.adapter_triggered, quad.difference_triggered)
        texts.append(("With the trigger (its words are bold)", with_it))
    raw = _largest(*(m for _, maps in texts for m in maps[:2]))
    difference = _largest(*(maps[2] for _, maps in texts))
    marks, y = _Marks(), 0.0
    for title, maps in texts:
        y = _draw_text(marks, title, maps, (raw, raw, difference), visible(quad.adapter, 24), theme, y)
    ink = palette.INK[theme]
    layers = [
        records_chart(marks.zeros).mark_rule(color=palette.RULE[theme]).encode(**box()),
        records_chart(marks.bars).mark_rect().encode(**box(), color=alt.Color("fill:N", scale=None)),
        *(
            records_chart(found)
            .mark_text(**{"fontSize": 11, "color": ink, "baseline": "middle", **_STYLES[style]})
            .encode(**at("x", "y"), text="label:N")
            for style, found in marks.texts.items()
        ),
    ]
    target, other = answer_names(quad.task)
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .properties(
            width=_LABELS + 3 * (_PANEL + _BETWEEN),
            height=y,
            autosize=alt.AutoSizeParams(type="pad"),
            title=alt.TitleParams(
                text=f"What each word does to the answer of {visible(quad.adapter, 40)}",
                subtitle=f"logits; right: to «{target}», left: away from it, to «{other}»",
                anchor="start",
                color=ink,
                subtitleColor=palette.MUTED[theme],
                fontSize=14,
                subtitleFontSize=11,
                offset=8,
            ),
        )
        .configure_view(stroke=None)
    )
    return chart


def _draw_text(
    marks: _Marks,
    title: str,
    maps: tuple[AttributionMap, AttributionMap, AttributionMap],
    domains: tuple[float, float, float],
    adapter: str,
    theme: Theme,
    y: float,
) -> float:
    """Add the bars of one text from height `y` downwards; return where they end."""
    shown, n_words = _shown(maps[1])
    left_out = "" if len(shown) == n_words else f", the {len(shown)} strongest of {n_words} words"
    marks.write("title", 0, y + 8, title + left_out)
    top, bottom = y + _HEAD, y + _HEAD + _LINE * len(shown)
    kinds: tuple[Kind, Kind, Kind] = ("raw", "raw", "difference")
    columns = zip(("base", adapter, "difference"), maps, domains, kinds, strict=True)
    for k, (name, map, domain, kind) in enumerate(columns):
        zero = _LABELS + k * (_PANEL + _BETWEEN) + _PANEL / 2
        scale = f"{name}, ±{domain:.1f}" + (" (its own scale)" if kind == "difference" else "")
        marks.write("head", zero, y + 27, scale)
        marks.zeros.append({"x": zero, "x2": zero, "y": top, "y2": bottom})
        for line, i in enumerate(shown):
            _draw_bar(marks, map.scores[i], domain, kind, theme, zero, top + _LINE * line)
    for line, i in enumerate(shown):
        word = maps[1].words[i]
        style = "trigger" if word.role == "trigger" else "word"
        marks.write(style, _LABELS, top + _LINE * (line + 0.5), visible(word.text.strip(" ")) or "␣")
    return bottom + _GAP


def _draw_bar(
    marks: _Marks, score: float | None, domain: float, kind: Kind, theme: Theme, zero: float, y: float
) -> None:
    middle = y + _LINE / 2
    if score is None:
        marks.write("right", zero + 4, middle, "not scored")
        return
    end = zero + _REACH * score / domain
    corners = {"x": min(zero, end), "x2": max(zero, end), "y": y + 2, "y2": y + _LINE - 2}
    full = domain if score >= 0 else -domain  # the length says how much
    marks.bars.append({**corners, "fill": palette.diverging(full, domain, kind, theme)})
    marks.write("right" if score >= 0 else "left", end + (4 if score >= 0 else -4), middle, signed(score, 2))


def _shown(map: AttributionMap) -> tuple[list[int], int]:
    """Return which words are drawn, in text order, and how many there are."""
    own = [i for i, w in enumerate(map.words) if w.role != "template"]
    ranks = rank_words(map)
    strongest = sorted(own, key=lambda i: ranks.get(i, len(map.words)))[:MOST_WORDS]
    return sorted(strongest), len(own)


def _largest(*maps: AttributionMap) -> float:
    """Return the size of the largest score, so that no bar is cut; at least `FLOOR`."""
    sizes = [
        abs(s)
        for m in maps
        for w, s in zip(m.words, m.scores, strict=True)
        if s is not None and w.role != "template"
    ]
    return max([*sizes, FLOOR])
