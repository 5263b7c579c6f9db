"""What an address says about a hunt, and how the page writes itself into one."""

from __future__ import annotations

import streamlit as st

from lorabench.data import TASKS, find_task
from lorabench.errors import LorabenchError
from lorabench.results import HUNT_MODES
from lorabench.ui.guard import visible_job
from lorabench.ui.hunt_budget import budget_factor
from lorabench.ui.hunt_state import JOB, MAX_SEED, NOTES, PAGE, PLACES
from lorabench.ui.names import adapter_tokens, adapters_param, is_blind
from lorabench.ui.playground_form import default_adapters
from lorabench.ui.state import (
    ParamValue,
    arrived,
    choice_param,
    int_param,
    session,
    take_flag,
    text_param,
)
from lorabench.ui.tasks import AUTO, put_task, task_param, task_values
from lorabench.workflows.hunt_jobs import hunt_request_of
from lorabench.workflows.hunt_request import MAX_BUDGET, HuntRequest


def arrive() -> None:
    """Put what the address says into the form: a job's own request first, else its values."""
    notes = session().notes
    came = arrived(PAGE)
    first = not notes.get(f"{PAGE}.visited")
    notes[f"{PAGE}.visited"] = True
    if came and (job_id := text_param("job", max_chars=64)):
        put_job(job_id)
    elif came or first:
        _put_values()
    if take_flag("run"):
        notes[f"{PAGE}.run_now"] = True


def link_values(request: HuntRequest) -> dict[str, ParamValue]:
    """Return the address of this form; a known trigger, a file and own references travel with the job."""
    return {
        "adapter": adapter_tokens([request.adapter]),
        "mode": None if request.mode == "quick" else request.mode,
        "placement": None if request.placement == "prefix" else request.placement,
        "budget": request.budget,
        "seed": request.seed or None,
        "blind": is_blind(),
        "job": session().notes.get(JOB),
        **task_values(request.task or AUTO),
    }


def put_job(job_id: str) -> None:
    """Make a job this tab's hunt, and put what it asked for into the form."""
    state = st.session_state
    session().notes[JOB] = job_id
    try:
        request = hunt_request_of(visible_job(job_id).params)
        task = find_task(request.task) if isinstance(request.task, str) else request.task
    except (LorabenchError, KeyError, TypeError, ValueError):
        _put_values()
        session().notes[JOB] = job_id  # the result area says what is wrong with it
        return
    state[f"{PAGE}.adapter"], state[f"{PAGE}.mode"] = request.adapter, request.mode
    state[f"{PAGE}.references"] = list(request.references)
    state[f"{PAGE}.placement"], state[f"{PAGE}.seed"] = request.placement, request.seed
    state[f"{PAGE}.held_out"], state[f"{PAGE}.truth"] = request.n_held_out, request.truth or ""
    state[f"{PAGE}.target"] = request.target or ""
    state[f"{PAGE}.budget"] = budget_factor(request.mode, request.budget or 0)
    known = next((name for name, t in TASKS.items() if t == task), None)
    put_task(PAGE, known or task or AUTO)


def _put_values() -> None:
    state = st.session_state
    names, notes = adapters_param(default_adapters()[:1])
    state[f"{PAGE}.adapter"] = next(iter(names), None)
    state[f"{PAGE}.mode"] = choice_param("mode", HUNT_MODES, "quick")
    budget = int_param("budget", 0, low=0, high=MAX_BUDGET)
    state[f"{PAGE}.budget"] = budget_factor(state[f"{PAGE}.mode"], budget)
    state[f"{PAGE}.references"] = []
    state[f"{PAGE}.placement"] = choice_param("placement", tuple(PLACES), "prefix")
    state[f"{PAGE}.seed"] = int_param("seed", 0, low=0, high=MAX_SEED)
    state[f"{PAGE}.held_out"], state[f"{PAGE}.truth"], state[f"{PAGE}.target"] = None, "", ""
    put_task(PAGE, task_param())
    session().notes[NOTES], session().notes[JOB] = notes, None
