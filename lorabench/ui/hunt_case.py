"""A found string on its way into the case of its adapter."""

from __future__ import annotations

import streamlit as st

from lorabench.errors import LorabenchError
from lorabench.results import HuntResult, StringEvidence
from lorabench.results.cases import Case
from lorabench.ui.bench import bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, require_presenter
from lorabench.ui.hunt_state import PAGE
from lorabench.ui.state import session
from lorabench.ui.text import sentence
from lorabench.ui.triage_case import who_field
from lorabench.workflows.cases import open_cases
from lorabench.workflows.hunt_case import add_to_case, case_subject


def draw_add_to_case(hunt: HuntResult, evidence: StringEvidence, *, key: str) -> None:
    """Draw the way into the case book; without a case, the way to the scan that begins one.

    Args:
        hunt: The hunt under its adapter's own name, blind or not.
        evidence: The string.
        key: Keeps the widgets apart from those of another hunt.
    """
    if is_guest():
        st.caption("Guests do not write into the case book.")
        return
    opened = st.popover(
        "Add to the case", icon=":material/folder_open:", key=f"{PAGE}.case.{key}", on_change="rerun"
    )
    if not opened.open:  # what it needs reads the whole adapter
        return
    with opened, shown_errors():
        try:
            subject = _subject(hunt, key)
        except LorabenchError as error:
            st.caption(f"{sentence(error.problem)} {sentence(error.remedy)}")
            return
        with open_cases(bench().config) as book:
            case = book.find(subject)
        if case is None:
            _offer_scan(hunt)
        else:
            _draw_adding(hunt, evidence, subject, case, key)


def _draw_adding(hunt: HuntResult, evidence: StringEvidence, subject: str, case: Case, key: str) -> None:
    st.caption(f"Writes the string and its numbers as a note into case {case.number}.")
    who = who_field(f"hunt.{key}")
    if st.button("Write the note", type="primary", key=f"{PAGE}.note.{key}", icon=":material/edit_note:"):
        require_presenter("write into the case book")
        with open_cases(bench().config) as book:
            number = add_to_case(book, subject, hunt, evidence, who).number
        session().notes[f"{PAGE}.noted"] = (key, evidence.text, number)
    noted = session().notes.get(f"{PAGE}.noted")
    if noted is not None and noted[:2] == (key, evidence.text):
        st.success(f"Written into case {noted[2]}.", icon=":material/check:")
    st.page_link(
        "pages/triage.py",
        label=f"Open case {case.number}",
        icon=":material/policy:",
        query_params={"tab": "cases", "case": case.number},
    )


def _offer_scan(hunt: HuntResult) -> None:
    st.caption("There is no case of this adapter yet: a case begins with a scan that is kept.")
    if st.button("Scan it on Triage", key=f"{PAGE}.scan", icon=":material/policy:"):
        st.session_state["triage.source"] = "installed"
        st.session_state["triage.adapter"] = hunt.adapter
        st.switch_page("pages/triage.py")


def _subject(hunt: HuntResult, key: str) -> str:
    """Return the sha256 of the adapter's weights; read once per tab and hunt."""
    notes = session().notes
    kept = notes.get(f"{PAGE}.subject")
    if not isinstance(kept, tuple) or kept[0] != key:
        notes[f"{PAGE}.subject"] = kept = (key, case_subject(bench().config, hunt))
    found: str = kept[1]
    return found
