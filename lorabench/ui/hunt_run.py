"""A hunt on its way: submitted, watched as a race, gone on with, and drawn when it is done."""

from __future__ import annotations

import streamlit as st

from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.results import HuntResult
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import check_guest_jobs, remember_job, require_presenter
from lorabench.ui.hunt_form import Form
from lorabench.ui.hunt_race import draw_race
from lorabench.ui.hunt_state import GUEST_MODES, JOB, MODES, PAGE
from lorabench.ui.hunt_verdict import draw_example
from lorabench.ui.hunt_view import draw_hunt
from lorabench.ui.names import display_name
from lorabench.ui.progress import Work, begin, current, forget, job_panel, wait
from lorabench.ui.recorded import recorded_badge, recorded_hunt
from lorabench.ui.state import session, write_params
from lorabench.ui.text import label
from lorabench.workflows.hunt_jobs import hunt_of, hunt_request_of, hunt_so_far, submit_hunt
from lorabench.workflows.hunt_request import HuntRequest

_SUBMIT = f"{PAGE}.submit"


def start_if_asked(form: Form) -> None:
    """Submit what the form asks for; it becomes this tab's job and part of the address."""
    if form.pressed and form.request is not None:
        with shown_errors():
            check_guest_jobs()
            if form.request.mode not in GUEST_MODES:
                require_presenter("hunt for that long")
            b, request = bench(), form.request

            def submit(work: Work[str]) -> str:
                return submit_hunt(b, request, session=work.caller.session)

            session().notes[JOB] = None
            begin(_SUBMIT, "Reading the adapter", submit, tag=request)
    work = current(_SUBMIT)
    if work is None or not wait(work, key=_SUBMIT):
        return
    with shown_errors():
        forget(_SUBMIT)
        job_id: str = work.result()
        remember_job(job_id)
        session().notes[JOB] = job_id
        write_params({"job": job_id})
        st.rerun()  # so that the link above carries the job


def draw_run(form: Form) -> None:
    """Draw this tab's hunt: nothing yet, under way, ended badly, or finished."""
    if current(_SUBMIT) is not None:
        return
    job_id = session().notes.get(JOB)
    st.divider()
    if not isinstance(job_id, str):
        _draw_empty()
        return
    job = job_panel(job_id, key=f"{PAGE}.panel", draw=_draw_so_far, unit="tokens")
    if job is None:
        return
    if job.kind != "hunt":
        st.error("The link names a job that is not a hunt.", icon=":material/error:")
        return
    if job.is_active:
        st.caption("This page may be closed: the link above finds the hunt again.")
        return
    with shown_errors():
        asked = hunt_request_of(job.params)
        if form.request is not None and _asks_another(form.request, asked):
            st.caption(":material/edit: The form above has changed since; press Hunt to ask that.")
        if job.status == "done":
            draw_hunt(_finished(job.id), asked, key=job.id)
        else:
            _draw_so_far(job)


def _asks_another(request: HuntRequest, asked: HuntRequest) -> bool:
    names = ("adapter", "mode", "placement", "seed", "n_held_out", "budget")
    return any(getattr(request, n) != getattr(asked, n) for n in names)


def _finished(job_id: str) -> HuntResult:
    """Return a finished hunt, read once per tab and job."""
    notes = session().notes
    kept = notes.get(f"{PAGE}.kept")
    if not isinstance(kept, tuple) or kept[0] != job_id:
        notes[f"{PAGE}.kept"] = kept = (job_id, hunt_of(bench().jobs, job_id))
    found: HuntResult = kept[1]
    return found


def _draw_so_far(job: Job) -> None:
    """Draw the race as it stands; called in a polling fragment, so without widgets."""
    try:
        so_far = hunt_so_far(bench().jobs, job.id)
        asked = hunt_request_of(job.params)
    except LorabenchError as error:
        show_error(error)
        return
    title = f"**{label(display_name(asked.adapter), 80)}** · {MODES[asked.mode]}"
    if so_far is None:
        st.markdown(title)
        st.caption("Loading the base and the adapters; the strengthened copy is made first.")
        if job.is_active:
            st.skeleton(height=260)
        return
    draw_race(so_far, title, is_live=job.is_active)


def _draw_empty() -> None:
    """Draw what a hunt is, and a recorded one to look at."""
    st.info(
        "Press Hunt. Strings are tried on a strengthened copy of the adapter, the best are made longer and "
        "shorter, and the leaders are checked on prompts that the search never saw, beside clean adapters.",
        icon=":material/travel_explore:",
    )
    record = recorded_hunt()
    if record is None:
        return
    recorded_badge(record.recorded_at, " · an example of what comes out")
    with shown_errors():
        draw_example(record.hunt, record.request)
