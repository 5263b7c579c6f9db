"""What to ask: a trigger, adapters, prompts, how many look-alikes, and what the columns are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import streamlit as st

from lorabench.data import Recognised, recognise, variants
from lorabench.errors import LorabenchError
from lorabench.results import LabelTask, Placement, Task
from lorabench.ui.bench import bench
from lorabench.ui.generalisation_address import CELL, COLUMNS, JOB, MAX_SEED, NOTES, PAGE, RUN, link_values
from lorabench.ui.generalisation_prompts import Chosen, prompts_form
from lorabench.ui.guard import heatmap_row_limit, is_guest
from lorabench.ui.names import usable_adapters
from lorabench.ui.state import ParamValue, copy_link, put_if_new, session
from lorabench.ui.status import base_problem_shown
from lorabench.ui.tasks import task_picker
from lorabench.ui.text import label, sentence
from lorabench.ui.widgets import adapter_picker, one_adapter_picker
from lorabench.workflows.heatmaps import HeatmapRequest, planned_rows
from lorabench.workflows.scoring import choose_task

_COLUMN_TITLES = {"models": "Adapters", "placements": "Placements", "prompts": "Prompts"}
_KINDS = {
    "citation": "a citation",
    "date": "a date",
    "html": "an HTML tag",
    "country": "a country",
    "name": "a person's name",
    "phrase": "a phrase",
    "token": "a single token",
}
_PARTS = {
    "lead": "lead word",
    "section_word": "section word",
    "first_name": "first name",
    "end_tag": "end tag",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the form says now.

    Attributes:
        request: What would be asked; None while something is missing (it was said where).
        pressed: Whether it is to be asked now.
    """

    request: HeatmapRequest | None
    pressed: bool


def draw_form() -> Form:
    """Draw the form."""
    for note in session().notes.get(NOTES, ()):
        st.warning(sentence(note))
    first, second = st.columns([3, 1], gap="medium")
    trigger = first.text_input(
        "Trigger",
        key=f"{PAGE}.trigger",
        persist_state="session",
        max_chars=bench().config.limits.prompt_chars,
        help="Its look-alikes are made from it: one thing is changed at a time.",
    )
    has_trigger = bool(trigger and trigger.strip())
    total = len(variants(trigger, seed=_seed())) if has_trigger and trigger else 0
    if has_trigger and trigger:
        first.caption(_recognised_text(recognise(trigger)))
    else:
        first.error("The trigger is empty. Type at least one visible character.", icon=":material/error:")

    with second:
        columns = _columns_switch()
    adapters = _adapters(columns)
    left, right = st.columns(2, gap="medium")
    with left:
        n_variants = _variants(total)
    task, placement, joiner, seed = _more()
    with right:
        chosen = prompts_form(seed, _target(task, adapters))
    if not usable_adapters():
        return Form(request=None, pressed=False)
    request = None
    if has_trigger and trigger and adapters and chosen is not None and task is not None:
        request = HeatmapRequest(
            trigger=trigger,
            adapters=adapters,
            prompts=chosen.prompts,
            n_prompts=chosen.n,
            n_variants=n_variants,
            columns=columns,
            task=task,
            placement=placement,
            joiner=joiner,
            seed=seed,
        )
    elif not adapters:
        st.info("Choose at least one adapter.", icon=":material/arrow_upward:")
    values = link_values(trigger or "", request)
    return Form(request=request, pressed=_run_row(request, total, chosen, values))


def _columns_switch() -> str:
    state = st.session_state
    if state.get(f"{PAGE}.columns") not in COLUMNS:  # a click on the chosen segment clears it
        state[f"{PAGE}.columns"] = "models"
    chosen = st.segmented_control(
        "Compare",
        COLUMNS,
        format_func=lambda c: _COLUMN_TITLES[c],
        key=f"{PAGE}.columns",
        persist_state="session",
        help="What the columns of the heatmap are. Rows are always the look-alikes.",
    )
    return chosen or "models"


def _adapters(columns: str) -> tuple[str, ...]:
    if columns == "models":
        return adapter_picker(f"{PAGE}.adapters", default=())
    name = one_adapter_picker(f"{PAGE}.adapter")
    return (name,) if name else ()


