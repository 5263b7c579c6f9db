"""The chosen cell: one for the chart, its table twin, the detail pane and the address.

Chart and table are two widgets that each remember a selection of their own. The one that changed
last wins; the other is drawn anew under another key, with the same cell chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from lorabench import figures
from lorabench.results import Heatmap
from lorabench.ui.generalisation_address import CELL
from lorabench.ui.generalisation_screen import Cell, lines, parse_cell
from lorabench.ui.state import session, write_params

_PAGE = "generalisation"
_NOTE = f"{_PAGE}.pick"


@dataclass
class Pick:
    """What is chosen in one heatmap of this tab.

    Attributes:
        id: Job of the heatmap, or "recorded".
        screen: The heatmap as it is on screen.
        cell: The chosen cell, or None.
        opened: Families shown variant by variant although families are folded.
        lines: Line keys in the table's row order.
        names: Names of the table's columns, the heatmap's columns last.
        turns: How often each widget was drawn anew.
        first: The cell each widget, by key, began with.
        seen: The cell each widget, by key, last said.
        spec: The chart as it was last made, behind what it was made for.
    """

    id: str
    screen: Heatmap
    cell: Cell | None = None
    opened: set[str] = field(default_factory=set)
    lines: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    turns: dict[str, int] = field(default_factory=lambda: {"chart": 0, "table": 0})
    first: dict[str, Cell | None] = field(default_factory=dict)
    seen: dict[str, Cell | None] = field(default_factory=dict)
    spec: tuple[object, dict[str, Any]] | None = None

    def key(self, widget: str) -> str:
        """Return the key of "chart" or "table" as it is drawn now."""
        return f"{_PAGE}.{widget}.{self.id}.{self.turns[widget]}"

    def start(self, widget: str) -> Cell | None:
        """Return the cell with which a widget begins; the same as long as it has this key."""
        return self.first.setdefault(self.key(widget), self.cell)

    def take(self, widget: str) -> None:
        """Take a change of one widget over; called when it changes and before it is drawn."""
        key = self.key(widget)
        if key not in st.session_state:
            return
        said = self._chart_cell(key) if widget == "chart" else self._table_cell(key)
        if said == self.seen.get(key):
            return
        self.seen[key] = said
        if said != self.cell:
            self.choose(said)
            self.turns["table" if widget == "chart" else "chart"] += 1
            if widget == "chart" and not self._is_cell(key):
                self.turns["chart"] += 1  # a label was clicked: mark the cell that was chosen for it

    def choose(self, cell: Cell | None) -> None:
        """Make a cell the chosen one, here and in the address."""
        self.cell = cell
        if self.id != "recorded":
            session().notes[CELL] = str(cell) if cell else ""
            write_params({"cell": str(cell) if cell else None})

    def note_drawn(self, widget: str) -> None:
        """Note what a widget says right after it was drawn, so that only changes count."""
        key = self.key(widget)
        self.seen[key] = self._chart_cell(key) if widget == "chart" else self._table_cell(key)

    def _chart_cell(self, key: str) -> Cell | None:
        selection = _selection(key).get("cell")
        picked = figures.read_selection(self.screen, selection)
        if picked is None:
            return None
        line = picked.variant_index
        if line is None:
            families = [f for f, _, _ in figures.ordered_families(self.screen)]
            line = -1 - families.index(picked.family or "")
        columns = [c.key for c in self.screen.columns]
        at = columns.index(picked.column) if picked.column is not None else self._usual_column()
        return Cell(line=line, column=at)

    def _is_cell(self, key: str) -> bool:
        picked = figures.read_selection(self.screen, _selection(key).get("cell"))
        return picked is None or picked.column is not None

    def _table_cell(self, key: str) -> Cell | None:
        cells = _selection(key).get("cells") or ()
        if not cells:
            return None
        row, name = cells[0]
        if not isinstance(row, int) or not 0 <= row < len(self.lines):
            return None
        n_heads = len(self.names) - len(self.screen.columns)
        at = self.names.index(name) - n_heads if name in self.names else -1
        return Cell(line=self.lines[row], column=at if at >= 0 else self._usual_column())

    def _usual_column(self) -> int:
        """Return the column for a click on a line's label: the one before, else the last."""
        return self.cell.column if self.cell else len(self.screen.columns) - 1


def pick_of(id: str, screen: Heatmap) -> Pick:
    """Return what is chosen in this heatmap; at first the cell of the address."""
    notes = session().notes
    found = notes.get(_NOTE)
    if not isinstance(found, Pick) or found.id != id:
        found = Pick(id=id, screen=screen)
        if id != "recorded":
            found.cell = parse_cell(str(notes.get(CELL) or ""), screen)
        notes[_NOTE] = found
    found.screen = screen
    return found


def open_for(pick: Pick) -> None:
    """Open the family of the chosen cell when the address names one of its variants."""
    if pick.cell is not None and pick.cell.line >= 0 and pick.cell.line not in _keys(pick):
        pick.opened.add(pick.screen.variants[pick.cell.line].family)


def _keys(pick: Pick) -> set[int]:
    return {row.key for row in lines(pick.screen, pick.opened)}


def _selection(key: str) -> Mapping[str, Any]:
    state = st.session_state.get(key)
    found = state.get("selection") if isinstance(state, Mapping) else None
    return found if isinstance(found, Mapping) else {}
