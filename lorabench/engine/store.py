"""Answers that were computed once are remembered: the score store on disk.

A key is a hash of everything that can change the numbers, so nothing ever has to be
invalidated, and no prompt text is stored.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from lorabench.engine.database import Database
from lorabench.models.rows import RowLogits, TokenRow

ENGINE_VERSION = 3
"""Raised whenever the same row may get other numbers than before."""

DEFAULT_MAX_ROWS = 1_000_000  # about 150 MB on disk

T = TypeVar("T")
log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (
    key BLOB PRIMARY KEY, value TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scores_by_use ON scores (used);
CREATE TABLE IF NOT EXISTS checks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_CHUNK = 500  # SQLite allows 999 parameters in its older builds
_MOST_TOUCHED = 5_000


def score_key(row: TokenRow, *, fingerprint: str, dtype: str) -> bytes:
    """Return the name of one answer.

    Args:
        row: The question, and who is asked.
        fingerprint: The base model.
        dtype: Number type of the computation.

    Returns:
        32 bytes: sha256 over all of these and `ENGINE_VERSION`.
    """
    head = json.dumps([ENGINE_VERSION, fingerprint, row.adapter_id or "", dtype, row.tail, len(row.ids)])
    numbers = array("q", row.ids)
    for label in row.labels:
        numbers.append(len(label))
        numbers.extend(label)
    return hashlib.sha256(head.encode() + numbers.tobytes()).digest()


class ScoreStore:
    """Remembered answers, least recently used dropped first; any thread may use it.

    Losing it costs time and nothing else: no trouble with the file ever stops a score.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_rows: int = DEFAULT_MAX_ROWS,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = Database(path, _SCHEMA, version=1, what="score store")
        self._max_rows = max_rows
        self._clock = clock
        self._lock = threading.Lock()
        self._touched: set[bytes] = set()
        self._n_rows = len(self)
        self._trouble: str | None = None

    @property
    def message(self) -> str | None:
        """What went wrong with the file, as a sentence for people; None if nothing did."""
        return self._database.message or self._trouble

    def __len__(self) -> int:
        return int(
            self._database.run(lambda c: c.execute("SELECT count(*) FROM scores").fetchone()[0], write=False)
        )

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, RowLogits]:
        """Return the remembered answers among `keys`."""
        wanted = list(keys)

        def work(connection: sqlite3.Connection) -> dict[bytes, RowLogits]:
            found = {}
            for part in _chunks(wanted):
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, value FROM scores WHERE key IN ({marks})", part)
                found.update({key: value for key, text in rows if (value := _decode(text)) is not None})
            return found

        found = self._try(lambda: self._database.run(work, write=False)) or {}
        with self._lock:
            self._touched.update(found)
            many = len(self._touched) > _MOST_TOUCHED
        if many:
            self.put_many({})
        return found

    def put_many(self, scored: Mapping[bytes, RowLogits]) -> None:
        """Remember answers; those that are not finite numbers are left out."""
        now = self._clock()
        rows = [(key, _encode(value), now) for key, value in scored.items() if _is_finite(value)]
        with self._lock:
            touched, self._touched = self._touched, set()

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE scores SET used = ? WHERE key = ?", [(now, key) for key in touched]
            )
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)

        self._try(lambda: self._database.run(work))
        with self._lock:
            self._n_rows += len(rows)
            full = self._n_rows > self._max_rows
        if full:
            self._evict()

    def wipe(self) -> None:
        """Forget everything, files that were set aside included."""
        self._database.wipe(lambda c: (c.execute("DELETE FROM scores"), c.execute("DELETE FROM checks")))
        with self._lock:
            self._n_rows = 0
            self._touched.clear()

    @property
    def checks(self) -> Checks:
        """Outcomes of self-checks, remembered beside the scores."""
        return Checks(self)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _evict(self) -> None:
        keep = self._max_rows - self._max_rows // 10  # room for a while

        def work(connection: sqlite3.Connection) -> int:
            n_rows = int(connection.execute("SELECT count(*) FROM scores").fetchone()[0])
            if n_rows <= self._max_rows:
                return n_rows
            oldest = "SELECT key FROM scores ORDER BY used LIMIT ?"
            connection.execute(f"DELETE FROM scores WHERE key IN ({oldest})", (n_rows - keep,))
            return keep

        n_rows = self._try(lambda: self._database.run(work))
        with self._lock:
            self._n_rows = n_rows or 0

    def _try(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except sqlite3.Error as error:
            if self._trouble is None:
                self._trouble = (
                    f"The score store could not be used for a while ({error}); nothing is lost but time."
                )
                log.warning("%s", self._trouble)
            return None


class Checks(MutableMapping[str, dict[str, Any]]):
    """Name -> JSON-like value in a score store's file; what cannot be read is not there."""

    def __init__(self, store: ScoreStore) -> None:
        self._store = store

    def __getitem__(self, name: str) -> dict[str, Any]:
        rows = self._read("SELECT value FROM checks WHERE name = ?", name)
        if not rows:
            raise KeyError(name)
        value: dict[str, Any] = json.loads(rows[0][0])
        return value

    def __setitem__(self, name: str, value: dict[str, Any]) -> None:
        self._write("INSERT OR REPLACE INTO checks VALUES (?, ?)", name, json.dumps(value))

    def __delitem__(self, name: str) -> None:
        self._write("DELETE FROM checks WHERE name = ?", name)

    def __iter__(self) -> Iterator[str]:
        return iter([row[0] for row in self._read("SELECT name FROM checks ORDER BY name")])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _read(self, query: str, *values: str) -> list[tuple[str, ...]]:
        store = self._store
        return (
            store._try(
                lambda: store._database.run(lambda c: c.execute(query, values).fetchall(), write=False)
            )
            or []
        )

    def _write(self, statement: str, *values: str) -> None:
        store = self._store
        store._try(lambda: store._database.run(lambda c: c.execute(statement, values)))


def _encode(value: RowLogits) -> str:
    return json.dumps([value.label_logits, value.logsumexp, value.tail_logprob], separators=(",", ":"))


def _decode(text: str) -> RowLogits | None:
    try:
        labels, logsumexp, tail = json.loads(text)
        return RowLogits(label_logits=tuple(labels), logsumexp=logsumexp, tail_logprob=tail)
    except (ValueError, TypeError):
        return None  # a damaged value is no answer: it is computed again


def _is_finite(value: RowLogits) -> bool:
    numbers = (*value.label_logits, value.logsumexp, value.tail_logprob)
    return all(x is None or math.isfinite(x) for x in numbers)


def _chunks(keys: Sequence[bytes]) -> Iterator[list[bytes]]:
    source = iter(keys)
    while part := list(islice(source, _CHUNK)):
        yield part
