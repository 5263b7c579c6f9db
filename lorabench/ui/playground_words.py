"""Clickable words: what a word scores, and what happens without it, with another, or as the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import streamlit as st

from lorabench.errors import LorabenchError
from lorabench.figures import palette, shared_domain, visible
from lorabench.results import AttributionMap, PlacedText, Quad, Trigger, Word, digest
from lorabench.ui.errors import show_error
from lorabench.ui.playground_check import named_maps
from lorabench.ui.playground_state import desk
from lorabench.ui.playground_view import View
from lorabench.ui.text import escape_markdown, plain, signed
from lorabench.ui.theme import current_theme
from lorabench.workflows.scoring import Edit, ScoreRequest, edited

Part = Literal["prompt", "trigger", "joiner"]
_MOST_WORDS = 600

_CSS = """
.words { line-height: 2.3; font-family: var(--st-font); font-size: 1rem; color: var(--st-text-color);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.words button { font: inherit; color: inherit; background: transparent; border: 1px solid transparent;
  border-radius: 4px; padding: 1px 3px; margin: 0; cursor: pointer; white-space: pre-wrap; text-align: left;
  overflow-wrap: anywhere; max-width: 100%; }
.words button:hover { border-color: var(--st-text-color); }
.words button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.words button[aria-pressed="true"] { border: 2px solid var(--st-text-color); }
.words button.trigger { border-bottom: 2px dashed var(--st-text-color); }
"""

# Text reaches the page through textContent only; the script itself holds no text of anybody's.
_JS = """
export default function (component) {
  const { data, parentElement, setStateValue } = component
  let box = parentElement.querySelector(".words")
  if (!box) {
    box = document.createElement("div")
    box.className = "words"
    box.setAttribute("role", "group")
    parentElement.appendChild(box)
  }
  box.setAttribute("aria-label", data.title)
  const signature = JSON.stringify(data.words)
  if (box.dataset.signature !== signature) {
    box.dataset.signature = signature
    box.replaceChildren()
    for (const word of data.words) {
      if (word.gap) box.appendChild(document.createTextNode(" "))
      const button = document.createElement("button")
      button.type = "button"
      button.textContent = word.text
      button.title = word.title
      button.dataset.index = String(word.index)
      if (word.fill) { button.style.backgroundColor = word.fill; button.style.color = word.ink }
      if (word.away) { button.style.textDecoration = "underline"; button.style.textUnderlineOffset = "3px" }
      if (word.trigger) button.classList.add("trigger")
      button.onclick = () => setStateValue("picked", word.index)
      box.appendChild(button)
    }
  }
  for (const button of box.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.index) === data.picked))
  }
}
"""

_component = st.components.v2.component("lorabench_words", css=_CSS, js=_JS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a word of the asked text comes from.

    Attributes:
        part: The prompt, the trigger, or the joiner between them.
        start: First character in the prompt or the trigger.
        end: One past the last.
    """

    part: Part
    start: int
    end: int


