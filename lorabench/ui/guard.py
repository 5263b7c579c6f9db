"""Who may do what: on a network, guests may look and score, but not change the machine.

`lorabench ui --lan` sets two variables for the server: LORABENCH_LAN=1 and
LORABENCH_PRESENTER_KEY. A tab becomes the presenter's by `?key=...` or by typing the key.
"""

from __future__ import annotations

import hmac
import os
from typing import Literal

import streamlit as st
from streamlit import runtime

from lorabench.config import Limits
from lorabench.engine import Job
from lorabench.errors import JobError, ServerError
from lorabench.ui.bench import bench, session_id
from lorabench.ui.state import session

Role = Literal["local", "presenter", "guest"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_WRONG_KEYS = 10
_MAX_GUEST_JOBS = 2


def role() -> Role:
    """Return who sits at this tab: the owner of the machine, the presenter, or a guest."""
    if not is_lan():
        return "local"
    return "presenter" if session().is_presenter else "guest"


def is_lan() -> bool:
    """Return whether others can reach this server: as the launcher says, or by its address."""
    if os.environ.get("LORABENCH_LAN") == "1":
        return True
    return runtime.exists() and st.get_option("server.address") not in _LOOPBACK


def is_guest() -> bool:
    """Return whether this tab may only look, score, explain and run small heatmaps."""
    return role() == "guest"


def require_presenter(action: str) -> None:
    """Refuse an action to guests; call it before the action, not only before its button.

    Args:
        action: What is refused, such as "add an adapter".

    Raises:
        ServerError: Rule "presenter-only".
    """
    if is_guest():
        raise ServerError(
            "presenter-only",
            f"Guests cannot {action}.",
            "Ask the presenter, or run lorabench on your own machine.",
        )


def heatmap_row_limit(limits: Limits | None = None) -> int:
    """Return the most rows a heatmap of this tab may have."""
    limits = limits or bench().config.limits
    return limits.guest_heatmap_rows if is_guest() else limits.heatmap_rows


def unlock(given: str) -> bool:
    """Make this tab the presenter's if the key is right; compared in constant time."""
    expected = os.environ.get("LORABENCH_PRESENTER_KEY", "")
    mine = session()
    if not expected or mine.wrong_keys >= _MAX_WRONG_KEYS:
        return False
    right = hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
    mine.is_presenter = mine.is_presenter or right
    mine.wrong_keys += not right
    return right


def read_key_from_address() -> None:
    """Take `?key=...` out of the address, so that nobody copies it, and try it."""
    if "key" in st.query_params:
        given = st.query_params["key"]
        del st.query_params["key"]
        if is_lan():
            unlock(given)


def presenter_form() -> None:
    """Draw the small form with which a guest's tab becomes the presenter's."""
    if not is_guest():
        return
    with st.popover("Presenter", icon=":material/key:", key="status.presenter"):
        with st.form("status.key_form", border=False, clear_on_submit=True):
            given = st.text_input("Presenter key", type="password", key="status.key")
            sent = st.form_submit_button("Unlock")
        if sent and unlock(given or ""):
            st.rerun()
        if sent:
            st.error("This is not the key. It was printed where lorabench was started.")


def remember_job(job_id: str) -> None:
    """Note that this tab submitted a job, or attached to an equal one, and so may see it."""
    session().jobs.add(job_id)


def visible_job(job_id: str) -> Job:
    """Return a job this tab may see; a guest sees only what the tab asked for itself.

    Raises:
        JobError: Rule "unknown-job", also for a job of someone else.
    """
    job = bench().jobs.get(job_id)
    if is_guest() and job.session != session_id() and job_id not in session().jobs:
        raise JobError(
            "unknown-job", "There is no such job of yours.", "Press Run: equal work is not done twice."
        )
    return job


def visible_jobs() -> tuple[Job, ...]:
    """Return the jobs this tab may see, the newest first."""
    return bench().jobs.list(session_id() if is_guest() else None)


def check_guest_jobs() -> None:
    """Refuse a guest's next job while two of them wait or run; call it before a job is submitted.

    Raises:
        ServerError: Rule "too-much-work".
    """
    if is_guest() and sum(job.is_active for job in visible_jobs()) >= _MAX_GUEST_JOBS:
        raise ServerError(
            "too-much-work",
            f"{_MAX_GUEST_JOBS} of your jobs are still waiting or running.",
            "Wait until one is done, or cancel one.",
        )


def may_cancel(job: Job) -> bool:
    """Return whether this tab may stop a job."""
    return not is_guest() or job.session == session_id()


def cancel_job(job_id: str) -> None:
    """Stop a job; a guest only its own.

    Raises:
        JobError: If it is someone else's, or unknown.
    """
    bench().jobs.cancel(job_id, session_id() if is_guest() else None)
