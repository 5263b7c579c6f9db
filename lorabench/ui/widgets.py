"""Widgets that several pages share."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lorabench.ui.names import display_name, installed_adapters, usable_adapters
from lorabench.ui.state import put_if_new
from lorabench.ui.text import label

_MOST_PILLS = 12


def adapter_picker(
    key: str, *, default: Sequence[str] = (), most: int = 6, title: str = "Adapters"
) -> tuple[str, ...]:
    """Draw the choice of adapters, by name or blind, and return the chosen names.

    With nothing installed it says so and leads to Models. A prefilled value
    (`st.session_state[key]`) with unknown names is cleaned first.

    Args:
        key: `page.widget`.
        default: Names chosen at first; unknown ones are left out.
        most: Most adapters at once.
        title: Visible label.
    """
    known = [a.name for a in usable_adapters()]
    refused = len(installed_adapters()) - len(known)
    if not known:
        st.info("No adapter is installed yet.", icon=":material/extension_off:")
        models_link("Add one on the Models page")
        return ()
    given = st.session_state.get(key)
    put_if_new(key, [n for n in (default if given is None else given) if n in known][:most])
    help_text = f"{refused} more refused: see Models." if refused else None
    if len(known) <= _MOST_PILLS:
        chosen = st.pills(
            title,
            known,
            selection_mode="multi",
            format_func=lambda n: label(display_name(n)),
            key=key,
            help=help_text,
            persist_state="session",
        )
    else:
        chosen = st.multiselect(
            title,
            known,
            format_func=display_name,
            key=key,
            help=help_text,
            max_selections=most,
            persist_state="session",
        )
    names = tuple(n for n in chosen or () if n in known)
    if len(names) > most:
        st.warning(f"At most {most} adapters at once; the first {most} are used.")
    return names[:most]


def one_adapter_picker(key: str, *, default: str | None = None, title: str = "Adapter") -> str | None:
    """Draw the choice of one adapter and return its name, or None with nothing installed."""
    known = [a.name for a in usable_adapters()]
    if not known:
        st.info("No adapter is installed yet.", icon=":material/extension_off:")
        models_link("Add one on the Models page")
        return None
    if st.session_state.get(key) not in known:
        st.session_state[key] = default if default in known else known[0]
    return st.selectbox(title, known, format_func=display_name, key=key, persist_state="session")


def models_link(text: str) -> None:
    """Draw a link to the Models page."""
    st.page_link("pages/models.py", label=text, icon=":material/inventory_2:")
