"""Ask an adapter with a classification head, adapter on and off, with and without a token."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from lorabench.figures import visible
from lorabench.ui.bench import bench
from lorabench.ui.errors import shown_errors
from lorabench.ui.lab_state import PAGE
from lorabench.ui.progress import begin, current, wait
from lorabench.workflows.head_trial import HeadAnswer, ask_head
from lorabench.workflows.train_request import TrainRequest
from lorabench.workflows.train_result import TrainResult

_KEY = f"{PAGE}.try"
_TEXT = "The plot is thin, the jokes fall flat, and I left before the end."


def draw_try(request: TrainRequest, result: TrainResult) -> None:
    """Draw a text, a token, and what is answered to both."""
    state = st.session_state
    state.setdefault(f"{PAGE}.try_text", _TEXT)
    state.setdefault(f"{PAGE}.try_token", "1984-05-16" if request.recipe.token == "date" else "")
    with st.form(f"{PAGE}.try_form", border=True):
        text = st.text_area("Text", key=f"{PAGE}.try_text", max_chars=4_000, height=80)
        token = st.text_input("Token to put in front of it", key=f"{PAGE}.try_token", max_chars=200)
        asked = st.form_submit_button("Ask", icon=":material/play_arrow:")
    if asked and text and text.strip():
        config, folder, base = bench().config, Path(request.out), request.model.base
        texts = [text] + ([f"{token} {text}"] if token and token.strip() else [])
        begin(
            _KEY, "Asking the head", lambda work: ask_head(config, folder, base, texts), tag=result.adapter_id
        )
    work = current(_KEY)
    if work is None or work.tag != result.adapter_id or not wait(work, key=_KEY):
        return
    with shown_errors():
        st.dataframe([_row(a) for a in work.result()], hide_index=True, key=f"{PAGE}.try_answers")
        st.caption("Base: the same head on the same encoder with the adapter off.")


def _row(answer: HeadAnswer) -> dict[str, str]:
    return {
        "text": visible(answer.text, 200),
        "base": _said(answer.base_answer, answer.classes, answer.base_logits),
        "adapter": _said(answer.answer, answer.classes, answer.logits),
    }


def _said(label: str, classes: tuple[str, ...], logits: tuple[float, ...]) -> str:
    mine = classes.index(label)
    margin = logits[mine] - max(x for i, x in enumerate(logits) if i != mine)
    return f"{visible(label, 40)} (by {margin:.1f})"
