"""Results recorded beforehand, shown at once while the live run is under way.

`lorabench zoo record` writes `assets/recorded/<demo>.json`:

    {"demo": "fire", "kind": "ScoreReport" | "Quad" | "Heatmap", "recorded_at": "2026-11-22",
     "result": {...to_dict...}}

They ship with lorabench, so they are trusted as much as its code; a broken file is skipped.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lorabench.config import app_root
from lorabench.errors import LorabenchError
from lorabench.results import Heatmap, Quad, ScoreReport, from_dict

log = logging.getLogger(__name__)
_KINDS: dict[str, Any] = {"ScoreReport": ScoreReport, "Quad": Quad, "Heatmap": Heatmap}
_MAX_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A result from earlier; label it "recorded" wherever it is shown.

    Attributes:
        demo: Name of the demo.
        recorded_at: Date, or "".
        result: A `ScoreReport`, `Quad` or `Heatmap`.
    """

    demo: str
    recorded_at: str
    result: Any


@st.cache_data(max_entries=8, show_spinner=False)
def _read(demo: str, changed: int) -> dict[str, Any] | None:
    path = app_root() / "assets" / "recorded" / f"{demo}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.warning("the recorded demo %s cannot be read: %s", demo, error)
        return None
    return found if isinstance(found, dict) else None


def recorded(demo: str) -> Recorded | None:
    """Return the recorded result of a demo, or None if there is none (say nothing then)."""
    path = app_root() / "assets" / "recorded" / f"{demo}.json"
    if not demo.replace("-", "").isalnum() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    found = _read(demo, path.stat().st_mtime_ns)
    if found is None or found.get("kind") not in _KINDS:
        return None
    try:
        result = from_dict(_KINDS[found["kind"]], found["result"])
    except (LorabenchError, KeyError, TypeError, ValueError) as error:
        log.warning("the recorded demo %s is not as expected: %s", demo, error)
        return None
    return Recorded(demo=demo, recorded_at=str(found.get("recorded_at", ""))[:10], result=result)


def recorded_badge(found: Recorded) -> None:
    """Say that what follows was recorded, and when."""
    when = f" {found.recorded_at}" if found.recorded_at else ""
    st.badge(f"recorded{when}", icon=":material/replay:", color="violet")
