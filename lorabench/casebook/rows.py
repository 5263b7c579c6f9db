"""Rows of the tables as values, and values as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Row, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from lorabench.casebook import schema
from lorabench.casebook.packing import canonical, sha256
from lorabench.casebook.text import case_number
from lorabench.results.cases import Case, CaseDecision, CaseNote, CaseReopening, CaseScan, CaseStatus, Ruling
from lorabench.results.findings import Decision

_SCAN_COLUMNS = [column for column in schema.scans.columns if column.name != "result"]  # which is large
_SOME = 500  # ids in one query


def entry_digest(values: dict[str, Any]) -> str:
    """Return what names a note, decision or reopening: the same said by the same at the same time is one.

    Args:
        values: Its own columns, `who` and `created` among them; without marks of an import.
    """
    return sha256(canonical(values))


def add_once(connection: Connection, table: Table, values: dict[str, Any]) -> int | None:
    """Add a row unless there is one with the same unique columns.

    Returns:
        Its id, or None if there was one.
    """
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    statement = insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
    added = connection.execute(statement).scalar()
    return None if added is None else int(added)


def load_cases(connection: Connection, ids: Sequence[int]) -> tuple[Case, ...]:
    """Return whole cases in the order of their ids as given; unknown ones are left out."""
    found: dict[int, Case] = {}
    for start in range(0, len(ids), _SOME):
        part = ids[start : start + _SOME]
        scans = _by_case(connection, schema.scans, part)
        notes = _by_case(connection, schema.notes, part)
        decisions = _by_case(connection, schema.decisions, part)
        reopenings = _by_case(connection, schema.reopenings, part)
        for row in connection.execute(select(schema.cases).where(schema.cases.c.id.in_(part))):
            found[row.id] = Case(
                number=case_number(row.id),
                subject=row.subject,
                name=row.name,
                status=cast(CaseStatus, row.status),
                created=row.created,
                scans=tuple(map(scan_of, scans.get(row.id, ()))),
                notes=tuple(map(note_of, notes.get(row.id, ()))),
                decisions=tuple(map(decision_of, decisions.get(row.id, ()))),
                reopenings=tuple(map(reopening_of, reopenings.get(row.id, ()))),
            )
    return tuple(found[i] for i in ids if i in found)


def _by_case(connection: Connection, table: Table, ids: Iterable[int]) -> dict[int, list[Row[Any]]]:
    columns = _SCAN_COLUMNS if table is schema.scans else list(table.columns)
    rows: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(select(*columns).where(table.c.case_id.in_(ids)).order_by(table.c.id)):
        rows.setdefault(row.case_id, []).append(row)
    return rows


def scan_of(row: Row[Any]) -> CaseScan:
    """Return a row of `scans` as a value."""
    return CaseScan(
        id=row.id,
        case=case_number(row.case_id),
        name=row.name,
        scanned=row.scanned,
        decision=cast(Decision, row.decision),
        digest=row.digest,
        lorabench=row.lorabench,
        profile=row.profile,
        seconds=row.seconds,
        rules=tuple(row.rules.split("\n")) if row.rules else (),
        **_said(row),
    )


def note_of(row: Row[Any]) -> CaseNote:
    """Return a row of `notes` as a value."""
    return CaseNote(text=row.text, **_said(row))


def decision_of(row: Row[Any]) -> CaseDecision:
    """Return a row of `decisions` as a value."""
    return CaseDecision(decision=cast(Ruling, row.decision), reason=row.reason, **_said(row))


def reopening_of(row: Row[Any]) -> CaseReopening:
    """Return a row of `reopenings` as a value."""
    return CaseReopening(reason=row.reason, **_said(row))


def _said(row: Row[Any]) -> dict[str, Any]:
    return {
        "who": row.who,
        "created": row.created,
        "imported": row.imported,
        "imported_by": row.imported_by,
    }
