"""The case book on screen: search, open, compare two scans, export."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from lorabench.casebook import CaseBook
from lorabench.results import to_dict
from lorabench.results.cases import Case, ScanComparison
from lorabench.ui.bench import bench
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest
from lorabench.ui.state import session, write_params
from lorabench.ui.text import label, plain
from lorabench.ui.triage_case import draw_entries, draw_writing, who_field
from lorabench.ui.triage_state import CASE, PAGE
from lorabench.workflows.cases import open_cases


def draw_cases() -> None:
    """Draw the list, and the case that is chosen."""
    if is_guest():
        st.info("The case book is the presenter's.", icon=":material/lock:")
        return
    with shown_errors(), open_cases(bench().config) as book:
        text = st.text_input(
            "Search names, hashes, notes and rules", key=f"{PAGE}.search", icon=":material/search:"
        )
        found = book.search(text or "")
        if not found:
            st.info(
                "No case holds this."
                if text
                else "The case book is empty: scan an adapter and keep the scan.",
                icon=":material/folder_open:",
            )
            return
        picked = st.dataframe(
            [_row(case) for case in found],
            hide_index=True,
            key=f"{PAGE}.cases",
            on_select="rerun",
            selection_mode="single-row",
        )
        rows = picked["selection"]["rows"]
        if rows:
            session().notes[CASE] = found[rows[0]].number
        number = session().notes.get(CASE)
        if isinstance(number, str):
            write_params({"tab": "cases", "case": number})
            _draw_case(book, book.get(number))


def _row(case: Case) -> dict[str, Any]:
    return {
        "case": case.number,
        "adapter": plain(case.name, 80),
        "status": case.status,
        "verdict": case.verdict or "-",
        "decision": case.decision or "-",
        "scans": len(case.scans),
        "since": case.created,
    }


def _draw_case(book: CaseBook, case: Case) -> None:
    st.divider()
    st.subheader(f"Case {case.number}: {label(case.name, 80)}", anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_entries(case)
        who = who_field(case.number)
        draw_writing(case, who, key=case.number)
        if case.status == "closed" and st.button("Open again", key=f"{PAGE}.reopen", icon=":material/undo:"):
            book.reopen(case.number, "Opened again on the page.", who)
            st.rerun()
    with right:
        config, number = bench().config, case.number

        def export() -> str:
            with open_cases(config) as own:  # on another thread, and only when it is asked for
                return json.dumps(own.export(number), indent=1)

        download_row(
            [
                Download(
                    label="The whole case",
                    file_name=f"case-{case.number}.json",
                    mime="application/json",
                    make=export,
                )
            ],
            key=f"{PAGE}.export",
        )
        _compare(book, case)


def _compare(book: CaseBook, case: Case) -> None:
    ids = [s.id for s in case.scans]
    if len(ids) < 2:
        st.caption("With a second scan of this adapter the two can be compared.")
        return
    st.markdown("**Compare two scans**")
    first = st.selectbox("First", ids, index=len(ids) - 2, key=f"{PAGE}.first")
    second = st.selectbox("Second", ids, index=len(ids) - 1, key=f"{PAGE}.second")
    if first != second:
        _draw_comparison(book.compare(first, second))


def _draw_comparison(found: ScanComparison) -> None:
    changed = f"{found.a.decision} → {found.b.decision}" if found.decision_changed else "the same verdict"
    first = f"{len(found.only_a)} finding{'' if len(found.only_a) == 1 else 's'}"
    st.markdown(
        f"{changed}; {first} only in the first, {len(found.only_b)} only in the second, "
        f"{len(found.changed)} changed, {found.n_same} the same."
    )
    moved = [s for s in found.statistics if s.difference]
    if moved:
        st.dataframe(
            [
                {
                    "number": s.name,
                    "over": plain(s.battery),
                    "first": s.a,
                    "second": s.b,
                    "change": s.difference,
                }
                for s in moved
            ],
            hide_index=True,
            key=f"{PAGE}.moved",
        )
    if found.provenance:
        st.dataframe([to_dict(p) for p in found.provenance], hide_index=True, key=f"{PAGE}.circumstances")
