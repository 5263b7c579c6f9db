"""The adapters on the Models page: what is measured, what they claim, proof, add, remove."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import streamlit as st

from lorabench.errors import InputError
from lorabench.results import AdapterFacts, BindingProof, InstalledAdapter
from lorabench.ui.bench import base_state, bench, session_id
from lorabench.ui.errors import shown_errors
from lorabench.ui.guard import is_guest, require_presenter
from lorabench.ui.names import display_name, installed_adapters, is_blind, set_blind
from lorabench.ui.progress import begin, current, forget, redraw_once, wait
from lorabench.ui.state import session
from lorabench.ui.text import label, megabytes, plain, sentence, show_text
from lorabench.workflows import adapters as workflow

_ORIGINS = {"zoo": "bundled", "added": "added", "path": "folder"}
ADD_KEY = "models.add"
_SOURCES = {"zip": "Zip archive", "folder": "Folder on this machine", "hub": "Model hub"}


def blind_switch() -> None:
    """Draw the switch for blind names; the presenter's choice covers every tab."""
    can_lift = not is_guest() or not is_blind() or session().blind is True
    st.session_state["models.blind"] = is_blind()
    st.toggle(
        "Blind names: show adapters as letters",
        key="models.blind",
        on_change=_switch_blind,
        disabled=not can_lift,
        help="Names, claims and hashes are covered everywhere, so that they give nothing away. "
        + (
            "The presenter sets this for everybody."
            if is_guest()
            else "On a network it covers all guests' tabs."
        ),
    )


def adapters_section() -> None:
    """Draw the table of adapters, refusals, and one adapter in detail."""
    with shown_errors():
        found = installed_adapters()
        if not found:
            st.info(
                "No adapter is installed. The bundled ones are missing from this copy of lorabench; "
                "add one below, or make one with `lorabench zoo build`.",
                icon=":material/extension_off:",
            )
            return
        usable = [a for a in found if a.facts is not None]
        if usable:
            st.dataframe(
                _table(usable),
                hide_index=True,
                key="models.table",
                alt=f"{len(usable)} adapters with rank, alpha, targets, task and size",
            )
        for adapter in found:
            if adapter.facts is None:
                _refused(adapter)
        if usable:
            _detail({a.name: a for a in usable})


def add_section() -> None:
    """Draw the form that adds an adapter by zip, folder or hub id; guests read why they cannot."""
    if is_guest():
        st.info("Guests cannot add adapters. Ask the presenter, or run lorabench on your own machine.")
        return
    limit = bench().config.limits.upload_bytes
    way = st.segmented_control(
        "From",
        ["zip", "folder", "hub"],
        default="zip",
        required=True,
        format_func=lambda kind: _SOURCES[kind],
        key="models.add_from",
    )
    if way == "zip":
        st.file_uploader(
            f"Zip with adapter_config.json and adapter_model.safetensors, up to {limit // 1024**2} MB",
            type=["zip"],
            max_upload_size=limit // 1024**2,
            key="models.add_zip",
        )
    elif way == "folder":
        st.text_input("Folder, as saved by PEFT", key="models.add_folder", placeholder="/data/my-adapter")
    else:
        st.text_input(
            "Hub id, at best with a commit", key="models.add_hub", placeholder="owner/name@revision"
        )
    st.text_input("Name here (empty: as its source)", key="models.add_name", max_chars=64)
    if st.button("Check and add", type="primary", icon=":material/add:", key="models.add_go"):
        forget(ADD_KEY)
        with shown_errors():
            _add(way)
    work = current(ADD_KEY)
    if work is not None and wait(work, key=ADD_KEY):
        with shown_errors():
            added: InstalledAdapter = work.result()
            redraw_once(work)  # for the list above
            st.success(f"Added {label(added.name)}. It is in the list above, and on every page.")


def _table(adapters: list[InstalledAdapter]) -> pd.DataFrame:
    rows = []
    for a in adapters:
        assert a.facts is not None
        row: dict[str, object] = {"Name": display_name(a.name)}
        if not is_blind():
            row["Origin"] = _ORIGINS[a.origin]
        row |= {
            "Rank": a.facts.rank,
            "Alpha": a.facts.alpha,
            "Layers": len(a.facts.modules),
            "Targets": ", ".join(plain(t, 30) for t in a.facts.targets),
        }
        if not is_blind():
            row["Task (claimed)"] = plain(_claimed_task(a.facts) or "none", 60)
            row["Size"] = megabytes(a.facts.n_bytes)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("Name") if is_blind() else pd.DataFrame(rows)


def _refused(adapter: InstalledAdapter) -> None:
    st.error(
        f"**{label(adapter.name)}** was refused and is never loaded. {sentence(adapter.refusal or '')}",
        icon=":material/block:",
    )
    if adapter.origin == "added":
        _remove_button(adapter.name)


def _detail(adapters: Mapping[str, InstalledAdapter]) -> None:
    names = sorted(adapters, key=display_name) if is_blind() else list(adapters)
    if st.session_state.get("models.look") not in names:
        st.session_state["models.look"] = names[0]
    name = st.selectbox("Look at", names, format_func=display_name, key="models.look")
    adapter = adapters[name]
    assert adapter.facts is not None
    with st.container(border=True, key="models.detail"):
        if is_blind():
            st.caption("Names, claims and hashes are covered while blind names are on.")
        else:
            _measured(adapter.facts)
            _claims(adapter.facts)
        _proof(name, can_remove=adapter.origin == "added" and not is_guest() and not is_blind())


