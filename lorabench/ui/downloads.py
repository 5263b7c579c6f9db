"""Files that are made when they are asked for."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file to offer.

    Attributes:
        label: On the button, such as "CSV".
        file_name: Name of the file; anything but letters, digits, ".", "-" and "_" becomes "-".
        mime: Its type.
        make: Returns the content; called on click, on another thread: no Streamlit inside.
        help: What the file is, or None.
    """

    label: str
    file_name: str
    mime: str
    make: Callable[[], str | bytes]
    help: str | None = None


def download_row(items: Sequence[Download], *, key: str) -> None:
    """Draw a row of download buttons that wraps on a narrow screen; a click does not rerun the page."""
    with st.container(horizontal=True, key=key):
        for item in items:
            st.download_button(
                item.label,
                data=_logged(item),
                file_name=re.sub(r"[^A-Za-z0-9._-]+", "-", item.file_name).strip("-.") or "lorabench",
                mime=item.mime,
                key=f"{key}.{item.label}",
                help=item.help,
                icon=":material/download:",
                on_click="ignore",
            )


def _logged(item: Download) -> Callable[[], str | bytes]:
    def make() -> str | bytes:
        try:
            return item.make()
        except Exception:
            log.exception("the download %s could not be made", item.label)
            raise

    return make
