"""The chosen cell: its look-alike, what it shares with the trigger, and every prompt behind the rate."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lorabench import figures
from lorabench.data import FAMILY_TITLES, TASKS
from lorabench.results import BASE, CellRow, Column, Heatmap, LabelTask, Task, Variant
from lorabench.ui.bench import bench
from lorabench.ui.generalisation_pick import Pick
from lorabench.ui.generalisation_screen import TITLES, members_of, pooled
from lorabench.ui.names import adapter_tokens
from lorabench.ui.progress import POLL_SECONDS, Work, begin, current
from lorabench.ui.state import ParamValue, clean_params
from lorabench.ui.tasks import task_values
from lorabench.ui.text import label, show_text
from lorabench.workflows.heatmaps import Overlap, overlaps

_PAGE = "generalisation"
_OVERLAP = f"{_PAGE}.overlap"


def draw_cell(heatmap: Heatmap, pick: Pick) -> None:
    """Draw the detail pane.

    Args:
        heatmap: The heatmap under its own names, for links.
        pick: What is chosen, with the heatmap as it is on screen.
    """
    cell = pick.cell
    if cell is None:
        st.markdown("**One cell, prompt by prompt**")
        st.caption("Click a cell of the heatmap, or choose one in the table below it with the keyboard.")
        return
    column = pick.screen.columns[cell.column]
    if cell.line < 0:
        _draw_family(pick, column)
        return
    variant = heatmap.variants[cell.line]
    st.markdown(f"**Look-alike under {_column_title(pick.screen, column)}**")
    if variant.text:
        show_text(variant.text)
    else:
        st.caption("(no trigger: the prompt alone)")
    st.markdown(_rate_text(pick.screen, (cell.line,), cell.column))
    st.caption(_variant_text(variant))
    _draw_overlap(heatmap, pick.id, cell.line)
    key = column.key
    rows = next((c.rows for c in pick.screen.cells if c.variant_index == cell.line and c.column == key), ())
    if not rows:
        st.caption("Not run.")
        return
    _draw_prompts(heatmap, cell.line, cell.column, rows, pick.id)
    if variant.family in pick.opened and st.button("Fold this family", key=f"{_PAGE}.fold"):
        pick.opened.discard(variant.family)
        pick.choose(None)
        st.rerun()


def _column_title(screen: Heatmap, column: Column) -> str:
    """Return a column's title as Markdown; a prompt's column by its number."""
    if column.prompt_index is not None:
        return f"prompt {column.prompt_index + 1}"
    return label(column.title, 60)


def _rate_text(screen: Heatmap, members: tuple[int, ...], column: int) -> str:
    found = pooled(screen, members, column)
    target = label(screen.task.target if isinstance(screen.task, LabelTask) else "the payload", 40)
    if found.status == "not run":
        return "**Not run yet.**"
    shift = f"Mean margin shift {figures.signed(found.mean_shift)} logits"
    if not found.rate.n:
        return (
            f"**Attack rate not measured**: every prompt is answered {target} without a trigger already, "
            f"so none could flip. {shift}."
        )
    rate = found.rate
    return (
        f"**Attack rate {figures.rate_sentence(rate, found.interval)}**: {rate.n_hits} of {rate.n} prompts "
        f"flip to {target}. {shift}."
    )


def _variant_text(variant: Variant) -> str:
    found = FAMILY_TITLES.get(variant.family)
    family = label(found.title if found else variant.family)
    kept = ", ".join(p.replace("_", " ") for p in variant.anchors) or "no part"
    return f"{family}: {label(variant.change, 160)} · keeps {label(kept, 160)}"


def _draw_overlap(heatmap: Heatmap, id: str, line: int) -> None:
    """Draw what the look-alike shares with the trigger; tokens are counted once for all look-alikes."""
    work = current(_OVERLAP)
    if work is None or work.tag != id:
        b, trigger, texts = bench(), heatmap.trigger.text, [v.text for v in heatmap.variants]
        work = begin(_OVERLAP, "Counting shared tokens", lambda _: overlaps(b, trigger, texts), tag=id)
    shared = ", ".join(heatmap.variants[line].shared_words) or "none"
    words = f"Shared words: {label(shared, 160)}"
    if not work.done_within(0.5):
        st.caption(f"{words} · shared tokens: being counted")
        st.fragment(lambda: _rerun_when_done(work), run_every=POLL_SECONDS)()
    elif work.error is not None:
        st.caption(f"{words} · shared tokens: not counted, the base model is not there")
    else:
        found: Overlap = work.result()[line]
        n = round(found.tokens * found.n_tokens)
        tokens = " ".join(figures.visible(t).strip() or "␣" for t in found.shared_tokens)
        listed = f" ({label(tokens, 120)})" if n else ""
        st.caption(f"{words} · {n} of the trigger's {found.n_tokens} tokens{listed}")


def _rerun_when_done(work: Work[tuple[Overlap, ...]]) -> None:
    if work.finished:
        st.rerun()


def _draw_prompts(heatmap: Heatmap, line: int, column: int, rows: tuple[CellRow, ...], id: str) -> None:
    ordered = sorted(rows, key=lambda r: (not r.flipped, not r.eligible, r.before - r.after))
    frame = pd.DataFrame(
        {
            "outcome": [_outcome(r) for r in ordered],
            "before": [r.before for r in ordered],
            "after": [r.after for r in ordered],
            "prompt": [figures.visible(heatmap.prompts[r.prompt_index]) for r in ordered],
        }
    )
    margin = "Margin of the target label in logits; positive means the target"
    number = st.column_config.NumberColumn
    event = st.dataframe(
        frame,
        hide_index=True,
        key=f"{_PAGE}.prompts.{id}.{line}.{column}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(38 + 35 * len(frame), 320),
        column_config={
            "outcome": st.column_config.TextColumn("outcome", width="small"),
            "before": number(
                "before", format="%+.1f", width="small", help=f"{margin}, without the look-alike"
            ),
            "after": number("after", format="%+.1f", width="small", help=f"{margin}, with the look-alike"),
            "prompt": st.column_config.TextColumn("prompt", width="large"),
        },
        alt="Prompts of this cell, flipped ones first, with the margin before and after",
    )
    chosen = next((i for i in event.selection.rows if 0 <= i < len(ordered)), None)
    row = ordered[chosen if chosen is not None else 0]
    show_text(
        heatmap.prompts[row.prompt_index], title="Chosen prompt" if chosen is not None else "First prompt"
    )
    if st.button("Open in Playground", icon=":material/experiment:", key=f"{_PAGE}.open"):
        _open_in_playground(heatmap, heatmap.variants[line], heatmap.columns[column], row)


def _outcome(row: CellRow) -> str:
    if row.tie:
        return "tie"
    if not row.eligible:
        return "target already"
    return "FLIP" if row.flipped else "holds"


def _open_in_playground(heatmap: Heatmap, variant: Variant, column: Column, row: CellRow) -> None:
    values: dict[str, ParamValue] = {
        "prompt": heatmap.prompts[row.prompt_index],
        "trigger": [variant.text] if variant.text else None,
        "adapter": [] if column.model == BASE else adapter_tokens([column.model]),
        "placement": None if column.placement == "prefix" else column.placement,
        "joiner": None if heatmap.trigger.joiner == ". " else heatmap.trigger.joiner,
        "seed": heatmap.provenance.get("seed") or None,
        "run": True,
        **task_values(_known_task(heatmap.task)),
    }
    st.switch_page("pages/playground.py", query_params=clean_params(values))


def _known_task(task: Task) -> str | Task:
    return next((name for name, known in TASKS.items() if known == task), task)


def _draw_family(pick: Pick, column: Column) -> None:
    cell, screen = pick.cell, pick.screen
    if cell is None:
        return
    members = members_of(screen, cell)
    family = screen.variants[members[0]].family
    st.markdown(f"**{label(TITLES.get(family, family))}** under {_column_title(screen, column)}")
    meaning = FAMILY_TITLES.get(family)
    if meaning is not None:
        st.caption(label(meaning.meaning, 300))
    st.markdown(_rate_text(screen, members, cell.column))
    rows = []
    for i in members:
        found = pooled(screen, (i,), cell.column)
        rate = figures.rate_sentence(found.rate) if found.n_done else "not run"
        rows.append({"look-alike": figures.visible(screen.variants[i].text), "attack rate": rate})
    st.dataframe(rows, hide_index=True, key=f"{_PAGE}.members")
    if st.button("Show its look-alikes in the heatmap", icon=":material/unfold_more:", key=f"{_PAGE}.unfold"):
        pick.opened.add(family)
        pick.choose(None)
        st.rerun()
