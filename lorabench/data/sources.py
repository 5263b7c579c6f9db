"""Rows by one name: a bundled corpus, a preset on the hub, or a file.

"guardrail" | "imdb" | "mine.csv" -> DataSource -> read_source -> training rows, held-out rows, notes
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from lorabench.data.corpus import CORPORA, Row, load_corpus
from lorabench.data.dataset_presets import PRESETS, LoadedPreset, load_preset
from lorabench.data.datasets import MAX_ROWS, DataSet, read_dataset
from lorabench.errors import unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where rows come from.

    Attributes:
        data: One of `CORPORA`, one of `PRESETS`, or the path of a .jsonl, .csv, .tsv or .parquet file.
        text_column: Column of the texts in a file; None for the usual names.
        label_column: Column of the labels in a file; None for the usual names.
        response_column: Column of the responses in a file; None for the usual names.
        limit: Most rows of a preset's split or of a file; of more, a random sample.
        seed: Decides the sample.
    """

    data: str
    text_column: str | None = None
    label_column: str | None = None
    response_column: str | None = None
    limit: int = MAX_ROWS
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRows:
    """The rows of a source, labels as written.

    Attributes:
        name: Of the data, for people and for provenance; never a path.
        train: Training rows, or all rows of data without a split of its own.
        test: Held-out rows; None where the data has none of its own.
        notes: What was left out or sampled among the training rows, as sentences.
    """

    name: str
    train: tuple[Row, ...]
    test: tuple[Row, ...] | None = None
    notes: tuple[str, ...] = ()


def names_a_file(data: str) -> bool:
    """Return whether a source of this name is a file: what is bundled or a preset never is."""
    return data not in CORPORA and data not in PRESETS


def read_source(source: DataSource) -> SourceRows:
    """Read a corpus, a preset or a file, whichever the source names.

    Raises:
        InputError: If it names none of them, or cannot be read.
    """
    name = source.data
    if name in CORPORA:
        return SourceRows(name=name, train=load_corpus(name, "train"), test=load_corpus(name, "test"))
    if name in PRESETS:
        found = _preset(name, source.limit, source.seed)
        test = None if found.test is None else found.test.rows
        return SourceRows(name=name, train=found.train.rows, test=test, notes=found.train.notes)
    path = Path(name)
    if not path.suffix and not path.exists():
        raise unknown_name("data set", name, (*CORPORA, *PRESETS))
    data = read_source_file(source)
    return SourceRows(name=path.name, train=data.rows, notes=data.notes)


def read_source_file(source: DataSource) -> DataSet:
    """Read the file that a source names, for rows that only a file can give.

    Raises:
        InputError: If it cannot be read.
    """
    return read_dataset(
        Path(source.data),
        text_column=source.text_column,
        label_column=source.label_column,
        response_column=source.response_column,
        limit=source.limit,
        seed=source.seed,
    )


@functools.lru_cache(maxsize=2)
def _preset(name: str, limit: int, seed: int) -> LoadedPreset:
    """Return a preset; a form that is changed step by step does not fetch it at every step."""
    return load_preset(name, limit=limit, seed=seed)
