"""Prompts from a user's own CSV, JSONL or text file: bounded, and every dropped row is counted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType

from lorabench.config import Limits
from lorabench.data.corpus import Row
from lorabench.errors import InputError, unknown_name

MAX_BYTES = 32 * 1024**2
MAX_ROWS = 5_000
MAX_CHARS = Limits().prompt_chars
_MAX_COLUMNS = 200
_TEXT_NAMES = ("text", "prompt", "input", "question", "instruction", "sentence", "content", "message")
_LABEL_NAMES = ("label", "labels", "class", "target", "category", "y")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".md": "txt",
    "": "txt",
}
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")

Record = tuple[int, dict[str, str | None]]  # line number, column -> value (None: missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFile:
    """The usable rows of a file, and what was left out.

    Attributes:
        rows: Usable prompts in file order; `id` is "name:line". Labels are as written.
        dropped: Rows left out, counted by reason.
        columns: Column names of the file; ("text",) for plain text.
        text_column: The column the prompts came from.
        label_column: The column the labels came from, or None.
    """

    rows: tuple[Row, ...]
    dropped: Mapping[str, int]
    columns: tuple[str, ...]
    text_column: str
    label_column: str | None

    @property
    def n_dropped(self) -> int:
        """Rows left out, all reasons together."""
        return sum(self.dropped.values())


def read_prompts(
    path_or_bytes: Path | str | bytes,
    name: str | None = None,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    limit: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
    max_chars: int = MAX_CHARS,
) -> RowFile:
    """Read prompts from a file or from uploaded bytes.

    Args:
        path_or_bytes: A path, or the contents.
        name: File name; its ending says the format. Needed with bytes.
        text_column: Column of the prompts; by default the first of the usual names.
        label_column: Column of the labels; by default the first of the usual names, if any.
        limit: Most rows that are kept.
        max_bytes: Largest file.
        max_chars: Longest prompt; longer ones are dropped and counted.

    Raises:
        InputError: If the file is too large, not UTF-8, not of its format, has no such column,
            or has no usable row.
    """
    data = path_or_bytes if isinstance(path_or_bytes, bytes) else _read(Path(path_or_bytes), max_bytes)
    shown = name or (PurePath(path_or_bytes).name if not isinstance(path_or_bytes, bytes) else "the file")
    if len(data) > max_bytes:
        raise _too_large(shown, max_bytes)
    text = _decode(data, shown)
    form = _SUFFIXES.get(PurePath(shown).suffix.casefold()) if shown != "the file" else "txt"
    if form is None:
        raise InputError(
            "unknown-format",
            f"{shown!r} is not a CSV, JSONL or text file.",
            "Save it as .csv, .jsonl (one JSON object a line) or .txt (one prompt a line).",
        )
    readers = {"csv": _csv_records, "jsonl": _jsonl_records, "txt": _text_records}
    columns, records = readers[form](text, shown)
    prompts = _column(text_column, columns, _TEXT_NAMES, shown) or (columns[0] if len(columns) == 1 else None)
    if prompts is None:
        raise InputError(
            "no-text-column",
            f"{shown!r} has no column with a usual name for prompts; its columns are {_listed(columns)}.",
            "Name the column that holds the prompts.",
        )
    usual = tuple(c for c in _LABEL_NAMES if c != prompts.casefold())
    labels = _column(label_column, columns, usual, shown)
    rows, dropped = _usable(records, prompts, labels, shown, limit, max_chars)
    if not rows:
        reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items()) or "it is empty"
        raise InputError(
            "no-rows", f"{shown!r} has no usable row: {reasons}.", "Give it at least one prompt."
        )
    return RowFile(
        rows=rows,
        dropped=MappingProxyType(dropped),
        columns=columns,
        text_column=prompts,
        label_column=labels,
    )


def map_labels(
    rows: Sequence[Row], task_labels: Sequence[str], mapping: Mapping[str, str] | None = None
) -> tuple[Row, ...]:
    """Return the rows with their labels as names of a task.

    Names match with case and outer white space aside. Without a mapping, 1 and 0 stand for
    INJECTION and BENIGN where the task has both, as in deepset/prompt-injections.

    Args:
        rows: Rows with labels as written.
        task_labels: The task's label names.
        mapping: Label as written -> task label, for labels that do not match by name.

    Raises:
        InputError: If a label is unknown or missing, or the mapping names no label of the task.
    """
    known = {name.casefold(): name for name in task_labels}
    table = dict(known)
    if mapping is None and {"injection", "benign"} <= known.keys():
        table |= {"1": known["injection"], "0": known["benign"]}
    for written, wanted in (mapping or {}).items():
        if wanted.casefold() not in known:
            raise unknown_name("label", wanted, tuple(task_labels))
        table[written.strip().casefold()] = known[wanted.casefold()]
    unknown = dict.fromkeys(r.label for r in rows if r.label.strip().casefold() not in table)
    if unknown:
        raise InputError(
            "unknown-label",
            f"The labels {_listed(tuple(unknown))} are not labels of the task.",
            f"Say which of {_listed(tuple(task_labels))} each one stands for, or correct the file.",
        )
    return tuple(replace(r, label=table[r.label.strip().casefold()]) for r in rows)


def _read(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():
        raise InputError("no-file", f"There is no file {str(path)!r}.", "Check the path.")
    try:
        with path.open("rb") as f:
            return f.read(max_bytes + 1)
    except OSError as error:
        raise InputError(
            "unreadable-file", f"{path.name!r} cannot be read: {error.strerror}.", "Check its rights."
        ) from error


def _too_large(shown: str, max_bytes: int) -> InputError:
    return InputError(
        "file-too-large",
        f"{shown!r} is larger than {max_bytes // 1024**2} MB.",
        "Keep a sample of its rows: a few hundred prompts are enough.",
    )


def _decode(data: bytes, shown: str) -> str:
    remedy = "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
    if data.startswith(_WIDE_MARKS):
        raise InputError("not-utf8", f"{shown!r} is written in UTF-16 or UTF-32.", remedy)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            "not-utf8", f"{shown!r} is not UTF-8: line {line} has other bytes.", remedy
        ) from error


def _column(wanted: str | None, columns: tuple[str, ...], usual: tuple[str, ...], shown: str) -> str | None:
    if wanted is not None:
        if wanted not in columns:
            raise InputError(
                "unknown-column",
                f"{shown!r} has no column {wanted!r}.",
                f"Its columns are {_listed(columns)}.",
            )
        return wanted
    folded = {c.strip().casefold(): c for c in reversed(columns)}
    return next((folded[name] for name in usual if name in folded), None)


def _text_records(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return ("text",), ((i, {"text": line}) for i, line in enumerate(lines, start=1))


def _csv_records(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)

    def lines() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise InputError(
                "bad-csv",
                f"{shown!r} is not valid CSV at line {reader.line_num}: {error}.",
                "Check the quotation marks of that row, or save the file again from a spreadsheet.",
            ) from error

    rest = lines()
    columns = tuple(next(rest, ()))
    if not any(c.strip() for c in columns) or len(columns) > _MAX_COLUMNS:
        raise InputError(
            "bad-header",
            f"{shown!r} has {len(columns)} columns in its first line.",
            "Put the column names there.",
        )
    if len(set(columns)) != len(columns):
        raise InputError(
            "bad-header", f"{shown!r} names a column twice: {_listed(columns)}.", "Rename one of them."
        )

    def records() -> Iterator[Record]:
        for fields in rest:
            if not fields:
                continue
            padded: list[str | None] = [*fields, *([None] * (len(columns) - len(fields)))]
            extra = len(fields) > len(columns)
            yield reader.line_num, {} if extra else dict(zip(columns, padded, strict=True))

    return columns, records()


def _jsonl_records(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    records: list[Record] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            raw = None
        if not isinstance(raw, dict):
            raise InputError(
                "bad-jsonl",
                f"Line {number} of {shown!r} is not a JSON object.",
                'Write one object a line, such as {"text": "...", "label": "INJECTION"}.',
            )
        columns.update(dict.fromkeys(raw))
        if len(columns) > _MAX_COLUMNS:
            raise InputError(
                "bad-header",
                f"{shown!r} has more than {_MAX_COLUMNS} columns.",
                "Use the same keys on every line.",
            )
        records.append((number, {key: _as_text(value) for key, value in raw.items()}))
    return tuple(columns), iter(records)


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def _usable(
    records: Iterator[Record], prompts: str, labels: str | None, shown: str, limit: int, max_chars: int
) -> tuple[tuple[Row, ...], dict[str, int]]:
    kept: dict[str, Row] = {}
    dropped: dict[str, int] = {}
    for line, record in records:
        text = record.get(prompts)
        label = (record.get(labels) or "").strip() if labels else ""
        reason = _reason(record, text, label, labels, kept, max_chars)
        if reason is None and len(kept) >= limit:
            reason = f"over the limit of {limit} rows"
        if reason is not None:
            dropped[reason] = dropped.get(reason, 0) + 1
        elif text is not None:
            kept[text] = Row(text=text, label=label, id=f"{shown}:{line}")
    return tuple(kept.values()), dropped


def _reason(
    record: dict[str, str | None],
    text: str | None,
    label: str,
    labels: str | None,
    kept: dict[str, Row],
    max_chars: int,
) -> str | None:
    """Return why a row cannot be used, or None."""
    if not record:
        return "with more fields than columns"
    if text is None:
        return "without text"
    if not text.strip():
        return "empty"
    if len(text) > max_chars:
        return f"longer than {max_chars} characters"
    if any("\ud800" <= c <= "\udfff" for c in text):
        return "with broken characters"
    if labels and not label:
        return "without label"
    if text in kept:
        return "duplicate" if kept[text].label == label else "duplicate with another label"
    return None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n if len(n) <= 40 else n[:39] + "…") for n in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
