"""Results recorded beforehand: shown at once, labelled, until the live ones are there.

`lorabench zoo record` writes these files into `assets/recorded`:

    playground.json   {"request": {...ScoreRequest...}, "report": {...ScoreReport...},
                       "quads": [{...Quad...}, ...], "recorded_at": "2026-11-22"}
    heatmap.json      {"request": {...HeatmapRequest...}, "heatmap": {...Heatmap...},
                       "recorded_at": "2026-11-22"}
    hunt.json         {"request": {...HuntRequest...}, "hunt": {...HuntResult...},
                       "recorded_at": "2026-11-23"}

They ship with lorabench, so they are trusted as much as its code; a broken file is skipped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from lorabench.config import app_root
from lorabench.errors import LorabenchError
from lorabench.results import Heatmap, HuntResult, Quad, ScoreReport, from_dict
from lorabench.ui.names import is_blind
from lorabench.workflows.heatmaps import HeatmapRequest
from lorabench.workflows.hunt_jobs import hunt_request_of
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.scoring import ScoreRequest

log = logging.getLogger(__name__)
T = TypeVar("T")
_MAX_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One recorded request of the Playground and everything that was answered.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapRecord:
    """One recorded request of the Generalisation page and its heatmap.

    Attributes:
        request: What was asked.
        heatmap: The finished heatmap.
        recorded_at: Date, or "".
    """

    request: HeatmapRequest
    heatmap: Heatmap
    recorded_at: str

    def answers(self, request: HeatmapRequest) -> bool:
        """Return whether a request asks about the same trigger in the same way, of some of the adapters."""
        mine = self.request
        return (mine.trigger, mine.columns, mine.placement, mine.joiner) == (
            request.trigger,
            request.columns,
            request.placement,
            request.joiner,
        ) and bool(set(request.adapters) & set(mine.adapters))


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntRecord:
    """One recorded hunt.

    Attributes:
        request: What was asked.
        hunt: The finished hunt.
        recorded_at: Date, or "".
    """

    request: HuntRequest
    hunt: HuntResult
    recorded_at: str


def recorded_scores() -> ScoreRecord | None:
    """Return the recorded answers, or None if there are none or names are blind (they would tell)."""
    return _read("playground.json", _scores)


def recorded_heatmap() -> HeatmapRecord | None:
    """Return the recorded heatmap, or None if there is none or names are blind (it would tell)."""
    return _read("heatmap.json", _heatmap)


def recorded_hunt() -> HuntRecord | None:
    """Return the recorded hunt, or None if there is none or names are blind (it would tell)."""
    return _read("hunt.json", _hunt)


def recorded_badge(recorded_at: str, note: str = "") -> None:
    """Say that what follows was recorded, when, and what comes next."""
    when = f" {recorded_at}" if recorded_at else ""
    st.badge(f"recorded{when}{note}", icon=":material/replay:", color="violet")


def _read(name: str, parse: Callable[[dict[str, Any]], T]) -> T | None:
    path = app_root() / "assets" / "recorded" / name
    if is_blind() or not path.is_file() or (found := path.stat()).st_size > _MAX_BYTES:
        return None
    return _parsed(str(path), found.st_mtime_ns, parse)


@st.cache_resource(max_entries=4, show_spinner=False)
def _parsed(path: str, changed: int, _parse: Callable[[dict[str, Any]], T]) -> T | None:
    try:
        with open(path, encoding="utf-8") as file:
            return _parse(json.load(file))
    except (OSError, LorabenchError, KeyError, TypeError, ValueError, AttributeError) as error:
        log.warning("the recorded result %s cannot be read: %s", path, error)
        return None


def _scores(found: dict[str, Any]) -> ScoreRecord:
    return ScoreRecord(
        request=from_dict(ScoreRequest, found["request"]),
        report=from_dict(ScoreReport, found["report"]),
        quads=tuple(from_dict(Quad, quad) for quad in found.get("quads", ())),
        recorded_at=str(found.get("recorded_at", ""))[:10],
    )


def _heatmap(found: dict[str, Any]) -> HeatmapRecord:
    return HeatmapRecord(
        request=from_dict(HeatmapRequest, found["request"]),
        heatmap=from_dict(Heatmap, found["heatmap"]),
        recorded_at=str(found.get("recorded_at", ""))[:10],
    )


def _hunt(found: dict[str, Any]) -> HuntRecord:
    return HuntRecord(
        request=hunt_request_of(found["request"]),
        hunt=from_dict(HuntResult, found["hunt"]),
        recorded_at=str(found.get("recorded_at", ""))[:10],
    )
