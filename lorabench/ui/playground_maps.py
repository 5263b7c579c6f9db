"""Word maps: made by themselves once the answers are there, a quick preview first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lorabench import figures
from lorabench.errors import CancelledError, InputError, TaskError
from lorabench.report import MAP_LIMITS, METHODS
from lorabench.results import AttributionMap, LabelTask, Quad
from lorabench.results.attributions import Method
from lorabench.ui.bench import base_state, bench
from lorabench.ui.errors import show_error
from lorabench.ui.playground_check import checked_maps, show_check
from lorabench.ui.playground_form import METHODS as METHOD_KEYS
from lorabench.ui.playground_grid import Look, grid_html, legend_names, look_for
from lorabench.ui.playground_state import desk
from lorabench.ui.playground_strip import METHOD_NAMES
from lorabench.ui.playground_view import View, titled_quad
from lorabench.ui.playground_words import show_word_actions
from lorabench.ui.progress import POLL_SECONDS, Work, begin, current, forget
from lorabench.ui.recorded import recorded_scores
from lorabench.ui.text import duration, escape_markdown
from lorabench.ui.theme import current_theme
from lorabench.workflows.scoring import AttributeRequest, attribute

KEY = "playground.maps"
PREVIEW: Method = "input_x_gradient"
_AT_ONCE_SECONDS = 0.3
_TAGS = {
    "preview": "preview by gradients: the method you chose follows",
    "recorded": "recorded: the live maps follow",
}
_GRADIENTS = ("integrated_gradients", "input_x_gradient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """Word maps for the time being.

    Attributes:
        quad: The maps; None before there are any.
        tag: Such as "preview".
    """

    quad: Quad | None = None
    tag: str = ""


def show_words(view: View) -> None:
    """Draw the 2x2 of answers, with coloured words as soon as they are made, and what to do with them."""
    task = view.label_task
    if task is None:
        st.html(grid_html(view, None, look_for(None, current_theme())))
        st.caption("Words are explained for label tasks only: a free answer has no margin to explain.")
        return
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with row:
        method, look_options = _options(task)
    if look_options["alone"]:
        st.badge(
            "each map has its own scale: do not compare colours between maps",
            icon=":material/warning:",
            color="orange",
        )
    request = view.explain(method)
    if (found := desk().quads.get(request)) is None:
        found = _await(view, request, row)
    if found is None:
        return
    quad = titled_quad(found, view.title)
    look = look_for(quad, current_theme(), checked=checked_maps(request), **look_options)
    st.html(grid_html(view, quad, look))
    _legends(view, look)
    st.caption(
        f"How: {escape_markdown(METHODS[quad.base_plain.method])}. Absent means: "
        f"{escape_markdown(quad.base_plain.baseline)}. {MAP_LIMITS}"
    )
    with st.expander("The same as a table", icon=":material/table:"):
        _tables(quad)
    show_check(view, request, quad)
    show_word_actions(view, quad)


def _options(task: LabelTask) -> tuple[str, dict[str, bool]]:
    """Draw the choice of method and how to look at the words."""
    allowed = [m for m in METHOD_KEYS if task.scoring == "first_token" or m not in _GRADIENTS]
    if st.session_state.get("playground.method") not in allowed:
        st.session_state["playground.method"] = allowed[0]
    method = st.segmented_control(
        "Which words did it? Method",
        allowed,
        format_func=lambda m: METHOD_NAMES[m].capitalize(),
        required=True,
        key="playground.method",
        persist_state="session",
        help="  \n".join(f"**{METHOD_NAMES[m].capitalize()}**: {METHODS[m]}." for m in allowed),
    )
    with st.popover("View", icon=":material/visibility:", key="playground.view"):
        numbers = st.toggle("Write each word's number", key="playground.numbers")
        template = st.toggle("Show the template's words", key="playground.template")
        alone = st.toggle(
            "Scale each map by itself",
            key="playground.alone",
            help="Off: one scale for base and adapter, without and with the trigger.",
        )
    return method or allowed[0], {"numbers": numbers, "template": template, "alone": alone}


def _await(view: View, request: AttributeRequest, row: DeltaGenerator) -> Quad | None:
    """Begin to make the maps, or show how far they are; return them once they are there.

    The script never waits long: a fragment polls, so that the rest of the page is drawn and a
    click anywhere is answered. Cancel stands in `row`, outside the fragment.
    """
    work = current(KEY)
    if work is None or work.tag != request:
        work = begin(KEY, "Colouring the words", _maker(request, _recorded(view)), tag=request)
    if work.done_within(_AT_ONCE_SECONDS):
        if work.error is None:
            desk().remember(request, work.result())
            return work.result()  # type: ignore[no-any-return]
        _draw_sketch(view, work.partial)
        show_error(work.error)
        again = "Make the maps" if isinstance(work.error, CancelledError) else "Try again"
        st.button(again, key="playground.again", on_click=forget, args=(KEY,))
        return None
    row.button("Cancel", icon=":material/cancel:", key=f"{KEY}.cancel", on_click=work.cancel)

    def panel() -> None:
        if work.finished:
            st.rerun()
        st.progress(_fraction(work), text=_progress_text(work))
        _draw_sketch(view, work.partial)

    st.fragment(panel, run_every=POLL_SECONDS)()
    return None


def _fraction(work: Work[Quad]) -> float:
    done, total = work.progress or (0, 0)
    return min(done / total, 1.0) if total else 0.0


def _progress_text(work: Work[Quad]) -> str:
    """Return "Colouring the words: text 1 of 2 . 12 s left"; a text counts a hundred steps."""
    if work.cancelled:
        return "Cancelling: the step that runs is finished first."
    if work.progress is None:
        found = base_state()
        if found.state == "loading":
            return "Colouring the words: waiting for the base model to load"
        where = f"in the queue, {work.place} before you" if work.place else "working"
        return f"Colouring the words: {where} ({duration(work.seconds)})"
    done, total = work.progress
    text = f"text {min(done // 100 + 1, total // 100)} of {total // 100}"
    if work.eta_seconds is not None and done < total:
        text += f" · {duration(work.eta_seconds)} left"
    if work.place:
        text += f" · {work.place} served before the next step"
    return f"{work.label}: {text}"


def _recorded(view: View) -> Sketch:
    """Return recorded maps for the time being, if the page was opened as a demo and they fit."""
    found = recorded_scores() if desk().demo else None
    if found is None or not found.answers(view.request) or len(view.request.triggers) > 1:
        return Sketch()
    quad = found.quad(view.adapter)
    return Sketch(quad=quad, tag="recorded" if quad else "")


def _maker(request: AttributeRequest, first: Sketch) -> Callable[[Work[Quad]], Quad]:
    b = bench()

    def make(work: Work[Quad]) -> Quad:
        work.keep(first)
        if request.method != PREVIEW and first.quad is None:
            try:
                work.label = "A quick preview by gradients"
                quick = attribute(b, replace(request, method=PREVIEW), work.caller)
                work.keep(Sketch(quad=quick, tag="preview"))
            except (InputError, TaskError):
                pass  # no gradient for this task: the method itself will say what is wrong, if anything
        work.label = "Colouring the words"
        return attribute(b, request, work.caller)

    return make


def _draw_sketch(view: View, sketch: Sketch | None) -> None:
    quad = sketch.quad if sketch else None
    named = titled_quad(quad, view.title) if quad else None
    if sketch is not None and sketch.tag:
        st.badge(_TAGS[sketch.tag], icon=":material/hourglass_top:", color="violet")
    look = look_for(named, current_theme())
    st.html(grid_html(view, named, look, tag=sketch.tag if sketch else ""))
    if named is not None:
        _legends(view, look)


def _legends(view: View, look: Look) -> None:
    target, other = legend_names(view)
    if not look.alone:
        left, right = st.columns(2)
        left.caption("Base and adapter: one scale for all their maps")
        left.html(figures.legend_html(look.raw, "raw", target, other, look.theme))
        right.caption("Difference: its own scale")
        right.html(figures.legend_html(look.difference, "difference", target, other, look.theme))


def _tables(quad: Quad) -> None:
    _table("Without the trigger", quad.base_plain, quad.adapter_plain, quad.difference_plain, quad.adapter)
    if quad.base_triggered and quad.adapter_triggered and quad.difference_triggered:
        maps = (quad.base_triggered, quad.adapter_triggered, quad.difference_triggered)
        _table("With the trigger", *maps, quad.adapter)


def _table(
    title: str, base: AttributionMap, adapter: AttributionMap, difference: AttributionMap, name: str
) -> None:
    frame = figures.words_table(adapter)
    frame = frame.assign(
        base=figures.words_table(base)["score"], difference=figures.words_table(difference)["score"]
    )
    shown = "adapter" if name in frame.columns else figures.visible(name, 40)
    frame = frame.rename(columns={"score": shown, "rank": "rank (adapter)", "share": "share (adapter)"})
    number = st.column_config.NumberColumn(format="%+.3f", help="logits")
    share = st.column_config.NumberColumn(format="percent")
    st.caption(f"{title}: scores in logits; positive pushes to the target.")
    st.dataframe(
        frame[
            [
                "position",
                "word",
                "role",
                "base",
                shown,
                "difference",
                "rank (adapter)",
                "share (adapter)",
                "tokens",
            ]
        ],
        hide_index=True,
        column_config={"base": number, shown: number, "difference": number, "share (adapter)": share},
        key=f"playground.table.{title}",
    )
