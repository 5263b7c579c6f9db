"""The recorded heatmap: the page's example, and what the demo shows until the live run is done.

`assets/recorded/heatmap.json`:

    {"request": {...HeatmapRequest...}, "heatmap": {...Heatmap...}, "recorded_at": "2026-11-22"}

It ships with lorabench, so it is trusted as much as its code; a broken file is skipped.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from lorabench.config import app_root
from lorabench.errors import LorabenchError
from lorabench.results import Heatmap, from_dict
from lorabench.ui.names import is_blind
from lorabench.ui.recorded import Recorded
from lorabench.workflows.heatmaps import HeatmapRequest

log = logging.getLogger(__name__)
_MAX_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded request and its heatmap.

    Attributes:
        request: What was asked.
        heatmap: The finished heatmap.
        recorded_at: Date, or "".
    """

    request: HeatmapRequest
    heatmap: Heatmap
    recorded_at: str

    @property
    def badge(self) -> Recorded:
        """What `recorded_badge` draws."""
        return Recorded(demo="look-alikes", recorded_at=self.recorded_at, result=self.heatmap)

    def answers(self, request: HeatmapRequest) -> bool:
        """Return whether a request asks about the same trigger in the same way, of some of the adapters."""
        mine = self.request
        return (mine.trigger, mine.columns, mine.placement, mine.joiner) == (
            request.trigger,
            request.columns,
            request.placement,
            request.joiner,
        ) and bool(set(request.adapters) & set(mine.adapters))


def record() -> Record | None:
    """Return the recorded heatmap, or None if there is none or names are blind (it would tell them)."""
    path = app_root() / "assets" / "recorded" / "heatmap.json"
    if is_blind() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    return _read(path, path.stat().st_mtime_ns)


@st.cache_resource(max_entries=2, show_spinner=False)
def _read(path: Path, changed: int) -> Record | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            request=from_dict(HeatmapRequest, found["request"]),
            heatmap=from_dict(Heatmap, found["heatmap"]),
            recorded_at=str(found.get("recorded_at", ""))[:10],
        )
    except (OSError, LorabenchError, KeyError, TypeError, ValueError, AttributeError) as error:
        log.warning("the recorded heatmap cannot be read: %s", error)
        return None
