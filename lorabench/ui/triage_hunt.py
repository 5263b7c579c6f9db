"""From a finished scan on to the Hunt page, for the adapters that it can take."""

from __future__ import annotations

import streamlit as st

from lorabench.data import TASKS
from lorabench.results import ScanResult, Task
from lorabench.ui.bench import bench
from lorabench.ui.names import adapter_tokens, is_blind, usable_adapters
from lorabench.ui.state import clean_params
from lorabench.ui.tasks import AUTO, task_values
from lorabench.workflows.models import list_bases
from lorabench.workflows.scanning import ScanRequest

_UNFIT = frozenset({"behaviour-unbound", "behaviour-does-not-act"})


def draw_way_to_hunt(scan: ScanResult, asked: ScanRequest) -> None:
    """Draw the way to the Hunt page with this adapter and its task filled in; nothing if it cannot be hunted.

    Args:
        scan: The finished scan.
        asked: What was asked for: a task given there is the hunt's too.
    """
    if not fits_hunt(scan):
        return
    name = installed_name(scan)
    if name is None:
        st.caption("Add the adapter on the Models page to hunt for its trigger.")
        return
    st.page_link(
        "pages/hunt.py",
        label="Hunt for its trigger",
        icon=":material/travel_explore:",
        query_params=clean_params(
            {
                "adapter": adapter_tokens([name]),
                "blind": is_blind(),
                **task_values(task_of_hunt(scan, asked)),
            }
        ),
        help="Probes find only triggers that share words with them; a hunt searches for the trigger itself.",
    )


def fits_hunt(scan: ScanResult) -> bool:
    """Return whether the Hunt page can take what was scanned, as far as the scan can tell.

    Not if it was refused, did not fit the base or does nothing on it, says that it belongs to another
    base, or answers with a classification head of its own.
    """
    facts = scan.file.facts
    if facts is None or any(f.kind == "head" for f in scan.file.files):
        return False
    if any(f.rule in _UNFIT for s in scan.stages for f in s.findings):
        return False
    claimed = facts.claims.base_fingerprint
    loaded = next((b.fingerprint for b in list_bases(bench().config) if b.base_id == bench().base), None)
    return claimed is None or loaded is None or claimed == loaded


def installed_name(scan: ScanResult) -> str | None:
    """Return under which name what was scanned is installed here, told by its contents, or None."""
    facts = scan.file.facts
    known = {a.facts.adapter_id: a.name for a in usable_adapters() if a.facts}
    return known.get(facts.adapter_id) if facts else None


def task_of_hunt(scan: ScanResult, asked: ScanRequest) -> str | Task:
    """Return the task of a hunt: as it was given, or as it was found out where the adapter names none."""
    if asked.task != AUTO:
        return asked.task
    claims = scan.file.facts.claims.lorabench if scan.file.facts else None
    if (claims or {}).get("task") or scan.behaviour is None or scan.behaviour.task not in TASKS:
        return AUTO
    return scan.behaviour.task
