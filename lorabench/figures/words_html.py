"""Words on a colour scale, as inert HTML: every piece of text is made visible, then escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabench.figures import palette
from lorabench.figures.numbers import signed
from lorabench.figures.palette import Kind, Theme
from lorabench.figures.visible import visible
from lorabench.figures.words_table import rank_words, share_of_total
from lorabench.results import AttributionMap, Word

FLOOR = 0.05
"""Smallest domain in logits: noise below it is never stretched to full colour."""
QUIET = 0.02
"""Share of the domain below which a word gets no colour."""
LOUD = 0.05
"""Share of the domain below which even the strongest word is not bold."""


def shared_domain(maps: Sequence[AttributionMap]) -> float:
    """Return one symmetric domain for maps that will be compared, in logits.

    The 99th percentile (an observed value, not an interpolated one) of the size of all scores of
    non-template words; at least `FLOOR`. Words beyond it are clipped and outlined.
    """
    sizes = [
        abs(s)
        for m in maps
        for w, s in zip(m.words, m.scores, strict=True)
        if s is not None and w.role != "template"
    ]
    if not sizes:
        return FLOOR
    return max(float(np.quantile(sizes, 0.99, method="higher")), FLOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How a map is painted; shared by all its words."""

    domain: float
    kind: Kind
    theme: Theme
    top: frozenset[int]
    ranks: dict[int, int]
    shares: tuple[float | None, ...]
    show_numbers: bool


def words_html(
    map: AttributionMap,
    *,
    domain: float,
    kind: Kind = "raw",
    theme: Theme = "light",
    top_k: int = 3,
    show_template: bool = False,
    show_numbers: bool = False,
    trigger_outline: bool = True,
) -> str:
    """Return a map as escaped HTML without scripts, classes or outside references.

    Orange (purple for a difference) pushes to the target, blue (green) away from it; words that
    push away are underlined as well, the strongest are bold, clipped ones have a solid edge, the
    trigger a dashed one. A word without a score, and every word of an all-zero map, is plain.

    Args:
        map: The map.
        domain: Score with the full colour, logits (see `shared_domain`).
        kind: "raw", or "difference" for a difference of two maps.
        theme: The paper it will be shown on.
        top_k: How many words are bold.
        show_template: Show template words in place instead of folding them into one chip.
        show_numbers: Write each score behind its word.
        trigger_outline: Outline the trigger; off for teaching without the answer.
    """
    ranks = rank_words(map)
    look = _Look(
        domain=domain,
        kind=kind,
        theme=theme,
        top=frozenset(i for i, rank in ranks.items() if rank <= top_k),
        ranks=ranks,
        shares=share_of_total(map),
        show_numbers=show_numbers,
    )
    pieces = [] if show_template else _chip(map, theme)
    inside = False
    end: int | None = None
    for i, word in enumerate(map.words):
        if word.role == "template" and not show_template:
            continue
        is_trigger = trigger_outline and word.role == "trigger"
        gap = " " if end is not None and word.start > end else ""
        end = word.end
        if inside and not is_trigger:
            pieces.append("</span>")
        pieces.append(gap)
        if is_trigger and not inside:
            pieces.append(f'<span style="{_edge(theme)}">')
        inside = is_trigger
        pieces.append(_word(i, word, map.scores[i], look))
    if inside:
        pieces.append("</span>")
    style = "line-height:2.0;overflow-wrap:anywhere;white-space:pre-wrap"
    return (
        f'<div role="group" aria-label="{html.escape(summary(map))}" style="{style}">{"".join(pieces)}</div>'
    )


def legend_html(domain: float, kind: Kind, target: str, other: str, theme: Theme = "light") -> str:
    """Return the legend of a word map: seven blocks with logits, and what the marks mean."""
    blocks = []
    for step in range(-3, 4):
        value = domain * step / 3
        fill = palette.diverging(value, domain, kind, theme)
        text = signed(value, 1 if domain >= 1 else 2)
        style = f"background-color:{fill};color:{palette.ink_on(fill)};padding:1px 7px;font-size:0.8em"
        blocks.append(f'<span style="{style}">{text}</span>')
    goal, rest = html.escape(visible(target, 40)), html.escape(visible(other, 40))
    away = f"away from «{goal}», to «{rest}»" if kind == "raw" else "adapter pushes away more"
    to = f"to «{goal}»" if kind == "raw" else f"adapter pushes to «{goal}» more"
    muted = f"color:{palette.MUTED[theme]};font-size:0.85em;line-height:2.2"
    marks = (
        '<span style="text-decoration:underline">underlined</span>: away from the target &nbsp; '
        "<b>bold</b>: strongest &nbsp; "
        f'<span style="{_edge(theme)}">dashed edge</span>: trigger &nbsp; '
        f'<span style="{_clip(theme)}">solid edge</span>: beyond the scale'
    )
    return (
        f'<div role="group" aria-label="Legend, in logits" style="{muted}">'
        f"{away} {''.join(blocks)} {to} <span>(logits)</span><br>{marks}</div>"
    )


