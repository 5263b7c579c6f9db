"""The Playground's recorded result: shown at once, labelled, until the live one is there.

`lorabench zoo record` writes `assets/recorded/playground.json`:

    {"request": {...ScoreRequest...}, "report": {...ScoreReport...}, "quads": [{...Quad...}, ...],
     "recorded_at": "2026-11-22"}

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
from lorabench.results import Quad, ScoreReport, from_dict
from lorabench.ui.names import is_blind
from lorabench.workflows.scoring import ScoreRequest

log = logging.getLogger(__name__)
_MAX_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded request and everything that was answered.

    Attributes:
        request: What was asked.
        report: The answers.
        quads: Word maps, one per adapter and trigger, as far as they were recorded.
        recorded_at: Date, or "".
    """

    request: ScoreRequest
    report: ScoreReport
    quads: tuple[Quad, ...]
    recorded_at: str

    def answers(self, request: ScoreRequest) -> bool:
        """Return whether a request asks the same questions of the same adapters."""
        mine = self.request
        return (
            (mine.prompts, mine.triggers, mine.placement, mine.joiner)
            == (request.prompts, request.triggers, request.placement, request.joiner)
            and set(request.adapters) <= set(mine.adapters)
            and mine.task == request.task
        )

    def quad(self, adapter: str) -> Quad | None:
        """Return the recorded word maps of an adapter, or None."""
        return next((q for q in self.quads if q.adapter == adapter), None)


def record() -> Record | None:
    """Return the recorded result, or None if there is none or names are blind (it would tell them)."""
    path = app_root() / "assets" / "recorded" / "playground.json"
    if is_blind() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    return _read(path, path.stat().st_mtime_ns)


@st.cache_resource(max_entries=2, show_spinner=False)
def _read(path: Path, changed: int) -> Record | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            request=from_dict(ScoreRequest, found["request"]),
            report=from_dict(ScoreReport, found["report"]),
            quads=tuple(from_dict(Quad, q) for q in found.get("quads", ())),
            recorded_at=str(found.get("recorded_at", ""))[:10],
        )
    except (OSError, LorabenchError, KeyError, TypeError, ValueError) as error:
        log.warning("the recorded Playground result cannot be read: %s", error)
        return None
