"""Pictures of a scan that are tables at the same time: rates with intervals, modules by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from lorabench.figures import signed
from lorabench.report.markup import esc
from lorabench.results import Interval
from lorabench.results.weights import ModuleWeights, WeightEvidence

_ORDER: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_STEPS: Final = (1.0, 2.0, 3.0, 4.0, 5.0)
"""Where |z| gets the next colour."""
_WIDTH: Final = 160
_PAD: Final = 6


class Cell(str):
    """A table cell that is HTML already."""

    __slots__ = ()


def rich_table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str, css: str = "") -> str:
    """Return a table of cells that are HTML already; `css` is one of our own class names."""
    head = "".join(f'<th scope="col">{esc(h)}</th>' for h in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll"><table class="{css}"><caption class="muted">{esc(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def td(text: object, css: str = "") -> Cell:
    """Return an escaped cell."""
    return Cell(f'<td class="{css}">{esc(text)}</td>' if css else f"<td>{esc(text)}</td>")


def row_head(text: object) -> Cell:
    """Return an escaped head of a row."""
    return Cell(f'<th scope="row">{esc(text)}</th>')


def html_cell(html: str) -> Cell:
    """Return a cell around HTML that is escaped already."""
    return Cell(f"<td>{html}</td>")


def range_bar(value: float | None, interval: Interval | None) -> str:
    """Return a fraction and its interval on an axis from 0 to 1, as inline SVG in the page's own colours."""
    if value is None or value != value:
        return '<span class="muted">not measured</span>'
    parts = [f'<line class="axis" x1="{_PAD}" y1="8" x2="{_WIDTH - _PAD}" y2="8"/>']
    parts += [f'<line class="axis" x1="{x:g}" y1="5" x2="{x:g}" y2="11"/>' for x in map(_x, (0, 0.5, 1))]
    label = f"{value:.2f}"
    if interval is not None:
        low, high = _x(interval.low), _x(interval.high)
        parts.append(f'<line class="span" x1="{low:.1f}" y1="8" x2="{high:.1f}" y2="8"/>')
        label += f", {interval.low:.2f} to {interval.high:.2f}"
    parts.append(f'<circle class="dot" cx="{_x(value):.1f}" cy="8" r="4"/>')
    return (
        f'<svg class="bar" viewBox="0 0 {_WIDTH} 16" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _x(fraction: float) -> float:
    return _PAD + min(max(fraction, 0.0), 1.0) * (_WIDTH - 2 * _PAD)


def weight_heat(found: WeightEvidence) -> str:
    """Return layers by projections, each cell with its deviation z, coloured by size, stand-outs framed."""
    projections = _projections(found.modules)
    layers = sorted({m.layer for m in found.modules}, key=lambda x: (x is None, x or 0))
    by_place: dict[tuple[int | None, str], list[ModuleWeights]] = {}
    for m in found.modules:
        by_place.setdefault((m.layer, m.projection), []).append(m)
    rows = [
        [
            row_head("other" if layer is None else layer),
            *(_heat_cell(by_place.get((layer, p), []), found) for p in projections),
        ]
        for layer in layers
    ]
    caption = (
        "Robust z of each module against the trend of its projection over layers; framed and marked ▲: "
        f"|z| of at least {found.standout_z:g}; n/a: no trend could be fitted; empty: not adapted"
    )
    return _key() + rich_table(["layer", *projections], rows, caption=caption, css="heat")


def _key() -> str:
    ends = [
        "|z| < 1",
        *(f"{a:g} to {b:g}" for a, b in pairwise(_STEPS)),
        f"≥ {_STEPS[-1]:g}",
    ]
    return "<p>" + "".join(f'<span class="key h{i}">{esc(t)}</span>' for i, t in enumerate(ends)) + "</p>"


def _projections(modules: Sequence[ModuleWeights]) -> list[str]:
    names = {m.projection for m in modules}
    return [p for p in _ORDER if p in names] + sorted(names - set(_ORDER))


def _heat_cell(modules: Sequence[ModuleWeights], found: WeightEvidence) -> Cell:
    if not modules:
        return td("", "none")
    z = max((m.robust_z for m in modules if m.robust_z is not None), key=abs, default=None)
    if z is None:
        return td("n/a", "none")
    step = sum(abs(z) >= s for s in _STEPS)
    is_out = any(m.name in found.standouts for m in modules)
    return td(f"{'▲ ' if is_out else ''}{signed(z)}", f"h{step} out" if is_out else f"h{step}")
