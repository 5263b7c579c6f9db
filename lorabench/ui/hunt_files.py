"""The reports of a hunt, to be downloaded."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from lorabench.report.hunt import HUNT_FORMATS, render_hunt
from lorabench.results import HuntResult
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.hunt_state import PAGE
from lorabench.ui.text import plain

_TITLES = {"html": "HTML", "json": "JSON", "markdown": "Markdown", "csv": "Strings, CSV", "text": "Text"}


def draw_files(hunt: HuntResult, *, key: str) -> None:
    """Draw the downloads of a hunt as it may be shown."""
    st.subheader("Report", anchor=False)
    st.caption("A working trigger is a weapon: think before you pass on a report that holds one.")

    def made(name: str) -> Callable[[], bytes]:
        return lambda: render_hunt(hunt, name)

    stem = f"hunt-{plain(hunt.adapter, 60)}"
    items = [
        Download(
            label=_TITLES.get(name, name),
            file_name=f"{stem}{suffix}",
            mime=mime,
            make=made(name),
        )
        for name, (suffix, mime) in HUNT_FORMATS.items()
    ]
    download_row(items, key=f"{PAGE}.reports.{key}")
