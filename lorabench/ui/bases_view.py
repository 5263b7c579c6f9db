"""The bases on the Models page: what they are, fetch, check, remove."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, Literal

import streamlit as st

from lorabench.config import Config
from lorabench.errors import CancelledError, InputError
from lorabench.results import InstalledBase
from lorabench.ui.bench import base_id, bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, require_presenter
from lorabench.ui.progress import Work, begin, current, forget, redraw_once, wait
from lorabench.ui.text import escape_markdown, label, megabytes
from lorabench.workflows import models as workflow
from lorabench.workflows.models import VerifyReport

_TEMPLATES = {"own": "its own", "study": "the study's", "none": "none"}
_ADD_KEY = "models.base_add"


def bases_section() -> None:
    """Draw every known base with its licence, size, source, and whether it is here; then add another."""
    with shown_errors():
        found = workflow.list_bases(bench().config)
        others = [b for b in found if not _is_first(b)]
        for base in found:
            if _is_first(base):
                _base(base, f"models.base.{base.base_id}")
        if others:
            with st.expander(f"{len(others)} more that can be fetched", key="models.more"):
                for base in others:
                    _base(base, f"models.base.{base.base_id}")
    if not is_guest():
        _add_form()


def _is_first(base: InstalledBase) -> bool:
    return base.is_present or base.base_id == base_id()


def _base(base: InstalledBase, key: str) -> None:
    with st.container(border=True, key=key):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{label(base.title, 120)}**", width="content")
            if base.is_present:
                st.badge("on this machine", icon=":material/check:", color="green")
            else:
                st.badge("not fetched", icon=":material/cloud_download:", color="gray")
            if base.base_id == base_id():
                st.badge("in use", color="blue")
        st.caption(
            f"Licence {escape_markdown(base.licence)} · {megabytes(base.n_bytes)} · "
            f"chat template: {_TEMPLATES.get(base.chat_template, label(base.chat_template))}"
        )
        with st.expander("Where it comes from"):
            st.text(base.source)
            st.text(f"Fingerprint of its tensors: {base.fingerprint or 'known after it was fetched'}")
            if not is_guest():
                _start_command(base)
        if not is_guest():
            _actions(base, key)


def _start_command(base: InstalledBase) -> None:
    st.caption("To start the dashboard on this base:")
    st.code(f"lorabench ui --base {shlex.quote(base.base_id)}", language=None)


def _add_form() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Another base: hub id or folder", key=_ADD_KEY, placeholder="owner/name")
        pressed = st.button("Fetch", icon=":material/download:", key=f"{_ADD_KEY}.pull")
    if pressed:
        forget(_ADD_KEY)
        with shown_errors():
            _add((st.session_state.get(_ADD_KEY) or "").strip())
    work = current(_ADD_KEY)
    if work is not None and wait(work, key=_ADD_KEY):
        with shown_errors():
            added: InstalledBase = work.result()
            redraw_once(work)  # for the list above
            st.success(f"{label(added.title, 120)} is on this machine.", icon=":material/check:")
            _start_command(added)


def _add(base_name: str) -> None:
    require_presenter("fetch a base model")
    if not base_name:
        raise InputError("no-source", "No base is named.", "Write a hub id or a folder into the field.")
    begin(_ADD_KEY, f"Fetching {base_name}", _fetcher(bench().config, base_name))


def _actions(base: InstalledBase, key: str) -> None:
    with st.container(horizontal=True):
        pressed = _present_buttons(base, key) if base.is_present else _fetch_button(base, key)
    if pressed is not None:
        with shown_errors():
            _start(pressed, base, key)
    work = current(key)
    if work is not None and wait(work, key=key):
        with shown_errors():
            _done(work.result(), key)


def _fetch_button(base: InstalledBase, key: str) -> str | None:
    kind: Literal["primary", "secondary"] = "primary" if base.base_id == base_id() else "secondary"
    pressed = st.button("Fetch", icon=":material/download:", key=f"{key}.pull", type=kind)
    return "fetch" if pressed else None


def _present_buttons(base: InstalledBase, key: str) -> str | None:
    checks = st.button("Check every byte", icon=":material/verified:", key=f"{key}.verify")
    with st.popover("Remove", icon=":material/delete:", key=f"{key}.ask"):
        st.text(f"{megabytes(base.n_bytes)} are freed. It can be fetched again.")
        if base.base_id == base_id():
            st.caption("It is in use: what is loaded stays loaded until the dashboard ends.")
        removes = st.button("Yes, remove it", key=f"{key}.remove")
    return "check" if checks else "remove" if removes else None


def _start(action: str, base: InstalledBase, key: str) -> None:
    require_presenter(f"{action} a base model")
    config, base_name = bench().config, base.base_id
    calls: dict[str, tuple[str, Callable[[Work[Any]], object]]] = {
        "fetch": ("Fetching", _fetcher(config, base_name)),
        "check": ("Reading", lambda work: workflow.verify_base(config, base_name)),
        "remove": ("Removing", lambda work: workflow.remove_base(config, base_name)),
    }
    word, call = calls[action]
    begin(key, f"{word} {base.title}", call, tag=word)


def _fetcher(config: Config, base_name: str) -> Callable[[Work[Any]], InstalledBase]:
    def fetch(work: Work[Any]) -> InstalledBase:
        def tell(done: int, total: int | None, sentence: str) -> None:
            if work.cancelled:
                raise CancelledError(
                    "cancelled", "The download was cancelled.", "Fetch it again at any time."
                )
            work.label = sentence.rstrip(".") or work.label
            if total:
                work.report(done, total)

        return workflow.pull_base(config, base_name, on_progress=tell)

    return fetch


def _done(found: object, key: str) -> None:
    if not isinstance(found, VerifyReport):
        forget(key)
        st.rerun()  # the list shows what is there now
    if found.is_intact:
        st.success("Every byte is as recorded.", icon=":material/verified:")
        st.text(f"Fingerprint: {found.found_fingerprint}")
        return
    st.error("This base was changed since it was fetched. Remove it and fetch it again.")
    named = {"Missing": found.missing, "Changed": found.changed, "New": found.unexpected}
    for title, names in named.items():
        if names:
            st.text(f"{title}: {', '.join(names)}")
