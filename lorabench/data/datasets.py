"""Training data from files of any size: columns chosen, unusable rows counted, large files sampled.

    records -> text, label and response by column -> usable rows -> DataSet -> training and test rows

Memory is bounded: of more rows than the limit, a random sample of the distinct texts is kept.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lorabench.data.corpus import Row
from lorabench.data.dataset_files import (
    LABEL_NAMES,
    TEXT_NAMES,
    Record,
    choose_column,
    no_text_column,
    open_records,
)
from lorabench.data.dataset_rows import ColumnMap, Sample, row_of, why_not
from lorabench.data.files import MAX_CHARS
from lorabench.errors import InputError

MAX_ROWS = 20_000
_RESPONSE_NAMES = ("response", "output", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """The usable rows of a data set, and what was left out.

    Attributes:
        name: Of the file or preset; never a path.
        rows: In file order; `id` is "name:line". Labels are as written, or as the preset names them.
        dropped: Rows left out, counted by reason; those beyond the sample are among them.
        columns: Columns of the file.
        text_column: Where the texts came from.
        label_column: Where the labels came from, or None.
        response_column: Where the responses came from, or None.
        n_read: Rows looked at, all of them.
        was_sampled: Whether there were more usable rows than the limit.
        seed: Decided the sample.
    """

    name: str
    rows: tuple[Row, ...]
    dropped: Mapping[str, int]
    columns: tuple[str, ...]
    text_column: str
    label_column: str | None
    response_column: str | None
    n_read: int
    was_sampled: bool
    seed: int = 0

    @property
    def n_dropped(self) -> int:
        """Rows left out, all reasons together."""
        return sum(self.dropped.values())

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows of each label, the largest class first."""
        return MappingProxyType(dict(Counter(row.label for row in self.rows).most_common()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, as sentences."""
        sampled = (
            f"{len(self.rows):,} rows are a random sample of the {self.n_read:,} rows read, in file order "
            f"(seed {self.seed}); repeated texts are counted among sampled rows only.",
        )
        left_out = (f"{n:,} rows are left out: {reason}." for reason, n in self.dropped.items())
        return (*(sampled if self.was_sampled else ()), *left_out)


def read_dataset(
    path: Path | str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    response_column: str | None = None,
    limit: int = MAX_ROWS,
    seed: int = 0,
    max_chars: int = MAX_CHARS,
) -> DataSet:
    """Read a .jsonl, .ndjson, .csv, .tsv or .parquet file row by row, whatever its size.

    Args:
        path: The file.
        text_column: Column of the texts; by default the first of the usual names.
        label_column: Column of the labels; by default the first of the usual names, if any.
        response_column: Column of the responses of a generation set; by default "response", "output" or
            "completion", if there is one. A row that has a response needs no label, unless the column
            of the labels was named.
        limit: Most rows that are kept; of more, a random sample.
        seed: Decides the sample.
        max_chars: Longest text; longer ones are left out and counted.

    Raises:
        InputError: If the file cannot be read, has no such column, or has no usable row.
    """
    path = Path(path)
    with open_records(path) as file:
        text = choose_column(text_column, file.columns, TEXT_NAMES, file.name)
        text = text or (file.columns[0] if len(file.columns) == 1 else None)
        if text is None:
            raise no_text_column(file.name, file.columns)
        usual = tuple(c for c in LABEL_NAMES if c != text.casefold())
        label = choose_column(label_column, file.columns, usual, file.name)
        response = choose_column(response_column, file.columns, _RESPONSE_NAMES, file.name)
        chosen = ColumnMap(
            text=text,
            label=label,
            response=response if response not in (text, label) else None,
            needs_label=label_column is not None or response is None,
            needs_response=response_column is not None,
        )
        records = file.records(chosen.used)
        return collect(file.name, records, chosen, file.columns, limit=limit, seed=seed, max_chars=max_chars)


def collect(
    name: str,
    records: Iterable[Record],
    chosen: ColumnMap,
    columns: tuple[str, ...],
    *,
    limit: int,
    seed: int,
    max_chars: int = MAX_CHARS,
) -> DataSet:
    """Return the usable rows of records; see `read_dataset`.

    Raises:
        InputError: If the limit is below 1, or no row can be used.
    """
    if limit < 1:
        raise InputError("bad-limit", f"The limit is {limit} rows.", "Ask for at least one row.")
    sample = Sample(limit, seed)
    dropped: Counter[str] = Counter()
    n_read = 0
    for line, values in records:
        n_read += 1
        row = values if isinstance(values, str) else row_of(values, chosen, f"{name}:{line}")
        reason = row if isinstance(row, str) else why_not(row, chosen, sample.rows, max_chars)
        if reason is None and isinstance(row, Row):
            dropped[f"over the limit of {limit} rows"] += sample.add(row, n_read)
        elif reason is not None:
            dropped[reason] += 1
    if not sample.rows:
        reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items()) or "it is empty"
        remedy = "Give it at least one labelled text." if chosen.label else "Give it at least one text."
        raise InputError("no-rows", f"{name!r} has no usable row: {reasons}.", remedy)
    return DataSet(
        name=name,
        rows=sample.in_order(),
        dropped=MappingProxyType(dict(+dropped)),
        columns=columns,
        text_column=chosen.text,
        label_column=chosen.label,
        response_column=chosen.response,
        n_read=n_read,
        was_sampled=sample.is_over,
        seed=seed,
    )


def split_dataset(
    rows: Sequence[Row], test_share: float, seed: int
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return training and test rows, each in the order they came; the share holds within each label.

    A label with two rows or more is on both sides.

    Args:
        rows: Labelled rows, or rows of a generation set.
        test_share: Share of the test rows, above 0 and below 1.
        seed: Decides which.

    Raises:
        InputError: If the share is not between 0 and 1, or there are fewer than two rows.
    """
    if not 0 < test_share < 1:
        raise InputError("bad-share", f"The test share is {test_share}.", "Use a number between 0 and 1.")
    if len(rows) < 2:
        problem = f"There is {len(rows)} row to split into training and test rows."
        raise InputError("too-few-rows", problem, "Give more rows, or a test set of its own.")
    test: set[int] = set()
    for label in dict.fromkeys(row.label for row in rows):
        mine = [i for i, row in enumerate(rows) if row.label == label]
        n = min(max(round(len(mine) * test_share), 1), len(mine) - 1)
        test.update(random.Random(f"split\0{seed}\0{label}").sample(mine, n))
    if not test:  # every label has one row
        test.add(random.Random(f"split\0{seed}").randrange(len(rows)))
    return (
        tuple(row for i, row in enumerate(rows) if i not in test),
        tuple(rows[i] for i in sorted(test)),
    )


def across_splits(train: Iterable[Row], test: Sequence[Row]) -> tuple[tuple[Row, ...], int]:
    """Return the test rows whose text is not among the training rows, and how many were.

    Texts are the same if they differ in case and white space only.
    """
    known = {_folded(row.text) for row in train}
    kept = tuple(row for row in test if _folded(row.text) not in known)
    return kept, len(test) - len(kept)


def check_two_classes(rows: Iterable[Row], name: str) -> tuple[str, ...]:
    """Return the labels, sorted.

    Raises:
        InputError: If there are fewer than two, or a row has none.
    """
    labels = sorted({row.label for row in rows})
    if not labels:
        raise InputError("no-rows", f"{name!r} has no rows.", "Give it labelled texts.")
    if "" in labels:
        problem = f"{'All' if len(labels) == 1 else 'Some'} rows of {name!r} have no label."
        raise InputError("no-label", problem, "Name the column that holds the labels.")
    if len(labels) < 2:
        problem = f"All rows of {name!r} are labelled {labels[0]!r}: there is nothing to tell apart."
        raise InputError("one-class", problem, "Use data with at least two classes.")
    return tuple(labels)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
