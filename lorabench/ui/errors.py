"""Errors as a reader sees them: a sentence and the way out; details go to the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from lorabench.errors import CancelledError, LorabenchError
from lorabench.ui.text import sentence

log = logging.getLogger(__name__)


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error of the body on the page instead of breaking it; the page goes on below.

    with ui.shown_errors():
        report = work.result()
        ...figures...
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - shown, and logged with its traceback
        show_error(error)


def show_error(error: BaseException) -> None:
    """Show one error: expected ones with problem and remedy, unexpected ones logged and briefly."""
    if isinstance(error, CancelledError):
        st.info(f"{sentence(error.problem)} {sentence(error.remedy)}", icon=":material/cancel:")
    elif isinstance(error, LorabenchError):
        remedy = f"\n\n{sentence(error.remedy)}" if error.remedy else ""
        st.error(f"{sentence(error.problem)}{remedy}", icon=":material/error:")
    else:
        log.error("unexpected error on a page", exc_info=error)
        st.error(
            "Something went wrong inside lorabench. The log of the server has the details. "
            "Try again; if it stays, please report it.",
            icon=":material/error:",
        )
