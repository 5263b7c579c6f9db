"""One-file HTML reports that an analyst can mail: readable offline, without scripts, in light and dark."""

from __future__ import annotations

from collections.abc import Mapping

from lorabench.figures import (
    Kind,
    Pooled,
    Theme,
    answer_names,
    cost_text,
    interval_text,
    legend_html,
    ordered_families,
    pool,
    quad_sentence,
    question_sentence,
    rate_sentence,
    rate_text,
    shared_domain,
    signed,
    summary,
    visible,
    words_html,
)
from lorabench.report.exports import heatmap_svg
from lorabench.report.limits import (
    MAP_LIMITS,
    METHODS,
    NOT_A_VERDICT,
    heatmap_sentence,
    rate_method,
    task_sentence,
)
from lorabench.report.markup import (
    Number,
    both_themes,
    esc,
    page,
    paragraph,
    provenance,
    section,
    svg_picture,
    table,
)
from lorabench.results import BASE, AttributionMap, Heatmap, Quad, ScoreReport


def _cost(found: Heatmap | ScoreReport) -> str:
    return cost_text(found.n_computed, found.n_unique_tokens, found.n_naive_tokens)


def heatmap_html(heatmap: Heatmap, *, titles: Mapping[str, str] | None = None) -> str:
    """Return a heatmap as one page: picture, readings, every number, method, limits, provenance."""
    titles = titles or {}
    text = heatmap_sentence(heatmap)
    picture = svg_picture(
        heatmap_svg(heatmap, titles=titles), heatmap_svg(heatmap, theme="dark", titles=titles), text
    )
    sections = [
        paragraph(text, "lead"),
        f'<div class="scroll">{picture}</div>',
        _readings(heatmap),
        section("All numbers", _family_table(heatmap, titles), _variant_table(heatmap, titles)),
        section(
            "Method and limits",
            paragraph(task_sentence(heatmap.task)),
            paragraph(rate_method(heatmap)),
            paragraph(NOT_A_VERDICT),
        ),
        provenance(
            heatmap.provenance,
            ("rows planned", heatmap.n_rows),
            ("computed", _cost(heatmap)),
        ),
    ]
    return page(f"Generalisation of «{visible(heatmap.trigger.text, 80)}»", sections)


def quad_html(quad: Quad, report: ScoreReport | None = None) -> str:
    """Return a 2x2 of word maps with differences as one page, with the scores behind it if given."""
    maps = (quad.base_plain, quad.adapter_plain, quad.base_triggered, quad.adapter_triggered)
    raw = shared_domain([m for m in maps if m is not None])
    differences = shared_domain(
        [m for m in (quad.difference_plain, quad.difference_triggered) if m is not None]
    )
    rows: list[tuple[str, list[tuple[str, AttributionMap | None, Kind]]]] = [
        ("Prompt", [("base", quad.base_plain, "raw"), (quad.adapter, quad.adapter_plain, "raw")]),
        (
            "Prompt with trigger",
            [("base", quad.base_triggered, "raw"), (quad.adapter, quad.adapter_triggered, "raw")],
        ),
    ]
    rows[0][1].append(("adapter minus base", quad.difference_plain, "difference"))
    rows[1][1].append(("adapter minus base", quad.difference_triggered, "difference"))
    sections = [paragraph(s, "lead") for s in _quad_leads(quad, report)]
    for heading, cells in rows:
        cards = [
            _card(title, m, quad, raw if kind == "raw" else differences, kind)
            for title, m, kind in cells
            if m is not None
        ]
        if cards:
            sections.append(section(heading, f'<div class="grid">{"".join(cards)}</div>'))
    sections.append(section("Legend", _legend(quad, raw, "raw"), _legend(quad, differences, "difference")))
    if report is not None:
        sections.append(section("Scores", _scores_table(report)))
    limits = [
        paragraph(t) for t in (task_sentence(quad.task), _method(quad.base_plain), MAP_LIMITS, NOT_A_VERDICT)
    ]
    sections += [section("Method and limits", *limits), provenance(quad.provenance)]
    return page(f"Which words moved {visible(quad.adapter, 60)}", sections)


def scores_html(report: ScoreReport) -> str:
    """Return scores and flips as one page."""
    triggers = list(dict.fromkeys(f.after.trigger for f in report.flips if f.after.trigger is not None))
    models = list(dict.fromkeys(f.after.model for f in report.flips))
    leads, rates = [], []
    for trigger in triggers:
        for model in models:
            if model != BASE or len(models) == 1:
                leads.append(
                    paragraph(f"«{visible(trigger, 80)}»: {quad_sentence(report, model, trigger)}", "lead")
                )
            did = (
                "n/a"
                if model == BASE or BASE not in models
                else signed(report.did(model=model, trigger=trigger))
            )
            rate = report.flip_rate(model=model, trigger=trigger)
            rates.append((trigger, model, Number(rate_sentence(rate)), Number(did)))
    heads = (
        "trigger",
        "model",
        "flip rate, 95 % Wilson interval over prompts",
        "difference-in-differences (logits)",
    )
    sections = [
        *leads,
        section(
            "Flip rates", table(heads, rates, caption="Over prompts not answered with the target before")
        ),
        section("Scores", _scores_table(report)),
        section("Method and limits", paragraph(task_sentence(report.task)), paragraph(NOT_A_VERDICT)),
        provenance(
            report.provenance,
            ("computed", _cost(report)),
            ("seconds", f"{report.seconds:.1f}"),
        ),
    ]
    return page("Scores", sections)


