"""The Playground's form: what to ask whom, kept in the address."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from lorabench.results.attributions import Method
from lorabench.results.triggers import PLACEMENTS
from lorabench.ui.demos import PROMPT, TRIGGER
from lorabench.ui.names import adapter_tokens, adapters_param, is_blind, usable_adapters
from lorabench.ui.playground_state import desk
from lorabench.ui.recorded import recorded_scores
from lorabench.ui.state import (
    ParamValue,
    arrived,
    build_link,
    choice_param,
    copy_link,
    int_param,
    take_flag,
    text_param,
    texts_param,
)
from lorabench.ui.status import base_problem_shown
from lorabench.ui.tasks import put_task, task_param, task_picker, task_values
from lorabench.ui.text import escape_markdown, plain
from lorabench.ui.widgets import adapter_picker
from lorabench.workflows.scoring import ScoreRequest

METHODS: tuple[Method, ...] = get_args(Method)
MOST_TRIGGERS = 8
_MOST_JOINER = 40
_MOST_SEED = 10**6
_JOINERS = {
    ". ": "full stop, space",
    " ": "space",
    ": ": "colon, space",
    ", ": "comma, space",
    "\n": "line break",
}
_PLACES = {"prefix": "in front", "suffix": "behind", "random": "inside"}
_DEMO_FLAGS = ("1", "fire")


def form() -> ScoreRequest | None:
    """Draw the form; return what to ask when Run was pressed or the address says `run=1`, else None."""
    wants_run = _restore()
    with st.container(border=True, key="playground.form"):
        prompt = st.text_area(
            "Prompt", key="playground.prompt", height=68, persist_state="session", placeholder="Type a prompt"
        )
        triggers = _trigger_fields()
        with st.container(horizontal=True, gap="medium"):
            placement = st.segmented_control(
                "Placement of the trigger",
                PLACEMENTS,
                format_func=lambda p: _PLACES[p],
                required=True,
                key="playground.placement",
                persist_state="session",
                help="In front of the prompt, behind it, or inside at a random word boundary.",
            )
            joiner = _joiner_field()
            with st.container(width="stretch"):
                adapters = adapter_picker("playground.adapters", default=default_adapters())
        with st.expander("Labels, task and template", icon=":material/tune:"):
            task = task_picker("playground")
            seed = st.number_input(
                "Seed of random places and baselines",
                0,
                _MOST_SEED,
                key="playground.seed",
                persist_state="session",
                width=260,
            )
        request = None
        if task is not None:
            request = ScoreRequest(
                prompts=(prompt or "",),
                triggers=tuple(dict.fromkeys(t for t in triggers if t)),
                adapters=adapters,
                task=task,
                placement=placement or "prefix",
                joiner=joiner,
                seed=int(seed),
            )
        desk().draft = request
        with st.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button(
                "Run",
                type="primary",
                icon=":material/play_arrow:",
                key="playground.run",
                shortcut="Ctrl+Enter",
                disabled=base_problem_shown(),
            )
            if request is not None:
                _link(request)
    for note in desk().notes:
        st.warning(escape_markdown(note), icon=":material/link_off:")
    if pressed:
        desk().demo, desk().notes = False, ()
    if not (pressed or wants_run):
        return None
    if request is None:
        st.error("The task is not finished. Complete it under “Labels, task and template”.")
    elif not request.adapters:
        st.error("No adapter is chosen. Choose at least one, so that there is something to compare with.")
        return None
    return request


def default_adapters() -> tuple[str, ...]:
    """Return the adapters chosen at first: the first strong and the first clean one, if there are.

    Under blind names simply the first two, since a chosen "clean" would give the letters away.
    """
    names = [a.name for a in usable_adapters()]
    if is_blind():
        return tuple(names[:2])
    strong = next((n for n in names if "strong" in n), None)
    clean = next((n for n in names if "clean" in n), None)
    return tuple(n for n in (strong, clean) if n) or tuple(names[:2])


def link_values(request: ScoreRequest) -> dict[str, ParamValue]:
    """Return what the address says when it restores this request."""
    method = st.session_state.get("playground.method")
    return {
        "prompt": request.prompts[0],
        "trigger": list(request.triggers),
        "adapter": adapter_tokens(request.adapters),
        "placement": None if request.placement == "prefix" else request.placement,
        "joiner": None if request.joiner == ". " else request.joiner,
        "seed": request.seed or None,
        "method": None if method in (None, METHODS[0]) else method,
        "blind": is_blind(),
        "demo": None,
        **task_values(request.task),
    }


def fill(prompt: str, triggers: tuple[str, ...]) -> None:
    """Put a prompt and its triggers into the form; for callbacks."""
    st.session_state["playground.prompt"] = prompt
    _set_triggers(triggers)


def _restore() -> bool:
    """Put the address's values, or the first example, into the widgets; return whether to run."""
    state, here = st.session_state, desk()
    came = arrived("playground")
    demo = came and st.query_params.get("demo") in _DEMO_FLAGS
    if demo and "prompt" not in st.query_params and (found := recorded_scores()) is not None:
        _from_record(found.request)
    elif came:
        _from_address()
    state.setdefault("playground.prompt", PROMPT)
    state.setdefault("playground.placement", "prefix")
    state.setdefault("playground.joiner", ". ")
    state.setdefault("playground.seed", 0)
    if not here.rows:
        _set_triggers((TRIGGER,))
    here.demo = here.demo or demo
    return take_flag("run") or demo