def show_word_actions(view: View, quad: Quad) -> None:
    """Draw the text as clickable words, and what to do with the one that was clicked."""
    st.subheader("Change a word and look again", anchor=False)
    maps = named_maps(quad)
    sides = (
        ["with the trigger", "without the trigger"] if view.trigger is not None else ["without the trigger"]
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        side = sides[0]
        if len(sides) > 1:
            side = (
                st.segmented_control(
                    "Text",
                    sides,
                    required=True,
                    default=sides[0],
                    key="playground.side",
                    label_visibility="collapsed",
                )
                or sides[0]
            )
        if st.button("Pin this text", icon=":material/push_pin:", key="playground.pin", type="tertiary"):
            desk().pin(_request(view, trigger=side == sides[0] and view.trigger is not None), "as it is")
    with_trigger = side == "with the trigger"
    chosen = maps["adapter, trigger" if with_trigger else "adapter"]
    picked = clickable_words(chosen, f"{digest((view.request.prompts, view.trigger, side))[:12]}")
    if picked is None:
        st.caption(
            "Click a word, or reach it with Tab and Enter, to delete it, swap it, or use it as a trigger."
        )
        return
    suffix = ", trigger" if with_trigger else ""
    trio = (maps["base" + suffix], chosen, maps["difference" + suffix])
    _actions(view, trio, picked, with_trigger)


def clickable_words(map: AttributionMap, key: str) -> int | None:
    """Draw a map's words as buttons; return the position of the one that was clicked last."""
    key = f"playground.words.{key}"
    remembered = st.session_state.get(key)
    picked = remembered.get("picked") if remembered else None
    picked = picked if _is_clickable(map, picked) else None
    shown = word_data(map)
    _component(
        key=key,
        data={"words": shown, "picked": picked, "title": "Words of the text; choose one"},
        on_picked_change=lambda: None,
    )
    if len(shown) == _MOST_WORDS:
        st.caption(f"The first {_MOST_WORDS} words can be clicked.")
    return picked


def word_data(map: AttributionMap) -> list[dict[str, Any]]:
    """Return what the component needs to draw the words; text stays text."""
    theme, domain = current_theme(), shared_domain([map])
    found: list[dict[str, Any]] = []
    end: int | None = None
    for i, (word, score) in enumerate(zip(map.words, map.scores, strict=True)):
        if word.role == "template":
            continue
        value = score or 0.0
        fill = palette.diverging(value, domain, "raw", theme) if abs(value) > 0.02 * domain else None
        found.append(
            {
                "index": i,
                "text": visible(word.text.strip(" ")) or "␣",
                "title": f"{signed(score, 2)} logits" if score is not None else "not scored",
                "gap": end is not None and word.start > end,
                "fill": fill,
                "ink": palette.ink_on(fill) if fill else None,
                "away": bool(fill) and value < 0,
                "trigger": word.role == "trigger",
            }
        )
        end = word.end
    return found[:_MOST_WORDS]


def place_of(
    words: Sequence[Word], index: int, placed: PlacedText, trigger: str | None, prompt: str
) -> Place | None:
    """Return where a word comes from, or None if it cannot be found in the text.

    The words' positions count from the start of the rendered question; how much of that comes
    before the text is found by laying the words over it.
    """
    offset = _offset(words, placed.text)
    if offset is None:
        return None
    start, end = words[index].start - offset, words[index].end - offset
    if placed.start is None or placed.end is None or trigger is None:
        return Place(part="prompt", start=start, end=end)
    if placed.start <= start and end <= placed.end:
        return Place(part="trigger", start=start - placed.start, end=end - placed.start)
    word = placed.text[start:end]
    added = len(placed.text) - len(prompt)  # trigger and what stands between
    for shift in (0, added) if end <= placed.start else (added,):
        if start >= shift and prompt[start - shift : end - shift] == word:
            return Place(part="prompt", start=start - shift, end=end - shift)
    return Place(part="joiner", start=start, end=end)


def _offset(words: Sequence[Word], text: str) -> int | None:
    own = [w for w in words if w.role != "template"]
    if not own:
        return None
    at = text.find(own[0].text)
    while at >= 0:
        offset = own[0].start - at
        if all(text[w.start - offset : w.end - offset] == w.text for w in own):
            return offset
        at = text.find(own[0].text, at + 1)
    return None


def _is_clickable(map: AttributionMap, index: object) -> bool:
    return (
        isinstance(index, int | float)
        and index == int(index)
        and 0 <= index < len(map.words)
        and map.words[int(index)].role != "template"
    )


def _actions(
    view: View, maps: tuple[AttributionMap, AttributionMap, AttributionMap], picked: int, with_trigger: bool
) -> None:
    base, adapter, difference = maps
    word = adapter.words[picked]
    name = plain(word.text, 60)
    scores = ", ".join(
        f"{who} {signed(m.scores[picked], 2)}"
        for who, m in (("base", base), (view.title, adapter), ("difference", difference))
    )
    st.markdown(f"**«{escape_markdown(name)}»**  {escape_markdown(scores)} logits")
    place = _place(view, adapter, picked, with_trigger)
    if place is None or place.part == "joiner":
        st.caption("This belongs to the joiner between trigger and prompt; change it in the form.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="playground.word_actions"):
        if st.button("Delete it", icon=":material/backspace:", key="playground.delete_word"):
            _pin(view, place, with_trigger, "", f"without «{name}»")
        new = st.text_input("Swap it for", key="playground.swap_text", width=200, placeholder="another word")
        if st.button("Swap it", icon=":material/swap_horiz:", key="playground.swap_word", disabled=not new):
            _pin(view, place, with_trigger, new or "", f"«{name}» swapped for «{plain(new, 40)}»")
        if st.button("Use as trigger", icon=":material/bolt:", key="playground.word_trigger"):
            request = replace(_request(view, trigger=False), triggers=(word.text.strip(),))
            desk().pin(request, f"«{name}» alone as the trigger")
    st.caption("Each of these adds a pinned row beneath, with the answers of all models.")


def _place(view: View, map: AttributionMap, picked: int, with_trigger: bool) -> Place | None:
    prompt = view.request.prompts[0]
    if not with_trigger or view.trigger is None:
        return place_of(map.words, picked, PlacedText(text=prompt), None, prompt)
    trigger = Trigger(
        text=view.trigger,
        placement=view.request.placement,  # type: ignore[arg-type]
        joiner=view.request.joiner,
    )
    placed = trigger.place(prompt, seed=view.request.seed)
    return place_of(map.words, picked, placed, view.trigger, prompt)


def _request(view: View, *, trigger: bool) -> ScoreRequest:
    triggers = (view.trigger,) if trigger and view.trigger is not None else ()
    return replace(view.request, triggers=triggers, task=view.report.task)


def _pin(view: View, place: Place, with_trigger: bool, text: str, note: str) -> None:
    """Pin the text with one word changed, in the prompt or in the trigger."""
    request = _request(view, trigger=with_trigger)
    edit = Edit(start=place.start, end=place.end, replacement=text)
    try:
        if place.part == "prompt":
            request = replace(request, prompts=(edited(request.prompts[0], edit),))
        else:
            request = replace(request, triggers=(edited(request.triggers[0], edit),))
        desk().pin(request, note)
    except LorabenchError as error:
        show_error(error)
