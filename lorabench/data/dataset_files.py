"""Records from CSV, JSONL and Parquet files, one at a time: a file may be larger than memory.

`files` (a screenful of prompts) and `datasets` (training data) read through the same functions, and call
the same row unusable for the same reason.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lorabench.data.corpus import Row
from lorabench.errors import InputError

MAX_COLUMNS = 200
MAX_ROW_CHARS = 1_000_000  # of the file's text, for one row: no row can fill the memory
TEXT_NAMES = ("text", "prompt", "input", "question", "instruction", "sentence", "content", "message")
LABEL_NAMES = ("label", "labels", "class", "target", "category", "y")
NOT_AN_OBJECT = "not a JSON object"
LONG_LINE = f"on a line longer than {MAX_ROW_CHARS:,} characters"
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
UTF8_REMEDY = "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LOOKED_AT = 100  # JSONL rows whose keys are the file's columns
_BATCH = 256  # Parquet rows in memory at a time

Values = Mapping[str, Any]
Record = tuple[int, Values | str]  # line or row number; column -> value, or why there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile:
    """An open file of records.

    Attributes:
        name: Its name, for people.
        columns: The columns it has; for JSONL those of the first rows.
        records: Returns its records, once; needs the columns that will be looked at.
    """

    name: str
    columns: tuple[str, ...]
    records: Callable[[Sequence[str]], Iterator[Record]]


@contextmanager
def open_records(path: Path) -> Iterator[RecordFile]:
    """Open a .csv, .tsv, .jsonl, .ndjson or .parquet file; nothing but its beginning is read yet.

    Raises:
        InputError: If there is no such file, it is not of its format, or not UTF-8.
    """
    form = _FORMATS.get(path.suffix.casefold())
    if form is None:
        raise InputError(
            "unknown-format",
            f"{path.name!r} is not a CSV, JSONL or Parquet file.",
            "Save it as .csv, .tsv, .parquet or .jsonl (one JSON object a line).",
        )
    if not path.is_file():
        raise InputError("no-file", f"There is no file {str(path)!r}.", "Check the path.")
    try:
        with (_open_parquet if form == "parquet" else _open_text)(path, form) as opened:
            yield opened
    except OSError as error:
        raise InputError(
            "unreadable-file", f"{path.name!r} cannot be read: {error.strerror}.", "Check its rights."
        ) from error


def choose_column(wanted: str | None, columns: Sequence[str], usual: Sequence[str], shown: str) -> str | None:
    """Return the wanted column, or the first of the usual ones, or None.

    Raises:
        InputError: If the wanted column is not there.
    """
    if wanted is not None:
        if wanted not in columns:
            problem = f"{shown!r} has no column {wanted!r}."
            raise InputError("unknown-column", problem, f"Its columns are {listed(columns)}.")
        return wanted
    folded = {c.strip().casefold(): c for c in reversed(columns)}
    return next((folded[name] for name in usual if name in folded), None)


def no_text_column(shown: str, columns: Sequence[str]) -> InputError:
    """Return the error for a file in which no column is known to hold the prompts."""
    return InputError(
        "no-text-column",
        f"{shown!r} has no column with a usual name for prompts; its columns are {listed(columns)}.",
        "Name the column that holds the prompts.",
    )


def why_unusable(
    text: str | None, label: str, *, needs_label: bool, kept: Mapping[str, Row], max_chars: int
) -> str | None:
    """Return why a row cannot be used, or None; `kept` are the rows so far, by text."""
    if text is None:
        return "without text"
    if not text.strip():
        return "empty"
    if len(text) > max_chars:
        return f"longer than {max_chars} characters"
    if any("\ud800" <= c <= "\udfff" for c in text):
        return "with broken characters"
    if needs_label and not label:
        return "without label"
    if text in kept:
        return "duplicate" if kept[text].label == label else "duplicate with another label"
    return None


def as_text(value: object) -> str | None:
    """Return a cell as text: numbers and truth values as in JSON; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, the first twelve, each cut to 40 characters."""
    shown = ", ".join(repr(n if len(n) <= 40 else n[:39] + "…") for n in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def csv_records(lines: Iterable[str], shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the columns and the records of CSV lines; the first line says what parts the fields.

    Raises:
        InputError: If the first line names no columns or one twice; from the iterator, if it is not CSV.
    """
    lines = iter(lines)
    head = next(lines, "")
    n_chars = 0

    def metered() -> Iterator[str]:
        nonlocal n_chars
        for line in chain((head,), lines):
            n_chars += len(line)
            if n_chars > MAX_ROW_CHARS:
                raise csv.Error(f"a row is longer than {MAX_ROW_CHARS:,} characters")
            yield line

    reader = csv.reader(metered(), delimiter=max(",;\t", key=head.count), strict=True)

    def fields_of_rows() -> Iterator[list[str]]:
        nonlocal n_chars
        try:
            for fields in reader:
                n_chars = 0
                yield fields
        except csv.Error as error:
            raise InputError(
                "bad-csv",
                f"{shown!r} is not valid CSV at line {reader.line_num}: {error}.",
                "Check the quotation marks of that row, or save the file again from a spreadsheet.",
            ) from error

    rows = fields_of_rows()
    columns = tuple(next(rows, ()))
    if not any(c.strip() for c in columns) or len(columns) > MAX_COLUMNS:
        problem = f"{shown!r} has {len(columns)} columns in its first line."
        raise InputError("bad-header", problem, "Put the column names there.")
    if len(set(columns)) != len(columns):
        problem = f"{shown!r} names a column twice: {listed(columns)}."
        raise InputError("bad-header", problem, "Rename one of them.")

    def records() -> Iterator[Record]:
        for fields in rows:
            if len(fields) > len(columns):
                yield reader.line_num, "with more fields than columns"
            elif fields:
                yield reader.line_num, dict(zip(columns, fields, strict=False))

    return columns, records()


