"""The reports of a scan, to be downloaded; how much they give away is chosen beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import streamlit as st

from lorabench import report
from lorabench.results import ScanResult
from lorabench.ui.downloads import Download, download_row
from lorabench.ui.text import plain
from lorabench.ui.triage_state import PAGE

_TITLES = {
    "html": "HTML",
    "json": "JSON",
    "sarif": "SARIF",
    "bom": "ML-BOM",
    "markdown": "Markdown",
    "card": "Model-card block",
    "csv": "Probes, CSV",
    "parquet": "Probes, Parquet",
}
_LEVELS: Mapping[report.Disclosure, str] = MappingProxyType(
    {
        "full": "Everything",
        "hashed": "Probes and prompts as hashes",
        "family": "Categories and counts only",
    }
)


def draw_files(scan: ScanResult, *, key: str) -> None:
    """Draw the downloads."""
    st.subheader("Report", anchor=False)
    level = st.segmented_control(
        "What it gives away",
        list(_LEVELS),
        format_func=lambda name: _LEVELS[name],
        default="full",
        key=f"{PAGE}.level.{key}",
        help="A working trigger is a weapon: share hashes or families where the adapter is still in use.",
    )

    chosen = level if level is not None else "full"

    def made(name: str) -> Callable[[], bytes]:
        return lambda: report.render_scan([scan], name, disclosure=chosen)

    stem = plain(scan.name, 60)
    items = [
        Download(
            label=title,
            file_name=f"{stem}{report.SCAN_FORMATS[name][0]}",
            mime=report.SCAN_FORMATS[name][1],
            make=made(name),
        )
        for name, title in _TITLES.items()
        if scan.behaviour is not None or name not in ("csv", "parquet")
    ]
    download_row(items, key=f"{PAGE}.reports")
