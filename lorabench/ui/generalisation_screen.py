"""A heatmap as this screen may show it: columns under short keys, adapters by name or blind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lorabench.data import FAMILY_TITLES
from lorabench.figures.heatmap_layout import Row, folded_family, lay_out
from lorabench.figures.pooling import Pooled, pool
from lorabench.results import BASE, Heatmap
from lorabench.ui.names import display_name, is_blind

TITLES: Mapping[str, str] = MappingProxyType({key: f.title for key, f in FAMILY_TITLES.items()})
"""What people read for a family key."""

FONT = '"Source Sans", sans-serif'
"""The page's own font, for charts on it."""

_CELL = re.compile(r"(-?\d{1,5}),(\d{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A chosen cell.

    Attributes:
        line: Index of its variant, or -1 - (position of a folded family), as in the chart.
        column: Position of its column.
    """

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line},{self.column}"


def parse_cell(text: str, heatmap: Heatmap) -> Cell | None:
    """Return the cell that an address names, or None if this heatmap has no such cell."""
    match = _CELL.fullmatch(text)
    if match is None:
        return None
    line, column = int(match[1]), int(match[2])
    known = line < len(heatmap.variants) if line >= 0 else folded_family(heatmap, line) is not None
    return Cell(line=line, column=column) if known and column < len(heatmap.columns) else None


def on_screen(heatmap: Heatmap) -> Heatmap:
    """Return the heatmap with columns "c0", "c1", ... and adapters called what this tab calls them.

    With blind names nothing in it says which adapter is which: it is also what is downloaded then.
    """
    keys = {c.key: f"c{i}" for i, c in enumerate(heatmap.columns)}
    columns = tuple(
        replace(
            c,
            key=keys[c.key],
            title=display_name(c.model) if c.title == c.model else c.title,
            model=c.model if c.model == BASE or not is_blind() else display_name(c.model),
        )
        for c in heatmap.columns
    )
    return replace(
        heatmap,
        columns=columns,
        cells=tuple(replace(c, column=keys[c.column]) for c in heatmap.cells),
        readings=tuple(replace(r, column=keys[r.column]) for r in heatmap.readings),
        provenance=_blinded(heatmap.provenance) if is_blind() else heatmap.provenance,
    )


def lines(heatmap: Heatmap, families_open: set[str] | None) -> tuple[Row, ...]:
    """Return the lines of the chart, top to bottom; None opens every family."""
    return lay_out(heatmap, TITLES, families_open).rows


def pooled(heatmap: Heatmap, members: tuple[int, ...], column: int) -> Pooled:
    """Return what one line of one column says."""
    key = heatmap.columns[column].key
    wanted = set(members)
    return pool([c for c in heatmap.cells if c.column == key and c.variant_index in wanted])


def members_of(heatmap: Heatmap, cell: Cell) -> tuple[int, ...]:
    """Return the variants of a cell: one, or those of a folded family."""
    if cell.line >= 0:
        return (cell.line,)
    family = folded_family(heatmap, cell.line)
    return tuple(i for i, v in enumerate(heatmap.variants) if v.family == family)


def _blinded(provenance: dict[str, Any]) -> dict[str, Any]:
    adapters = provenance.get("adapters")
    if not isinstance(adapters, dict):
        return provenance
    return provenance | {"adapters": {display_name(name): "hidden" for name in adapters}}
