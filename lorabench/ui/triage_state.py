"""What the parts of the Triage page share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lorabench.results import Decision, StageStatus

PAGE = "triage"
TAB = f"{PAGE}.tab"
JOB = f"{PAGE}.job"
CASE = f"{PAGE}.case"
TABS: Mapping[str, str] = MappingProxyType({"scan": "Scan", "cases": "Case book"})

DECISION_ICONS: Mapping[Decision, str] = MappingProxyType(
    {
        "allow": ":material/check_circle:",
        "review": ":material/visibility:",
        "block": ":material/block:",
        "inconclusive": ":material/help:",
    }
)
"""Shapes that differ without their colours."""

DECISION_COLOURS: Mapping[Decision, str] = MappingProxyType(
    {"allow": "blue", "review": "orange", "block": "red", "inconclusive": "gray"}
)
STATUS_ICONS: Mapping[StageStatus, str] = MappingProxyType(
    {
        "done": ":material/check:",
        "abstained": ":material/remove:",
        "not run": ":material/more_horiz:",
        "refused": ":material/do_not_disturb_on:",
        "failed": ":material/error:",
    }
)
