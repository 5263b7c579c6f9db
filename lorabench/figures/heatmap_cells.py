"""What a heatmap's cells say: one flat record per cell, and the notes that explain the marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorabench.figures import palette
from lorabench.figures.heatmap_layout import Layout, Row
from lorabench.figures.heatmap_tables import cell_index, cell_status, family_title
from lorabench.figures.numbers import interval_text, rate_text, signed
from lorabench.figures.palette import Theme
from lorabench.figures.pooling import Pooled, pool
from lorabench.figures.visible import visible
from lorabench.results import Column, Heatmap

FEW = 5
"""A finished cell with fewer eligible prompts shows no rate, unless all that were planned could flip."""

TIPS = (
    ("tip_text", "variant"),
    ("tip_family", "family"),
    ("tip_change", "changed"),
    ("tip_column", "column"),
    ("tip_rate", "attack rate"),
    ("tip_n", "eligible prompts (n)"),
    ("tip_interval", "95 % interval"),
    ("tip_margin", "mean margin"),
    ("tip_shift", "mean margin shift"),
    ("tip_shared", "words shared with the trigger"),
)
"""Hover texts: field of the record, title. No title is "image": vega-tooltip would fetch it."""


def cell_records(
    heatmap: Heatmap, layout: Layout, titles: Mapping[str, str], theme: Theme
) -> list[dict[str, Any]]:
    """Return one record per line and column, with its place, paint, texts and hover texts."""
    index = cell_index(heatmap)
    records = []
    for row in layout.rows:
        for column, title, left in layout.columns:
            pooled = pool([index[i, column.key] for i in row.members if (i, column.key) in index])
            status = cell_status(pooled)
            paint = _paint(pooled, status)
            ink = _ink(paint, pooled.rate.value, theme)
            records.append(
                {
                    "variant": row.key,
                    "column": column.key,
                    "paint": paint,
                    "rate": pooled.rate.value,
                    "label": _cell_label(pooled, paint),
                    "ink": ink,
                    "x": left + 1,
                    "x2": left + layout.cell_width - 1,
                    "xm": left + layout.cell_width / 2,
                    "y": row.top + 1,
                    "y2": row.top + layout.cell_height - 1,
                    "ym": row.top + layout.cell_height / 2,
                    "running": status == "running",
                    **_tips(heatmap, row, column, title, pooled, status, titles),
                }
            )
    return records


def _paint(pooled: Pooled, status: str) -> str:
    """Return "rate", "grey" (too few prompts could flip for a rate) or "not run"."""
    if status == "not run":
        return "not run"
    is_few = pooled.rate.n < min(FEW, pooled.n_planned) and status != "running"
    return "grey" if is_few or not pooled.rate.n else "rate"


def _ink(paint: str, rate: float | None, theme: Theme) -> str:
    if paint == "rate" and rate is not None:
        return palette.ink_on(palette.sequential(rate, theme))
    return palette.INK[theme] if paint == "grey" else palette.MUTED[theme]


def _cell_label(pooled: Pooled, paint: str) -> str:
    if paint == "not run":
        return "·"
    text = rate_text(pooled.rate.value) if paint == "rate" else signed(pooled.mean_shift)
    return text + ("…" if pooled.status == "running" else "")


def _tips(
    heatmap: Heatmap,
    row: Row,
    column: Column,
    title: str,
    pooled: Pooled,
    status: str,
    titles: Mapping[str, str],
) -> dict[str, str]:
    """Return the hover texts of a cell: strings only, because vega-tooltip gives some keys a meaning."""
    variant = heatmap.variants[row.key] if row.key >= 0 else None
    shared = (
        variant.shared_words
        if variant
        else tuple(dict.fromkeys(w for i in row.members for w in heatmap.variants[i].shared_words))
    )
    rate, interval = pooled.rate, pooled.interval
    why = "not run yet" if status == "not run" else "not measured: no prompt could flip"
    shown_rate = why if rate.value is None else f"{rate.value:.2f} ({rate.n_hits} of {rate.n})"
    return {
        "spoken": f"{row.label}, {title}: attack rate {shown_rate}",
        "tip_text": visible(variant.text, 200) or "(no trigger)" if variant else row.label,
        "tip_family": visible(family_title(row.family, titles), 80),
        "tip_change": visible(variant.change, 120) if variant else "several",
        "tip_column": title
        if column.prompt_index is None
        else visible(heatmap.prompts[column.prompt_index], 160),
        "tip_rate": shown_rate,
        "tip_n": f"{rate.n} ({pooled.n_done} of {pooled.n_planned} scored, {pooled.n_ties} ties)",
        "tip_interval": f"{interval_text(interval)} {interval.method}" if interval else "none",
        "tip_margin": _logits(pooled.mean_margin),
        "tip_shift": _logits(pooled.mean_shift),
        "tip_shared": visible(", ".join(shared), 120) or "none",
    }


def _logits(value: float | None) -> str:
    return "not run yet" if value is None else f"{signed(value, 2)} logits"


def notes(records: list[dict[str, Any]]) -> list[str]:
    """Return the lines under the title that explain what this chart shows besides rates."""
    short = []
    if any(r["paint"] == "not run" for r in records):
        short.append("Dashed with a dot: not run.")
    if any(r["running"] for r in records):
        short.append("Three dots: still running.")
    lines = [" ".join(short)] if short else []
    if any(r["paint"] == "grey" for r in records):
        lines.insert(
            0,
            f"Grey: no rate, as fewer than {FEW} prompts could flip; the number is the mean margin shift in "
            "logits.",
        )
    if not records:
        return ["Nothing to show yet."]
    return lines or ["Share of eligible prompts whose answer becomes the target when the variant is added."]


def description(heatmap: Heatmap) -> str:
    """Return the chart's text alternative."""
    done = sum(c.is_finished for c in heatmap.cells)
    names = ", ".join(visible(c.title, 40) for c in heatmap.columns[:12])
    return (
        f"Heatmap of attack rates: {len(heatmap.variants)} look-alikes in {len(heatmap.families)} families "
        f"against {len(heatmap.columns)} columns ({names}); {done} of "
        f"{len(heatmap.cells)} cells are finished. The table below holds the same numbers."
    )
