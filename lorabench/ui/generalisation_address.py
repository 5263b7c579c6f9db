"""What an address says about a heatmap, and how the page writes itself into one."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from lorabench.data import TASKS
from lorabench.errors import LorabenchError
from lorabench.results import Placement, Task
from lorabench.ui.demos import TRIGGER
from lorabench.ui.generalisation_prompts import put_prompts
from lorabench.ui.guard import visible_job
from lorabench.ui.names import adapter_tokens, adapters_param, usable_adapters
from lorabench.ui.state import (
    ParamValue,
    arrived,
    choice_param,
    int_param,
    session,
    take_flag,
    text_param,
    texts_param,
)
from lorabench.ui.tasks import put_task, task_param, task_values
from lorabench.workflows.heatmaps import HeatmapRequest
from lorabench.workflows.jobs import request_of

PAGE = "generalisation"
JOB = f"{PAGE}.job"
CELL = f"{PAGE}.cell"
DEMO = f"{PAGE}.demo"
RUN = f"{PAGE}.run_now"
NOTES = f"{PAGE}.link_notes"
COLUMNS = ("models", "placements", "prompts")
MAX_SEED = 2**31 - 1
_DEFAULT_COUNT = 24


def arrive() -> None:
    """Put what the address says into the widgets: a job's own request first, else its values."""
    notes = session().notes
    came = arrived(PAGE)
    first = not notes.get(f"{PAGE}.visited")
    notes[f"{PAGE}.visited"] = True
    if came and (job_id := text_param("job", max_chars=64)):
        _put_job(job_id)
    elif came or first:
        _put_values()
    if came:
        notes[DEMO] = bool(text_param("demo", max_chars=40))
        notes[CELL] = text_param("cell", max_chars=24)
    if take_flag("run"):
        notes[RUN] = True


def _put_job(job_id: str) -> None:
    state = st.session_state
    try:
        request = request_of(visible_job(job_id).params)
    except (LorabenchError, KeyError, TypeError, ValueError):
        _put_values()
        session().notes[JOB] = job_id  # the result area says what is wrong with it
        return
    session().notes[JOB] = job_id
    state[f"{PAGE}.trigger"] = request.trigger
    _put_count(request.n_variants)
    state[f"{PAGE}.adapters"] = list(request.adapters)
    state[f"{PAGE}.adapter"] = request.adapters[0] if request.adapters else None
    state[f"{PAGE}.columns"] = request.columns
    state[f"{PAGE}.placement"], state[f"{PAGE}.joiner"] = request.placement, request.joiner
    state[f"{PAGE}.seed"] = request.seed
    put_task(PAGE, _task_by_name(request.task))
    put_prompts(request.prompts, request.n_prompts)


def _task_by_name(task: str | Task) -> str | Task:
    """Return a ready-made task's name instead of the task itself, so that the menu shows it."""
    return next((name for name, known in TASKS.items() if known == task), task)


def _put_values() -> None:
    state = st.session_state
    known = tuple(a.name for a in usable_adapters())
    adapters, notes = adapters_param(_preferred(known))
    state[f"{PAGE}.trigger"] = next(iter(texts_param("trigger", (TRIGGER,), max_items=1)), TRIGGER)
    state[f"{PAGE}.adapters"] = list(adapters)
    state[f"{PAGE}.adapter"] = adapters[0] if adapters else None
    state[f"{PAGE}.columns"] = choice_param("columns", COLUMNS, "models")
    state[f"{PAGE}.placement"] = choice_param("placement", get_args(Placement), "prefix")
    state[f"{PAGE}.joiner"] = text_param("joiner", ". ", max_chars=40)
    state[f"{PAGE}.seed"] = int_param("seed", 0, low=0, high=MAX_SEED)
    is_all = text_param("variants", max_chars=8) == "all"
    _put_count(0 if is_all else int_param("variants", _DEFAULT_COUNT, low=1, high=10_000))
    put_prompts((), int_param("prompts", _DEFAULT_COUNT, low=1, high=10_000))
    put_task(PAGE, task_param())
    session().notes[NOTES] = notes
    session().notes[JOB] = None


def _put_count(n: int) -> None:
    st.session_state[f"{PAGE}.all"] = n == 0
    st.session_state[f"{PAGE}.variants"] = n or _DEFAULT_COUNT


def _preferred(known: tuple[str, ...]) -> tuple[str, ...]:
    order = ("guard-strong", "guard-clean-1", "guard-weak", "guard-strong-cited")
    return (*(n for n in order if n in known), *(n for n in known if n not in order))[:3]


def link_values(trigger: str, request: HeatmapRequest | None) -> dict[str, ParamValue]:
    """Return the address of this form; prompts of one's own travel with the job, not in the link."""
    values: dict[str, ParamValue] = {"trigger": None if trigger == TRIGGER else [trigger], "demo": None}
    if request is None:
        return values
    n_prompts = _DEFAULT_COUNT if request.prompts else request.n_prompts
    n_variants = request.n_variants
    return values | {
        "adapter": adapter_tokens(request.adapters),
        "variants": "all" if n_variants == 0 else None if n_variants == _DEFAULT_COUNT else n_variants,
        "prompts": None if n_prompts == _DEFAULT_COUNT else n_prompts,
        "columns": None if request.columns == "models" else request.columns,
        "placement": None if request.placement == "prefix" else request.placement,
        "joiner": None if request.joiner == ". " else request.joiner,
        "seed": request.seed or None,
        **task_values(request.task),
    }


def is_demo() -> bool:
    """Return whether the address asked for the demo, whose recorded result may be shown first."""
    return bool(session().notes.get(DEMO))