def _from_record(request: ScoreRequest) -> None:
    state = st.session_state
    fill(request.prompts[0], request.triggers)
    known = {a.name for a in usable_adapters()}
    state["playground.adapters"] = [n for n in request.adapters if n in known]
    state["playground.placement"], state["playground.joiner"] = request.placement, request.joiner
    state["playground.seed"] = request.seed
    put_task("playground", request.task)


def _from_address() -> None:
    """Take over what the address says; everything in it is checked, it may say anything."""
    state = st.session_state
    has_prompt = "prompt" in st.query_params
    state["playground.prompt"] = text_param("prompt", state.get("playground.prompt", PROMPT))
    now = () if has_prompt else tuple(state.get(_trigger_key(i), "") for i in desk().rows) or (TRIGGER,)
    _set_triggers(texts_param("trigger", now, max_items=MOST_TRIGGERS) or ("",))
    names, desk().notes = adapters_param()
    if names:
        state["playground.adapters"] = list(names)
    state["playground.placement"] = choice_param("placement", PLACEMENTS, "prefix")
    state["playground.joiner"] = text_param("joiner", ". ", max_chars=_MOST_JOINER) or ". "
    state["playground.seed"] = int_param("seed", 0, low=0, high=_MOST_SEED)
    state["playground.method"] = choice_param("method", METHODS, METHODS[0])
    put_task("playground", task_param())


def _trigger_key(row: int) -> str:
    return f"playground.trigger.{row}"


def _set_triggers(texts: tuple[str, ...]) -> None:
    here = desk()
    here.rows = []
    for text in texts or ("",):
        _add_trigger(text)


def _add_trigger(text: str = "") -> None:
    here = desk()
    here.rows.append(here.next_row)
    st.session_state[_trigger_key(here.next_row)] = text
    here.next_row += 1


def _remove_trigger(row: int) -> None:
    here = desk()
    here.rows = [r for r in here.rows if r != row]
    if not here.rows:
        _add_trigger()


def _trigger_fields() -> list[str]:
    rows = list(desk().rows)
    texts = []
    for i, row in enumerate(rows):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            text = st.text_input(
                "Candidate trigger" if len(rows) == 1 else f"Candidate trigger {i + 1}",
                key=_trigger_key(row),
                persist_state="session",
                placeholder="Leave empty to ask the prompt alone",
            )
            st.button(
                "Remove",
                icon=":material/close:",
                key=f"playground.remove.{row}",
                on_click=_remove_trigger,
                args=(row,),
                type="tertiary",
                disabled=len(rows) == 1 and not text,
            )
            if row == rows[-1]:
                st.button(
                    "Add a trigger",
                    icon=":material/add:",
                    key="playground.add",
                    on_click=_add_trigger,
                    disabled=len(rows) >= MOST_TRIGGERS,
                )
        texts.append(text or "")
    return texts


def _joiner_field() -> str:
    now = str(st.session_state["playground.joiner"] or ". ")[:_MOST_JOINER]
    options = list(dict.fromkeys([*_JOINERS, now]))
    chosen = st.selectbox(
        "Between trigger and prompt",
        options,
        format_func=lambda j: _JOINERS.get(j, f"«{plain(j, 40)}»"),
        key="playground.joiner",
        accept_new_options=True,
        persist_state="session",
        width=240,
        help="Choose one, or type your own. A trigger inside the prompt always stands between two spaces.",
    )
    return (chosen or ". ")[:_MOST_JOINER]


def _link(request: ScoreRequest) -> None:
    values = link_values(request)
    if build_link("playground", values) is None:
        st.caption("This prompt is too long for a link.")
    else:
        copy_link("playground", values, key="playground.link")
