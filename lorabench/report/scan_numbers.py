"""How the numbers of a scan are written, alike in every format."""

from __future__ import annotations

from typing import Final

from lorabench.figures import interval_text
from lorabench.results import Interval
from lorabench.results.findings import Stage

TITLES: Final[dict[Stage, str]] = {
    "file": "File",
    "weights": "Weights",
    "behaviour": "Behaviour",
    "trigger": "Trigger",
    "cause": "Cause",
}


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with this many significant digits, or "not measured"."""
    return "not measured" if value is None or value != value else f"{value:.{digits}g}"


def spelled(interval: Interval) -> str:
    """Return "[0.86, 1.00] at 95 % (Wilson over prompts)"."""
    return f"{interval_text(interval)} at {percent(interval.confidence_level)} ({interval.method})"


def percent(fraction: float) -> str:
    """Return "95 %"; up to three digits."""
    return f"{100 * fraction:.3g} %"
