"""What leaves the Playground: files, and the way to the look-alikes."""

from __future__ import annotations

import streamlit as st

from lorabench import report as files
from lorabench.config import app_root
from lorabench.results import LabelTask, Quad
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.playground_form import link_values
from lorabench.ui.playground_state import desk
from lorabench.ui.playground_view import View, titled_quad
from lorabench.ui.state import clean_params

_LOOK_ALIKES = "pages/generalisation.py"


def show_files(view: View) -> None:
    """Draw the downloads and the button to the look-alikes of the trigger shown."""
    report = view.report
    method = st.session_state.get("playground.method") or "leave_one_out"
    found = desk().quads.get(view.explain(method)) if isinstance(report.task, LabelTask) else None
    quad = titled_quad(found, view.title) if found is not None else None
    items = [
        Download(
            label="CSV", file_name="playground.csv", mime="text/csv", make=lambda: files.scores_csv(report)
        ),
        Download(
            label="Parquet",
            file_name="playground.parquet",
            mime="application/vnd.apache.parquet",
            make=lambda: files.scores_parquet(report),
        ),
        Download(
            label="JSON",
            file_name="playground.json",
            mime="application/json",
            make=lambda: files.to_json(report if quad is None else {"report": report, "words": quad}),
            help="Scores, flips, provenance; and the word maps once they are made.",
        ),
        Download(
            label="HTML report",
            file_name="playground.html",
            mime="text/html",
            make=lambda: files.scores_html(report) if quad is None else files.quad_html(quad, report),
            help="One file without scripts that opens anywhere; with coloured words once they are made.",
        ),
    ]
    if quad is not None:
        items[1:1] = _word_files(quad)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if view.trigger is not None and (app_root() / _LOOK_ALIKES).is_file():
            _look_alikes(view)
        download_row(items, key="playground.files")


def _word_files(quad: Quad) -> tuple[Download, ...]:
    return (
        Download(
            label="Words CSV",
            file_name="words.csv",
            mime="text/csv",
            make=lambda: files.attribution_csv(quad),
        ),
        Download(
            label="Words PNG",
            file_name="words.png",
            mime="image/png",
            make=lambda: files.quad_png(quad),
            help="Each word's score as bars: base, adapter and difference.",
        ),
        Download(
            label="Words SVG",
            file_name="words.svg",
            mime="image/svg+xml",
            make=lambda: files.quad_svg(quad),
        ),
    )


def _look_alikes(view: View) -> None:
    if st.button("Show this trigger's look-alikes", icon=":material/grid_on:", key="playground.look_alikes"):
        values = link_values(view.request) | {"trigger": [view.trigger or ""]}
        st.switch_page(_LOOK_ALIKES, query_params=clean_params(values))
