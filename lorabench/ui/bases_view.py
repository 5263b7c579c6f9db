"""The bases on the Models page: what they are, fetch, check, remove."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lorabench.errors import CancelledError
from lorabench.results import InstalledBase
from lorabench.ui.bench import base_id, bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, require_presenter
from lorabench.ui.progress import Work, begin, current, forget, wait
from lorabench.ui.text import escape_markdown, label, megabytes
from lorabench.workflows import models as workflow
from lorabench.workflows.models import VerifyReport

_TEMPLATES = {"own": "its own", "study": "the study's", "none": "none"}


def bases_section() -> None:
    """Draw every known base with its licence, size, source, and whether it is here."""
    with shown_errors():
        for i, base in enumerate(workflow.list_bases(bench().config)):
            _base(base, f"models.base{i}")


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
                st.caption(f"Start the dashboard on it: `lorabench ui --base {base.base_id}`")
        if not is_guest():
            _actions(base, key)


def _actions(base: InstalledBase, key: str) -> None:
    with st.container(horizontal=True):
        if not base.is_present:
            st.button(
                "Fetch",
                icon=":material/download:",
                key=f"{key}.pull",
                type="primary" if base.base_id == base_id() else "secondary",
                on_click=_pull,
                args=(base, key),
            )
        else:
            st.button(
                "Check every byte",
                icon=":material/verified:",
                key=f"{key}.verify",
                on_click=_verify,
                args=(base, key),
            )
            with st.popover("Remove", icon=":material/delete:", key=f"{key}.ask"):
                st.text(f"{megabytes(base.n_bytes)} are freed. It can be fetched again.")
                if base.base_id == base_id():
                    st.caption("It is in use: what is loaded stays loaded until the dashboard ends.")
                st.button("Yes, remove it", key=f"{key}.remove", on_click=_remove, args=(base, key))
    work = current(key)
    if work is not None and wait(work, key=key):
        with shown_errors():
            _done(work.result(), work.tag, key)


def _done(found: Any, tag: str, key: str) -> None:
    if isinstance(found, VerifyReport):
        if found.is_intact:
            st.success("Every byte is as recorded.", icon=":material/verified:")
            st.text(f"Fingerprint: {found.found_fingerprint}")
        else:
            st.error("This base was changed since it was fetched. Remove it and fetch it again.")
            for title, names in (
                ("Missing", found.missing),
                ("Changed", found.changed),
                ("New", found.unexpected),
            ):
                if names:
                    st.text(f"{title}: {', '.join(names)}")
        return
    forget(key)
    st.toast(f"{tag} is done.")
    st.rerun()  # the list shows what is there now


def _pull(base: InstalledBase, key: str) -> None:
    with shown_errors():
        require_presenter("fetch a base model")
        config = bench().config

        def call(work: Work[Any]) -> Any:
            def tell(done: int, total: int | None, sentence: str) -> None:
                if work.cancelled:
                    raise CancelledError(
                        "cancelled", "The download was cancelled.", "Fetch it again at any time."
                    )
                work.label = sentence.rstrip(".") or work.label
                if total:
                    work.report(done, total)

            return workflow.pull_base(config, base.base_id, on_progress=tell)

        begin(key, f"Fetching {base.title}", call, tag="The download")


def _verify(base: InstalledBase, key: str) -> None:
    with shown_errors():
        require_presenter("check a base model")
        config = bench().config
        begin(
            key,
            f"Reading {base.title}",
            lambda work: workflow.verify_base(config, base.base_id),
            tag="The check",
        )


def _remove(base: InstalledBase, key: str) -> None:
    with shown_errors():
        require_presenter("remove a base model")
        config = bench().config
        begin(
            key,
            f"Removing {base.title}",
            lambda work: workflow.remove_base(config, base.base_id),
            tag="Removing",
        )
