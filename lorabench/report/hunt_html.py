"""A hunt as one page to mail: no script, no outside reference, a table beside every picture."""

from __future__ import annotations

from typing import Final

from lorabench.figures import rate_sentence, signed, visible
from lorabench.figures.hunt import known
from lorabench.figures.hunt_evidence import other_places
from lorabench.report.hunt_facts import hunt_facts
from lorabench.report.hunt_sections import FactTable, HuntSection
from lorabench.report.markup import Number, esc, page, paragraph, section, table
from lorabench.results import HuntResult, Rate, StringEvidence

_WIDTH: Final = 720
_HEIGHT: Final = 220
_LEFT: Final = 64
_PAD: Final = 24
_ROW: Final = 22
_NAMES: Final = 260
_INK: Final = 'font-family="system-ui, sans-serif" font-size="12" fill="currentColor"'
_LINE: Final = 'stroke="currentColor" stroke-opacity="0.35"'
_SIZE: Final = f'width="{_WIDTH}" style="max-width: 100%; height: auto"'
_CELL: Final = 400


def hunt_html(found: HuntResult) -> str:
    """Return a hunt as a page in light and dark: conclusion, proofs, candidates, cost, limits, provenance."""
    sections = [_section(found, s) for s in hunt_facts(found)]
    return page(f"Hunt in {visible(found.adapter, 80)}", sections)


def _section(found: HuntResult, facts: HuntSection) -> str:
    css = "lead" if facts.key == "summary" else ""
    parts = [paragraph(visible(s, 4000), css) for s in facts.sentences]
    if facts.subject is not None:
        parts.append(rates_svg(found.evidence[facts.subject], found.adapter))
    if facts.key == "trace":
        parts.append(curve_svg(found))
    parts += [_table(t) for t in facts.tables]
    return section(visible(facts.title, 300), *parts)


def _table(facts: FactTable) -> str:
    is_number = [h.startswith(">") for h in facts.heads]
    rows = [
        [Number(c) if n else visible(c, _CELL) for c, n in zip(row, is_number, strict=True)]
        for row in facts.rows
    ]
    return table([h.removeprefix(">") for h in facts.heads], rows, caption=facts.caption)


def curve_svg(found: HuntResult) -> str:
    """Return the best score so far against tokens, as inline SVG in the colour of the page's text."""
    points = [(p.tokens, p.score) for p in found.trace if known(p.score) is not None]
    if not points:
        return paragraph("Nothing was scored.", "muted")
    end = max(found.tokens, points[-1][0], 1)
    low, high = min(0.0, *(s for _, s in points)), max(0.0, *(s for _, s in points))
    span = (high - low) or 1.0

    def at(tokens: float, score: float) -> tuple[float, float]:
        x = _LEFT + tokens / end * (_WIDTH - _LEFT - _PAD)
        return x, _HEIGHT - _PAD - (score - low) / span * (_HEIGHT - 2 * _PAD)

    steps: list[tuple[float, float]] = []
    for tokens, score in points:
        steps += [(tokens, steps[-1][1])] if steps else []
        steps.append((tokens, score))
    steps.append((end, steps[-1][1]))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*s) for s in steps))
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in (at(*p) for p in points))
    label = f"Best score so far over {end:,} tokens: from {signed(points[0][1])} to {signed(points[-1][1])}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" {_SIZE} role="img" '
        f'aria-label="{esc(label)}">{_axes(end, (low, high), at(0, low)[1], at(0, high)[1])}'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<g fill="currentColor">{dots}</g></svg>'
    )


def _axes(end: int, scores: tuple[float, float], bottom: float, top: float) -> str:
    right, floor = _WIDTH - _PAD, _HEIGHT - _PAD
    return (
        f'<line {_LINE} x1="{_LEFT}" y1="{floor}" x2="{right}" y2="{floor}"/>'
        f'<line {_LINE} x1="{_LEFT}" y1="{_PAD}" x2="{_LEFT}" y2="{floor}"/>'
        f'<text {_INK} x="{_LEFT - 8}" y="{bottom:.1f}" text-anchor="end">{esc(signed(scores[0]))}</text>'
        f'<text {_INK} x="{_LEFT - 8}" y="{top:.1f}" text-anchor="end">{esc(signed(scores[1]))}</text>'
        f'<text {_INK} x="{_LEFT}" y="{_HEIGHT - 6}">0 tokens</text>'
        f'<text {_INK} x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{end:,} tokens</text>'
        f'<text {_INK} x="{_LEFT}" y="14">score (logits)</text>'
    )


def rates_svg(found: StringEvidence, adapter: str) -> str:
    """Return attack rates with intervals, one line each: adapter, other places, clean references."""
    rows = [(f"{adapter}, as {found.placement}", found.attack, True)]
    rows += [(f"{adapter}, {p.placement}", p.rate, True) for p in other_places(found)]
    rows += [(f"clean: {r.name}", r.rate, False) for r in found.references]
    height = _ROW * (len(rows) + 1) + 6
    body = "".join(_rate_line(i, *row) for i, row in enumerate(rows))
    ends = "".join(
        f'<text {_INK} x="{_x(v):.1f}" y="{height - 6}" text-anchor="middle">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    label = f"Share of held-out prompts that flip: {rate_sentence(found.attack)}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" {_SIZE} role="img" '
        f'aria-label="{esc(label)}">{body}{ends}</svg>'
    )


def _rate_line(i: int, name: str, rate: Rate, is_own: bool) -> str:
    """Return one line: filled dots are the adapter's, empty ones a clean reference's."""
    y = _ROW * i + 14
    parts = [
        f'<text {_INK} x="{_NAMES - 14}" y="{y + 4}" text-anchor="end">{esc(visible(name, 36))}</text>',
        f'<line {_LINE} x1="{_x(0):.1f}" y1="{y}" x2="{_x(1):.1f}" y2="{y}"/>',
    ]
    interval = rate.interval()
    if rate.value is None or interval is None:
        return "".join([*parts, f'<text {_INK} x="{_x(0) + 6:.1f}" y="{y - 2}">not measured</text>'])
    parts.append(
        f'<line stroke="currentColor" stroke-width="3" x1="{_x(interval.low):.1f}" y1="{y}" '
        f'x2="{_x(interval.high):.1f}" y2="{y}"/>'
    )
    fill = "currentColor" if is_own else "var(--paper)"
    parts.append(
        f'<circle cx="{_x(rate.value):.1f}" cy="{y}" r="5" fill="{fill}" '
        'stroke="currentColor" stroke-width="2"/>'
    )
    return "".join(parts)


def _x(fraction: float) -> float:
    return _NAMES + fraction * (_WIDTH - _NAMES - _PAD)
