"""Bring the tables to the present version when a case book is opened; a newer one is left alone."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from lorabench.casebook.schema import REVISIONS, VERSION_TABLE, metadata
from lorabench.errors import StorageError

_MIGRATIONS = Path(__file__).with_name("migrations")
_alembic = threading.Lock()  # its context is one per process


def found_version(connection: Connection, where: str) -> str | None:
    """Return the version of the tables, or None for an empty database.

    Args:
        connection: Of the database.
        where: What to call it in a sentence.

    Raises:
        StorageError: Rules "cases-newer" and "not-a-case-book"; nothing was changed.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        own = connection.dialect.name == "sqlite"  # a file belongs to one program; a database may be shared
        if tables if own else tables & set(metadata.tables):
            raise StorageError(
                "not-a-case-book",
                f"{where} holds other tables than a case book's; nothing was changed.",
                "Choose another file or database with LORABENCH_CASES_URL.",
            )
        return None
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if version is not None and version not in REVISIONS:
        raise StorageError(
            "cases-newer",
            f"{where} was written by a newer lorabench (its tables are version {str(version)[:40]!r}, this "
            f"one knows up to {REVISIONS[-1]!r}); nothing was changed.",
            "Update lorabench, or use another case book with LORABENCH_CASES_URL.",
        )
    return version


def upgrade(connection: Connection, where: str) -> None:
    """Run the migrations that are missing, inside the caller's transaction.

    Args:
        connection: With a transaction in which nobody else can write.
        where: What to call the database in a sentence.

    Raises:
        StorageError: As `found_version`.
    """
    if found_version(connection, where) == REVISIONS[-1]:
        return  # another process was quicker
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    with _alembic:
        command.upgrade(settings, REVISIONS[-1])
