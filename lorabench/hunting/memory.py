"""What a running hunt was answered, on disk: a stopped one replays it in seconds and goes on where it was.

A search is a function of its request and its answers, so nothing else needs to be kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lorabench.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (who TEXT, text TEXT, value REAL, PRIMARY KEY (who, text)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL);
"""
_CHUNK = 400


class Memory:
    """Answers by (copy, text), in a SQLite file, or nowhere.

    Attributes:
        seconds: Wall time of earlier runs of the same hunt.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or begin a memory.

        Args:
            path: The file; None remembers nothing.

        Raises:
            StorageError: If the file cannot be used.
        """
        self._path, self._connection, self.seconds = path, None, 0.0
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
            row = self._connection.execute("SELECT seconds FROM spent").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                "hunt-memory",
                f"The hunt's memory {path.name!r} cannot be used ({error}).",
                "Free some space, or delete the file to begin the hunt anew.",
            ) from error
        self.seconds = float(row[0]) if row else 0.0

    def get_many(self, who: str, texts: Sequence[str]) -> Mapping[str, float]:
        """Return the answers that are known."""
        found: dict[str, float] = {}
        if self._connection is None:
            return found
        for i in range(0, len(texts), _CHUNK):
            part = texts[i : i + _CHUNK]
            marks = ",".join("?" * len(part))
            query = f"SELECT text, value FROM answers WHERE who = ? AND text IN ({marks})"
            found.update(self._connection.execute(query, (who, *part)).fetchall())
        return found

    def put_many(self, who: str, answers: Iterable[tuple[str, float]], seconds: float) -> None:
        """Keep answers, and the wall time so far; a full disk only costs the resuming."""
        if self._connection is None:
            return
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", ((who, t, v) for t, v in answers)
            )
            self._connection.execute("INSERT OR REPLACE INTO spent VALUES (1, ?)", (seconds,))
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self, *, forget: bool) -> None:
        """Close the file; a finished hunt needs it no longer."""
        if self._connection is None or self._path is None:
            return
        self._connection.close()
        self._connection = None
        if forget:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