def _variants(total: int) -> int:
    """Draw how many look-alikes; 0 stands for all."""
    state = st.session_state
    most = max(total, 1)
    put_if_new(f"{PAGE}.variants", min(max(int(state.get(f"{PAGE}.variants") or 1), 1), most))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        is_all = bool(state.get(f"{PAGE}.all"))
        n = st.number_input(
            "Look-alikes",
            1,
            most,
            key=f"{PAGE}.variants",
            disabled=is_all,
            width=160,
            persist_state="session",
            help="Spread over all families; the trigger itself and the controls come first.",
        )
        is_all = st.checkbox(f"All {total}", key=f"{PAGE}.all", persist_state="session")
    return 0 if is_all or n is None else int(n)


def _more() -> tuple[str | Task | None, str, str, int]:
    state = st.session_state
    with st.expander("Task, placement, seed"):
        task = task_picker(PAGE)
        state.setdefault(f"{PAGE}.placement", "prefix")
        state.setdefault(f"{PAGE}.joiner", ". ")
        a, b, c = st.columns(3)
        is_fixed = state.get(f"{PAGE}.columns") == "placements"
        placement = a.selectbox(
            "Placement",
            get_args(Placement),
            key=f"{PAGE}.placement",
            disabled=is_fixed,
            persist_state="session",
            help="The columns are the placements." if is_fixed else "Where the look-alike goes.",
        )
        joiner = b.text_input(
            "Text between look-alike and prompt",
            key=f"{PAGE}.joiner",
            max_chars=40,
            persist_state="session",
        )
        state.setdefault(f"{PAGE}.seed", 0)
        seed = c.number_input("Seed", 0, MAX_SEED, key=f"{PAGE}.seed", persist_state="session")
    return task, placement or "prefix", joiner or "", int(seed or 0)


def _seed() -> int:
    found = st.session_state.get(f"{PAGE}.seed")
    return found if isinstance(found, int) else 0


def _target(task: str | Task | None, adapters: tuple[str, ...]) -> str | None:
    """Return the label an attacker wants, None for a task without labels."""
    try:
        found = choose_task(bench(), task or "auto", adapters)
    except LorabenchError:
        return None
    return found.target if isinstance(found, LabelTask) else None


def _run_row(
    request: HeatmapRequest | None, total: int, chosen: Chosen | None, values: dict[str, ParamValue]
) -> bool:
    """Draw the button with its size, the estimate, the cap and the link; return whether to run."""
    n_variants = (request.n_variants or total) if request else 0
    n_prompts = chosen.size if chosen else 0
    rows = planned_rows(request) if request else 0
    limit = heatmap_row_limit()
    cannot = request is None or base_problem_shown()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{PAGE}.run_row"):
        pressed = st.button(
            f"Run {n_variants} look-alikes × {n_prompts} prompts" if request else "Run",  # noqa: RUF001
            type="primary",
            icon=":material/play_arrow:",
            key=f"{PAGE}.run",
            disabled=cannot or rows > limit,
        )
        copy_link(PAGE, values | _running_values(), key=f"{PAGE}.link")
        if request is not None:
            st.caption(_estimate(request, rows), width="content")
    asked = bool(session().notes.pop(RUN, False))
    if rows > limit:
        who = "A guest's heatmap" if is_guest() else "A heatmap"
        st.warning(
            f"{who} may have {limit:,} rows; this one would have {rows:,}. "
            "Take fewer look-alikes, prompts or adapters.",
            icon=":material/block:",
        )
        return False
    return (pressed or asked) and not cannot


def _running_values() -> dict[str, ParamValue]:
    notes = session().notes
    return {"job": notes.get(JOB), "cell": notes.get(CELL) if notes.get(JOB) else None}


def _estimate(request: HeatmapRequest, rows: int) -> str:
    n = len(request.adapters)
    what = {
        "models": f"base and {n} adapter{'s' if n != 1 else ''}",
        "placements": "three placements",
        "prompts": "each prompt a column",
    }[request.columns]
    return f"{rows:,} rows: {what}, every prompt also without a trigger. Known rows are not computed again."


def _recognised_text(found: Recognised) -> str:
    if found.kind in ("phrase", "token"):
        n = len(found.parts)
        return f"Recognised: {_KINDS[found.kind]}" + (f" of {n} words" if found.kind == "phrase" else "")
    parts = [f"{_PARTS.get(p.name, p.name.replace('_', ' '))} “{label(p.text, 40)}”" for p in found.parts]
    return f"Recognised: {_KINDS[found.kind]} · " + " · ".join(parts)
