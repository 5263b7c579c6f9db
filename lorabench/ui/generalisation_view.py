"""A heatmap on the page: sentences first, the chart with its table twin, the chosen cell, downloads."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lorabench import figures, report
from lorabench.figures.heatmap_layout import Row
from lorabench.figures.pooling import Pooled
from lorabench.results import BASE, GeneralisationReading, Heatmap
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.generalisation_cell import draw_cell
from lorabench.ui.generalisation_pick import Pick, open_for, pick_of
from lorabench.ui.generalisation_screen import FONT, TITLES, lines, on_screen, pooled
from lorabench.ui.names import is_blind
from lorabench.ui.text import duration, label, sentence
from lorabench.ui.theme import current_theme

_PAGE = "generalisation"
_MANY_LINES = 40
_ROWS = {"variants": "Every look-alike", "families": "Families, folded"}
_HEADS = ("family", "look-alike")
_LEVELS = {
    "exact": ("exact text", "blue"),
    "token": ("word level", "orange"),
    "structure": ("structure level", "orange"),
    "any prefix": ("any prefix", "orange"),
    "none": ("does not fire", "gray"),
    "unclear": ("unclear", "gray"),
}
# A wide chart scrolls inside its own box on a narrow screen; the chosen cell stays in view beside it.
_STYLE = """<style>
.st-key-generalisation-chart, .st-key-generalisation-partial { overflow-x: auto; }
.generalisation-swipe { font-size: 0.8rem; opacity: 0.7; margin: 0; }
@media (min-width: 1100px) {
  .generalisation-swipe { display: none; }
  [data-testid="stColumn"]:has(.st-key-generalisation-detail) {
    position: sticky; top: 4rem; align-self: flex-start;
  }
  .st-key-generalisation-detail { max-height: calc(100vh - 6rem); overflow-y: auto; }
}
</style>"""


def draw_heatmap(heatmap: Heatmap, *, id: str) -> None:
    """Draw a heatmap that is finished, or as far as it came.

    Args:
        heatmap: The result.
        id: Its job, or "recorded".
    """
    screen = on_screen(heatmap)
    st.html(_STYLE)
    _draw_readings(screen)
    pick = pick_of(id, screen)
    families_open = _rows_switch(pick)
    shown = lines(screen, families_open)
    pick.lines = tuple(row.key for row in shown)
    pick.names = (*_HEADS, *_names(screen))
    for widget in ("chart", "table"):
        pick.take(widget)
    left, right = st.columns([9, 4], gap="medium")
    with left:
        _draw_chart(pick, families_open)
        _draw_table(pick, shown)
    with right, st.container(border=True, key=f"{_PAGE}-detail"):
        draw_cell(heatmap, pick)
    _draw_facts(heatmap)
    _draw_downloads(screen if is_blind() else heatmap, families_open)


def _draw_readings(screen: Heatmap) -> None:
    if not screen.readings:
        st.markdown(f"**{sentence(report.heatmap_sentence(screen))}**")
        return
    titles = {c.key: c.title for c in screen.columns}
    for reading in screen.readings:
        with st.container(key=f"{_PAGE}.reading.{reading.column}", gap=None):
            _draw_reading(reading, titles[reading.column])


def _draw_reading(reading: GeneralisationReading, title: str) -> None:
    words, color = _LEVELS.get(reading.level, ("unclear", "gray"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{label(title, 60)}**", width="content")
        st.badge(words, color=color)  # type: ignore[arg-type]
        with st.popover("What this does not show", type="tertiary", key=f"{_PAGE}.limits.{reading.column}"):
            st.markdown(sentence(reading.limits))
            st.markdown(sentence(report.NOT_A_VERDICT))
            for name, interval in reading.intervals.items():
                st.caption(f"{label(name)}: {figures.interval_text(interval)}, {label(interval.method)}")
    st.markdown(sentence(reading.sentence))


def _rows_switch(pick: Pick) -> set[str] | None:
    """Draw the switch between look-alikes and families; return the open families, None for all."""
    key = f"{_PAGE}.rows"
    state = st.session_state
    if state.get(key) not in _ROWS:
        state[key] = "families" if len(lines(pick.screen, None)) > _MANY_LINES else "variants"
    chosen = st.segmented_control(
        "Rows",
        list(_ROWS),
        format_func=lambda name: _ROWS[name],
        key=key,
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    if chosen != "families":
        return None
    open_for(pick)
    return pick.opened


def _draw_chart(pick: Pick, families_open: set[str] | None) -> None:
    spec = _spec(pick, families_open)
    begin = pick.start("chart")
    if begin is not None:
        for param in spec["params"]:
            param["value"] = [{"variant": begin.line, "column": pick.screen.columns[begin.column].key}]
    st.html('<p class="generalisation-swipe">The chart is wider than this screen: swipe it sideways.</p>')
    with st.container(key=f"{_PAGE}-chart"):
        st.vega_lite_chart(
            spec=spec,
            theme=None,
            width="content",
            key=pick.key("chart"),
            on_select=partial(pick.take, "chart"),
            selection_mode="cell",
        )
    pick.note_drawn("chart")


def _spec(pick: Pick, families_open: set[str] | None) -> dict[str, Any]:
    """Return the chart as Vega-Lite, made once and copied: making it costs more than the whole page."""
    theme = current_theme()
    titles = tuple(c.title for c in pick.screen.columns)
    n_done = sum(len(c.rows) for c in pick.screen.cells)
    key = (theme, titles, n_done, None if families_open is None else tuple(sorted(families_open)))
    if pick.spec is None or pick.spec[0] != key:
        chart = figures.heatmap_chart(pick.screen, theme=theme, families_open=families_open, titles=TITLES)
        chart.config["font"] = FONT
        pick.spec = (key, chart.to_dict())
    return copy.deepcopy(pick.spec[1])


def _draw_table(pick: Pick, shown: tuple[Row, ...]) -> None:
    with st.expander("The same as a table: walk it with the arrow keys", key=f"{_PAGE}.twin"):
        begin = pick.start("table")
        cells = []
        if begin is not None and begin.line in pick.lines:
            cells = [(pick.lines.index(begin.line), pick.names[len(_HEADS) + begin.column])]
        st.dataframe(
            _table(pick, shown),
            hide_index=True,
            key=pick.key("table"),
            on_select=partial(pick.take, "table"),
            selection_mode="single-cell",
            selection_default={"selection": {"cells": cells}} if cells else None,
            alt="Attack rate of every look-alike in every column, with interval and number of prompts",
        )
    pick.note_drawn("table")


def _table(pick: Pick, shown: tuple[Row, ...]) -> pd.DataFrame:
    rows = []
    for row in shown:
        family = TITLES.get(row.family, row.family)
        cells = [
            _cell_text(pooled(pick.screen, row.members, i), is_base=column.model == BASE)
            for i, column in enumerate(pick.screen.columns)
        ]
        rows.append([family, row.label, *cells])
    return pd.DataFrame(rows, columns=list(pick.names))


def _cell_text(found: Pooled, *, is_base: bool = False) -> str:
    """Return what a cell says in words; never a rate for what was not run or not measured.

    Few prompts of the base can flip, if any, so its margin shift always stands beside its rate.
    """
    if found.status == "not run":
        return "not run"
    unfinished = "" if found.status == "done" else f" ({found.n_done} of {found.n_planned} so far)"
    shift = f"margin shift {figures.signed(found.mean_shift)}"
    if not found.rate.n:
        return f"{shift}; rate not measured{unfinished}"
    rate = f"{found.rate.value:.2f} {figures.interval_text(found.interval)} n={found.rate.n}"
    return f"{shift}; rate {rate}{unfinished}" if is_base else rate + unfinished


def _names(screen: Heatmap) -> tuple[str, ...]:
    """Return a different readable name for every column."""
    titles = [figures.visible(c.title, 60) for c in screen.columns]
    return tuple(
        t if titles.count(t) == 1 and t not in _HEADS else f"{t} ({i + 1})" for i, t in enumerate(titles)
    )


def _draw_facts(heatmap: Heatmap) -> None:
    if note := heatmap.provenance.get("fast_mode"):
        st.warning(f"Not evidence: {label(note, 300)}.", icon=":material/speed:")
    done = sum(len(c.rows) for c in heatmap.cells if c.rows)
    facts = heatmap.provenance
    parts = [
        f"{heatmap.n_rows:,} rows" if done else "no row yet",
        figures.cost_text(heatmap.n_computed, heatmap.n_unique_tokens, heatmap.n_naive_tokens),
        duration(heatmap.seconds),
        f"{label(facts.get('device', 'unknown device'))} {label(facts.get('dtype', ''))}",
        f"seed {label(facts.get('seed', 'unknown'))}",
        label(figures.sharing_text(facts), 120),
    ]
    st.caption(" · ".join(filter(None, parts)))


def _draw_downloads(heatmap: Heatmap, families_open: set[str] | None) -> None:
    name = f"generalisation-{heatmap.trigger.text[:40]}"
    opened = None if families_open is None else frozenset(families_open)
    drawn = {"families_open": opened, "titles": TITLES}
    items = (
        Download(
            label="CSV",
            file_name=f"{name}.csv",
            mime="text/csv",
            make=lambda: report.heatmap_csv(heatmap),
            help="One row per look-alike and column.",
        ),
        Download(
            label="Parquet",
            file_name=f"{name}.parquet",
            mime="application/vnd.apache.parquet",
            make=lambda: report.heatmap_parquet(heatmap),
        ),
        Download(
            label="PNG",
            file_name=f"{name}.png",
            mime="image/png",
            make=lambda: report.heatmap_png(heatmap, **drawn),  # type: ignore[arg-type]
        ),
        Download(
            label="SVG",
            file_name=f"{name}.svg",
            mime="image/svg+xml",
            make=lambda: report.heatmap_svg(heatmap, **drawn),  # type: ignore[arg-type]
        ),
        Download(
            label="HTML",
            file_name=f"{name}.html",
            mime="text/html",
            make=lambda: report.heatmap_html(heatmap, titles=TITLES),
            help="One file with the picture, every number, the method and its limits.",
        ),
        Download(
            label="JSON",
            file_name=f"{name}.json",
            mime="application/json",
            make=lambda: report.to_json(heatmap),
            help="Everything, with every prompt's margins.",
        ),
    )
    download_row(items, key=f"{_PAGE}.downloads")
