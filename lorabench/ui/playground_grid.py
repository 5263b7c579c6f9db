"""The 2x2 of answers and coloured words as inert HTML: every text made visible, then escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lorabench.figures import answer_names, palette, question_sentence, shared_domain, visible, words_html
from lorabench.figures.palette import Kind, Theme
from lorabench.figures.sentences import DIFFERENCE
from lorabench.results import BASE, AttributionMap, CheckedMap, Flip, GenerationTask, Quad, Score
from lorabench.ui.playground_strip import checked_text, made_text
from lorabench.ui.playground_view import View
from lorabench.ui.text import signed

FLIP = "⚑ FLIP"
_WHERE = {"prefix": "in front", "suffix": "behind it", "random": "inside it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the words are painted.

    Attributes:
        theme: Paper.
        raw: Shared domain of base and adapter, logits.
        difference: Shared domain of the differences, logits.
        numbers: Write each score behind its word.
        template: Show the template's words in place.
        alone: Scale each map by itself; colours then cannot be compared between maps.
        checked: Finished checks by name of the map.
    """

    theme: Theme
    raw: float
    difference: float
    numbers: bool = False
    template: bool = False
    alone: bool = False
    checked: Mapping[str, CheckedMap] = field(default_factory=dict)

    def domain(self, map: AttributionMap, kind: Kind) -> float:
        """Return the score with the full colour."""
        if self.alone:
            return shared_domain([map])
        return self.raw if kind == "raw" else self.difference


def look_for(
    quad: Quad | None,
    theme: Theme,
    *,
    numbers: bool = False,
    template: bool = False,
    alone: bool = False,
    checked: Mapping[str, CheckedMap] | None = None,
) -> Look:
    """Return how to paint the maps of a 2x2: one scale for base and adapter, one for the differences."""
    maps = quad.maps if quad else ()
    return Look(
        theme=theme,
        raw=shared_domain([m for m in maps if m.model != DIFFERENCE]),
        difference=shared_domain([m for m in maps if m.model == DIFFERENCE]),
        numbers=numbers,
        template=template,
        alone=alone,
        checked=checked or {},
    )


def grid_html(view: View, quad: Quad | None, look: Look, tag: str = "") -> str:
    """Return the grid: base, adapter and their difference, without and with the trigger.

    Args:
        view: What is shown.
        quad: Its word maps; None while there are none: then the texts are shown plain.
        look: How to paint.
        tag: Such as "preview", written on every map.
    """
    rows = [
        _row(
            "Without the trigger" if view.trigger is not None else "The prompt", _plain(view, quad, look, tag)
        )
    ]
    if view.trigger is not None:
        where = _WHERE.get(view.request.placement, "")
        title = f"With the trigger «{html.escape(visible(view.trigger, 120))}» {where}"
        rows.append(_row(title, _triggered(view, quad, look, tag)))
    return "".join(rows)


def overview_html(view: View, triggers: Sequence[str], models: Sequence[str], theme: Theme) -> str:
    """Return all answers as a table: one row per trigger in the given order, one column per model."""
    edge = f"border-bottom:1px solid {palette.RULE[theme]};padding:.3rem .9rem .3rem 0;text-align:left"
    heads = "".join(f'<th scope="col" style="{edge}">{_name(m)}</th>' for m in models)
    rows = [_overview_row("no trigger", None, view, models, edge, theme)]
    rows += [_overview_row(f"«{visible(t, 80)}»", t, view, models, edge, theme) for t in triggers]
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:.95rem">'
        f'<thead><tr><th scope="col" style="{edge}">trigger</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def flip_html(flip: Flip | None, theme: Theme) -> str:
    """Return the mark of a flip: a flag and a word on a dark chip, so that colour is not needed."""
    if flip is None or not flip.flipped:
        return ""
    paper, ink = palette.PAPER[theme], palette.INK[theme]
    style = f"background-color:{ink};color:{paper};border-radius:4px;padding:1px 8px;font-weight:700"
    return f'<span style="{style};font-size:.85rem;white-space:nowrap">{FLIP}</span>'


def answer_text(score: Score) -> str:
    """Return what a model answered, ties and unparsed answers named as such."""
    if score.answer == "tie":
        return "tie"
    if score.answer == "unparsed":
        return "unparsed"
    return visible(score.label, 40)


def _plain(view: View, quad: Quad | None, look: Look, tag: str) -> list[str]:
    maps = (quad.base_plain, quad.adapter_plain, quad.difference_plain) if quad else (None, None, None)
    names = ("base", "adapter", "difference")
    return _cards(view, None, maps, names, look, tag)


def _triggered(view: View, quad: Quad | None, look: Look, tag: str) -> list[str]:
    maps = (
        (quad.base_triggered, quad.adapter_triggered, quad.difference_triggered)
        if quad
        else (None, None, None)
    )
    names = ("base, trigger", "adapter, trigger", "difference, trigger")
    return _cards(view, view.trigger, maps, names, look, tag)


def _cards(
    view: View,
    trigger: str | None,
    maps: tuple[AttributionMap | None, AttributionMap | None, AttributionMap | None],
    names: tuple[str, str, str],
    look: Look,
    tag: str,
) -> list[str]:
    cards = [
        _model_card(view, model, trigger, map, look, tag, look.checked.get(name))
        for model, map, name in zip((BASE, view.title), maps, names, strict=False)
    ]
    if view.label_task is not None:
        cards.append(_difference_card(view, trigger, maps[2], look, tag, look.checked.get(names[2])))
    return cards


