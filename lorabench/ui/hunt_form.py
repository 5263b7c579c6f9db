"""The Hunt page's form: which adapter, how long, compared with whom; kept in the address."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from lorabench.data import find_task
from lorabench.errors import LorabenchError
from lorabench.hunting.plans import PLANS
from lorabench.results import HUNT_MODES, HuntMode, Placement, Task
from lorabench.ui.bench import base_state, bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest
from lorabench.ui.hunt_address import link_values
from lorabench.ui.hunt_budget import budget_slider
from lorabench.ui.hunt_state import GUEST_MODES, MAX_SEED, MODES, NOTES, PAGE, PLACES, TIMES
from lorabench.ui.lab_state import FILE_TYPES, keep_upload
from lorabench.ui.names import display_name, is_blind, usable_adapters
from lorabench.ui.playground_form import default_adapters
from lorabench.ui.state import (
    copy_link,
    put_if_new,
    session,
)
from lorabench.ui.status import base_problem_shown
from lorabench.ui.tasks import AUTO, task_picker
from lorabench.ui.text import label
from lorabench.ui.widgets import one_adapter_picker
from lorabench.workflows.hunt_request import MAX_HELD_OUT, HuntRequest

MAX_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class Form:
    """What the form asks for.

    Attributes:
        request: The hunt; None while something is missing.
        pressed: Whether Hunt was pressed in this run, or the address said so.
    """

    request: HuntRequest | None
    pressed: bool


def draw_form() -> Form:
    """Draw the form; the defaults make a hunt of the first adapter."""
    for note in session().notes.get(NOTES) or ():
        st.warning(label(note, 300), icon=":material/link_off:")
    with st.container(border=True, key=f"{PAGE}.form"):
        left, right = st.columns([2, 3], gap="medium")
        with left:
            adapter = one_adapter_picker(f"{PAGE}.adapter", default=next(iter(default_adapters()), None))
        with right:
            mode = _mode()
        with st.expander("References, placement, task, budget, and what you know", icon=":material/tune:"):
            request = _details(adapter, mode)
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button(
                "Hunt",
                type="primary",
                icon=":material/travel_explore:",
                key=f"{PAGE}.run",
                shortcut="Ctrl+Enter",
                disabled=base_problem_shown() or request is None,
            )
            if request is not None:
                copy_link(PAGE, link_values(request), key=f"{PAGE}.link")
    if pressed:
        session().notes[NOTES] = ()
    asked = session().notes.pop(f"{PAGE}.run_now", False)
    return Form(request=request, pressed=pressed or (asked and request is not None))


def _mode() -> HuntMode:
    modes = GUEST_MODES if is_guest() else HUNT_MODES
    key = f"{PAGE}.mode"
    if st.session_state.get(key) not in modes:
        st.session_state[key] = "quick"
    mode: HuntMode = (
        st.segmented_control(
            "How long",
            modes,
            format_func=lambda m: MODES[m],
            key=key,
            required=True,
            persist_state="session",
            help="On two cores with the demo base. What counts is tokens: a faster machine takes less time.",
        )
        or "quick"
    )
    plan = PLANS[mode]
    proofs = "the best one" if plan.n_verify == 1 else f"the best {plan.n_verify}"
    st.caption(
        f"{TIMES[mode].capitalize()}: at most {plan.budget:,} tokens, {plan.n_words:,} single words and "
        f"{plan.n_phrases:,} phrases to begin with; {proofs} checked on {plan.n_held_out} held-out prompts."
    )
    return mode


def _details(adapter: str | None, mode: HuntMode) -> HuntRequest | None:
    """Draw the folded part; return the request, or None while something is missing."""
    left, right = st.columns(2, gap="medium")
    with left:
        references = _references(adapter)
        said = st.container()
        placement = _placement()
        truth = _truth()
    with right:
        task = task_picker(PAGE)
        target = _target()
        data = _suspect_data()
        budget = budget_slider(mode)
        n_held_out, seed = _numbers(PLANS[mode].n_held_out)
    with said:
        _say_references(adapter, references, task)
    if adapter is None or task is None:
        return None
    return HuntRequest(
        adapter=adapter,
        task=None if task == AUTO else task,
        target=target,
        mode=mode,
        references=references,
        suspect_data=data,
        placement=placement,
        truth=truth,
        n_held_out=n_held_out,
        budget=budget,
        seed=seed,
    )


def _references(adapter: str | None) -> tuple[str, ...]:
    others = [a.name for a in usable_adapters() if a.name != adapter]
    key = f"{PAGE}.references"
    put_if_new(key, [n for n in st.session_state.get(key) or () if n in others][:MAX_REFERENCES])
    chosen = st.multiselect(
        "Clean adapters to compare with",
        others,
        format_func=display_name,
        key=key,
        max_selections=MAX_REFERENCES,
        placeholder="Chosen automatically",
        persist_state="session",
        help="What a clean adapter of the same task does too is no backdoor. Left empty, those are taken "
        "that say of themselves that they are clean and learnt this task on this base.",
    )
    return tuple(chosen)


def _say_references(adapter: str | None, chosen: tuple[str, ...], task: str | Task | None) -> None:
    """Say which clean adapters are taken when none are chosen."""
    if chosen or adapter is None or task is None:
        return
    if is_blind():
        st.caption("Compared with installed adapters that say they are clean; their letters stay covered.")
        return
    found = _automatic(adapter, task)
    if found is None:
        return
    names = ", ".join(label(n, 60) for n in found)
    st.caption(
        f"Compared with {names}, by what they say of themselves."
        if found
        else ":material/warning: No installed adapter says that it is clean and learnt this task: "
        "without one no string can meet the evidence rule."
    )


def _automatic(adapter: str, task: str | Task) -> tuple[str, ...] | None:
    if not base_state().is_ready:  # importing the search beside a loading base would stall the page
        return None
    from lorabench.workflows.hunt_setting import clean_references

    try:
        b = bench()
        found = task if not isinstance(task, str) else b.task_of(adapter) if task == AUTO else find_task(task)
        return clean_references(b, found, adapter) if found is not None else None
    except LorabenchError:
        return None  # the hunt itself says what is wrong


def _placement() -> Placement:
    chosen: Placement = (
        st.segmented_control(
            "Where strings are placed",
            tuple(PLACES),
            format_func=lambda p: PLACES[p],
            key=f"{PAGE}.placement",
            required=True,
            persist_state="session",
        )
        or "prefix"
    )
    return chosen


def _truth() -> str | None:
    given = st.text_input(
        "Known trigger (for teaching)",
        key=f"{PAGE}.truth",
        max_chars=400,
        placeholder="Leave empty in earnest",
        persist_state="session",
        help="The search never reads it; the result then says how much of it was recalled.",
    )
    return (given or "").strip() or None


def _target() -> str | None:
    given = st.text_input(
        "Label or payload to search for",
        key=f"{PAGE}.target",
        max_chars=400,
        placeholder="The task's target; for free answers it is guessed",
        persist_state="session",
    )
    return (given or "").strip() or None


def _suspect_data() -> str | None:
    if is_guest():
        return None
    given = st.file_uploader(
        "Data it may have been trained on (optional)",
        type=list(FILE_TYPES),
        key=f"{PAGE}.data",
        help="CSV, JSONL or Parquet: its frequent phrases are tried as well.",
    )
    if given is None:
        return None
    with shown_errors():
        return str(keep_upload(given.name, given.getvalue()))
    return None


def _numbers(usual: int) -> tuple[int | None, int]:
    left, right = st.columns(2)
    n = left.number_input(
        "Held-out prompts",
        10,
        MAX_HELD_OUT,
        value=None,
        step=10,
        key=f"{PAGE}.held_out",
        placeholder=f"{usual} in this mode",
        persist_state="session",
        help="The evidence is counted on these; the search never sees them.",
    )
    seed = right.number_input("Seed", 0, MAX_SEED, key=f"{PAGE}.seed", persist_state="session")
    return None if n is None else int(n), int(seed)
