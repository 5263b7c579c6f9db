"""Version 1: cases, and what is added to them; the tables themselves refuse changes and deletions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ENTRIES = ("scans", "notes", "decisions", "reopenings")


def upgrade() -> None:
    """Make the tables, and the triggers that guard them."""
    _make_cases()
    _make_entries(
        "scans",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scanned", sa.String(40), nullable=False),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("lorabench", sa.String(40), nullable=False),
        sa.Column("profile", sa.String(200)),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
    )
    _make_entries("notes", sa.Column("text", sa.Text, nullable=False))
    _make_entries(
        "decisions",
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    _make_entries("reopenings", sa.Column("reason", sa.Text, nullable=False))
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _make_cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("subject", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sqlite_autoincrement=True,
    )


def _make_entries(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.Integer, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("imported", sa.String(40)),
        sa.Column("imported_by", sa.String(200)),
        *columns,
        sa.UniqueConstraint("case_id", "origin", "digest", name=f"{name}_once"),
        sqlite_autoincrement=True,
    )
    op.create_index(f"{name}_by_case", name, ["case_id"])


def _guard_sqlite() -> None:
    for table in (*_ENTRIES, "cases"):
        changes = {"delete": "DELETE"}
        changes["update"] = "UPDATE" if table != "cases" else "UPDATE OF id, subject, name, created"
        for name, change in changes.items():
            op.execute(
                f"CREATE TRIGGER {table}_no_{name} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the case book is append-only'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION cases_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the case book is append-only'; END $$"
    )
    for table in (*_ENTRIES, "cases"):
        update = "UPDATE" if table != "cases" else "UPDATE OF id, subject, name, created"
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE DELETE OR {update} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION cases_append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION cases_append_only()"
        )
