"""Prompts from a user's own CSV, JSONL or text file: bounded, and every dropped row is counted."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType

from lorabench.config import Limits
from lorabench.data.corpus import Row
from lorabench.data.dataset_files import (
    LABEL_NAMES,
    NOT_AN_OBJECT,
    TEXT_NAMES,
    UTF8_REMEDY,
    WIDE_MARKS,
    Record,
    as_text,
    check_jsonl_columns,
    choose_column,
    columns_of,
    csv_records,
    jsonl_records,
    listed,
    no_text_column,
    not_jsonl,
    why_unusable,
)
from lorabench.errors import InputError, unknown_name

MAX_BYTES = 32 * 1024**2
MAX_ROWS = 5_000
MAX_CHARS = Limits().prompt_chars
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".md": "txt",
    "": "txt",
}


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
    readers = {"csv": _csv, "jsonl": _jsonl, "txt": _plain}
    columns, records = readers[form](text, shown)
    prompts = choose_column(text_column, columns, TEXT_NAMES, shown)
    prompts = prompts or (columns[0] if len(columns) == 1 else None)
    if prompts is None:
        raise no_text_column(shown, columns)
    usual = tuple(c for c in LABEL_NAMES if c != prompts.casefold())
    labels = choose_column(label_column, columns, usual, shown)
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
            f"The labels {listed(tuple(unknown))} are not labels of the task.",
            f"Say which of {listed(tuple(task_labels))} each one stands for, or correct the file.",
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
    if data.startswith(WIDE_MARKS):
        raise InputError("not-utf8", f"{shown!r} is written in UTF-16 or UTF-32.", UTF8_REMEDY)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            "not-utf8", f"{shown!r} is not UTF-8: line {line} has other bytes.", UTF8_REMEDY
        ) from error


def _plain(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return ("text",), ((i, {"text": line}) for i, line in enumerate(lines, start=1))


def _csv(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    return csv_records(io.StringIO(text, newline=""), shown)


def _jsonl(text: str, shown: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    records: list[Record] = []
    for number, values in jsonl_records(text.split("\n")):
        if values == NOT_AN_OBJECT:
            raise not_jsonl(number, shown)
        records.append((number, values))
    columns = columns_of(values for _, values in records)
    check_jsonl_columns(columns, shown)
    return columns, iter(records)


def _usable(
    records: Iterator[Record], prompts: str, labels: str | None, shown: str, limit: int, max_chars: int
) -> tuple[tuple[Row, ...], dict[str, int]]:
    kept: dict[str, Row] = {}
    dropped: dict[str, int] = {}
    for line, values in records:
        if isinstance(values, str):
            dropped[values] = dropped.get(values, 0) + 1
            continue
        text = as_text(values.get(prompts))
        label = (as_text(values.get(labels)) or "").strip() if labels else ""
        reason = why_unusable(text, label, needs_label=bool(labels), kept=kept, max_chars=max_chars)
        if reason is None and len(kept) >= limit:
            reason = f"over the limit of {limit} rows"
        if reason is not None:
            dropped[reason] = dropped.get(reason, 0) + 1
        elif text is not None:
            kept[text] = Row(text=text, label=label, id=f"{shown}:{line}")
    return tuple(kept.values()), dropped
