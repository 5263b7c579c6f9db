"""The database under the case book: where it is, how it is opened, and how its troubles read."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from lorabench.casebook.schema import REVISIONS
from lorabench.casebook.troubles import BUSY_SECONDS, busy, explained
from lorabench.casebook.upgrade import found_version, upgrade
from lorabench.errors import InputError, StorageError

_WRITE = "lorabench_write"
_UPGRADE_LOCK = 5_273_611_041  # any number, as long as every lorabench takes the same


class CaseDatabase:
    """One database; any thread may use it, and other processes may have it open too.

    Attributes:
        where: What to call it in a sentence; never holds a user name or a password.
    """

    def __init__(self, where: str | Path) -> None:
        """Open it, make it if there is none, and bring its tables to the present version.

        Raises:
            InputError: If the URL cannot be used.
            StorageError: If the database is damaged, newer, somebody else's, or out of reach.
        """
        url = _checked(where)
        self.path = Path(url.database or "").absolute() if url.drivername == "sqlite" else None
        self.where = _name(url, self.path)
        self._engine = self._sqlite(self.path) if self.path else _postgresql(url)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection with one consistent view."""
        with self._said(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction: all of it happens or, when it raises, nothing."""
        writer = self._engine.execution_options(**{_WRITE: True})
        with self._said(), writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close what is open."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.read() as connection:
            if found_version(connection, self.where) == REVISIONS[-1]:
                return
        if self.path:
            self._use_wal()
        with self.write() as connection:
            if not self.path:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
            upgrade(connection, self.where)

    def _sqlite(self, path: Path) -> Engine:
        with self._said():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # notes are nobody else's business

        def connect() -> sqlite3.Connection:
            # mode=rw: a file that somebody moved away is missed, not begun afresh behind their back
            return sqlite3.connect(
                f"{path.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,  # BEGIN is ours
                check_same_thread=False,
            )

        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _use_wal(self) -> None:
        """Let readers and a writer work at once; kept in the file, so once is enough.

        SQLite does not wait by itself while another process does the same.
        """
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._said():
                    raw = self._engine.raw_connection()
                    try:
                        raw.cursor().execute("PRAGMA journal_mode=WAL")
                    finally:
                        raw.close()
                return
            except StorageError as error:
                if error.rule != "cases-busy" or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what the database says into a sentence; a mistake of ours keeps its traceback."""
        try:
            yield
        except DBAPIError as error:
            sentence = explained(error.orig, self.where)
            if sentence is None:
                raise
            raise sentence from error
        except (OSError, sqlite3.Error) as error:
            sentence = explained(error, self.where)
            if sentence is None:
                raise
            raise sentence from error
        except PoolTimeoutError as error:
            raise busy(self.where, "too many at once") from error


def _checked(where: str | Path) -> URL:
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        url = None
    if url is None or "@" in f"{url.host}{url.database if url.host else ''}":
        raise InputError(
            "bad-cases-url",
            "The URL of the case book cannot be read.",
            "Write postgresql://user:password@host/database or sqlite:////folder/file, and write special "
            "characters of a password as %40 and so on.",
        ) from None
    if url.drivername == "sqlite" and url.database and not url.query and ":memory:" not in url.database:
        return url
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise InputError(
        "bad-cases-url",
        f"A case book cannot be kept in {url.drivername[:40]!r} with these settings.",
        "Use postgresql://user:password@host/database, or sqlite:////folder/file.",
    )


def _name(url: URL, path: Path | None) -> str:
    if path:
        return f"The case book {path}"
    port = f":{url.port}" if url.port else ""
    return f"The case book postgresql://{url.host or ''}{port}/{url.database or ''}"


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS}
        )
    except ModuleNotFoundError as error:
        raise InputError(
            "no-postgres-driver",
            "A case book in PostgreSQL needs a driver that is not installed.",
            "Install it with: pip install 'lorabench[postgres]'",
        ) from error
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII only
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA trusted_schema=OFF")


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _begin_sqlite(connection: Connection) -> None:
    # a writer takes its lock at once: two that read first and then write would stop each other
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(_WRITE):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
