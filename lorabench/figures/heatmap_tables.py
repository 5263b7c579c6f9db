"""A heatmap as tables: the accessible twin of the chart, and the rows of a download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from lorabench.figures.pooling import Pooled, pool
from lorabench.figures.visible import encodable
from lorabench.results import Heatmap, HeatmapCell

SHIFT = "margin shift (logits)"


def ordered_families(heatmap: Heatmap) -> tuple[tuple[str, tuple[int, ...], bool], ...]:
    """Return (family, indices of its variants, is control) in screen order: controls last."""
    groups: list[tuple[str, tuple[int, ...], bool]] = []
    for family in heatmap.families:
        members = tuple(i for i, v in enumerate(heatmap.variants) if v.family == family)
        groups.append((family, members, any(heatmap.variants[i].is_control for i in members)))
    return tuple(sorted(groups, key=lambda g: g[2]))  # stable: the given order within each half


def cell_index(heatmap: Heatmap) -> Mapping[tuple[int, str], HeatmapCell]:
    """Return all cells by (variant index, column key); a pair that is absent has not run."""
    return {(c.variant_index, c.column): c for c in heatmap.cells}


def cell_status(pooled: Pooled) -> str:
    """Return "not run", "running", "not measured" (it ran, but n is 0), or "measured"."""
    if pooled.status != "done":
        return pooled.status
    return "measured" if pooled.rate.n else "not measured"


def family_title(family: str, titles: Mapping[str, str]) -> str:
    """Return what people read for a family key."""
    return encodable(titles.get(family) or family.replace("_", " "))


def heatmap_frame(heatmap: Heatmap) -> pd.DataFrame:
    """Return one row per variant and column with every number; rates that were not measured are NaN.

    Returns:
        Columns `variant` (its index), `text`, `family`, `change`, `is_control`,
        `shared_words`, `anchors`, `source`, `column` (its key), `column_title`, `model`,
        `placement`, `prompt_index`, `status`, `rate`, `n_hits`, `n` (eligible prompts), `low`,
        `high`, `interval_method`, `n_scored`, `n_planned`, `n_ties`, `mean_margin` and `mean_shift`
        (logits). Texts are exact (but for lone surrogates): escape them, or export the table
        through `lorabench.report`.
    """
    cells = cell_index(heatmap)
    rows: list[dict[str, Any]] = []
    for _, members, _ in ordered_families(heatmap):
        for i in members:
            variant = heatmap.variants[i]
            for column in heatmap.columns:
                cell = cells.get((i, column.key))
                pooled = pool([cell] if cell is not None else [])
                rows.append(
                    {
                        "variant": i,
                        "text": encodable(variant.text),
                        "family": encodable(variant.family),
                        "change": encodable(variant.change),
                        "is_control": variant.is_control,
                        "shared_words": encodable(" ".join(variant.shared_words)),
                        "anchors": encodable(" ".join(variant.anchors)),
                        "source": encodable(variant.source),
                        "column": encodable(column.key),
                        "column_title": encodable(column.title),
                        "model": encodable(column.model),
                        "placement": column.placement,
                        "prompt_index": column.prompt_index,
                        **_numbers(pooled),
                    }
                )
    frame = pd.DataFrame(rows, columns=None if rows else _FRAME_COLUMNS)
    floats = ["rate", "low", "high", "mean_margin", "mean_shift"]
    return frame.astype({**dict.fromkeys(floats, "float64"), "prompt_index": "Int64"})


def heatmap_table(
    heatmap: Heatmap,
    *,
    by: Literal["variant", "family"] = "variant",
    titles: Mapping[str, str] | None = None,
    counts: bool = False,
) -> pd.DataFrame:
    """Return the wide twin of the chart: one row per variant or family, one column per column.

    Args:
        heatmap: The result.
        by: One row per variant, or one pooled row per family.
        titles: What people read for a family key.
        counts: Also give each column's n and the ends of its interval.

    Returns:
        Rates as fractions; NaN means not measured or not run (with `counts`, n is 0 in the
        first case and missing in the second). A column in which no rate was measured is
        shown by its mean margin shift instead, and says so in its name.
    """
    cells = cell_index(heatmap)
    names = _column_names(heatmap)
    groups: list[tuple[dict[str, Any], list[int]]] = []
    for family, members, _ in ordered_families(heatmap):
        title = family_title(family, titles or {})
        if by == "family":
            groups.append(({"family": title, "variants": len(members)}, list(members)))
        else:
            groups += [
                ({"family": title, "variant": encodable(heatmap.variants[i].text)}, [i]) for i in members
            ]
    heads = ["family", "variants" if by == "family" else "variant"]
    data: dict[str, list[Any]] = {head: [g[0][head] for g in groups] for head in heads}
    for column in heatmap.columns:
        pools = [pool([cells[i, column.key] for i in m if (i, column.key) in cells]) for _, m in groups]
        name = names[column.key]
        if any(p.n_done for p in pools) and not any(p.rate.n for p in pools):
            data[f"{name}: {SHIFT}"] = [p.mean_shift for p in pools]
            continue
        data[name] = [p.rate.value for p in pools]
        if counts:
            data[f"{name}: n"] = [p.rate.n if p.n_done else None for p in pools]
            data[f"{name}: low"] = [p.interval.low if p.interval else None for p in pools]
            data[f"{name}: high"] = [p.interval.high if p.interval else None for p in pools]
    frame = pd.DataFrame(data)
    counted = {name: "Int64" for name in frame.columns if name not in heads and name.endswith(": n")}
    numbers = {name: "float64" for name in frame.columns if name not in heads and name not in counted}
    return frame.astype({**numbers, **counted})


def _column_names(heatmap: Heatmap) -> dict[str, str]:
    """Return a unique readable name per column key."""
    taken = [c.title for c in heatmap.columns]
    return {
        c.key: encodable(
            c.title if taken.count(c.title) == 1 and c.title not in _RESERVED else f"{c.title} ({c.key})"
        )
        for c in heatmap.columns
    }


_RESERVED = ("family", "variant", "variants")


def _numbers(pooled: Pooled) -> dict[str, Any]:
    interval = pooled.interval
    return {
        "status": cell_status(pooled),
        "rate": pooled.rate.value,
        "n_hits": pooled.rate.n_hits,
        "n": pooled.rate.n,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_method": interval.method if interval else "",
        "n_scored": pooled.n_done,
        "n_planned": pooled.n_planned,
        "n_ties": pooled.n_ties,
        "mean_margin": pooled.mean_margin,
        "mean_shift": pooled.mean_shift,
    }


_FRAME_COLUMNS = [
    *("variant", "text", "family", "change", "is_control", "shared_words", "anchors", "source"),
    *("column", "column_title", "model", "placement", "prompt_index"),
    *_numbers(pool([])),
]
