"""Which paper the browser shows, so that figures are painted for it."""

from __future__ import annotations

import streamlit as st

from lorabench.figures.palette import Theme


def current_theme() -> Theme:
    """Return "light" or "dark": what this browser shows now, else the configured base theme."""
    try:
        found = st.context.theme.type
    except (AttributeError, RuntimeError):  # no browser: a test, or a bare script
        found = None
    return "dark" if (found or st.get_option("theme.base")) == "dark" else "light"
