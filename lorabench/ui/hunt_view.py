"""A finished hunt: what may be said first, then the strings, then the evidence and how it was found."""

from __future__ import annotations

import streamlit as st

from lorabench.figures import part_title
from lorabench.figures.hunt import proposal_chart
from lorabench.figures.hunt_causes import enrichment_chart, enrichment_table
from lorabench.hunting.truth import leaderboard
from lorabench.results import HuntResult
from lorabench.ui.hunt_case import draw_add_to_case
from lorabench.ui.hunt_evidence import draw_evidence
from lorabench.ui.hunt_files import draw_files
from lorabench.ui.hunt_race import draw_replay
from lorabench.ui.hunt_state import (
    PAGE,
    Found,
    on_screen,
    standing,
    strings_of,
    text_cell,
)
from lorabench.ui.hunt_table import string_columns, string_rows, table_height
from lorabench.ui.hunt_verdict import best_string, draw_verdict
from lorabench.ui.names import adapter_tokens, is_blind, usable_adapters
from lorabench.ui.state import ParamValue, clean_params
from lorabench.ui.tasks import AUTO, task_values
from lorabench.ui.text import escape_markdown, label, plain, show_text
from lorabench.ui.theme import current_theme
from lorabench.workflows.hunt_request import HuntRequest

_BADGES = {
    "passes": ":red-badge[:material/notification_important: meets the evidence rule]",
    "weak": ":orange-badge[:material/help: weak evidence]",
    "none": ":gray-badge[:material/remove: checked: no evidence]",
    "search": ":gray-badge[:material/hourglass_empty: not checked: search numbers only]",
}


def draw_hunt(hunt: HuntResult, asked: HuntRequest, *, key: str) -> None:
    """Draw a hunt whole.

    Args:
        hunt: The result, adapters under their own names.
        asked: What was asked for.
        key: Keeps its widgets apart from those of another hunt.
    """
    shown = on_screen(hunt)
    draw_verdict(shown, asked)
    found = _draw_strings(shown, key)
    if found is not None:
        _draw_chosen(
            hunt,
            found,
            asked,
            key,
            is_shown=found.evidence is not None and found.evidence is best_string(shown),
        )
    names = ["Evidence", "Race", "Leaderboard", "Token classes", "Notes and provenance"]
    evidence, race, leaders, classes, notes = st.tabs(names)
    with evidence:
        if found is None or found.evidence is None:
            st.caption("This string was not checked on held-out prompts, so there is no evidence to show.")
        else:
            draw_evidence(found.evidence, shown, key=key, is_said=found.evidence is best_string(shown))
    with race:
        draw_replay(shown, key=key)
    with leaders:
        _draw_leaderboard(shown, asked.truth, key)
    with classes:
        _draw_classes(shown, key)
    with notes:
        _draw_notes(shown)
    draw_files(shown, key=key)


def _draw_strings(hunt: HuntResult, key: str) -> Found | None:
    """Draw the table of strings; return the one that is chosen, the strongest at first."""
    found = strings_of(hunt)
    st.subheader("Strings", anchor=False)
    if not found:
        st.caption("No string was scored.")
        return None
    st.caption("Checked strings stand first. Click a row for its evidence, its look-alikes and its case.")
    picked = st.dataframe(
        string_rows(hunt),
        hide_index=True,
        column_config=string_columns(),
        height=table_height(min(len(found), 8)),
        key=f"{PAGE}.strings.{key}",
        on_select="rerun",
        selection_mode="single-row",
    )
    rows = picked["selection"]["rows"]
    return found[rows[0]] if rows and rows[0] < len(found) else found[0]


def _draw_chosen(hunt: HuntResult, found: Found, asked: HuntRequest, key: str, *, is_shown: bool) -> None:
    """Draw the chosen string with the ways on.

    Args:
        hunt: With the adapters' own names.
        found: The string.
        asked: What was asked for.
        key: Keeps the widgets apart.
        is_shown: Whether the card above shows the whole string.
    """
    with st.container(border=True, key=f"{PAGE}.chosen"):
        st.markdown(f"Chosen: **«{label(found.text, 100)}»** {_BADGES[standing(found.evidence)]}")
        if not is_shown:
            show_text(plain(found.text, 1_000))
        with st.container(horizontal=True, vertical_alignment="center", key=f"{PAGE}.ways"):
            _draw_links(hunt, found, asked)
            if found.evidence is not None:
                own = next((e for e in hunt.evidence if e.text == found.text), found.evidence)
                draw_add_to_case(hunt, own, key=key)
        if found.evidence is None:
            st.caption(
                "Not checked on held-out prompts: its numbers are those of the search. "
                "The Playground asks it in full precision."
            )


