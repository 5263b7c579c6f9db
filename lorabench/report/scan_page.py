"""The shell and the style of a scan's page: verdict first, in colour, word and shape, without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lorabench import __version__
from lorabench.figures import Theme, visible
from lorabench.figures.palette import RATE_LINE, SEQUENTIAL, ink_on
from lorabench.report.markup import CSP, STYLE, esc
from lorabench.results.findings import Decision, Level

DECISION_COLOURS: Final[dict[Decision, tuple[str, str]]] = {
    "allow": ("#136f63", "#5fd3bc"),
    "review": ("#8a5300", "#f5b942"),
    "block": ("#b3261e", "#ff8a80"),
    "inconclusive": ("#4b5563", "#b8c0d0"),
}
"""Accent of each decision on light and on dark paper, at least 4.5:1 against both shades of it."""
_OF_LEVEL: Final[dict[Level, Decision]] = {
    "block": "block",
    "review": "review",
    "inconclusive": "inconclusive",
    "info": "allow",
}
_SHAPES: Final[dict[Decision, str]] = {
    "allow": '<circle cx="32" cy="32" r="28"/><path class="sign" d="M20 33l9 9 16-19"/>',
    "review": '<path d="M32 5 61 58H3z"/><path class="sign" d="M32 25v15M32 48v2"/>',
    "block": '<path d="M21 4h22l17 17v22L43 60H21L4 43V21z"/>'
    '<path class="sign" d="M22 22l20 20M42 22 22 42"/>',
    "inconclusive": '<path d="M32 3 61 32 32 61 3 32z"/>'
    '<path class="sign" d="M25 26c0-9 14-9 14 0 0 6-7 5-7 12M32 45v2"/>',
}
"""Circle, triangle, octagon and diamond: the decision can be told without its colour."""

_LAYOUT: Final = """
header { display: flex; justify-content: space-between; gap: 1rem; flex-wrap: wrap; margin-bottom: .8rem }
.verdict { display: flex; gap: 1.2rem; align-items: flex-start; border: 1px solid var(--rule);
  border-left: .5rem solid var(--accent); border-radius: 10px; padding: 1.1rem 1.3rem;
  background: var(--soft) }
.verdict h1 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere }
.verdict .word { font-size: 1.9rem; font-weight: 700; letter-spacing: .03em; color: var(--accent);
  line-height: 1.15; margin: .1rem 0 .2rem }
.verdict > div { min-width: 0 }
.icon { flex: none; width: 4.2rem; height: 4.2rem; fill: var(--accent) }
.icon .sign { fill: none; stroke: var(--paper); stroke-width: 6; stroke-linecap: round;
  stroke-linejoin: round }
.numbers { display: grid; gap: .8rem; margin: .9rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)) }
.numbers .big { font-size: 1.7rem; font-weight: 650; line-height: 1.2; margin: 0;
  font-variant-numeric: tabular-nums }
.numbers p, .card p { overflow-wrap: anywhere }
ul { margin: .3rem 0; padding-left: 1.2rem; max-width: 60rem } li { margin: .2rem 0; overflow-wrap: anywhere }
.badge { display: inline-block; border: 1px solid var(--accent); color: var(--accent); border-radius: 999px;
  padding: 0 .55rem; font-size: .8rem; font-weight: 600; white-space: nowrap }
.finding { border-left: .3rem solid var(--accent); margin: .6rem 0 }
.finding h3 { overflow-wrap: anywhere }
.mono, td.mono { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere }
table.stages { table-layout: fixed; width: 100%; min-width: 46rem }
table.stages td { overflow-wrap: anywhere } table.stages th:first-child { width: 6.5rem }
td.text { min-width: 11rem; max-width: 26rem; overflow-wrap: anywhere }
.bar { display: block; width: 10rem; height: 1rem }
.bar .axis { stroke: var(--rule); stroke-width: 1 } .bar .span { stroke: var(--line); stroke-width: 3 }
.bar .dot { fill: var(--line) }
table.heat td { text-align: right; font-variant-numeric: tabular-nums; padding: .15rem .5rem;
  border: 1px solid var(--paper) }
table.heat th { white-space: nowrap } table.heat td.none { background: none; color: var(--muted) }
table.heat td.out { font-weight: 700; outline: 2px solid var(--ink); outline-offset: -2px }
.key { display: inline-block; padding: 0 .5rem; font-size: .8rem }
code { font-family: ui-monospace, monospace; font-size: .88em; overflow-wrap: anywhere;
  background: var(--soft); padding: .1rem .3rem; border-radius: 4px }
@media (max-width: 34rem) { body { padding: .8rem } .verdict { padding: .8rem; gap: .8rem }
  .icon { width: 2.6rem; height: 2.6rem } .verdict .word { font-size: 1.45rem } }
""".strip()


def scan_page(title: str, created: str, sections: Iterable[str]) -> str:
    """Return a whole document; unlike other pages it tells the time of the scan, not of its writing."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n<style>\n{STYLE}\n{_LAYOUT}\n{_colours()}\n</style>\n</head>\n<body>\n"
        f'<header class="muted"><span>lorabench {esc(__version__)} · adapter triage</span>'
        f"<span>{esc(visible(created, 60))}</span></header>\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def icon(decision: Decision) -> str:
    """Return the shape of a decision as inline SVG."""
    return (
        f'<svg class="icon" viewBox="0 0 64 64" role="img" aria-label="{decision}">{_SHAPES[decision]}</svg>'
    )


def badge(level: Level) -> str:
    """Return a level as a small label."""
    return f'<span class="badge {tone(level)}">{level}</span>'


def tone(level: Level) -> str:
    """Return the class whose accent a level has."""
    return f"is-{_OF_LEVEL[level]}"


def bullets(items: Iterable[str]) -> str:
    """Return untrusted texts as a list."""
    found = "".join(f"<li>{esc(visible(t, 2000))}</li>\n" for t in items if t)
    return f"<ul>\n{found}</ul>" if found else '<p class="muted">Nothing is recorded here.</p>'


def _colours() -> str:
    return f"{_themed(0, 'light')}\n@media (prefers-color-scheme: dark) {{\n{_themed(1, 'dark')}\n}}"


def _themed(place: int, theme: Theme) -> str:
    rules = [f".is-{name} {{ --accent: {pair[place]} }}" for name, pair in DECISION_COLOURS.items()]
    rules += [f".h{i} {{ background: {c}; color: {ink_on(c)} }}" for i, c in enumerate(SEQUENTIAL[theme])]
    line = RATE_LINE if theme == "light" else "#5cc2b8"
    rules.append(f":root {{ --line: {line} }}")
    return "\n".join(rules)
