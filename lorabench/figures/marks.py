"""Marks at pixel positions, for charts that place everything themselves: labels stay data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt


def records_chart(records: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart over inline records: no row limit, and no type that a data frame would guess."""
    return alt.Chart(alt.InlineData(values=list(records)))


def at(x: str, y: str) -> dict[str, Any]:
    """Return the encoding of a mark whose fields `x` and `y` are pixels."""
    return {"x": alt.X(f"{x}:Q", scale=None, axis=None), "y": alt.Y(f"{y}:Q", scale=None, axis=None)}


def box() -> dict[str, Any]:
    """Return the encoding of a rectangle whose corners are the fields `x`, `y`, `x2` and `y2`."""
    return {**at("x", "y"), "x2": alt.X2("x2:Q"), "y2": alt.Y2("y2:Q")}
