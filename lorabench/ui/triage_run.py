"""A scan on its way: taken in, waited for, each stage shown as it comes, and drawn when it is done."""

from __future__ import annotations

import io
from dataclasses import replace

import streamlit as st

from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.report.scan_numbers import TITLES
from lorabench.results import ScanResult, StageReport
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import check_guest_jobs, remember_job
from lorabench.ui.progress import Work, begin, current, forget, job_panel, wait
from lorabench.ui.state import session, write_params
from lorabench.ui.text import escape_markdown, label
from lorabench.ui.triage_form import Form
from lorabench.ui.triage_state import JOB, PAGE, STATUS_ICONS
from lorabench.ui.triage_view import draw_scan
from lorabench.workflows.scan_jobs import scan_of, scan_request_of, scan_so_far, submit_scan
from lorabench.workflows.scan_target import take_in_upload

_SUBMIT = f"{PAGE}.submit"


def start_if_asked(form: Form) -> None:
    """Take in an upload and submit the scan; it becomes this tab's job and part of the address."""
    if form.pressed and form.request is not None:
        b, request = bench(), form.request
        data = form.upload.getvalue() if form.upload is not None else None

        def submit(work: Work[str]) -> str:
            asked = request
            if data is not None:
                path = take_in_upload(b.config, io.BytesIO(data))
                asked = replace(request, target=str(path))
            return submit_scan(b, asked, session=work.caller.session)

        with shown_errors():
            check_guest_jobs()
            session().notes[JOB] = None
            begin(_SUBMIT, "Taking it in", submit)
    work = current(_SUBMIT)
    if work is None or not wait(work, key=_SUBMIT):
        return
    with shown_errors():
        forget(_SUBMIT)
        job_id: str = work.result()
        remember_job(job_id)
        session().notes[JOB] = job_id
        write_params({"job": job_id})
        st.rerun()


def draw_run() -> None:
    """Draw this tab's scan: nothing yet, under way, ended badly, or finished."""
    if current(_SUBMIT) is not None:
        return
    job_id = session().notes.get(JOB)
    st.divider()
    if not isinstance(job_id, str):
        st.info(
            "Press Scan. Five kinds of evidence are gathered one after the other, each shown as it comes; "
            "nothing of the adapter is run before its files have passed.",
            icon=":material/policy:",
        )
        return
    job = job_panel(job_id, key=f"{PAGE}.panel", draw=_draw_so_far)
    if job is None:
        return
    if job.kind != "scan":
        st.error("The link names a job that is not a scan.", icon=":material/error:")
        return
    if job.status == "done":
        with shown_errors():
            draw_scan(_finished(job.id), scan_request_of(job.params), key=job.id)


def stage_line(stage: StageReport) -> str:
    """Return one stage as a line of Markdown: mark, name, what it came to."""
    title = TITLES[stage.stage]
    worst = {"block": ":red-badge[block]", "review": ":orange-badge[review]"}.get(stage.level or "", "")
    return f"{STATUS_ICONS[stage.status]} **{title}** {stage.status} {worst} {escape_markdown(stage.summary)}"


def _finished(job_id: str) -> ScanResult:
    """Return a finished scan, read once per tab and job."""
    notes = session().notes
    kept = notes.get(f"{PAGE}.kept")
    if not isinstance(kept, tuple) or kept[0] != job_id:
        notes[f"{PAGE}.kept"] = kept = (job_id, scan_of(bench().jobs, job_id))
    found: ScanResult = kept[1]
    return found


def _draw_so_far(job: Job) -> None:
    """Draw the stages that are done; called in a polling fragment, so without widgets."""
    try:
        so_far = scan_so_far(bench().jobs, job.id)
    except LorabenchError as error:
        show_error(error)
        return
    if so_far is None:
        st.caption("Reading the files.")
        return
    st.markdown(f"**{label(so_far.name, 120)}**")
    for stage in so_far.stages:
        st.markdown(stage_line(stage))
    loud = sorted((p for p in so_far.probes if p.rate.n_hits), key=lambda p: (-(p.rate.value or 0), p.text))
    if so_far.probes:
        said = ", ".join(f"«{label(p.text, 50)}» {p.rate.n_hits}/{p.rate.n}" for p in loud[:5])
        st.markdown(f":material/more_horiz: **Behaviour** {so_far.done} of {so_far.total} probes. {said}")
    elif so_far.message:
        st.markdown(f":material/more_horiz: {escape_markdown(so_far.message)}")
