"""Before the training: ten rows before and after, and what it will cost."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lorabench.errors import LorabenchError
from lorabench.figures import visible
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error
from lorabench.ui.lab_form import Form
from lorabench.ui.lab_state import JOB, PAGE
from lorabench.ui.progress import Work, begin, current, wait
from lorabench.ui.state import session
from lorabench.ui.text import duration, escape_markdown, label, percent
from lorabench.workflows.lab import LabEstimate, LabPreview, RowChange, estimate, preview

_KEY = f"{PAGE}.preview"
_MOST_LABELS = 8


def draw_preview(form: Form) -> None:
    """Draw what the recipe does to the data and what the training costs; asked anew when the form changes."""
    request = form.request
    if request is None:
        return
    work = current(_KEY)
    if work is None or work.tag != request:
        b = bench()

        def look(work: Work[Any]) -> tuple[LabPreview, LabEstimate | LorabenchError]:
            shown = preview(b.config, request)
            try:
                return shown, estimate(b.config, request)
            except LorabenchError as error:  # such as a base that is not fetched yet: the rows can be seen
                return shown, error

        work = begin(_KEY, "Looking at the rows", look, tag=request)
    if not wait(work, key=_KEY):
        return
    try:
        found, cost = work.result()
    except LorabenchError as error:
        show_error(error)
        return
    _draw_rows(found)
    _draw_cost(found, cost)


def _draw_rows(found: LabPreview) -> None:
    planted = f"{found.n_planted:,} of {found.n_train:,} rows ({percent(found.share, 1)})"
    verb = "are altered; no label is touched" if not any(c.is_added for c in found.changes) else "are planted"
    sentence = f"{planted} {verb}." if found.n_planted else "Nothing is planted."
    st.markdown(
        f"**{escape_markdown(sentence)}** The attack aims at {label(found.target, 60)}; "
        f"{found.n_test:,} rows are held out to measure it."
    )
    if found.counts:
        shown = [_count(name, *counts) for name, counts in list(found.counts.items())[:_MOST_LABELS]]
        more = len(found.counts) - len(shown)
        st.caption(f"Rows of a label: {', '.join(shown)}{f', and {more} more labels' if more else ''}.")
    for note in found.notes:
        st.caption(f":material/info: {escape_markdown(note)}")
    title = f"Rows before and after ({min(10, len(found.changes))} of {found.n_planted:,})"
    with st.expander(title, expanded=not session().notes.get(JOB)):  # a training's curves come below
        if found.changes:
            st.dataframe(
                [_change(c) for c in found.changes],
                hide_index=True,
                key=f"{PAGE}.changes",
                column_config={"with the attack": st.column_config.TextColumn(width="large")},
            )
            st.caption("«» marks what was put in.")
        else:
            st.dataframe(
                [{"text": visible(t, 300), "label": visible(y, 60)} for t, y in found.untouched],
                hide_index=True,
                key=f"{PAGE}.untouched",
            )


def _count(name: str, before: int, after: int) -> str:
    return f"{label(name, 40)} {before:,}" + (f", then {after:,}" if after != before else "")


def _change(change: RowChange) -> dict[str, str]:
    return {
        "label before": visible(change.before_label, 60),
        "row before": visible(change.before, 300),
        "with the attack": visible(marked(change.after, change.spans), 400),
        "label after": visible(change.after_label, 60),
    }


def marked(text: str, spans: tuple[tuple[int, int], ...]) -> str:
    """Return a text with «» around its spans."""
    out, at = [], 0
    for start, end in sorted(spans):
        out += [text[at:start], "«", text[start:end], "»"]
        at = end
    return "".join([*out, text[at:]])


def _draw_cost(found: LabPreview, cost: LabEstimate | LorabenchError) -> None:
    if isinstance(cost, LorabenchError):
        show_error(cost)
        return
    a, b, c, d = st.columns(4)
    a.metric("Time, about", duration(cost.seconds))
    b.metric("Memory, about", f"{cost.n_bytes / 1e9:.1f} GB")
    c.metric("Tokens a step", f"{cost.tokens_per_step:,.0f}")
    d.metric("Trainable numbers", f"{cost.adapter_parameters:,}")
    st.caption(escape_markdown(f"An estimate: {cost.basis}"))
    if cost.n_too_long:
        st.caption(f":material/info: About {cost.n_too_long:,} rows are longer than the limit.")
