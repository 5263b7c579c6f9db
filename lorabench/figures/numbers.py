"""How numbers are written, alike in charts, pages and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorabench.results import Interval, Rate


def rate_text(value: float | None) -> str:
    """Return a rate as people read it in a grid: ".97", "1.00", ".00"; "n/m" if not measured."""
    return "n/m" if value is None else f"{value:.2f}".removeprefix("0")


def signed(value: float | None, digits: int = 1) -> str:
    """Return "+6.2", "-0.5" or "0.0" (never "-0.0"); "n/a" for None."""
    if value is None:
        return "n/a"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def cost_text(n_computed: int, n_unique_tokens: int, n_naive_tokens: int) -> str:
    """Return what an answer took, such as "4 rows computed: 102 unique of 334 tokens (3.3x shared)"."""
    if not n_computed:
        return "nothing computed, all remembered"
    rows = f"{n_computed:,} {'row' if n_computed == 1 else 'rows'} computed"
    if not n_unique_tokens:
        return rows
    shared = f"{n_naive_tokens / n_unique_tokens:.1f}x shared"
    return f"{rows}: {n_unique_tokens:,} unique of {n_naive_tokens:,} tokens ({shared})"


def sharing_text(provenance: Mapping[str, Any]) -> str:
    """Return how exact the shared forward passes of a report are, or "" where it does not say."""
    checks = provenance.get("sharing")
    if not isinstance(checks, Mapping):
        return ""
    sentence = next(reversed(list(checks.values())), "")  # the last one measured
    return f"token sharing {sentence}" if sentence else ""


def interval_text(interval: Interval | None) -> str:
    """Return "[0.86, 0.97]", or "no interval"."""
    return "no interval" if interval is None else f"[{interval.low:.2f}, {interval.high:.2f}]"


def rate_sentence(rate: Rate, interval: Interval | None = None) -> str:
    """Return "0.97 [0.86, 1.00], n = 24", or "not measured (n = 0)"."""
    if rate.value is None:
        return "not measured (n = 0)"
    return f"{rate.value:.2f} {interval_text(interval or rate.interval())}, n = {rate.n}"
