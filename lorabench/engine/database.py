"""One SQLite file that survives damage: the ground under the score store and the job list."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_SIDE_FILES = ("", "-wal", "-shm")


class Database:
    """A connection that any thread may use, one at a time; other processes may have the file open too.

    A damaged file, or one of another schema, is renamed to `<name>.corrupt-<n>` and begun
    afresh. When the folder cannot be used at all, the database lives in memory.

    Attributes:
        path: The file.
        message: What went wrong, as a sentence for people; None if nothing did.
        on_disk: Whether contents outlive the process.
    """

    def __init__(self, path: Path, schema: str, *, version: int, what: str) -> None:
        """Open or create the file.

        Args:
            path: The file; its folder is created.
            schema: `CREATE ... IF NOT EXISTS` statements.
            version: Number of the schema, kept in the file.
            what: What it holds, such as "score store", for messages.
        """
        self.path = path
        self.message: str | None = None
        self.on_disk = True
        self._schema = schema
        self._version = version
        self._what = what
        self._lock = threading.RLock()
        self._connection = self._open()

    def run(self, work: Callable[[sqlite3.Connection], T], *, write: bool = True) -> T:
        """Return `work(connection)`, all of it done or, when it raises, nothing.

        A damaged file is set aside and the work runs once more on an empty one; when the
        disk cannot be written (any more), it runs once more on a copy in memory.

        Raises:
            sqlite3.Error: If another process held the file for 5 s, or the work itself is wrong.
        """
        with self._lock:
            try:
                return self._transaction(work, write)
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._connection.close()
                    self._set_aside(str(error))
                    self._connection = self._open()
                elif self.on_disk and _code(error) in _UNWRITABLE:
                    self._move_to_memory(str(error))
                else:
                    raise
                return self._transaction(work, write)

    def wipe(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do `work` (deletions), give the space back, and remove files that were set aside."""
        self.run(work)
        with self._lock:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for stale in self.path.parent.glob(f"{self.path.name}.corrupt-*"):
                stale.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; later use raises `sqlite3.ProgrammingError`."""
        with self._lock:
            self._connection.close()

    def _transaction(self, work: Callable[[sqlite3.Connection], T], write: bool) -> T:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._connect_patiently()
        except (OSError, sqlite3.Error) as error:
            self._say_in_memory(str(error))
            return self._in_memory()

    def _connect_patiently(self) -> sqlite3.Connection:
        for pause in (0.1, 0.3, 1.0, 2.0):
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._set_aside(str(error))
                elif _code(error) != sqlite3.SQLITE_BUSY:
                    raise
                else:  # another process sets the file up; SQLite's own waiting does not cover that
                    time.sleep(pause)
        return self._connect()

    def _in_memory(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(self._schema)
        return connection

    def _move_to_memory(self, reason: str) -> None:
        copy = self._in_memory()
        try:
            self._connection.backup(copy)
        except sqlite3.Error:
            copy.close()
            copy = self._in_memory()
        self._connection.close()
        self._connection = copy
        self._say_in_memory(reason)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, self._version):
                raise _OtherSchemaError(f"its schema is version {found}, not {self._version}")
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._schema} PRAGMA user_version={self._version}; COMMIT;"
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, reason: str) -> None:
        n = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{n}")).exists():
            n += 1
        for side in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{side}").rename(f"{aside}{side}")
        self.message = (
            f"The {self._what} was unreadable ({reason}). It was set aside as {aside.name} and begun afresh."
        )
        log.warning("%s", self.message)

    def _say_in_memory(self, reason: str) -> None:
        self.on_disk = False
        self.message = (
            f"The {self._what} at {self.path} cannot be written ({reason}). Work goes on, but is not "
            "kept after this run. Free some space, or choose another folder with LORABENCH_DATA_DIR."
        )
        log.warning("%s", self.message)


class _OtherSchemaError(sqlite3.DatabaseError):
    """A file of an older or newer lorabench."""


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary error code, or 0 when there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, _OtherSchemaError) or _code(error) in _DAMAGED
