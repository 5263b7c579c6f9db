"""Check one map: its deletion curve against random orders, and a second method's opinion."""

from __future__ import annotations

import streamlit as st

from lorabench import figures
from lorabench.results import AttributionMap, CheckedMap, Quad
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error
from lorabench.ui.playground_state import desk
from lorabench.ui.playground_strip import METHOD_NAMES, VERDICTS
from lorabench.ui.playground_view import View
from lorabench.ui.progress import Work, begin, current, forget, wait
from lorabench.ui.text import escape_markdown, label
from lorabench.workflows.scoring import AttributeRequest, check_map

KEY = "playground.check"
_BADGES = {
    "green": (":material/check_circle:", "green"),
    "amber": (":material/warning:", "orange"),
    "red": (":material/cancel:", "red"),
}


def checked_maps(request: AttributeRequest) -> dict[str, CheckedMap]:
    """Return the checks of a 2x2's maps so far, by name of the map."""
    return {name: found for (asked, name), found in desk().checks.items() if asked == request}


def show_check(view: View, request: AttributeRequest, quad: Quad) -> None:
    """Draw the check: choose a map, press the button, read the verdict."""
    maps = named_maps(quad)
    with st.expander(
        "Check this map: can the colours be trusted?", icon=":material/fact_check:", expanded=False
    ):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            default = "adapter, trigger" if "adapter, trigger" in maps else "adapter"
            if st.session_state.get("playground.check_map") not in maps:
                st.session_state["playground.check_map"] = default
            name = st.selectbox(
                "Map",
                list(maps),
                format_func=lambda n: n.replace("adapter", figures.visible(view.title, 40)),
                key="playground.check_map",
                width=280,
            )
            pressed = st.button("Check this map", icon=":material/fact_check:", key="playground.check")
        st.caption(
            "Deletes the strongest words first and compares with deleting words in random orders, then asks "
            "a second method. Usually a few seconds to half a minute."
        )
        found = desk().checks.get((request, name))
        if pressed and found is None:
            _begin(request, name, quad, maps[name])
        if found is None:
            found = _await(request, name)
        if found is not None:
            _draw(found)


def named_maps(quad: Quad) -> dict[str, AttributionMap]:
    """Return the maps of a 2x2 by name, as far as they exist."""
    named = {
        "base": quad.base_plain,
        "adapter": quad.adapter_plain,
        "difference": quad.difference_plain,
        "base, trigger": quad.base_triggered,
        "adapter, trigger": quad.adapter_triggered,
        "difference, trigger": quad.difference_triggered,
    }
    return {name: map for name, map in named.items() if map is not None}


def _begin(request: AttributeRequest, name: str, quad: Quad, chosen: AttributionMap) -> None:
    b = bench()
    made = desk().quads.get(request, quad)
    original = named_maps(made)[name]  # under its real name, which the workflow asks by

    def call(work: Work[CheckedMap]) -> CheckedMap:
        return check_map(b, request, original, work.caller)

    begin(KEY, "Checking the map", call, tag=(request, name))


def _await(request: AttributeRequest, name: str) -> CheckedMap | None:
    work = current(KEY)
    if work is None or work.tag != (request, name) or not wait(work, key=KEY, seconds=0.5):
        return None
    if work.error is not None:
        show_error(work.error)
        forget(KEY)
        return None
    desk().checks[request, name] = work.result()
    st.rerun()  # the strip under this map, above, says what came of it


def _draw(found: CheckedMap) -> None:
    icon, colour = _BADGES[found.verdict]
    st.badge(VERDICTS[found.verdict], icon=icon, color=colour)  # type: ignore[arg-type]
    st.markdown(escape_markdown(found.sentence))
    budget = found.deletion.flip_budget
    facts = [
        f"Deleting the strongest words changes the answer after {budget}."
        if budget is not None
        else "Deleting the strongest words never changed the answer at the points tried.",
        f"Second method: {METHOD_NAMES[found.second.method]}; "
        + (
            f"rank agreement (Kendall tau) {found.kendall_tau:.2f}, "
            if found.kendall_tau is not None
            else "no rank agreement defined, "
        )
        + f"overlap of the three strongest words {found.top3_jaccard:.0%}.",
    ]
    st.caption(label("  ".join(facts), 600))
    st.plotly_chart(
        figures.deletion_figure(found.deletion),
        key="playground.deletion",
        height=340,
        config={"displayModeBar": False},
        alt=figures.visible(found.sentence, 400),
    )
