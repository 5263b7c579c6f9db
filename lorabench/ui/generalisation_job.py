"""A heatmap on its way: submitted, waited for, gone on with, and drawn as far as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from lorabench import figures
from lorabench.data import FAMILY_TITLES
from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.results import Heatmap
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.generalisation_address import CELL, JOB, PAGE, is_demo
from lorabench.ui.generalisation_form import Form
from lorabench.ui.generalisation_screen import FONT, TITLES, on_screen
from lorabench.ui.generalisation_view import draw_heatmap
from lorabench.ui.guard import check_guest_jobs, remember_job, visible_job
from lorabench.ui.names import display_name
from lorabench.ui.progress import Work, begin, current, forget, job_panel, wait
from lorabench.ui.recorded import HeatmapRecord, recorded_badge, recorded_heatmap
from lorabench.ui.state import session, write_params
from lorabench.ui.text import label
from lorabench.ui.theme import current_theme
from lorabench.workflows.heatmaps import HeatmapRequest, plan_variants
from lorabench.workflows.jobs import heatmap_of, request_of, submit_heatmap

_SUBMIT = f"{PAGE}.submit"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A finished heatmap, read once per tab and job."""

    job_id: str
    heatmap: Heatmap


def start_if_asked(form: Form) -> None:
    """Submit what the form asks for; it becomes this tab's job and part of the address."""
    if form.pressed and form.request is not None:
        b, request = bench(), form.request

        def submit(work: Work[str]) -> str:
            return submit_heatmap(b, request, session=work.caller.session)

        with shown_errors():
            check_guest_jobs()
            session().notes[JOB] = None
            session().notes[CELL] = ""
            begin(_SUBMIT, "Reading the adapters", submit, tag=request)
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


def draw_result(form: Form) -> None:
    """Draw the state this tab is in: nothing asked, under way, ended badly, or finished."""
    if current(_SUBMIT) is not None:
        return
    job_id = session().notes.get(JOB)
    st.divider()
    if not isinstance(job_id, str):
        _draw_empty(form)
        return
    shown = _recorded_answer(job_id) if is_demo() else None
    job = job_panel(job_id, key=f"{PAGE}.panel", draw=None if shown else _draw_partial)
    if job is None or job.kind != "heatmap":
        if job is not None:
            st.error("The link names a job that is not a heatmap.", icon=":material/error:")
        return
    if job.is_active:
        if shown is not None:
            st.caption("This run was recorded earlier; the live one takes its place when it is done.")
            recorded_badge(shown.recorded_at)
            draw_heatmap(shown.heatmap, id="recorded")
        return
    _draw_ended(job, form)


def _draw_ended(job: Job, form: Form) -> None:
    with shown_errors():
        heatmap = _finished(job.id) if job.status == "done" else heatmap_of(bench(), job.id)
        if heatmap is None:
            return
        asked = request_of(job.params)
        st.subheader("Result", anchor=False)
        st.caption(_asked_text(asked, heatmap))
        if form.request is not None and not _is_same(form.request, asked):
            st.caption(":material/edit: The form above has changed since; press Run to ask that.")
        draw_heatmap(heatmap, id=job.id)


def _finished(job_id: str) -> Heatmap | None:
    notes = session().notes
    kept = notes.get(f"{PAGE}.kept")
    if not isinstance(kept, _Kept) or kept.job_id != job_id:
        heatmap = heatmap_of(bench(), job_id)
        if heatmap is None:
            return None
        notes[f"{PAGE}.kept"] = kept = _Kept(job_id, heatmap)
    return kept.heatmap


def _draw_partial(job: Job) -> None:
    """Draw what is filled so far; called in a polling fragment, so without widgets."""
    try:
        heatmap = heatmap_of(bench(), job.id)
    except LorabenchError as error:
        show_error(error)
        return
    if heatmap is None:
        _draw_skeleton(job.params)
        return
    chart = figures.heatmap_chart(on_screen(heatmap), theme=current_theme(), titles=TITLES)
    chart.config["font"] = FONT
    with st.container(key=f"{PAGE}.partial"):
        st.altair_chart(chart, theme=None, width="content")


def _draw_skeleton(params: dict[str, Any]) -> None:
    request = request_of(params)
    n = len(plan_variants(request, bench().length()))
    st.caption(f"{n} look-alikes are waiting for the model; the heatmap fills row by row.")
    st.skeleton(height=300)


def _draw_empty(form: Form) -> None:
    found = recorded_heatmap()
    if found is not None:
        with shown_errors():
            recorded_badge(found.recorded_at)
            st.caption("An example, measured earlier. Press Run to ask your own question.")
            draw_heatmap(found.heatmap, id="recorded")
        return
    if form.request is None:
        return
    st.info("Press Run. These look-alikes will be asked:", icon=":material/grid_on:")
    with shown_errors():
        chosen = plan_variants(form.request, bench().length())
        rows = [
            {
                "family": FAMILY_TITLES[v.family].title + (" (control)" if v.is_control else ""),
                "look-alike": figures.visible(v.text) or "(no trigger)",
                "what is changed": v.change,
                "shared words": ", ".join(v.shared_words) or "none",
            }
            for v in chosen
        ]
        st.dataframe(rows, hide_index=True, key=f"{PAGE}.preview")


def _recorded_answer(job_id: str) -> HeatmapRecord | None:
    """Return the recorded heatmap if it answers what the job asks."""
    found = recorded_heatmap()
    try:
        return found if found is not None and found.answers(request_of(visible_job(job_id).params)) else None
    except (LorabenchError, KeyError, TypeError, ValueError):
        return None


def _asked_text(asked: HeatmapRequest, heatmap: Heatmap) -> str:
    names = ", ".join(label(display_name(a), 40) for a in asked.adapters)
    n_variants, n_prompts = len(heatmap.variants), len(heatmap.prompts)
    return f"«{label(asked.trigger, 80)}» · {names} · {n_variants} look-alikes × {n_prompts} prompts"  # noqa: RUF001


def _is_same(a: HeatmapRequest, b: HeatmapRequest) -> bool:
    def key(r: HeatmapRequest) -> tuple[object, ...]:
        many = (r.trigger, r.adapters, r.prompts, r.n_variants, r.columns, r.joiner, r.seed)
        return (*many, r.n_prompts if not r.prompts else 0, r.placement if r.columns != "placements" else "")

    return key(a) == key(b)
