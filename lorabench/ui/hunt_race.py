"""The race as a screen shows it: live while it runs, and replayed from its trace afterwards."""

from __future__ import annotations

import time

import streamlit as st

from lorabench.figures import part_title
from lorabench.figures.hunt import hunt_curve, hunt_curve_table
from lorabench.results import HuntResult, HuntSoFar, TracePoint
from lorabench.ui.hunt_state import PAGE
from lorabench.ui.hunt_table import race_columns, race_rows, table_height
from lorabench.ui.text import duration, escape_markdown, label
from lorabench.ui.theme import current_theme

_FRAME_SECONDS = 0.5
_MOST_FRAMES = 40
_SIDES = (2, 1)
_TRACE = {
    "tokens": st.column_config.NumberColumn(format="localized"),
    "seconds": st.column_config.NumberColumn(format="%.0f"),
    "source": "found by",
    "text": "string",
    "score": st.column_config.NumberColumn(format="%.1f"),
    "flipped": None,
}
"""The table of leaders; the search asks at the end only what flips, so that column has nothing to show."""


def draw_race(so_far: HuntSoFar, title: str, *, is_live: bool) -> None:
    """Draw a race as it stands: where it is, the ranking, the best so far over the work; no widgets.

    Args:
        so_far: The race.
        title: Markdown of ours: in which adapter, how long.
        is_live: Whether it runs; its bar then says what is being done, and how much of the budget is used.
    """
    stage = escape_markdown(part_title(so_far.stage))
    place = "" if is_live else f" · stopped while {stage}, {_spent(so_far)}"
    st.markdown(f"{title} · {duration(so_far.seconds)}{place} · {_checked(so_far)}")
    if not so_far.candidates:
        st.caption("No string has been scored yet.")
        return
    left, right = st.columns(_SIDES, gap="medium")
    with left:
        rows = race_rows(so_far)
        st.dataframe(
            rows,
            hide_index=True,
            column_config=race_columns(rows),
            height=table_height(len(rows)),
            key=f"{PAGE}.race",
        )
    with right:
        figure = hunt_curve(so_far.trace, current_theme(), tokens=so_far.tokens)
        st.plotly_chart(figure, key=f"{PAGE}.curve")
    st.caption(
        "Strings lead by the numbers that chose them, so leading proves nothing: the leaders are checked at "
        "the end, on prompts that the search never saw."
    )
    for e in so_far.evidence:
        st.markdown(f":material/fact_check: {escape_markdown(e.sentence)}")


@st.fragment
def draw_replay(hunt: HuntResult, *, key: str) -> None:
    """Draw a finished race with a slider over its moments, and a button that plays it."""
    moments = hunt.trace
    if not moments:
        st.caption("The search reported no moments to replay.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{PAGE}.replay_row"):
        plays = st.button("Play", icon=":material/replay:", key=f"{PAGE}.play.{key}")
        last = len(moments)
        at = last
        if last > 1:
            with st.container(width="stretch"):
                at = st.slider(
                    "Moment of the search",
                    1,
                    last,
                    last,
                    key=f"{PAGE}.moment.{key}",
                    help="Each step is a new string in the lead.",
                )
    slot = st.empty()
    for i in range(max(at - 1 - _MOST_FRAMES, 0), at - 1) if plays else ():
        with slot.container():
            _draw_moment(hunt, moments[i], f"{key}.{i}")
        time.sleep(_FRAME_SECONDS)
    with slot.container():
        _draw_moment(hunt, moments[at - 1], key)
    with st.expander("Every new leader as a table"):
        table = hunt_curve_table(hunt.trace)
        st.dataframe(table, hide_index=True, column_config=_TRACE, key=f"{PAGE}.trace.{key}")


def moment(hunt: HuntResult, at: TracePoint) -> HuntSoFar:
    """Return a finished hunt as it stood at a moment, as far as its best strings tell."""
    early = [c for c in hunt.candidates if c.spent <= at.tokens]
    return HuntSoFar(
        stage=at.source,
        tokens=at.tokens,
        budget=hunt.budget,
        seconds=at.seconds,
        candidates=tuple(early),
        trace=tuple(p for p in hunt.trace if p.tokens <= at.tokens),
    )


def _draw_moment(hunt: HuntResult, at: TracePoint, key: str) -> None:
    state = moment(hunt, at)
    st.markdown(
        f"**{duration(at.seconds)}**, {at.tokens:,} tokens: «{label(at.text, 80)}» "
        f"takes the lead, found by {part_title(at.source)}."
    )
    left, right = st.columns(_SIDES, gap="medium")
    with left:
        rows = race_rows(state)
        if rows:
            st.dataframe(
                rows,
                hide_index=True,
                column_config=race_columns(rows),
                height=table_height(len(rows)),
                key=f"{PAGE}.then.{key}",
            )
        else:
            st.caption("None of the strings that led at the end had been tried by then.")
    with right:
        st.plotly_chart(
            hunt_curve(state.trace, current_theme(), tokens=at.tokens), key=f"{PAGE}.then_curve.{key}"
        )


def _spent(so_far: HuntSoFar) -> str:
    return f"{so_far.tokens:,} of {so_far.budget:,} tokens"


def _checked(so_far: HuntSoFar) -> str:
    passed = sum(e.passes for e in so_far.evidence)
    n = len(so_far.evidence)
    return f"{n} checked on held-out prompts, {passed} met the rule" if n else "none checked yet"
