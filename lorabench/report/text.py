"""Summaries for a terminal: plain text, no colour codes, nothing in it that a terminal would obey."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from lorabench.figures import (
    cost_text,
    interval_text,
    ordered_families,
    pool,
    quad_sentence,
    question_sentence,
    rate_sentence,
    rate_text,
    safe_text,
    signed,
    words_table,
)
from lorabench.report.limits import METHODS, NOT_A_VERDICT, heatmap_sentence, task_sentence
from lorabench.results import BASE, AttributionMap, Heatmap, HeatmapCell, InstalledAdapter, Quad, ScoreReport


def score_text(report: ScoreReport) -> str:
    """Return scores by prompt, then what each trigger did to each model."""
    flips = {(f.after.prompt, f.after.trigger, f.after.model): f for f in report.flips}
    rows = []
    for s in report.scores:
        flip = flips.get((s.prompt, s.trigger, s.model))
        mark = "FLIP" if flip is not None and flip.flipped else ""
        cells = (safe_text(s.prompt, 40), safe_text(s.trigger or "-", 30), safe_text(s.model, 24))
        rows.append([*cells, safe_text(s.label, 16), signed(s.margin, 2), mark])
    lines = [safe_text(task_sentence(report.task)), ""]
    lines += columns(["prompt", "trigger", "model", "answer", ">margin", ""], rows)
    models = list(dict.fromkeys(f.after.model for f in report.flips))
    for trigger in dict.fromkeys(f.after.trigger for f in report.flips):
        if trigger is None:
            continue
        lines += ["", f"Trigger «{safe_text(trigger, 60)}»"]
        for model in models:
            if model != BASE or len(models) == 1:
                lines.append(f"  {safe_text(quad_sentence(report, model, trigger))}")
            rate = rate_sentence(report.flip_rate(model=model, trigger=trigger))
            line = f"  {safe_text(model, 30)}: flip rate {rate}"
            if model != BASE and BASE in models:
                line += (
                    f"; difference-in-differences {signed(report.did(model=model, trigger=trigger))} logits"
                )
            lines.append(line)
    if note := report.provenance.get("fast_mode"):
        lines += ["", safe_text(f"NOT EVIDENCE: {note}.", 300)]
    took = cost_text(report.n_computed, report.n_unique_tokens, report.n_naive_tokens)
    lines += ["", f"{took}; {report.seconds:.1f} s."]
    return "\n".join(lines) + "\n"


def heatmap_text(heatmap: Heatmap, *, titles: Mapping[str, str] | None = None, variants: bool = False) -> str:
    """Return the heatmap as an aligned table, one line per family (and one per variant if asked)."""
    cells = {(c.variant_index, c.column): c for c in heatmap.cells}

    def line(label: str, members: Sequence[int]) -> list[str]:
        found = ([cells[i, c.key] for i in members if (i, c.key) in cells] for c in heatmap.columns)
        return [label, str(len(members)), *map(_cell, found)]

    rows = []
    for family, members, is_control in ordered_families(heatmap):
        title = safe_text((titles or {}).get(family) or family.replace("_", " "), 34)
        rows.append(line(f"{title} (control)" if is_control else title, members))
        if variants and len(members) > 1:
            rows += [
                line(f"  {safe_text(heatmap.variants[i].text, 40) or '(no trigger)'}", [i]) for i in members
            ]
    heads = ["family", ">texts", *(f">{safe_text(c.title, 18)}" for c in heatmap.columns)]
    lines = [
        f"Look-alikes of «{safe_text(heatmap.trigger.text, 60)}»",
        safe_text(task_sentence(heatmap.task)),
        "",
    ]
    lines += columns(heads, rows)
    lines += [
        "",
        f"Attack rate over the eligible of {len(heatmap.prompts)} prompts; (+0.4): rate not measured, "
        "mean margin shift in logits; .: not run.",
    ]
    lines.append(heatmap_sentence(heatmap))
    names = {c.key: c.title for c in heatmap.columns}
    for reading in heatmap.readings:
        lines += [
            "",
            f"{safe_text(names.get(reading.column, reading.column), 40)}: {safe_text(reading.sentence)}",
        ]
        lines += [
            f"  {safe_text(k)}: {interval_text(i)}, {safe_text(i.method)}"
            for k, i in reading.intervals.items()
        ]
        lines.append(f"  Limits: {safe_text(reading.limits)}")
    if note := heatmap.provenance.get("fast_mode"):
        lines += ["", safe_text(f"NOT EVIDENCE: {note}.", 300)]
    took = cost_text(heatmap.n_computed, heatmap.n_unique_tokens, heatmap.n_naive_tokens)
    lines += ["", f"{heatmap.n_rows:,} rows, {took}; {heatmap.seconds:.1f} s."]
    return "\n".join([*lines, "", NOT_A_VERDICT]) + "\n"


def quad_text(quad: Quad, *, top: int = 8) -> str:
    """Return the strongest words of each map with their scores, in text order within a map."""
    lines = [safe_text(task_sentence(quad.task)), f"Method: {METHODS[quad.base_plain.method]}."]
    if quad.did is not None:
        lines.append(f"Difference-in-differences of the margins: {signed(quad.did)} logits.")
    for map in quad.maps:
        with_trigger = any(w.role == "trigger" for w in map.words)
        heading = f"{safe_text(map.model, 40)}, {'prompt with trigger' if with_trigger else 'prompt'}"
        lines += ["", f"{heading}: margin {signed(map.margin)}"]
        lines.append(f"  {safe_text(question_sentence(map, quad.task, quad.adapter, colours=False))}")
        lines += [f"  {line}" for line in _strongest(map, top)]
    return "\n".join(lines) + "\n"


def adapter_text(adapter: InstalledAdapter) -> str:
    """Return an installed adapter: checked facts first, then what it claims about itself, as claims."""
    lines = [f"{safe_text(adapter.name, 80)} ({adapter.origin})"]
    if adapter.facts is None:
        return (
            "\n".join([*lines, f"  Refused: {safe_text(adapter.refusal or 'no reason was recorded', 600)}"])
            + "\n"
        )
    facts = adapter.facts
    scale = "alpha / sqrt(r)" if facts.use_rslora else "alpha / r"
    size = f"{facts.n_parameters:,} parameters, {facts.n_bytes / 1e6:.1f} MB, {safe_text(facts.dtype, 12)}"
    lines += [
        f"  id       {safe_text(facts.adapter_id, 64)}",
        f"  rank     {facts.rank}, alpha {facts.alpha:g}, scale = {scale}",
        f"  size     {size}",
        f"  targets  {safe_text(', '.join(facts.targets), 200)} in {_count(len(facts.modules), 'layer')}",
    ]
    lower = sum(m.measured_rank < m.rank for m in facts.modules)
    if lower:
        lines.append(f"  note     {lower} of {len(facts.modules)} layers measure a lower rank than declared")
    claims = facts.claims
    told = {"base model": claims.base_model, "base id": claims.base_fingerprint, "card": claims.card}
    for name, value in told.items():
        if value:
            lines.append(f"  claims   {name}: {safe_text(value, 120)}")
    lines += [f"  note     {safe_text(note, 160)}" for note in claims.notes]
    return "\n".join(lines) + "\n"


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines; a head that starts with ">" is set to the right, and an empty table says so."""
    names = [h.removeprefix(">") for h in heads]
    widths = [max(map(text_width, column)) for column in zip(names, *rows, strict=True)]
    right = [h.startswith(">") for h in heads]
    lines = [
        "  ".join(_padded(cell, w, r) for cell, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in (names, *rows)
    ]
    return [lines[0], "-" * min(sum(widths) + 2 * len(widths) - 2, 120), *(lines[1:] or ["(nothing)"])]


def text_width(text: str) -> int:
    """Return how many terminal columns a text takes: wide characters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def _cell(cells: Sequence[HeatmapCell]) -> str:
    pooled = pool(cells)
    if pooled.status == "not run":
        return "."
    text = rate_text(pooled.rate.value) if pooled.rate.n else f"({signed(pooled.mean_shift)})"
    return text if pooled.status == "done" else f"{text}..."


def _strongest(map: AttributionMap, top: int) -> list[str]:
    frame = words_table(map, show_template=False).dropna(subset=["rank"])
    if frame.empty:
        return ["no word has an effect"]
    chosen = frame[frame["rank"] <= top]
    rows = [
        [
            safe_text(str(word), 30),
            signed(float(score), 2),
            f"{float(share):.0%}",
            "trigger" if role == "trigger" else "",
        ]
        for word, score, share, role in zip(
            chosen["word"], chosen["score"], chosen["share"], chosen["role"], strict=True
        )
    ]
    return columns(["word", ">logits", ">share", ""], rows)
