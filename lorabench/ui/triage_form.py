"""What to scan, and how: installed, uploaded, or by folder or hub id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from lorabench.data.batteries import BATTERIES
from lorabench.results import HUNT_MODES, HuntMode
from lorabench.ui.bench import bench
from lorabench.ui.guard import is_guest
from lorabench.ui.names import display_name, installed_adapters, is_blind, usable_adapters
from lorabench.ui.tasks import task_picker
from lorabench.ui.text import label, megabytes
from lorabench.ui.triage_state import PAGE
from lorabench.workflows.profiles import list_profiles
from lorabench.workflows.scanning import ScanRequest

_HUNTS: dict[str | None, str] = {
    None: "No",
    "instant": "Instant: less than a minute",
    "quick": "Quick: about 2 minutes",
    "standard": "Standard: about 10 minutes",
    "deep": "Deep: as long as it takes",
}
_SOURCES = {"installed": "Installed here", "upload": "Zip archive", "path": "Folder or hub id"}
_BATTERIES = ("triage_60", "structural_v1_41", "canonical_v2_41", "calibration_21", "generative_23")


@dataclass(frozen=True, slots=True)
class Form:
    """What the form asks for.

    Attributes:
        request: The scan; its target is empty for an upload. None while something is missing.
        upload: The uploaded archive, or None.
        pressed: Whether Scan was pressed in this run.
    """

    request: ScanRequest | None
    upload: Any
    pressed: bool


def draw_form() -> Form:
    """Draw the form."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        target, name, upload = _source()
    with right:
        static = st.toggle(
            "Files and weights only",
            key=f"{PAGE}.static",
            persist_state="session",
            help="Seconds, and no model is loaded; but the verdict cannot be allow.",
        )
        with st.expander("How it is probed", icon=":material/tune:"):
            task = task_picker(PAGE)
            battery, n_prompts, profile = _probing()
        hunt = _hunt()
    pressed = st.button(
        "Scan",
        type="primary",
        icon=":material/policy:",
        key=f"{PAGE}.scan",
        disabled=not (target or upload) or task is None,
    )
    if not (target or upload) or task is None:
        return Form(None, None, False)
    request = ScanRequest(
        target=target,
        name=name,
        is_static=static,
        task=task,
        battery=battery,
        n_prompts=n_prompts,
        profile=profile,
        hunt=None if static else hunt,
    )
    return Form(request, upload, pressed)


def _hunt() -> HuntMode | None:
    chosen = st.selectbox(
        "Hunt for a trigger",
        [None, *HUNT_MODES],
        format_func=lambda mode: _HUNTS[mode],
        key=f"{PAGE}.hunt",
        persist_state="session",
        help="Probes only find triggers that share words with them; a hunt searches for the trigger itself.",
    )
    return next((mode for mode in HUNT_MODES if mode == chosen), None)


def _source() -> tuple[str, str, Any]:
    """Draw where it comes from; return (target, name on screen, upload)."""
    kinds = ["installed"] if is_guest() else list(_SOURCES)
    key = f"{PAGE}.source"
    if st.session_state.get(key) not in kinds:
        st.session_state[key] = kinds[0]
    kind = st.segmented_control(
        "Where it is", kinds, format_func=lambda k: _SOURCES[k], key=key, persist_state="session"
    )
    if kind == "upload":
        limit = bench().config.limits.upload_bytes
        upload = st.file_uploader(
            f"Zip archive of the adapter's folder, at most {megabytes(limit)}",
            type=["zip"],
            key=f"{PAGE}.upload",
            help="Only an adapter's own files are unpacked, under names of ours; nothing is run.",
        )
        return "", upload.name if upload else "", upload
    if kind == "path":
        text = st.text_input(
            "Folder on this machine, zip file, or hub id",
            key=f"{PAGE}.path",
            placeholder="/data/adapters/some-lora or owner/name@revision",
            persist_state="session",
        )
        return text.strip(), "", None
    return _installed()


def _installed() -> tuple[str, str, Any]:
    known = [a.name for a in (usable_adapters() if is_blind() else installed_adapters())]
    if not known:
        st.info("No adapter is installed; bring an archive or a folder.", icon=":material/extension_off:")
        return "", "", None
    key = f"{PAGE}.adapter"
    if st.session_state.get(key) not in known:
        st.session_state[key] = known[0]
    name = st.selectbox("Adapter", known, format_func=display_name, key=key, persist_state="session")
    return name, display_name(name) if is_blind() else "", None


def _probing() -> tuple[str, int, str]:
    battery = st.selectbox(
        "Probe battery",
        _BATTERIES,
        format_func=lambda n: f"{n} ({len(BATTERIES[n].probes)} probes)",
        key=f"{PAGE}.battery",
        persist_state="session",
        help="A profile judges only the battery and the prompts that it was made with.",
    )
    n_prompts = st.slider("Held-out prompts", 8, 100, 40, 4, key=f"{PAGE}.prompts", persist_state="session")
    names = list(dict.fromkeys(p.name for p in list_profiles(bench().config)))
    profile = st.selectbox(
        "Calibration profile",
        ["auto", *names, "none"],
        format_func=lambda n: {"auto": "The one that fits", "none": "None: rates only"}.get(n, label(n)),
        key=f"{PAGE}.profile",
        persist_state="session",
    )
    return battery, n_prompts, profile
