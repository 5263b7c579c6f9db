"""The first call of `app.py` and of every page."""

from __future__ import annotations

import streamlit as st

from lorabench.ui.guard import read_key_from_address
from lorabench.ui.names import apply_blind_from_address
from lorabench.ui.state import session


def boot() -> None:
    """Make a page safe to run: through `app.py`, with a session, with the presenter's key taken.

    On a cold server a deep link such as `/models` runs `pages/models.py` without `app.py`,
    because Streamlit sees a folder called `pages` before `st.navigation` was ever called. Then
    the old mode is switched off and the run begins again, through `app.py`.
    """
    _leave_pages_mode()
    session()
    read_key_from_address()
    apply_blind_from_address()


def _leave_pages_mode() -> None:
    try:
        from streamlit.runtime.pages_manager import PagesManager
    except ImportError:  # another Streamlit than 1.67: nothing to leave
        return
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