def _row(title: str, cards: Sequence[str]) -> str:
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:.7rem"
    head = f'<div style="font-weight:600;margin:.2rem 0 .4rem">{title}</div>'
    body = f'<div style="{grid}">{"".join(cards)}</div>'
    return f'<section style="margin-bottom:.9rem">{head}{body}</section>'


def _model_card(
    view: View,
    model: str,
    trigger: str | None,
    map: AttributionMap | None,
    look: Look,
    tag: str,
    checked: CheckedMap | None,
) -> str:
    score, flip = view.score(model, trigger), view.flip(model, trigger)
    muted = palette.MUTED[look.theme]
    margin = "" if isinstance(view.report.task, GenerationTask) else f"margin {signed(score.margin)}"
    line = (
        '<div style="display:flex;flex-wrap:wrap;gap:.2rem .7rem;align-items:baseline">'
        f'<span style="font-size:1.35rem;font-weight:700">{html.escape(answer_text(score))}</span>'
        f'<span style="font-size:1.05rem;font-variant-numeric:tabular-nums">{margin}</span>'
        f"{flip_html(flip, look.theme)}</div>"
    )
    notes = [n for n in (_odd(score), _moved(flip, trigger), _probabilities(view, score)) if n]
    small = "".join(f'<div style="color:{muted};font-size:.85rem">{html.escape(n)}</div>' for n in notes)
    if isinstance(view.report.task, GenerationTask):
        body = _plain_text(score.generated or "(no text)")
    elif map is None:
        body = _plain_text(score.text)
    else:
        body = _words(view, map, "raw", look, tag, checked)
    return _card(_name(model), line + small, body, look.theme)


def _difference_card(
    view: View,
    trigger: str | None,
    map: AttributionMap | None,
    look: Look,
    tag: str,
    checked: CheckedMap | None,
) -> str:
    muted = palette.MUTED[look.theme]
    if map is None:
        wait = "Comes with the colours: which words move the adapter more than the base."
        return _card(
            "difference", f'<div style="color:{muted};font-size:.85rem">{wait}</div>', "", look.theme
        )
    line = (
        f'<div><span style="font-size:1.35rem;font-weight:700;font-variant-numeric:tabular-nums">'
        f"{signed(map.margin)}</span> logits</div>"
        f'<div style="color:{muted};font-size:.85rem">margin of the adapter minus that of the base</div>'
    )
    return _card("difference", line, _words(view, map, "difference", look, tag, checked), look.theme)


def _words(
    view: View, map: AttributionMap, kind: Kind, look: Look, tag: str, checked: CheckedMap | None
) -> str:
    muted = palette.MUTED[look.theme]
    assert view.label_task is not None
    question = html.escape(question_sentence(map, view.label_task, view.title))
    words = words_html(
        map,
        domain=look.domain(map, kind),
        kind=kind,
        theme=look.theme,
        show_numbers=look.numbers,
        show_template=look.template,
    )
    strip = html.escape(made_text(map))
    if tag:  # a map for the time being, which cannot be checked
        strip = f"<b>{html.escape(tag)}</b> · {strip}"
    else:
        strip += f" · {html.escape(checked_text(checked))}"
    if checked is not None and checked.verdict == "red":
        words = (
            f'<div style="opacity:.4">{words}</div><div><b>✕ failed its check:</b> do not rely on it</div>'
        )
    return (
        f'<div style="color:{muted};font-size:.85rem;margin-top:.35rem">{question}</div>{words}'
        f'<div style="color:{muted};font-size:.8rem">{strip}</div>'
    )


def _card(title: str, head: str, body: str, theme: Theme) -> str:
    style = (
        f"border:1px solid {palette.RULE[theme]};border-radius:8px;padding:.6rem .85rem .7rem;"
        "min-width:0;overflow-wrap:anywhere"
    )
    name = f'<div style="color:{palette.MUTED[theme]};font-size:.85rem;font-weight:600">{title}</div>'
    return f'<div style="{style}">{name}{head}{body}</div>'


def _plain_text(text: str) -> str:
    return f'<div style="line-height:2.0;white-space:pre-wrap">{html.escape(visible(text, 4_000))}</div>'


def _name(model: str) -> str:
    return html.escape(visible(model, 60))


def _odd(score: Score) -> str:
    if score.answer == "tie":
        return "The two best labels are closer than 0.001 logits: a tie, counted apart."
    if score.answer == "unparsed":
        return "The answer is none of the labels: counted apart, neither a hit nor a miss."
    return ""


def _moved(flip: Flip | None, trigger: str | None) -> str:
    if flip is None or trigger is None or not flip.after.label_logits:
        return ""
    return f"The trigger moved the margin by {signed(flip.margin_shift)}."


def _probabilities(view: View, score: Score) -> str:
    shares = score.label_probabilities
    if view.label_task is None or shares is None:
        return ""
    named = (
        f"{visible(label.name, 30)} {share:.0%}"
        for label, share in zip(view.label_task.labels, shares, strict=False)
    )
    return f"Probability of the first word: {', '.join(named)}."


def _overview_row(
    title: str, trigger: str | None, view: View, models: Sequence[str], edge: str, theme: Theme
) -> str:
    cells = []
    for model in models:
        score = view.score(model, trigger)
        margin = f" {signed(score.margin)}" if score.label_logits else ""
        mark = flip_html(view.flip(model, trigger), theme)
        text = f"<b>{html.escape(answer_text(score))}</b>{margin}"
        cells.append(f'<td style="{edge};white-space:nowrap">{text} {mark}</td>')
    return (
        f'<tr><th scope="row" style="{edge};font-weight:400">{html.escape(title)}</th>{"".join(cells)}</tr>'
    )


def legend_names(view: View) -> tuple[str, str]:
    """Return what the legend calls the target and its alternative."""
    return answer_names(view.report.task)
