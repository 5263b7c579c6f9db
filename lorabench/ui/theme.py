"""Which paper the browser shows, so that figures are painted for it."""

from __future__ import annotations

import streamlit as st

from lorabench.figures.palette import Theme

FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='7' fill='%2317706f'/%3E"
    "%3Cpath d='M8 7v18h9M20 25l4-9-4-9' fill='none' stroke='white' stroke-width='3' "
    "stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E"
)
"""The app's icon, inline: a `:material/` icon would be fetched from a font server on the internet."""

_STYLE = """<style>
.stMainBlockContainer {padding-top: 4.2rem; padding-bottom: 3rem; max-width: 1400px;}
.st-key-status-bar {border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent);}
.st-key-status-bar {padding-bottom: .35rem;}
button:is([data-variant="segmented_control"], [data-variant="pills"])[data-selected="true"] {
  color: inherit !important;  /* the accent on its own tint is too faint in the dark */
}
</style>"""


def use_style() -> None:
    """Draw the page closer to the navigation, a line under the status bar, and chosen options readably."""
    st.html(_STYLE)


def current_theme() -> Theme:
    """Return "light" or "dark": what this browser shows now, else the configured base theme."""
    try:
        found = st.context.theme.type
    except (AttributeError, RuntimeError):  # no browser: a test, or a bare script
        found = None
    return "dark" if (found or st.get_option("theme.base")) == "dark" else "light"