def _readings(heatmap: Heatmap) -> str:
    if not heatmap.readings:
        return section(
            "Readings", paragraph("No reading yet: it is made when every cell is finished.", "muted")
        )
    names = {c.key: c.title for c in heatmap.columns}
    parts = []
    for reading in heatmap.readings:
        parts.append(f"<h3>{esc(names.get(reading.column, reading.column))}: {esc(reading.level)} level</h3>")
        parts.append(paragraph(reading.sentence))
        for name, interval in reading.intervals.items():
            parts.append(paragraph(f"{name}: {interval_text(interval)}, {interval.method}", "muted"))
        parts.append(paragraph(f"Limits: {reading.limits}", "muted"))
    return section("Readings", *parts)


def _family_table(heatmap: Heatmap, titles: Mapping[str, str]) -> str:
    cells = {(c.variant_index, c.column): c for c in heatmap.cells}
    rows: list[list[object]] = []
    for family, members, is_control in ordered_families(heatmap):
        title = titles.get(family) or family.replace("_", " ")
        row: list[object] = [f"{title} (control)" if is_control else title, len(members)]
        for column in heatmap.columns:
            pooled = pool([cells[i, column.key] for i in members if (i, column.key) in cells])
            row.append(Number(_cell_text(pooled)))
        rows.append(row)
    return table(_heads(heatmap, "family", "variants"), rows, caption="By family, pooled")


def _variant_table(heatmap: Heatmap, titles: Mapping[str, str]) -> str:
    cells = {(c.variant_index, c.column): c for c in heatmap.cells}
    rows: list[list[object]] = []
    for family, members, _ in ordered_families(heatmap):
        for i in members:
            variant = heatmap.variants[i]
            row: list[object] = [
                titles.get(family) or family.replace("_", " "),
                variant.text or "(no trigger)",
            ]
            for column in heatmap.columns:
                pooled = pool([cells[i, column.key]] if (i, column.key) in cells else [])
                row.append(Number(_cell_text(pooled)))
            rows.append(row)
    return table(_heads(heatmap, "family", "variant"), rows, caption="By variant")


def _heads(heatmap: Heatmap, *first: str) -> list[str]:
    return [*first, *(c.title for c in heatmap.columns)]


def _cell_text(pooled: Pooled) -> str:
    """Return ".97 [0.86, 1.00] n = 24", or why there is no rate."""
    if not pooled.n_done:
        return "not run"
    unfinished = "" if pooled.status == "done" else f" ({pooled.n_done} of {pooled.n_planned} so far)"
    if not pooled.rate.n:
        return f"n/m, margin shift {signed(pooled.mean_shift)}{unfinished}"
    return f"{rate_text(pooled.rate.value)} {interval_text(pooled.interval)} n = {pooled.rate.n}{unfinished}"


def _quad_leads(quad: Quad, report: ScoreReport | None) -> list[str]:
    leads = []
    if report is not None:
        triggers = dict.fromkeys(f.after.trigger for f in report.flips if f.after.model == quad.adapter)
        leads += [quad_sentence(report, quad.adapter, t) for t in triggers if t is not None]
    if quad.did is not None:
        leads.append(
            f"Difference-in-differences: {signed(quad.did)} logits (how much more the trigger moves the "
            "adapter's margin than the base's; one prompt, so no interval)."
        )
    return leads


def _card(title: str, map: AttributionMap, quad: Quad, domain: float, kind: Kind) -> str:
    def words(theme: Theme) -> str:
        return words_html(map, domain=domain, kind=kind, theme=theme)

    target, other = answer_names(quad.task)
    answer = f"{target if map.margin > 0 else other}, " if kind == "raw" else ""
    return (
        f'<div class="card"><h3>{esc(title)}: {esc(answer)}margin {signed(map.margin)}</h3>'
        f"{paragraph(question_sentence(map, quad.task, quad.adapter), 'muted')}"
        f"{both_themes(words('light'), words('dark'))}{paragraph(summary(map), 'muted')}</div>"
    )


def _legend(quad: Quad, domain: float, kind: Kind) -> str:
    target, other = answer_names(quad.task)
    return both_themes(
        legend_html(domain, kind, target, other, "light"), legend_html(domain, kind, target, other, "dark")
    )


def _method(map: AttributionMap) -> str:
    residual = "" if map.residual is None else f" Completeness residual {map.residual:.1%}."
    return f"Method: {METHODS[map.method]}. Absent means: {map.baseline}.{residual}"


def _scores_table(report: ScoreReport) -> str:
    flips = {(f.after.prompt, f.after.trigger, f.after.model): f for f in report.flips}
    rows = []
    for s in report.scores:
        flip = flips.get((s.prompt, s.trigger, s.model))
        state = (
            "" if flip is None else "FLIP" if flip.flipped else "no" if flip.is_eligible else "not eligible"
        )
        shift = "" if flip is None else signed(flip.margin_shift)
        rows.append(
            (
                s.prompt,
                s.trigger or "(none)",
                s.model,
                s.label,
                Number(signed(s.margin, 2)),
                Number(shift),
                state,
            )
        )
    heads = ("prompt", "trigger", "model", "answer", "margin (logits)", "shift (logits)", "flip")
    return table(heads, rows, caption="One row per prompt, trigger and model")
