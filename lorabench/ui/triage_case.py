"""What an analyst adds to a scan: keep it, note, decide."""

from __future__ import annotations

import streamlit as st

from lorabench.results import ScanResult
from lorabench.results.cases import RULINGS, Case, Ruling
from lorabench.ui.bench import bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, require_presenter
from lorabench.ui.state import session
from lorabench.ui.text import escape_markdown, label, show_text
from lorabench.ui.triage_state import CASE, PAGE
from lorabench.workflows.cases import open_cases, user_name

_RULINGS: dict[Ruling, str] = {"allow": "Allow", "review": "Leave open for review", "block": "Block"}


def draw_case_panel(scan: ScanResult, *, key: str) -> None:
    """Draw the case of a scan: whether it is kept, its entries, the fields for more."""
    st.subheader("Case", anchor=False)
    if is_guest():
        st.caption("Guests do not write into the case book.")
        return
    with shown_errors(), open_cases(bench().config) as book:
        case = book.find(scan.subject)
        kept = case is not None and any(s.scanned == scan.created and not s.is_claim for s in case.scans)
        who = who_field(key)
        if not kept and st.button(
            "Keep this scan in a case", icon=":material/folder_open:", key=f"{PAGE}.keep"
        ):
            require_presenter("write into the case book")
            case, kept = book.record_scan(scan, who), True
        if case is None:
            st.caption("Not kept yet. A case holds the scans, notes and decisions of one adapter.")
            return
        draw_entries(case)
        if kept:
            draw_writing(case, who, key=key)


def who_field(key: str) -> str:
    """Draw the field for the person's name; it is remembered in this tab."""
    name = st.text_input(
        "Who",
        value=session().notes.get(f"{PAGE}.who") or user_name(),
        key=f"{PAGE}.who.{key}",
        max_chars=80,
    )
    session().notes[f"{PAGE}.who"] = name
    return name


def draw_entries(case: Case) -> None:
    """Draw what a case holds, the oldest first."""
    st.markdown(f"**Case {case.number}** · {case.status} · decision: {case.decision or 'none yet'}")
    for scan in case.scans:
        claim = " · imported, a claim" if scan.is_claim else ""
        st.caption(f":material/policy: {scan.scanned} scan {scan.id}: {scan.decision}{claim}")
    entries = [*((n.created, n.who, "note", n.text) for n in case.notes)]
    entries += [(d.created, d.who, f"decided: {d.decision}", d.reason) for d in case.decisions]
    entries += [(r.created, r.who, "opened again", r.reason) for r in case.reopenings]
    for created, who, what, text in sorted(entries):
        st.caption(f"{escape_markdown(created)} · {label(who)} · **{what}**")
        show_text(text)


def draw_writing(case: Case, who: str, *, key: str) -> None:
    """Draw the fields that add a note, a decision or a re-opening to a case."""
    with st.form(f"{PAGE}.write.{key}", clear_on_submit=True):
        text = st.text_area("Note, or the reason of a decision", key=f"{PAGE}.text.{key}", max_chars=20_000)
        row = st.columns([2, 2, 1], vertical_alignment="bottom")
        choices: tuple[Ruling | None, ...] = (None, *RULINGS)
        ruling = row[0].selectbox(
            "Decision",
            choices,
            format_func=lambda r: _RULINGS[r] if r else "No decision, a note only",
            key=f"{PAGE}.ruling.{key}",
        )
        pressed = row[2].form_submit_button("Write", type="primary")
    if not pressed:
        return
    with shown_errors(), open_cases(bench().config) as book:
        require_presenter("write into the case book")
        if ruling:
            book.decide(case.number, ruling, text, who)
        else:
            book.note(case.number, text, who)
        session().notes[CASE] = case.number
        st.rerun()