def summary(map: AttributionMap) -> str:
    """Return a map in one plain line, for readers who cannot see colours."""
    strongest = sorted(rank_words(map).items(), key=lambda item: item[1])[:3]
    n = sum(w.role != "template" for w in map.words)
    head = f"{n} words, {visible(map.model, 60)}"
    if not strongest:
        return f"{head}: no word has an effect"
    listing = ", ".join(
        f"{visible(map.words[i].text.strip(), 30)} {signed(map.scores[i])}" for i, _ in strongest
    )
    return f"{head}; strongest: {listing} logits"


def _word(i: int, word: Word, score: float | None, look: _Look) -> str:
    before, core, after = _split(word.text)
    text = html.escape(core).replace("¶", "¶<wbr>")
    title = html.escape(_title(i, word, score, look))
    styles: list[str] = []
    if score is None or (not look.ranks and word.role != "template"):
        if word.role == "template":
            styles.append(f"color:{palette.MUTED[look.theme]}")
    else:
        if abs(score) > QUIET * look.domain:
            fill = palette.diverging(score, look.domain, look.kind, look.theme)
            styles += [
                f"background-color:{fill}",
                f"color:{palette.ink_on(fill)}",
                "border-radius:3px",
                "padding:1px 2px",
            ]
            if score < 0:
                styles.append("text-decoration:underline;text-underline-offset:3px")
        if i in look.top and abs(score) > LOUD * look.domain:
            styles.append("font-weight:700")
        if abs(score) > look.domain * (1 + 1e-9):
            styles.append(_clip(look.theme))
    if look.show_numbers and score is not None:
        number = "display:inline-block;padding-left:4px;font-weight:400;font-size:0.75em"
        text += f'<span style="{number}">{signed(score, 2)}</span>'
    style = f' style="{";".join(styles)}"' if styles else ""
    return f'{before}<span{style} title="{title}">{text}</span>{after}'


def _split(text: str) -> tuple[str, str, str]:
    """Return leading spaces, the visible word, trailing spaces; a word of spaces only is shown as such."""
    core = text.strip(" ")
    if not core:
        return "", "␣" * max(len(text), 1), ""
    start = text.index(core)
    return " " * start, visible(core), " " * (len(text) - start - len(core))


def _title(i: int, word: Word, score: float | None, look: _Look) -> str:
    name = f"“{visible(word.text, 80)}”"
    if score is None:
        return f"{name}: not scored ({word.role})"
    parts = [f"{name}: {signed(score, 3)} logits"]
    share = look.shares[i]
    if share is not None:
        parts.append(f"{share:.0%} of the total size")
    if i in look.ranks:
        parts.append(f"rank {look.ranks[i]} of {len(look.ranks)}")
    if word.role != "user":
        parts.append(word.role)
    return ", ".join(parts)


def _chip(map: AttributionMap, theme: Theme) -> list[str]:
    """Return the grey chip that stands for all template words, or nothing if there are none."""
    folded = [s for w, s in zip(map.words, map.scores, strict=True) if w.role == "template"]
    if not folded:
        return []
    scored = [s for s in folded if s is not None]
    total = f"total {signed(sum(scored), 2)}" if scored else "not scored"
    style = (
        f"background-color:{palette.NEUTRAL[theme]};color:{palette.INK[theme]};border-radius:9px;"
        "padding:1px 8px;font-size:0.8em"
    )
    title = "Words of the chat template and the system prompt, folded"
    words = "word" if len(folded) == 1 else "words"
    return [f'<span style="{style}" title="{title}">template: {len(folded)} {words}, {total}</span> ']


def _edge(theme: Theme) -> str:
    return (
        f"border:1.5px dashed {palette.INK[theme]};border-radius:4px;padding:2px 3px;"
        "-webkit-box-decoration-break:clone;box-decoration-break:clone"
    )


def _clip(theme: Theme) -> str:
    return f"box-shadow:inset 0 0 0 2px {palette.INK[theme]};border-radius:3px;padding:1px 3px"
