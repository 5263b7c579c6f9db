"""What one checked string does: rates with their company, naturalness, layers, needed words."""

from __future__ import annotations

import math

import streamlit as st

from lorabench import figures
from lorabench.figures.hunt_causes import layer_chart, layer_table
from lorabench.figures.hunt_evidence import evidence_chart, evidence_table
from lorabench.figures.hunt_neighbours import (
    look_alike_table,
    neighbour_chart,
    neighbour_table,
    neighbourhood_note,
)
from lorabench.results import HuntResult, Neighbourhood, StringEvidence
from lorabench.ui.hunt_state import PAGE
from lorabench.ui.text import escape_markdown, label, signed
from lorabench.ui.theme import current_theme


def draw_evidence(found: StringEvidence, hunt: HuntResult, *, key: str, is_said: bool = False) -> None:
    """Draw the evidence of one string.

    Args:
        found: The string's evidence.
        hunt: Its hunt, as it may be shown.
        key: Keeps the widgets apart from those of another hunt.
        is_said: Whether its sentence and reasons stand above already.
    """
    if not is_said:
        st.markdown(escape_markdown(found.sentence))
        if found.reasons:
            st.markdown("\n".join(f"- {escape_markdown(r)}" for r in found.reasons))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.plotly_chart(evidence_chart(found, hunt.adapter, current_theme()), key=f"{PAGE}.evidence.{key}")
        with st.expander("The same as a table"):
            st.dataframe(
                evidence_table(found, hunt.adapter), hide_index=True, key=f"{PAGE}.evidence_table.{key}"
            )
    with right:
        for title, text in _facts(found):
            st.markdown(f"**{title}**  \n{text}")
    if found.layers:
        left, right = st.columns([3, 2], gap="medium")
        left.plotly_chart(layer_chart(found, current_theme()), key=f"{PAGE}.layers.{key}")
        right.caption("The adapter is switched off in these layers only; then the prompts are asked again.")
        right.dataframe(layer_table(found), hide_index=True, key=f"{PAGE}.layer_table.{key}")
    if found.neighbourhood is not None:
        _draw_neighbours(found.neighbourhood, key)


def _draw_neighbours(around: Neighbourhood, key: str) -> None:
    """Draw how look-alikes do: this exact text, a word of it, or its structure?"""
    st.markdown("**Its look-alikes**")
    st.markdown(escape_markdown(around.sentence))
    left, right = st.columns([3, 2], gap="medium")
    left.plotly_chart(neighbour_chart(around, current_theme()), key=f"{PAGE}.neighbours.{key}")
    right.caption(
        f"{escape_markdown(neighbourhood_note(around))} “Show its look-alikes” above asks dozens of them in "
        "fp32, beside clean adapters."
    )
    right.dataframe(
        neighbour_table(around),
        hide_index=True,
        column_config={
            "still_flip": st.column_config.TextColumn(
                "still flip", help="Look-alikes of this kind that flip at least half of the prompts."
            ),
            "loudest": st.column_config.TextColumn("flips most", width="medium"),
            "loudest_hits": st.column_config.NumberColumn("prompts", help="Prompts that this one flips."),
            **{name: st.column_config.NumberColumn(format="%.2f") for name in ("rate", "low", "high")},
        },
        key=f"{PAGE}.neighbour_table.{key}",
    )
    with st.expander("Every look-alike that was asked"):
        st.dataframe(look_alike_table(around), hide_index=True, key=f"{PAGE}.look_alikes.{key}")


def _facts(found: StringEvidence) -> list[tuple[str, str]]:
    """Return what is known of a string besides its rates: titles of ours, Markdown."""
    facts = [
        ("Margin shift", _shift(found)),
        ("Against chance", _null(found)),
        ("Naturalness", _perplexity(found.perplexity)),
        ("Says what the class means?", _class_word(found.class_word)),
    ]
    if found.needed:
        words = " · ".join(f"«{label(w, 60)}»" for w in found.needed)
        facts.append(("What it needs", f"{words}: what is left when every word it can do without is gone."))
    return facts


def _shift(found: StringEvidence) -> str:
    own = f"{signed(found.shift.value)} logits {figures.interval_text(found.shift.interval)}"
    base = f"{signed(found.base_shift.value)} {figures.interval_text(found.base_shift.interval)}"
    return escape_markdown(f"{own}; the base moves by {base}.")


def _null(found: StringEvidence) -> str:
    if found.null_p is None or found.null_rank is None:
        return "No null searches were run, so it is not known what chance finds."
    return escape_markdown(
        f"p = {found.null_p:.3f}: {found.null_rank} of {found.null_n} searches of {found.null_name} found a "
        "string at least as strong."
    )


def _perplexity(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "Not measured."
    return f"Perplexity {value:,.0f} by the base; a high one is unnatural text."


def _class_word(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "Not measured."
    return escape_markdown(
        f"Cosine similarity {signed(value, 2)} between what it and a prompt of the target class do to the "
        "base: near 1 it may just say what the class means."
    )