def _measured(facts: AdapterFacts) -> None:
    st.markdown("**Measured from its files**")
    scale = "alpha / sqrt(rank)" if facts.use_rslora else "alpha / rank"
    st.text(
        f"rank {facts.rank}, alpha {facts.alpha:g}, scale = {scale} · {facts.n_parameters:,} numbers as "
        f"{facts.dtype} · {megabytes(facts.n_bytes)}"
    )
    st.text(f"Id (sha256 over tensors and scales): {facts.adapter_id}")
    with st.expander(f"{len(facts.modules)} adapted layers"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Layer": [plain(m.name, 120) for m in facts.modules],
                    "In": [m.in_features for m in facts.modules],
                    "Out": [m.out_features for m in facts.modules],
                    "Rank": [m.rank for m in facts.modules],
                    "Measured rank": [m.measured_rank for m in facts.modules],
                    "Scale": [m.scale for m in facts.modules],
                    "Norm of the change": [round(m.delta_norm, 4) for m in facts.modules],
                }
            ),
            hide_index=True,
            key="models.layers",
            alt="One row per adapted layer with its sizes, rank and the norm of its change",
        )


def _claims(facts: AdapterFacts) -> None:
    claims = facts.claims
    with st.expander("What it says about itself: claims, not evidence"):
        st.text(f"Base model: {claims.base_model or 'not said'}")
        st.text(f"Fingerprint of that base: {claims.base_fingerprint or 'not said'}")
        st.text(f"Task: {_claimed_task(facts) or 'not said'}")
        for note in claims.notes:
            st.text(note)
        if claims.lorabench:
            show_text(json.dumps(claims.lorabench, indent=2, ensure_ascii=False), title="Its lorabench.json")
        if claims.card:
            show_text(claims.card, title="Its model card")


def _claimed_task(facts: AdapterFacts) -> str | None:
    task = (facts.claims.lorabench or {}).get("task")
    name = task.get("name") if isinstance(task, dict) else task
    return str(name) if name else None


def _proof(name: str, *, can_remove: bool) -> None:
    key = f"models.proof.{name}"
    can_answer = base_state().state in ("ready", "loading")
    with st.container(horizontal=True):
        wanted = st.button(
            "Prove that it acts on this base",
            icon=":material/fact_check:",
            key=f"{key}.go",
            disabled=not can_answer,
            help="Binds it, compares logits on a fixed prompt, and shows that the base is unchanged.",
        )
        if can_remove:
            _remove_button(name)
    if wanted:
        with shown_errors():
            b, me = bench(), session_id()
            begin(key, f"Binding {display_name(name)}", lambda work: b.bind(name, session=me))
    work = current(key)
    if work is not None and wait(work, key=key):
        with shown_errors():
            _show_proof(work.result().proof)


def _show_proof(proof: BindingProof) -> None:
    st.success(
        f"{proof.n_bound} of {proof.n_expected} tensors are bound. A next-token logit moves by up to "
        f"{proof.max_logit_change:.2f}. The base itself moved by {proof.base_logit_drift:g}.",
        icon=":material/fact_check:",
    )
    match proof.base_matches:
        case True:
            st.text("The base is the one the adapter says it was trained on (equal fingerprints).")
        case False:
            st.warning("The adapter says it was trained on another base. Its results here mean little.")
        case None:
            st.text("The adapter makes no claim about its base that could be checked.")
    if not is_blind():
        st.text(f"Base: {proof.base_fingerprint}")
        st.text(f"Sampled base tensors, equal before and after: {proof.base_sample_digest}")


def _remove_button(name: str) -> None:
    if is_guest():
        return
    with st.popover("Remove", icon=":material/delete:", key=f"models.ask.{name}"):
        st.text(f"Remove {plain(name, 80)} from this machine? Its files are deleted.")
        if st.button("Yes, remove it", key=f"models.remove.{name}"):
            with shown_errors():
                require_presenter("remove an adapter")
                workflow.remove_adapter(bench().config, name)
                forget(ADD_KEY)
                st.toast(f"Removed {label(name)}.")
                st.rerun()


def _add(way: str) -> None:
    require_presenter("add an adapter")
    config, name = bench().config, (st.session_state.get("models.add_name") or "").strip() or None
    source = _source(way)
    if not isinstance(source, str | Path) and name is None:
        name = st.session_state["models.add_zip"].name.rsplit(".", 1)[0]
    begin(ADD_KEY, "Checking and adding", _adder(config, source, name))


def _adder(config: Any, source: str | Path | BinaryIO, name: str | None) -> Callable[[Any], InstalledAdapter]:
    return lambda work: workflow.add_adapter(config, source, name=name)


def _source(way: str) -> str | Path | BinaryIO:
    if way == "zip":
        upload = st.session_state.get("models.add_zip")
        if upload is None:
            raise InputError("no-source", "No archive is chosen.", "Choose a zip file first.")
        if upload.size > bench().config.limits.upload_bytes:
            raise InputError(
                "upload-too-large",
                "The archive is over the limit.",
                "Add it as a folder, or by the command line.",
            )
        return upload  # type: ignore[no-any-return]
    text = (st.session_state.get(f"models.add_{way}") or "").strip()
    if not text:
        what = "folder" if way == "folder" else "hub id"
        raise InputError("no-source", f"No {what} is given.", "Write it into the field.")
    if way == "hub":
        return text if text.startswith("hf:") else f"hf:{text}"
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise InputError(
            "no-folder",
            f"There is no folder {plain(text, 200)}.",
            "Give the folder that holds adapter_config.json.",
        )
    return folder


def _switch_blind() -> None:
    set_blind(bool(st.session_state["models.blind"]), for_everybody=not is_guest())
