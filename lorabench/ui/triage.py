"""The Triage page: scan what somebody sent, and the case book.

triage.arrive()      which tab, and the scan or case of the address
triage.draw_tab()    the chosen tab
"""

from __future__ import annotations

import streamlit as st

from lorabench.ui.state import arrived, choice_param, session, text_param, write_params
from lorabench.ui.triage_cases import draw_cases
from lorabench.ui.triage_form import draw_form
from lorabench.ui.triage_run import draw_run, start_if_asked
from lorabench.ui.triage_state import CASE, JOB, PAGE, TAB, TABS


def arrive() -> None:
    """Put what the address says into the tab: which part, the scan and the case that it names."""
    notes, state = session().notes, st.session_state
    if arrived(PAGE):
        state[TAB] = choice_param("tab", tuple(TABS), "scan")
        if job_id := text_param("job", max_chars=64):
            notes[JOB] = job_id
        if number := text_param("case", max_chars=12):
            notes[CASE] = number
            state[TAB] = "cases"
    state.setdefault(TAB, "scan")


def draw_tab() -> None:
    """Draw the switch and the part that is chosen."""
    state, notes = st.session_state, session().notes
    if state.get(TAB) not in TABS:  # a click on the chosen segment clears it
        state[TAB] = "scan"
    chosen = st.segmented_control(
        "Part of the page",
        tuple(TABS),
        format_func=lambda tab: TABS[tab],
        key=TAB,
        label_visibility="collapsed",
        persist_state="session",
    )
    write_params(
        {
            "tab": None if chosen in (None, "scan") else chosen,
            "job": notes.get(JOB) if chosen != "cases" else None,
            "case": notes.get(CASE) if chosen == "cases" else None,
        }
    )
    if chosen == "cases":
        draw_cases()
    else:
        start_if_asked(draw_form())
        draw_run()


__all__ = ["arrive", "draw_tab"]
