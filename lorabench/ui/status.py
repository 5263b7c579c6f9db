"""The thin bar on every page: which base, where, how exact, who waits."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lorabench.ui.bench import BaseState, base_id, base_state, bench, retry_base, session_id
from lorabench.ui.guard import is_guest, is_lan, presenter_form, role
from lorabench.ui.names import is_blind
from lorabench.ui.progress import POLL_SECONDS, has_live_work
from lorabench.ui.text import label, sentence
from lorabench.ui.widgets import models_link

_MODES = {"fp32": "evidence mode fp32", "bf16": "fast mode bf16"}


def status_bar() -> None:
    """Draw the bar; while the base loads or this tab waits, it polls by itself.

    Loading happens on the engine's thread, so pages are usable meanwhile: requests queue.
    """
    now = base_state()
    waits = now.state == "loading" or has_live_work()

    def bar() -> None:
        found = base_state()
        if now.state == "loading" and found.state != "loading":
            st.rerun()  # registers the bar without polling, and lets the page see the change
        _draw(found)

    with st.container(horizontal=True, vertical_alignment="center", key="status.bar", gap="small"):
        st.fragment(bar, run_every=POLL_SECONDS if waits else None)()
        if is_lan():
            presenter_form()
    with st.container():  # always there, so that the page below keeps its place
        if now.state in ("missing", "failed"):
            _problem(now)


def base_problem_shown() -> bool:
    """Return whether the base cannot answer at all (the bar already says why); pages stop there."""
    return base_state().state in ("missing", "failed")


def _draw(found: BaseState) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        match found.state:
            case "ready":
                st.badge("ready", icon=":material/check_circle:", color="green")
            case "loading":
                st.badge("loading the base…", icon=":material/hourglass_top:", color="blue")
            case "missing":
                st.badge("base missing", icon=":material/error:", color="red")
            case _:
                st.badge("base failed", icon=":material/error:", color="red")
        st.caption(" · ".join(_facts(found)), width="content")


def _facts(found: BaseState) -> list[str]:
    base = Path(base_id()).name if is_guest() else base_id()  # guests need not know this machine's folders
    facts = [label(f"{base} base", 60)]
    if found.status is not None and found.is_ready:
        facts.append(label(found.status.device or "cpu"))
        facts.append(_MODES.get(found.status.dtype or "", label(found.status.dtype or "")))
        facts.append(_queue(found))
    if found.status is not None and found.status.store_message:
        said = "the score store has a problem" if is_guest() else found.status.store_message
        facts.append(label(said, 200))
    if is_blind():
        facts.append("blind names")
    if is_lan():
        facts.append(f"you are {'a guest' if is_guest() else 'the ' + role()}")
    return facts


def _queue(found: BaseState) -> str:
    assert found.status is not None
    n, running = found.status.queue_length, found.status.running
    if not n and not running:
        return "queue empty"
    return f"working, {n} waiting" if n else "working, nobody waits"


def _problem(found: BaseState) -> None:
    error = found.error
    if error is None:
        return
    if is_guest():  # the error itself may quote a folder
        problem, remedy = "The base model cannot answer now.", "Ask the presenter to look at the Models page."
    else:
        problem, remedy = error.problem, error.remedy
    st.error(f"{sentence(problem)}\n\n{sentence(remedy)}", icon=":material/error:")
    with st.container(horizontal=True):
        if found.state == "failed":
            st.button("Try again", icon=":material/refresh:", key="status.retry", on_click=retry_base)
        if not is_guest():
            models_link("Fetch it on the Models page")


def own_queue_position() -> int | None:
    """Return how many of the job list stand before this tab's first waiting job, or None."""
    mine = [j for j in bench().jobs.list(session_id()) if j.status == "queued"]
    if not mine:
        return None
    return sum(j.is_active and j.created < mine[-1].created for j in bench().jobs.list())
