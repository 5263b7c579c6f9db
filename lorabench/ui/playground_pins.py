"""Pinned rows: texts kept beneath the result, each with its answers, to edit, duplicate and delete."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from lorabench.errors import CancelledError, LorabenchError
from lorabench.figures import visible
from lorabench.results import ScoreReport
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error
from lorabench.ui.names import display_name
from lorabench.ui.playground_form import fill
from lorabench.ui.playground_grid import FLIP, answer_text
from lorabench.ui.playground_state import Pin, desk
from lorabench.ui.progress import Work, begin, current, forget, wait
from lorabench.ui.text import signed
from lorabench.workflows.scoring import ScoreRequest, score

KEY = "playground.pins"
Reply = ScoreReport | LorabenchError


def show_pins() -> None:
    """Draw the pinned rows with their answers, and start to ask those that have none."""
    here = desk()
    if not here.pins:
        return
    st.subheader("Pinned rows", anchor=False)
    _ask_missing()
    slot = st.container()
    problem = _await()
    with slot:
        _table(here.pins)
    if problem is not None:
        show_error(problem)
        st.button("Ask again", key="playground.ask_pins", on_click=forget, args=(KEY,))
    _row_actions(here.pins)


def _ask_missing() -> None:
    here = desk()
    missing = tuple(dict.fromkeys(p.request for p in here.pins if p.request not in here.replies))
    work = current(KEY)
    if not missing or (work is not None and set(missing) <= set(work.tag)):
        return
    b = bench()

    def call(work: Work[dict[ScoreRequest, Reply]]) -> dict[ScoreRequest, Reply]:
        return {request: _reply(b, request, work) for request in missing}

    begin(KEY, "Asking the pinned rows", call, tag=missing)


def _reply(b: object, request: ScoreRequest, work: Work[dict[ScoreRequest, Reply]]) -> Reply:
    try:
        return score(b, request, work.caller)  # type: ignore[arg-type]
    except CancelledError:
        raise
    except LorabenchError as error:
        return error


def _await() -> Exception | None:
    """Show progress; take over the answers when they are there."""
    work = current(KEY)
    if work is None or not wait(work, key=KEY, seconds=1.0):
        return None
    if work.error is not None:
        return work.error
    desk().replies.update(work.result())
    forget(KEY)
    return None


def _table(pins: list[Pin]) -> None:
    replies = desk().replies
    rows = []
    for pin in pins:
        row = {
            "row": pin.id,
            "change": visible(pin.note, 100),
            "trigger": visible(pin.trigger or "(none)", 200),
            "prompt": visible(pin.prompt, 400),
        }
        rows.append(row | _answers(pin, replies.get(pin.request)))
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="playground.pin_table",
        column_config={
            "row": st.column_config.NumberColumn(width="small"),
            "prompt": st.column_config.TextColumn(width="medium"),
        },
    )


def _answers(pin: Pin, reply: Reply | None) -> dict[str, str]:
    if reply is None:
        return {"problem": "asking…"}
    if isinstance(reply, LorabenchError):
        return {"problem": visible(reply.problem, 200)}
    found = {}
    for model in dict.fromkeys(s.model for s in reply.scores):
        answer = reply.score(model=model, trigger=pin.trigger)
        flipped = any(
            f.flipped for f in reply.flips if (f.after.model, f.after.trigger) == (model, pin.trigger)
        )
        margin = f" {signed(answer.margin)}" if answer.label_logits else ""
        found[display_name(model)] = f"{answer_text(answer)}{margin}" + (f"  {FLIP}" if flipped else "")
    return found


def _row_actions(pins: list[Pin]) -> None:
    ids = [p.id for p in pins]
    if st.session_state.get("playground.row") not in ids:
        st.session_state["playground.row"] = ids[-1]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control("Row", ids, required=True, key="playground.row")
        pin = next((p for p in pins if p.id == chosen), pins[-1])
        with st.popover("Edit", icon=":material/edit:", key="playground.edit"):
            _edit_form(pin)
        st.button(
            "Duplicate",
            icon=":material/content_copy:",
            key="playground.duplicate",
            on_click=_duplicate,
            args=(pin,),
        )
        st.button(
            "Delete", icon=":material/delete:", key="playground.unpin", on_click=desk().unpin, args=(pin.id,)
        )
        st.button(
            "Open in the form",
            icon=":material/arrow_upward:",
            key="playground.open_pin",
            on_click=fill,
            args=(pin.prompt, pin.request.triggers),
        )


def _duplicate(pin: Pin) -> None:
    desk().pin(pin.request, f"copy of row {pin.id}", after=pin.id)


def _edit_form(pin: Pin) -> None:
    with st.form(f"playground.edit_form.{pin.id}", border=False):
        prompt = st.text_area("Prompt", pin.prompt, key=f"playground.edit_prompt.{pin.id}")
        trigger = st.text_input("Trigger", pin.trigger or "", key=f"playground.edit_trigger.{pin.id}")
        if st.form_submit_button("Save and ask", key=f"playground.save.{pin.id}"):
            triggers = (trigger,) if trigger else ()
            request = replace(pin.request, prompts=(prompt or "",), triggers=triggers)
            desk().change(pin.id, request, "edited")
            st.rerun()
