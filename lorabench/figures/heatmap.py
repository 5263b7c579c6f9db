"""The clickable generalisation heatmap: look-alikes of a trigger against models, placements or prompts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from lorabench.figures import palette
from lorabench.figures.heatmap_cells import TIPS, cell_records, description, notes
from lorabench.figures.heatmap_layout import ANGLE, Layout, folded_family, lay_out
from lorabench.figures.marks import at, box, records_chart
from lorabench.figures.palette import Theme
from lorabench.figures.visible import visible
from lorabench.results import Heatmap, LabelTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What a click on the chart named; every part may be missing.

    Attributes:
        variant_index: The variant of the clicked line; None for a folded family or a column's title.
        family: The family of the clicked line; None for a column's title.
        column: Key of the clicked column; None for a click on a line's label.
    """

    variant_index: int | None
    family: str | None
    column: str | None


def heatmap_chart(
    heatmap: Heatmap,
    *,
    theme: Theme = "light",
    families_open: Collection[str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> alt.LayerChart:
    """Return the heatmap as an Altair chart with a point selection named "cell".

    A line is a variant; a family that is not open is one line with its pooled rate. Colour is
    the attack rate on a fixed scale from 0 to 1. Where too few prompts were eligible for a rate,
    the cell is grey and shows the mean margin shift in logits; a cell that has not run is dashed with a
    dot. The selection's fields are "variant" (see `read_selection`) and "column" (its key).

    Args:
        heatmap: The result, finished or not.
        theme: The paper it will be shown on.
        families_open: Families shown variant by variant; None for all.
        titles: What people read for a family key.

    Returns:
        A layered chart of fixed size; every string in it is data, none an expression.
    """
    titles = titles or {}
    layout = lay_out(heatmap, titles, families_open)
    cells = cell_records(heatmap, layout, titles, theme)
    layers = [
        _rules(layout, theme),
        _rects(cells, heatmap, theme),
        *_not_run(cells, theme),
        *_cell_texts(cells),
    ]
    layers += _labels(layout, theme)
    chart = alt.layer(*layers).properties(
        width=layout.width,
        height=layout.height,
        autosize=alt.AutoSizeParams(type="pad"),  # Streamlit's own choice, "fit", would cut the last lines
        description=description(heatmap),
        title=alt.TitleParams(
            text=f"Attack rate of look-alikes of «{visible(heatmap.trigger.text, 60)}»",
            subtitle=notes(cells),
            anchor="start",
            color=palette.INK[theme],
            subtitleColor=palette.MUTED[theme],
            fontSize=14,
            subtitleFontSize=11,
            subtitlePadding=4,
            offset=8,
        ),
    )
    dressed: alt.LayerChart = chart.configure_view(stroke=None).configure_legend(
        labelColor=palette.MUTED[theme], titleColor=palette.INK[theme]
    )
    return dressed


def read_selection(heatmap: Heatmap, selection: object) -> Picked | None:
    """Return what `event.selection["cell"]` names, or None when nothing valid is selected.

    Args:
        heatmap: The heatmap that was charted.
        selection: The selection's value: a list of records, a mapping, or nothing. It comes
            from a browser, so anything else is treated as no selection.
    """
    record = selection[0] if isinstance(selection, Sequence) and selection else selection
    if not isinstance(record, Mapping):
        return None
    key, column = record.get("variant"), record.get("column")
    keys = {c.key for c in heatmap.columns}
    column = column if isinstance(column, str) and column in keys else None
    if key is None and column is not None:
        return Picked(variant_index=None, family=None, column=column)
    if not isinstance(key, int | float) or isinstance(key, bool) or not float(key).is_integer():
        return None
    if 0 <= key < len(heatmap.variants):
        index = int(key)
        return Picked(variant_index=index, family=heatmap.variants[index].family, column=column)
    family = folded_family(heatmap, int(key))
    return Picked(variant_index=None, family=family, column=column) if family is not None else None


def _rects(records: list[dict[str, Any]], heatmap: Heatmap, theme: Theme) -> alt.Chart:
    pick = alt.selection_point(name="cell", fields=["variant", "column"], toggle=False, empty=False)
    target = heatmap.task.target if isinstance(heatmap.task, LabelTask) else "the payload"
    colour = alt.Color(
        "rate:Q",
        condition=[
            {"test": "datum.paint === 'not run'", "value": palette.PAPER[theme]},
            {"test": "datum.paint === 'grey'", "value": palette.NEUTRAL[theme]},
        ],
        scale=alt.Scale(domain=[0, 1], range=list(palette.SEQUENTIAL[theme]), interpolate="rgb"),
        legend=alt.Legend(
            title=f"attack rate: eligible prompts that flip to {visible(target, 30)}",
            orient="bottom",
            direction="horizontal",
            gradientLength=220,
            gradientThickness=10,
            titleLimit=420,
            values=[0, 0.25, 0.5, 0.75, 1],
            format=".2f",
        ),
    )
    rects: alt.Chart = (
        records_chart(records)
        .mark_rect(cursor="pointer", cornerRadius=2, invalid="show")  # a cell without a rate is a cell
        .encode(
            **box(),
            color=colour,
            stroke=alt.when(pick)
            .then(alt.value("#000000" if theme == "light" else "#ffffff"))
            .otherwise(alt.value("transparent")),
            strokeWidth=alt.when(pick).then(alt.value(3)).otherwise(alt.value(1)),
            tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in TIPS],
            description=alt.Description("spoken:N"),
        )
        .add_params(pick)
    )
    return rects


def _not_run(records: list[dict[str, Any]], theme: Theme) -> list[alt.Chart]:
    """Return the dashed edges; a layer of its own, because "strokeDash" is no channel of a rect mark."""
    waiting = [r for r in records if r["paint"] == "not run"]
    style: dict[str, Any] = {"filled": False, "stroke": palette.MUTED[theme], "strokeDash": [3, 3]}
    mark = {**style, "strokeWidth": 1, "opacity": 0.7, "cornerRadius": 2}
    return [records_chart(waiting).mark_rect(**mark).encode(**box())] if waiting else []


def _cell_texts(records: list[dict[str, Any]]) -> list[alt.Chart]:
    """Return the numbers in the cells, on "fill": a null colour scale would clash with the rates' scale.

    Grey ones are italic, so that a shift never reads as a rate.
    """
    measured = [r for r in records if r["paint"] == "rate"]
    others = [r for r in records if r["paint"] != "rate"]
    return [
        records_chart(part)
        .mark_text(fontSize=11, fontStyle=style)
        .encode(**at("xm", "ym"), text="label:N", fill=alt.Fill("ink:N", scale=None))
        for part, style in ((measured, "normal"), (others, "italic"))
        if part
    ]


def _labels(layout: Layout, theme: Theme) -> list[alt.Chart]:
    middle = layout.cell_height / 2
    heads = [
        {
            "x": x + layout.cell_width / 2,
            "y": layout.head_bottom,
            "label": title,
            "variant": None,
            "column": c.key,
        }
        for c, title, x in layout.columns
    ]
    families = [
        {"x": 0, "y": r.top + middle, "label": r.heading, "variant": r.key, "column": ""}
        for r in layout.rows
        if r.heading
    ]
    texts = [
        {"x": layout.family_right + 6, "y": r.top + middle, "label": r.label, "variant": r.key, "column": ""}
        for r in layout.rows
    ]
    quiet = [t for t, r in zip(texts, layout.rows, strict=True) if r.is_quiet]
    named = [t for t, r in zip(texts, layout.rows, strict=True) if not r.is_quiet]
    head_style: dict[str, Any] = {"align": "center", "limit": layout.cell_width}
    if layout.angled:
        head_style = {"align": "left", "angle": 360 - ANGLE, "limit": 190, "dx": -4}
    parts: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
        (heads, {"fontWeight": "bold", **head_style}, palette.INK[theme]),
        (
            families,
            {"align": "left", "fontWeight": "bold", "limit": layout.family_right - 4},
            palette.INK[theme],
        ),
        (named, {"align": "left", "limit": layout.grid_left - layout.family_right - 16}, palette.INK[theme]),
        (quiet, {"align": "left", "fontStyle": "italic"}, palette.MUTED[theme]),
    ]
    if layout.control_rule is not None:
        title = [{"x": 0, "y": layout.control_rule + 10, "label": "CONTROLS", "variant": None, "column": ""}]
        parts.append((title, {"align": "left", "fontSize": 9}, palette.MUTED[theme]))
    return [
        records_chart(data)
        .mark_text(**{"fontSize": 11, "color": colour, **style})
        .encode(**at("x", "y"), text="label:N", tooltip=alt.Tooltip("label:N", title=" "))
        for data, style, colour in parts
        if data
    ]


def _rules(layout: Layout, theme: Theme) -> alt.Chart:
    heights = [*layout.rules, *([layout.control_rule] if layout.control_rule is not None else [])]
    data = [{"x": 0, "x2": layout.grid_right, "y": y} for y in heights]
    rules: alt.Chart = (
        records_chart(data)
        .mark_rule(color=palette.RULE[theme], strokeWidth=0.5)
        .encode(**at("x", "y"), x2=alt.X2("x2:Q"))
    )
    return rules
