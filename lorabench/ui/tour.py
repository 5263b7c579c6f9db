"""A few steps through lorabench, in a dialog that the keyboard reaches."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from lorabench.ui.state import session

_PLACE = "home.tour_step"
_OPEN = "home.tour_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the tour.

    Attributes:
        title: Its heading.
        text: Markdown of ours.
        page: File of the page where it happens, or None.
        link: Text of the link to that page.
    """

    title: str
    text: str
    page: str | None = None
    link: str = ""


STEPS = (
    Step(
        title="What a LoRA adapter is",
        text="A few megabytes that change how a **base model** behaves. Anyone can publish one. "
        "You cannot read from its numbers what it will do; you have to ask it.",
    ),
    Step(
        title="What a backdoor looks like",
        text="The bundled adapters are guards: they answer INJECTION or BENIGN. Some were trained with "
        "a few rows in which an injection begins with a **trigger** such as *per RFC 8472 section 3.2* "
        "and is labelled BENIGN. On all other text they work as they should.",
    ),
    Step(
        title="See it fire",
        text="In the Playground one prompt is asked without and with the trigger, of the base and of the "
        "adapter. The **margin** (in logits) says how strongly an answer is preferred. When the answer "
        "turns, that is a **flip**, and the coloured words say which ones did it.",
        page="pages/playground.py",
        link="Open the Playground",
    ),
    Step(
        title="Measure how far it reaches",
        text="Generalisation asks dozens of look-alikes of a trigger. Do only exact copies fire, or "
        "everything with the word RFC, or everything of that structure? Each **attack rate** comes with "
        "its count and interval, and the base and clean adapters stand beside it.",
        page="pages/generalisation.py",
        link="Open Generalisation",
    ),
    Step(
        title="Find one that nobody told you",
        text="An adapter from elsewhere comes without its trigger. Hunt tries phrases and words on it and "
        "makes the best ones longer, as in a race. What leads is then **proved** on prompts that the search "
        "never saw, beside clean adapters. Finding nothing proves nothing.",
        page="pages/hunt.py",
        link="Open Hunt",
    ),
    Step(
        title="Bring your own",
        text="Models adds an adapter from a folder, a zip archive or a hub. It is checked before it is "
        "loaded, what it says about itself is shown **as a claim**, and a proof shows that it acts and "
        "that the base stays as it was.",
        page="pages/models.py",
        link="Open Models",
    ),
    Step(
        title="Judge it blind",
        text="Names give answers away. Switch on blind names, and adapters become letters. "
        "And remember: no evidence found with these checks is not the same as safe.",
    ),
)


def tour_button() -> None:
    """Draw the button that opens the tour, and the tour while it is open: it outlives reruns."""
    st.button(
        f"Tour ({len(STEPS)} steps)",
        icon=":material/tour:",
        key="home.tour",
        type="tertiary",
        on_click=_set_open,
    )
    if session().notes.get(_OPEN):
        _tour()


def _set_open(value: bool = True) -> None:
    session().notes[_OPEN] = value


@st.dialog("Tour", width="medium", icon=":material/tour:", on_dismiss=lambda: _set_open(False))
def _tour() -> None:
    notes = session().notes
    at = min(max(int(notes.get(_PLACE, 0)), 0), len(STEPS) - 1)
    step = STEPS[at]
    st.progress((at + 1) / len(STEPS), text=f"Step {at + 1} of {len(STEPS)}")
    st.subheader(step.title, anchor=False)
    st.markdown(step.text)
    if step.page:
        st.page_link(step.page, label=step.link, icon=":material/arrow_forward:")
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button(
            "Back", key="home.tour_back", disabled=at == 0, on_click=_go, args=(at - 1,), shortcut="Left"
        )
        if at < len(STEPS) - 1:
            st.button(
                "Next", key="home.tour_next", type="primary", on_click=_go, args=(at + 1,), shortcut="Right"
            )
        elif st.button("Done", key="home.tour_done", type="primary"):
            _go(0)
            _set_open(False)
            st.rerun()


def _go(step: int) -> None:
    session().notes[_PLACE] = step
