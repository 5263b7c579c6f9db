"""What a database says when something is wrong, as sentences for people."""

from __future__ import annotations

import sqlite3

from lorabench.errors import LorabenchError, StorageError

BUSY_SECONDS = 10
"""How long one waits for another."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_WAITED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def explained(error: object, where: str) -> LorabenchError | None:
    """Return what a driver's error means for people, or None if it means a mistake of ours.

    Args:
        error: Of the operating system, of `sqlite3` or of psycopg.
        where: What to call the database in a sentence.
    """
    if isinstance(error, OSError):
        return _unwritable(where, error.strerror or "no reason given")
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return _damaged(where, str(error))
        if code == sqlite3.SQLITE_FULL:
            return _full(where)
        if code in _WAITED:
            return busy(where, str(error))
        return _unwritable(where, str(error)) if code in _UNWRITABLE else None
    state = getattr(error, "sqlstate", None)
    if state is None or state[:2] in ("08", "28", "3D", "57"):  # never reached it, or not let in
        return _unreachable(where) if type(error).__name__ == "OperationalError" or state else None
    if state == "53100":
        return _full(where)
    if state in ("55P03", "40001", "40P01"):
        return busy(where, "another one holds it")
    return _unwritable(where, "not permitted") if state == "42501" else None


def _damaged(where: str, reason: str) -> StorageError:
    return StorageError(
        "cases-damaged",
        f"{where} is damaged ({reason}). It was left as it is.",
        "Put a copy of it back, or move it away and import the cases that were exported.",
    )


def _full(where: str) -> StorageError:
    return StorageError(
        "cases-disk-full",
        f"{where} has no room left; nothing of this was kept.",
        "Free some space and try again.",
    )


def busy(where: str, reason: str) -> StorageError:
    """Return the error of a database that somebody else holds."""
    return StorageError(
        "cases-busy",
        f"{where} was held by somebody else for more than {BUSY_SECONDS} s ({reason}).",
        "Try again; if it stays so, close other lorabench processes that use it.",
    )


def _unwritable(where: str, reason: str) -> StorageError:
    return StorageError(
        "cases-unwritable",
        f"{where} cannot be opened or written ({reason}).",
        "Check its folder and permissions, or choose another with LORABENCH_CASES_URL.",
    )


def _unreachable(where: str) -> StorageError:
    return StorageError(
        "cases-unreachable",
        f"{where} cannot be reached, or does not let you in.",
        "Check LORABENCH_CASES_URL, its user and password, and that the server runs.",
    )
