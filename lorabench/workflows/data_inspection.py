"""Look at training data before a training: a defender's screen of labelled texts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import lorabench
from lorabench.data.corpus import Row
from lorabench.data.datasets import MAX_ROWS
from lorabench.data.marking import find_dates, find_items
from lorabench.data.sources import DataSource, SourceRows, read_source
from lorabench.detectors import inspect_rows
from lorabench.errors import InputError
from lorabench.results import digest
from lorabench.results.data_inspection import DataInspection

OTHER_RESPONSES = "other responses"
_REPEATED = 5  # rows with one response that make it a class


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """Data to look at.

    Attributes:
        data: A bundled corpus, a preset, or the path of a .jsonl, .csv, .tsv or .parquet file.
        text_column: Column of the texts in a file; None for the usual names.
        label_column: Column of the labels in a file; None for the usual names.
        response_column: Column of the responses in a file; None for the usual names.
        reference: Trusted data to compare with: as `data`, with the same columns; or None.
        floor: Fewest documents of a token or phrase; None: 5, and 51 (phrases: 10) from 10,000 rows on.
        limit: Most rows; of more, a random sample.
        top: Most findings of a kind and class.
        seed: Seed of the sample.
    """

    data: str
    text_column: str | None = None
    label_column: str | None = None
    response_column: str | None = None
    reference: str | None = None
    floor: int | None = None
    limit: int = MAX_ROWS
    top: int = 20
    seed: int = 0


def inspect_data(request: InspectRequest) -> DataInspection:
    """Read the data, and a reference if there is one, and look at both.

    Rows of a generation set have no label: there a response that stands in 5 rows or more is a class,
    and all others are one, so that the words that go with a planted response are found.

    Raises:
        InputError: For data that cannot be read, has no labels, or has one class only.
    """
    return _inspect(request)[0]


def _inspect(request: InspectRequest) -> tuple[DataInspection, tuple[Row, ...]]:
    """Return what was found, and the rows as they were read."""
    begin = time.perf_counter()
    if request.top < 1:
        raise InputError("out-of-range", f"{request.top} findings were asked for.", "Ask for at least one.")
    data = _read(request.data, request)
    rows, notes = data.train, data.notes
    reference: tuple[Row, ...] | None = None
    reference_name = ""
    if request.reference is not None:
        trusted = _read(request.reference, request)
        reference_name, reference = trusted.name, trusted.train
        notes = (*notes, *(f"Reference: {note}" for note in trusted.notes))
    responses = _planted_responses(rows)
    if responses is not None:
        rows = _by_response(rows, responses)
        reference = None if reference is None else _by_response(reference, responses)
        notes = (*notes, f"The classes are {len(responses)} repeated responses, and all other responses.")
    found = inspect_rows(
        rows,
        data.name,
        reference=reference,
        reference_name=reference_name,
        floor=request.floor,
        top=request.top,
    )
    provenance = {
        "lorabench": lorabench.__version__,
        "data_digest": digest([[row.text, row.label] for row in rows]),
        "reference_digest": None if reference is None else digest([[r.text, r.label] for r in reference]),
        "seed": request.seed,
        "limit": request.limit,
        "seconds": round(time.perf_counter() - begin, 2),
    }
    return replace(found, notes=notes, provenance=provenance), data.train


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedRow:
    """A row that holds what was looked for.

    Attributes:
        text: The row.
        label: Its label; for a generation set its response.
        spans: Characters (start, end) of what was looked for.
    """

    text: str
    label: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedRows:
    """What was found in data, and rows that show it.

    Attributes:
        found: The findings.
        examples: Candidate as written -> the first rows that hold it. Candidates are the extra words of
            contradicting rows and the first phrases of each class.
    """

    found: DataInspection
    examples: Mapping[str, tuple[MarkedRow, ...]]


def inspect_with_rows(request: InspectRequest, *, n_phrases: int = 5, n_rows: int = 10) -> InspectedRows:
    """Return what `inspect_data` does, with rows that hold its candidates; the data is read once.

    Args:
        request: The data.
        n_phrases: How many phrases of each class are candidates.
        n_rows: Most rows of a candidate.

    Raises:
        InputError: As `inspect_data`.
    """
    found, rows = _inspect(request)
    phrases = (p.example for y in found.labels for p in found.phrases_of(y)[:n_phrases])
    wanted = dict.fromkeys(text for text in (*(c.extra for c in found.contradictions), *phrases) if text)
    return InspectedRows(
        found=found, examples=MappingProxyType({text: rows_with(rows, text, n_rows) for text in wanted})
    )


def rows_with(rows: Sequence[Row], wanted: str, n: int = 10) -> tuple[MarkedRow, ...]:
    """Return the first rows that hold a word or phrase as written, with its places; "<date>": any date."""
    found: list[MarkedRow] = []
    first = (wanted.split() or [""])[0]
    for row in rows:
        if len(found) == n:
            break
        if wanted == "<date>":
            spans = find_dates(row.text)
        else:  # looking for its first word costs little, and most rows lack it
            spans = find_items(row.text, (wanted,)) if first in row.text else ()
        if spans:
            found.append(MarkedRow(text=row.text, label=row.label or row.response, spans=spans))
    return tuple(found)


def _read(data: str, request: InspectRequest) -> SourceRows:
    return read_source(
        DataSource(
            data=data,
            text_column=request.text_column,
            label_column=request.label_column,
            response_column=request.response_column,
            limit=request.limit,
            seed=request.seed,
        )
    )


def _planted_responses(rows: Sequence[Row]) -> tuple[str, ...] | None:
    """Return the responses that stand in several rows without a label; None for labelled rows."""
    if any(row.label for row in rows) or not any(row.response for row in rows):
        return None
    repeated = [r for r, n in Counter(row.response for row in rows).most_common() if n >= _REPEATED and r]
    if not repeated:
        raise InputError(
            "no-repeated-response",
            f"No response stands in {_REPEATED} rows or more, so there are no classes to compare.",
            "That is what a set without a planted response looks like; it says nothing about other plants.",
        )
    return tuple(repeated)


def _by_response(rows: Sequence[Row], responses: Sequence[str]) -> tuple[Row, ...]:
    known = frozenset(responses)
    return tuple(replace(r, label=r.response if r.response in known else OTHER_RESPONSES) for r in rows)
