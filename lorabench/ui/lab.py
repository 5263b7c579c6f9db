"""The Lab page: train one adapter, train a grid of them, inspect a data set.

lab.arrive()      which tab, and the job of the address
lab.draw_tab()    the chosen tab, from form to result
"""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from lorabench.errors import LorabenchError
from lorabench.ui.guard import visible_job
from lorabench.ui.lab_form import draw_form, put_request
from lorabench.ui.lab_inspect import draw_inspection
from lorabench.ui.lab_preview import draw_preview
from lorabench.ui.lab_run import draw_run, start_if_asked
from lorabench.ui.lab_state import JOB, PAGE, SWEEP_JOB, TAB, TABS
from lorabench.ui.lab_sweep import draw_sweeps
from lorabench.ui.state import arrived, choice_param, session, text_param, write_params
from lorabench.workflows.train_jobs import train_request_of


def arrive() -> None:
    """Put what the address says into the tab: which part, and the job that it names."""
    notes, state = session().notes, st.session_state
    if arrived(PAGE):
        state[TAB] = choice_param("tab", tuple(TABS), "train")
        if job_id := text_param("job", max_chars=64):
            kind = "train"
            with suppress(LorabenchError, KeyError, TypeError, ValueError):
                job = visible_job(job_id)
                kind = job.kind
                if kind == "train":
                    put_request(train_request_of(job.params))
            notes[SWEEP_JOB if kind == "sweep" else JOB] = job_id
            state[TAB] = "sweep" if kind == "sweep" else "train"
    state.setdefault(TAB, "train")


def draw_tab() -> None:
    """Draw the switch and the part that is chosen."""
    state = st.session_state
    if state.get(TAB) not in TABS:  # a click on the chosen segment clears it
        state[TAB] = "train"
    chosen = st.segmented_control(
        "Part of the lab",
        tuple(TABS),
        format_func=lambda tab: TABS[tab],
        key=TAB,
        label_visibility="collapsed",
        persist_state="session",
    )
    notes = session().notes
    write_params(
        {
            "tab": None if chosen in (None, "train") else chosen,
            "job": notes.get(JOB)
            if chosen == "train"
            else notes.get(SWEEP_JOB)
            if chosen == "sweep"
            else None,
        }
    )
    if chosen == "sweep":
        draw_sweeps()
    elif chosen == "inspect":
        draw_inspection()
    else:
        form = draw_form()
        draw_preview(form)
        start_if_asked(form)
        draw_run()


__all__ = ["arrive", "draw_tab"]