def _draw_links(hunt: HuntResult, found: Found, asked: HuntRequest) -> None:
    known = {a.facts.adapter_id: a.name for a in usable_adapters() if a.facts}
    name = known.get(hunt.adapter_id)
    if name is None:
        st.caption("Add the adapter on the Models page to take this to the Playground.")
        return
    clean = [] if is_blind() else [r for r in hunt.references if r in known.values()]
    values: dict[str, ParamValue] = {
        "trigger": [found.text],
        "placement": None if found.placement == "prefix" else found.placement,
        "blind": is_blind(),
        "run": True,
        **task_values(asked.task or AUTO),
    }
    prompt = next(iter(hunt.held_out_texts), "")
    st.page_link(
        "pages/playground.py",
        label="Open in the Playground",
        icon=":material/experiment:",
        query_params=clean_params(values | {"prompt": prompt, "adapter": adapter_tokens([name, *clean[:1]])}),
        help="Its flip on a held-out prompt, and which of its words did it.",
    )
    st.page_link(
        "pages/generalisation.py",
        label="Show its look-alikes",
        icon=":material/grid_on:",
        query_params=clean_params(values | {"adapter": adapter_tokens([name, *clean[:2]])}),
        help="Dozens of variants: this exact text, a word of it, or its structure?",
    )


def _draw_leaderboard(hunt: HuntResult, truth: str | None, key: str) -> None:
    st.caption("Which part of the search brought what, at what price.")
    if not hunt.proposals:
        st.caption("No part of the search reported.")
        return
    ranking = leaderboard(hunt, truth)
    chart = proposal_chart([r.total for r in ranking], current_theme())
    st.plotly_chart(chart, key=f"{PAGE}.proposals.{key}")
    rows = [
        {
            "part": part_title(r.total.source),
            "strings": r.total.n_tried,
            "tokens": r.total.tokens,
            "seconds": round(r.total.seconds, 1),
            "best string": text_cell(r.total.best_text),
            "best score": r.total.best_score,
        }
        | ({"tokens to a word of the trigger": r.tokens_to_word} if truth else {})
        for r in ranking
    ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "tokens": st.column_config.NumberColumn(format="localized"),
            "strings": st.column_config.NumberColumn(format="localized"),
            "best score": st.column_config.NumberColumn(format="%.1f"),
        },
        key=f"{PAGE}.leaders.{key}",
    )


def _draw_classes(hunt: HuntResult, key: str) -> None:
    if not hunt.enrichment:
        st.caption(
            "No classes of tokens were compared in this hunt: that takes a sweep over single words, "
            "which the longer modes make."
        )
        return
    st.caption(
        "Do dates, numbers or other classes of tokens move the adapter more than the rest? "
        "A class that stands out says what a trigger may look like before any string is found."
    )
    st.plotly_chart(enrichment_chart(hunt.enrichment, current_theme()), key=f"{PAGE}.classes.{key}")
    st.dataframe(enrichment_table(hunt.enrichment), hide_index=True, key=f"{PAGE}.class_table.{key}")


def _draw_others(hunt: HuntResult) -> None:
    """Draw what shorter hunts for the task's other labels brought; only deep mode has them."""
    if not hunt.others:
        return
    st.markdown("**Other targets**: the same adapter, searched for the task's other labels")
    rows = [
        {
            "target": plain(o.target, 60),
            "tokens": o.tokens,
            "best string": plain(o.best.text, 120) if o.best else "",
            "meets the rule": "yes" if any(e.passes for e in o.evidence) else "no",
            "note": plain(o.note, 200),
        }
        for o in hunt.others
    ]
    st.dataframe(rows, hide_index=True)
    for found in (e for o in hunt.others for e in o.evidence if e.passes):
        st.markdown(escape_markdown(found.sentence))


def _draw_notes(hunt: HuntResult) -> None:
    _draw_others(hunt)
    st.markdown("\n".join(f"- {escape_markdown(note)}" for note in hunt.notes))
    st.caption(
        f"The search ran in {label(hunt.precision, 20)} on a copy whose change is multiplied by "
        f"{hunt.strength:g}; evidence is measured at the adapter's own strength in fp32. "
        f"{hunt.n_excluded:,} tokens of the vocabulary were not tried."
    )
    with st.expander("Prompts that the search used, and those of the evidence"):
        st.caption(f"Search: {len(hunt.search_prompts)}")
        st.dataframe([{"prompt": plain(p, 300)} for p in hunt.search_prompts], hide_index=True)
        st.caption(f"Held out: {len(hunt.held_out_texts)}")
        st.dataframe([{"prompt": plain(p, 300)} for p in hunt.held_out_texts], hide_index=True)
    with st.expander("How to repeat this"):
        st.json(hunt.provenance, expanded=True)
