"""The hunts that are kept, to open one again."""

from __future__ import annotations

import datetime

import streamlit as st

from lorabench.engine import Job
from lorabench.errors import LorabenchError
from lorabench.ui.guard import visible_jobs
from lorabench.ui.hunt_address import put_job
from lorabench.ui.hunt_state import MODES, PAGE
from lorabench.ui.names import display_name
from lorabench.ui.state import write_params
from lorabench.ui.text import plain
from lorabench.workflows.hunt_jobs import hunt_request_of

_MOST = 30
_STATUS = {"done": "finished", "queued": "waiting", "running": "under way", "failed": "ended with an error"}


def draw_earlier() -> None:
    """Draw the list of hunts this tab may see, the newest first; a click opens one."""
    jobs = [job for job in visible_jobs() if job.kind == "hunt"][:_MOST]
    shown = [(job, row) for job in jobs if (row := _row(job)) is not None]
    if not shown:
        return
    with st.expander(f"Earlier hunts ({len(shown)})", icon=":material/history:"):
        picked = st.dataframe(
            [row for _, row in shown],
            hide_index=True,
            key=f"{PAGE}.earlier",
            on_select="rerun",
            selection_mode="single-row",
            column_config={"begun": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
        )
        rows = picked["selection"]["rows"]
        chosen = shown[rows[0]][0].id if rows and rows[0] < len(shown) else None
        st.button(
            "Open",
            disabled=chosen is None,
            key=f"{PAGE}.open",
            icon=":material/open_in_new:",
            on_click=_open,
            args=(chosen,),
        )


def _open(job_id: str) -> None:
    put_job(job_id)
    write_params({"job": job_id})


def _row(job: Job) -> dict[str, object] | None:
    """Return what the list says of a job, None for one whose parameters cannot be read."""
    try:
        asked = hunt_request_of(job.params)
    except (LorabenchError, KeyError, TypeError, ValueError):
        return None
    return {
        "adapter": plain(display_name(asked.adapter), 80),
        "mode": MODES[asked.mode],
        "begun": datetime.datetime.fromtimestamp(job.created),
        "status": _STATUS.get(job.status, job.status),
        "minutes": round((job.finished - job.started) / 60, 1) if job.finished and job.started else None,
    }
