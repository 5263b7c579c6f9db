"""The tables as they are now; how they came to be is in `migrations`, and a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISIONS = ("0001",)
"""Every version of the tables that this lorabench knows, the oldest first; the last is the present one."""

VERSION_TABLE = "cases_version"

OWN, IMPORTED = "own", "imported"
"""Where an entry comes from: what is only claimed never stands in the way of what is done here."""

metadata = MetaData()


def _entry(name: str, *columns: Column[Any]) -> Table:
    """Return a table of things added to cases; `digest` keeps the same thing from being added twice."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("case_id", Integer, ForeignKey("cases.id"), nullable=False),
        Column("origin", String(10), nullable=False, default=OWN),
        Column("digest", String(64), nullable=False),
        Column("who", String(200), nullable=False),
        Column("created", String(40), nullable=False),
        Column("imported", String(40)),
        Column("imported_by", String(200)),
        *columns,
        UniqueConstraint("case_id", "origin", "digest", name=f"{name}_once"),
        Index(f"{name}_by_case", "case_id"),
        sqlite_autoincrement=True,
    )


cases = Table(
    "cases",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("status", String(10), nullable=False),
    Column("created", String(40), nullable=False),
    sqlite_autoincrement=True,
)
scans = _entry(
    "scans",
    Column("name", String(200), nullable=False),
    Column("scanned", String(40), nullable=False),
    Column("decision", String(20), nullable=False),
    Column("lorabench", String(40), nullable=False),
    Column("profile", String(200)),
    Column("seconds", Float, nullable=False),
    Column("rules", Text, nullable=False),  # one id a line
    Column("result", LargeBinary, nullable=False),  # the whole ScanResult: JSON, zlib
)
notes = _entry("notes", Column("text", Text, nullable=False))
decisions = _entry(
    "decisions",
    Column("decision", String(10), nullable=False),
    Column("reason", Text, nullable=False),
)
reopenings = _entry("reopenings", Column("reason", Text, nullable=False))
