"""The strings of a hunt as a table: the race while it runs, and what was proved afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lorabench import figures
from lorabench.results import HuntResult, HuntSoFar, Rate, StringEvidence
from lorabench.ui.hunt_state import STANDINGS, Found, standing, strings_of, text_cell

_SHOWN = 12


def race_rows(so_far: HuntSoFar | HuntResult, most: int = _SHOWN) -> list[dict[str, Any]]:
    """Return the ranking as the search sees it, the leader first."""
    proved = {(e.text, e.placement): e for e in so_far.evidence}
    return [
        {
            "rank": i + 1,
            "string": text_cell(c.text),
            "lead": c.score,
            "base": _tenths(c.base_shift),
            "clean": _tenths(c.reference_shift),
            "flips": "" if c.n_flipped is None else f"{c.n_flipped} of {c.n_prompts}",
            **({"held-out rate": held_out_text(proved.get((c.text, c.placement)))} if proved else {}),
            "found by": figures.part_title(c.source),
            "tokens spent": c.spent,
        }
        for i, c in enumerate(so_far.candidates[:most])
    ]


def race_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how the columns of `race_rows` are drawn; the bars share one scale."""
    top = max([float(r["lead"]) for r in rows] + [1.0])
    return {
        "rank": st.column_config.NumberColumn(width=40),
        "string": st.column_config.TextColumn(width=190),
        "lead": st.column_config.ProgressColumn(
            format="%.1f",
            min_value=0.0,
            max_value=top,
            width=120,
            help="What the search ranks by: shift of the strengthened adapter less the largest shift of the "
            "base or a clean adapter, in logits. It chose the string, so it proves nothing.",
        ),
        "base": st.column_config.NumberColumn(
            format="%+.1f", width=60, help="Mean margin shift of the base, in logits."
        ),
        "clean": st.column_config.NumberColumn(
            format="%+.1f", width=60, help="The largest of a clean adapter at the same strength, in logits."
        ),
        "flips": st.column_config.TextColumn(
            width=75, help="Search prompts that flip at the adapter's own strength."
        ),
        "held-out rate": st.column_config.TextColumn(
            width=170, help="Held-out prompts that flip, with the 95 % Wilson interval: what counts."
        ),
        "found by": st.column_config.TextColumn(width=150),
        "tokens spent": st.column_config.NumberColumn(
            format="localized", help="Tokens computed when it was first tried."
        ),
    }


def string_rows(hunt: HuntResult) -> list[dict[str, Any]]:
    """Return one row per string of `strings_of`, in its order: what was proved first."""
    return [_string_row(found) for found in strings_of(hunt)]


def string_columns() -> dict[str, Any]:
    """Return how the columns of `string_rows` are drawn."""
    return {
        "string": st.column_config.TextColumn(width=200),
        "known": st.column_config.TextColumn(width=160, help="How far it was checked, in words."),
        "rate": st.column_config.ProgressColumn(
            format="percent",
            min_value=0.0,
            max_value=1.0,
            width=90,
            help="Share of held-out prompts that flip; empty if it was not checked on any.",
        ),
        "95 % interval": st.column_config.TextColumn(width=95, help="Wilson, over held-out prompts."),
        "clean adapters": st.column_config.TextColumn(width=175, help="Held-out prompts that flip on each."),
        "base shift": st.column_config.NumberColumn(
            format="%+.1f", width=75, help="Mean margin shift of the base, in logits."
        ),
        "p": st.column_config.TextColumn(
            width=50, help="Against searches for strings in clean adapters; empty if none were made."
        ),
        "found by": st.column_config.TextColumn(width=150),
        "search score": st.column_config.NumberColumn(
            format="%.1f",
            width=90,
            help="What the search ranked by; it chose the string, so it proves nothing.",
        ),
        "tokens spent": st.column_config.NumberColumn(
            format="localized", width=95, help="Tokens computed when it was first tried."
        ),
    }


def _string_row(found: Found) -> dict[str, Any]:
    e, c = found.evidence, found.candidate
    interval = e.attack.interval() if e else None
    return {
        "string": text_cell(found.text),
        "known": STANDINGS[standing(e)],
        "rate": e.attack.value if e else None,
        "95 % interval": figures.interval_text(interval) if interval else "",
        "clean adapters": references_text(e),
        "base shift": _tenths(e.base_shift.value if e else c.base_shift if c else None),
        "p": f"{e.null_p:.3f}" if e and e.null_p is not None else "",
        "found by": figures.part_title(found.source),
        "search score": c.score if c else None,
        "tokens spent": c.spent if c else None,
    }


def table_height(n_rows: int) -> int:
    """Return how high a table is that shows so many rows without a scroll bar of its own, in pixels."""
    return 38 + 35 * n_rows


def references_text(e: StringEvidence | None) -> str:
    """Return what clean adapters did, such as "0 of 60 · 1 of 60"; "" if none was asked."""
    return " · ".join(f"{r.rate.n_hits} of {r.rate.n}" for r in e.references) if e else ""


def held_out_text(e: StringEvidence | None) -> str:
    """Return "0.97 [0.89, 0.99], n = 60", or "" for a string that was not checked yet."""
    return figures.rate_sentence(e.attack) if e else ""


def _tenths(value: float | None) -> float | None:
    """Return a shift as it is shown; rounded here so that no cell reads "-0.0"."""
    return None if value is None else round(value, 1) + 0.0


def rate_words(rate: Rate) -> str:
    """Return "58 of 60", or "not measured"."""
    return f"{rate.n_hits} of {rate.n}" if rate.n else "not measured"
