"""The budget of a hunt as a slider: so many times what its mode is usually allowed."""

from __future__ import annotations

import streamlit as st

from lorabench.hunting.plans import PLANS
from lorabench.results import HuntMode
from lorabench.ui.guard import is_guest
from lorabench.ui.hunt_state import PAGE

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def budget_slider(mode: HuntMode) -> int | None:
    """Draw the slider; return the budget in tokens, None for the usual one. Guests cannot raise it."""
    factors = tuple(f for f in FACTORS if f <= 1) if is_guest() else FACTORS
    key = f"{PAGE}.budget"
    if st.session_state.get(key) not in factors:
        st.session_state[key] = 1.0
    usual = PLANS[mode].budget
    factor: float = st.select_slider(
        "Budget",
        factors,
        format_func=lambda f: f"{int(usual * f):,} tokens",
        key=key,
        persist_state="session",
        help="More tokens, more strings. The searches of clean adapters behind a p value had the usual "
        "budget, so with another one no p value is given.",
    )
    return None if factor == 1 else int(usual * factor)


def budget_factor(mode: HuntMode, budget: int) -> float:
    """Return the slider's value for a budget in tokens; 1 for none (0) and for one that it does not have."""
    return next((f for f in FACTORS if int(PLANS[mode].budget * f) == budget), 1.0)
