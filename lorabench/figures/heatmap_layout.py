"""Where everything in a heatmap goes, in pixels, before any drawing.

The chart positions its marks itself instead of using Vega axes: so labels are data (an axis
would turn them into expressions), families can have gaps, and controls can stand apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lorabench.figures.heatmap_tables import family_title, ordered_families
from lorabench.figures.visible import visible
from lorabench.results import BASE, Column, Heatmap

CHAR = 6.4  # width of an average 11 px character
ANGLE = 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the grid.

    Attributes:
        key: Index of its variant, or -1 - (position of the family) for a folded family.
        family: Key of the family.
        heading: Family title on the family's first line, else "".
        label: Variant text, or how many variants are folded in.
        is_quiet: Whether the label is ours (a count, "(no trigger)") rather than a variant's text.
        members: Variants of this line.
        top: Upper edge, pixels.
    """

    key: int
    family: str
    heading: str
    label: str
    is_quiet: bool
    members: tuple[int, ...]
    top: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Pixel positions of a heatmap's parts.

    Attributes:
        rows: Lines, top to bottom.
        columns: (column, title, left edge), left to right.
        cell_width: Of one cell.
        cell_height: Of one cell.
        family_right: Right edge of the family titles' area.
        grid_left: Left edge of the first cell.
        grid_right: Right edge of the last cell.
        head_bottom: Baseline of the column titles.
        angled: Whether column titles are turned.
        rules: Heights of the thin lines between families.
        control_rule: Height of the line above the controls, or None.
        width: Whole chart.
        height: Whole chart.
    """

    rows: tuple[Row, ...]
    columns: tuple[tuple[Column, str, float], ...]
    cell_width: float
    cell_height: float
    family_right: float
    grid_left: float
    grid_right: float
    head_bottom: float
    angled: bool
    rules: tuple[float, ...]
    control_rule: float | None
    width: float
    height: float


def lay_out(heatmap: Heatmap, titles: Mapping[str, str], families_open: Collection[str] | None) -> Layout:
    """Return the layout; `families_open` None opens every family."""
    groups = ordered_families(heatmap)
    opened = set(heatmap.families if families_open is None else families_open)
    opened |= {family for family, members, _ in groups if len(members) == 1}  # nothing to fold
    n_lines = sum(len(m) if f in opened else 1 for f, m, _ in groups)
    cell_height = 26.0 if n_lines <= 24 else 22.0 if n_lines <= 60 else 18.0

    names = [visible(c.title, 40) for c in heatmap.columns]
    longest = max((len(n) for n in names), default=0) * CHAR
    cell_width = max(40.0, min(92.0, 330 / max(len(names), 1)))  # five columns fit beside the details
    angled = longest > cell_width - 4
    head = 24.0 if not angled else min(longest, 190) * 0.62 + 22

    headings = {f: visible(family_title(f, titles), 60) for f, _, _ in groups}
    family_right = min(190.0, max((len(h) for h in headings.values()), default=0) * CHAR * 1.08 + 8)
    y, rules, control_rule = head, [], None
    rows: list[Row] = []
    for position, (family, members, is_control) in enumerate(groups):
        if is_control and control_rule is None and position:
            control_rule = y + 14
            y += 34
        elif position:
            rules.append(y + 4)
            y += 8
        lines = [(i, (i,)) for i in members] if family in opened else [(-1 - position, members)]
        for n, (key, inside) in enumerate(lines):
            text, is_quiet = _label(heatmap, key, inside)
            heading = headings[family] if n == 0 else ""
            rows.append(
                Row(
                    key=key,
                    family=family,
                    heading=heading,
                    label=text,
                    is_quiet=is_quiet,
                    members=inside,
                    top=y,
                )
            )
            y += cell_height
    label_width = min(300.0, max((len(r.label) for r in rows), default=0) * CHAR + 10)
    grid_left = family_right + label_width + 18
    x, columns = grid_left, []
    for i, column in enumerate(heatmap.columns):
        if i and heatmap.columns[i - 1].model == BASE != column.model:
            x += 10
        columns.append((column, names[i], x))
        x += cell_width
    overhang = min(longest, 190) * 0.8 - cell_width / 2 if angled else 0
    return Layout(
        rows=tuple(rows),
        columns=tuple(columns),
        cell_width=cell_width,
        cell_height=cell_height,
        family_right=family_right,
        grid_left=grid_left,
        grid_right=x,
        head_bottom=head - 8,
        angled=angled,
        rules=tuple(rules),
        control_rule=control_rule,
        width=max(x + max(overhang, 0), 420),
        height=y + 4,
    )


def folded_family(heatmap: Heatmap, key: int) -> str | None:
    """Return the family of a folded line's negative key, or None."""
    groups = ordered_families(heatmap)
    return groups[-1 - key][0] if -len(groups) <= key < 0 else None


def _label(heatmap: Heatmap, key: int, members: tuple[int, ...]) -> tuple[str, bool]:
    if key < 0:
        return f"{len(members)} variants, pooled", True
    text = visible(heatmap.variants[key].text, 120)
    return (text, False) if text.strip() else ("(no trigger)" if not text else "(spaces only)", True)
