"""The shell of a self-contained HTML report: no script, no outside reference, every text escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lorabench import __version__
from lorabench.figures import visible

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --muted: #5b6270;
  --rule: #d5d8df; --soft: #f4f5f8 }
.dark-only { display: none }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0e1117; --ink: #e8eaf0; --muted: #a3a9b7; --rule: #3a4150; --soft: #171b24 }
  .dark-only { display: block }
  .light-only { display: none }
}
@media print { :root { color-scheme: light } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
h3 { font-size: .95rem; margin: .2rem 0 }
p { max-width: 60rem; margin: .4rem 0 } .muted { color: var(--muted) } .lead { font-size: 1.1rem }
img { max-width: 100%; height: auto } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; margin-bottom: 1.2rem } caption { text-align: left }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word; max-width: 30rem }
th { background: var(--soft) }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)) }
.card { border: 1px solid var(--rule); border-radius: 8px; padding: .7rem .9rem; min-width: 0 }
""".strip()


def esc(text: object) -> str:
    """Return a text made visible and escaped, for element content and quoted attributes."""
    return html.escape(visible(str(text)))


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole document from sections that are HTML already."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{esc(title)}</h1>\n"
        f'<p class="muted">lorabench {esc(__version__)}, written {made}</p>\n'
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a section; `parts` are HTML already."""
    return f"<section>\n<h2>{esc(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, css: str = "") -> str:
    """Return an escaped paragraph; `css` is one of our own class names."""
    return f'<p class="{css}">{esc(text)}</p>' if css else f"<p>{esc(text)}</p>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """Return a table; numbers and texts that start like one are aligned to the right."""
    head = "".join(f'<th scope="col">{esc(h)}</th>' for h in heads)
    body = "".join("<tr>" + "".join(_td(c) for c in row) + "</tr>\n" for row in rows)
    return (
        f'<div class="scroll"><table><caption class="muted">{esc(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def svg_picture(light: str, dark: str, alt: str) -> str:
    """Return two SVG texts as one picture that follows the reader's colour scheme."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">'
        f'<img src="{_data_uri(light)}" alt="{esc(alt)}"></picture>'
    )


def both_themes(light: str, dark: str) -> str:
    """Return HTML that exists once per colour scheme, of which a reader gets one."""
    return f'<div class="light-only">{light}</div><div class="dark-only">{dark}</div>'


def provenance(values: Mapping[str, Any], *extra: tuple[str, object]) -> str:
    """Return seed, versions, digests, device and dtype as a table."""
    rows = [*extra, *_flat(values)]
    return section("Provenance", table(("what", "value"), rows, caption="How to repeat this"))


class Number(str):
    """A cell that holds a formatted number, aligned to the right."""

    __slots__ = ()


def _td(cell: object) -> str:
    is_number = isinstance(cell, int | float | Number) and not isinstance(cell, bool)
    return f'<td class="n">{esc(cell)}</td>' if is_number else f"<td>{esc('' if cell is None else cell)}</td>"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            rows.append((f"{prefix}{key}", str(listed)))
    return rows


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
