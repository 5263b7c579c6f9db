"""From a record's values to a row, and from many rows to a bounded random sample."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from lorabench.data.corpus import Row
from lorabench.data.dataset_files import Values, as_text, why_unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """Which columns make a row, and which rows count.

    Attributes:
        text: Column of the texts.
        label: Column of the labels, or None.
        response: Column of the responses of a generation set, or None.
        choices: Column of answer choices, written below the text, or None.
        label_names: Label as written -> name; rows with other labels are left out. Empty: as written.
        categories: Values of `category` that count; empty: all.
        category: Column of the categories, or None.
        empty: Column that must be empty, or None.
        needs_label: Whether a row without label is left out.
        needs_response: Whether a row without response is left out.
    """

    text: str
    label: str | None = None
    response: str | None = None
    choices: str | None = None
    label_names: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    category: str | None = None
    empty: str | None = None
    needs_label: bool = True
    needs_response: bool = True

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that are looked at."""
        named = (self.text, self.label, self.response, self.choices, self.category, self.empty)
        return tuple(dict.fromkeys(c for c in named if c is not None))


def row_of(values: Values, chosen: ColumnMap, id: str) -> Row | str:
    """Return a row that may have no text (shown as an empty one), or why these values do not count."""
    if chosen.category is not None and as_text(values.get(chosen.category)) not in chosen.categories:
        return "of another category"
    if chosen.empty is not None and (as_text(values.get(chosen.empty)) or "").strip():
        return f"with a {chosen.empty}"
    text = as_text(values.get(chosen.text))
    if text is None:
        return "without text"
    label = (as_text(values.get(chosen.label)) or "").strip() if chosen.label else ""
    if label and chosen.label_names:
        named = {name.casefold(): name for name in chosen.label_names.values()}
        found = chosen.label_names.get(label) or named.get(label.casefold())
        if found is None:
            return "with an unknown label"
        label = found
    if chosen.choices is not None:
        choices = _choices(values.get(chosen.choices))
        if not choices:
            return "without choices"
        text = "\n".join([text, *(f"{letter}. {choice}" for letter, choice in choices)])
    response = (as_text(values.get(chosen.response)) or "").strip() if chosen.response else ""
    if chosen.response and chosen.needs_response and not response:
        return "without response"
    if chosen.label and not label and not chosen.needs_label and not response:
        return "without label"
    return Row(text=text, label=label, id=id, response=response)


def why_not(row: Row, chosen: ColumnMap, kept: Mapping[str, Row], max_chars: int) -> str | None:
    """Return why a row cannot join the `kept` ones, or None."""
    needs_label = chosen.label is not None and chosen.needs_label
    reason = why_unusable(row.text, row.label, needs_label=needs_label, kept=kept, max_chars=max_chars)
    if reason is None and len(row.response) > max_chars:
        return f"with a response longer than {max_chars} characters"
    return reason


class Sample:
    """The rows whose texts have the smallest keyed hashes: a random sample of the distinct texts.

    A repeated text has the hash of the first, so it is recognised as long as that one is in the sample,
    and stays outside once it is not (bottom-k sampling; Cohen and Kaplan 2007).
    """

    def __init__(self, limit: int, seed: int) -> None:
        self.rows: dict[str, Row] = {}
        self.is_over = False
        self._limit = limit
        self._key = str(seed).encode()[:64]
        self._heap: list[tuple[int, str]] = []  # largest hash first
        self._places: dict[str, int] = {}

    def add(self, row: Row, place: int) -> int:
        """Take a row whose text is not in the sample; return how many rows that leaves outside: 0 or 1."""
        digest = hashlib.blake2b(row.text.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
        entry = (-int.from_bytes(digest), row.text)
        outside = None
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        else:
            self.is_over = True
            outside = heapq.heappushpop(self._heap, entry)[1]
        self.rows[row.text], self._places[row.text] = row, place
        if outside is not None:
            del self.rows[outside], self._places[outside]
        return int(outside is not None)

    def in_order(self) -> tuple[Row, ...]:
        """Return the sample in the order in which the rows came."""
        return tuple(self.rows[text] for text in sorted(self.rows, key=self._places.__getitem__))


def _choices(value: object) -> list[tuple[str, str]]:
    """Return letter and text of answer choices: {"label": [...], "text": [...]} or {letter: text}."""
    if not isinstance(value, dict):
        return []
    letters, texts = value.get("label"), value.get("text")
    if isinstance(letters, list) and isinstance(texts, list):
        return [(str(a), str(b)) for a, b in zip(letters, texts, strict=False)]
    return [(str(letter), str(text)) for letter, text in value.items() if text is not None]
