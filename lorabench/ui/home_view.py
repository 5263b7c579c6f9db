"""Home: demos to click, what is installed, the tour."""

from __future__ import annotations

import streamlit as st

from lorabench.ui.bench import bench
from lorabench.ui.demos import DEMOS, Demo, demo_values
from lorabench.ui.names import installed_adapters
from lorabench.ui.state import clean_params
from lorabench.ui.status import base_problem_shown
from lorabench.ui.tour import tour_button
from lorabench.ui.widgets import models_link
from lorabench.workflows.models import list_bases


def demo_cards() -> None:
    """Draw the demos; without a base or an adapter they say what is missing."""
    usable = sum(a.facts is not None for a in installed_adapters())
    can_run = usable > 0 and not base_problem_shown()
    for column, demo in zip(st.columns(len(DEMOS)), DEMOS, strict=True):
        with column, st.container(border=True, height="stretch", key=f"home.card_{demo.name}"):
            _card(demo, can_run)
    if not usable:
        st.info("The demos need an adapter, and none is installed.", icon=":material/extension_off:")
        models_link("Add one on the Models page")


def installed_line() -> None:
    """Draw the installed counts with the ways to Models and into the tour."""
    bases = sum(b.is_present for b in list_bases(bench().config))
    found = installed_adapters()
    usable = sum(a.facts is not None for a in found)
    refused = len(found) - usable
    counts = f"Installed: {_count(bases, 'base')}, {_count(usable, 'adapter')}"
    with st.container(horizontal=True, vertical_alignment="center", key="home.installed"):
        st.text(counts + (f" and {refused} refused" if refused else ""), width="content")
        models_link("Models")
        tour_button()


def _card(demo: Demo, can_run: bool) -> None:
    if st.button(
        demo.title,
        icon=demo.icon,
        key=f"home.demo_{demo.name}",
        type="primary",
        width="stretch",
        disabled=not can_run,
    ):
        st.switch_page(demo.page, query_params=clean_params(demo_values(demo)))
    st.caption(demo.about)


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
