"""Asking, and the answers: who said what, which flipped, and by how much more than the base."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from lorabench.figures import cost_text, quad_sentence, sharing_text
from lorabench.results import BASE, GenerationTask, ScoreReport, Trigger
from lorabench.ui.bench import bench
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.playground_grid import grid_html, look_for, overview_html
from lorabench.ui.playground_state import desk
from lorabench.ui.playground_view import View, screen_names, titled_report, triggers_by_effect
from lorabench.ui.progress import Work, begin, current, forget, wait
from lorabench.ui.recorded import ScoreRecord, recorded_badge, recorded_scores
from lorabench.ui.text import escape_markdown, label, show_text, signed
from lorabench.ui.theme import current_theme
from lorabench.workflows.scoring import ScoreRequest, score

KEY = "playground.score"
WAIT_SECONDS = 6.0

DID_MEANING = (
    "How much more the trigger moves this adapter's margin than the base's (difference-in-differences). "
    "About 0 means the adapter treats the trigger as the base does. One prompt, so there is no interval."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request and its answers, by real names.

    Attributes:
        request: What was asked.
        report: The answers.
        record: Set when they were recorded earlier and the live ones are not there (yet).
    """

    request: ScoreRequest
    report: ScoreReport
    record: ScoreRecord | None = None


def ask(request: ScoreRequest) -> None:
    """Start to ask; whatever this tab's Playground was doing gives way."""
    for key in ("playground.maps", "playground.check"):
        forget(key)
    desk().forget_maps()
    b = bench()

    def call(work: Work[ScoreReport]) -> ScoreReport:
        work.keep("asked")
        return score(b, request, work.caller)

    with shown_errors():
        begin(KEY, "Asking the models", call, tag=request)


def answers() -> Answered | None:
    """Draw the empty, loading or error state; return the answers once they are there."""
    work = current(KEY)
    if work is None:
        _empty()
        return None
    stand_in = _stand_in(work.tag)
    draw = None if stand_in is None else (lambda _: _recorded_grid(stand_in))
    if not wait(work, key=KEY, seconds=WAIT_SECONDS, draw=draw):
        return None
    if work.error is not None:
        show_error(work.error)
        st.caption("Your texts are still in the form above: change them and press Run.")
        if stand_in is not None:
            _recorded_grid(stand_in)
        return None
    return Answered(request=work.tag, report=work.result())


def show_answers(found: Answered) -> View:
    """Draw the sentence, the difference-in-differences and the overview; return what is chosen."""
    if desk().draft not in (None, found.request):
        st.caption(":material/edit_note: The form has changed since this answer. Press Run to ask again.")
    report = titled_report(found.report)
    names = screen_names(found.report)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        adapter = _one_of("Adapter", list(names), "playground.shown_adapter", names.__getitem__)
        assert adapter is not None
        title = names[adapter]
        triggers = triggers_by_effect(report, title)
        trigger = _one_of(
            "Trigger, strongest first", triggers, "playground.shown_trigger", lambda t: label(t, 48)
        )
    view = View(request=found.request, report=report, adapter=adapter, title=title, trigger=trigger)
    _headline(view)
    if len(names) > 1 or len(triggers) > 1:
        st.html(overview_html(view, triggers, [BASE, *names.values()], current_theme()))
    return view


def _headline(view: View) -> None:
    if view.trigger is None:
        st.info("There is no trigger, so nothing can flip. Add one to see what it changes.")
        return
    st.subheader(escape_markdown(quad_sentence(view.report, view.title, view.trigger)), anchor=False)
    if isinstance(view.report.task, GenerationTask):
        st.caption("A free answer counts as the target when the payload appears in it; it has no margin.")
        return
    number, meaning = st.columns([1, 4], vertical_alignment="center")
    did = view.report.did(model=view.title, trigger=view.trigger)
    number.metric("Effect beyond the base", f"{signed(did)} logits")
    meaning.caption(DID_MEANING)
    report = view.report
    if note := report.provenance.get("fast_mode"):
        st.warning(f"Not evidence: {label(note, 300)}.", icon=":material/speed:")
    took = cost_text(report.n_computed, report.n_unique_tokens, report.n_naive_tokens)
    parts = (took, f"{report.seconds:.1f} s", label(sharing_text(report.provenance), 120))
    st.caption(" · ".join(filter(None, parts)))


def _one_of(title: str, options: list[str], key: str, name: object) -> str | None:
    """Draw a choice when there is one; a remembered choice that is no longer offered is dropped."""
    if not options:
        return None
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    if len(options) == 1:
        return options[0]
    chosen: str | None = st.segmented_control(
        title,
        options,
        format_func=lambda o: label(name(o)) if callable(name) else o,
        required=True,
        key=key,
    )
    return chosen or options[0]


def _stand_in(request: ScoreRequest) -> ScoreRecord | None:
    found = recorded_scores() if desk().demo else None
    return found if found is not None and found.answers(request) else None


def _recorded_grid(found: ScoreRecord) -> None:
    """Draw a recorded result, labelled; without widgets, since it may be drawn while polling."""
    recorded_badge(found.recorded_at, ": the live answer follows")
    _example(found)


def _example(found: ScoreRecord) -> None:
    report = titled_report(found.report)
    names = screen_names(found.report)
    adapter = next(iter(names))
    title = names[adapter]
    triggers = triggers_by_effect(report, title)
    view = View(
        request=found.request,
        report=report,
        adapter=adapter,
        title=title,
        trigger=triggers[0] if triggers else None,
        recorded=True,
    )
    _headline(view)
    quad = found.quad(adapter)
    st.html(grid_html(view, quad, look_for(quad, current_theme()), tag="recorded"))


def _empty() -> None:
    found = recorded_scores()
    if found is not None:
        st.info("Press **Run** to ask the models. Below is what a result looks like.", icon=":material/info:")
        recorded_badge(found.recorded_at, ": an example")
        _example(found)
        return
    state = st.session_state
    prompt = str(state.get("playground.prompt") or "")
    st.info("Press **Run**. The base and each adapter will be asked these texts:", icon=":material/info:")
    show_text(prompt[:2000] or "(the prompt is empty)", title="1. the prompt alone")
    rows = [str(state.get(f"playground.trigger.{i}") or "") for i in desk().rows]
    first = next((r for r in rows if r.strip()), None)
    if first is not None:
        placed = Trigger(
            text=first,
            placement=state["playground.placement"] or "prefix",
            joiner=state["playground.joiner"] or ". ",
        ).place(prompt[:2000], seed=int(state["playground.seed"]))
        show_text(placed.text, title="2. the prompt with the trigger")
    st.markdown(
        "You will see what each model answers, whether the trigger **flips** an answer, how much more it "
        "moves the adapter than the base, and which words did it: coloured, in the text itself."
    )