def jsonl_records(lines: Iterable[str | None]) -> Iterator[Record]:
    """Return one record a line, empty lines aside; None stands for a line that was too long to read."""
    for number, line in enumerate(lines, start=1):
        if line is None:
            yield number, LONG_LINE
        elif line.strip():
            try:
                raw = json.loads(line)
            except (ValueError, RecursionError):
                raw = None
            yield number, raw if isinstance(raw, dict) else NOT_AN_OBJECT


def not_jsonl(number: int, shown: str) -> InputError:
    """Return the error for a line that is not a JSON object."""
    return InputError(
        "bad-jsonl",
        f"Line {number} of {shown!r} is not a JSON object.",
        'Write one object a line, such as {"text": "...", "label": "INJECTION"}.',
    )


@contextmanager
def _open_text(path: Path, form: str) -> Iterator[RecordFile]:
    with path.open("rb") as raw:
        if raw.read(4).startswith(WIDE_MARKS):
            raise InputError("not-utf8", f"{path.name!r} is written in UTF-16 or UTF-32.", UTF8_REMEDY)
    with path.open(encoding="utf-8-sig", newline="" if form == "csv" else "\n") as file:
        pieces = _pieces(file.readline, path.name)
        if form == "csv":
            columns, records = csv_records(pieces, path.name)
        else:
            columns, records = _jsonl_start(jsonl_records(_lines(pieces)), path.name)
        yield RecordFile(name=path.name, columns=columns, records=lambda _: records)


def _pieces(readline: Callable[[int], str], shown: str) -> Iterator[str]:
    """Return the lines of a text file; one that is too long comes in pieces."""
    number = 0
    try:
        while piece := readline(MAX_ROW_CHARS + 1):
            number += 1
            yield piece
    except UnicodeDecodeError as error:  # the decoder is some thousand bytes ahead of the lines
        problem = f"{shown!r} is not UTF-8: there are other bytes soon after line {number}."
        raise InputError("not-utf8", problem, UTF8_REMEDY) from error


def _lines(pieces: Iterator[str]) -> Iterator[str | None]:
    """Return whole lines, and None for one that came in pieces."""
    for piece in pieces:
        rest = piece
        while len(rest) > MAX_ROW_CHARS and not rest.endswith("\n"):
            rest = next(pieces, "")
        yield piece if rest is piece else None


def _jsonl_start(records: Iterator[Record], shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    first = list(islice(records, _LOOKED_AT))
    if first and isinstance(first[0][1], str):
        raise not_jsonl(first[0][0], shown)
    columns = columns_of(values for _, values in first)
    check_jsonl_columns(columns, shown)
    return columns, chain(first, records)


def columns_of(found: Iterable[Values | str]) -> tuple[str, ...]:
    """Return the columns of records, in the order in which they turn up."""
    return tuple(dict.fromkeys(key for values in found if not isinstance(values, str) for key in values))


def check_jsonl_columns(columns: Sequence[str], shown: str) -> None:
    """Refuse more than `MAX_COLUMNS` columns."""
    if len(columns) > MAX_COLUMNS:
        problem = f"{shown!r} has more than {MAX_COLUMNS} columns."
        raise InputError("bad-header", problem, "Use the same keys on every line.")


@contextmanager
def _open_parquet(path: Path, form: str) -> Iterator[RecordFile]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    def broken(error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:200]
        remedy = "Download it again, or write it again as Parquet."
        return InputError("bad-parquet", f"{path.name!r} is not a readable Parquet file: {reason}.", remedy)

    try:
        file = ParquetFile(path, buffer_size=1 << 20)  # a row group may be as large as the file
    except ArrowException as error:
        raise broken(error) from error

    def records(wanted: Sequence[str]) -> Iterator[Record]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(wanted), use_threads=False):
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
        except (ArrowException, UnicodeDecodeError) as error:
            raise broken(error) from error

    with file:
        columns = tuple(file.schema_arrow.names)
        yield RecordFile(name=path.name, columns=columns, records=records)
