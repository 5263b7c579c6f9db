"""Which cases hold a text: in names, subjects, notes, reasons, or the rules of findings."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, or_, select

from lorabench.casebook.schema import cases, decisions, notes, reopenings, scans
from lorabench.results.cases import CaseStatus, Ruling


def matching_cases(
    connection: Connection,
    text: str,
    *,
    decision: Ruling | None,
    status: CaseStatus | None,
    limit: int,
) -> list[int]:
    """Return the ids of the cases that match, the newest first.

    Args:
        connection: Of the case book.
        text: What to look for, letter for letter but for upper and lower case; "" is in every case.
        decision: Only cases whose newest own decision is this.
        status: Only cases of this status.
        limit: Most cases.
    """
    query = select(cases.c.id).order_by(cases.c.id.desc()).limit(limit)
    if text:
        query = query.where(_holds(text))
    if status is not None:
        query = query.where(cases.c.status == status)
    if decision is not None:
        query = query.where(_newest_decision() == decision)
    return [int(i) for i in connection.execute(query).scalars()]


def _holds(text: str) -> ColumnElement[bool]:
    def within(column: Column[Any]) -> ColumnElement[bool]:
        return column.icontains(text, autoescape=True)  # "%" and "_" mean themselves

    def among(table: Table, *names: str) -> ColumnElement[bool]:
        found = or_(*(within(table.c[name]) for name in names))
        return select(table.c.id).where(table.c.case_id == cases.c.id, found).exists()

    return or_(
        within(cases.c.name),
        within(cases.c.subject),
        among(scans, "name", "rules"),
        among(notes, "text"),
        among(decisions, "reason"),
        among(reopenings, "reason"),
    )


def _newest_decision() -> ColumnElement[Any]:
    own = select(decisions.c.decision).where(
        decisions.c.case_id == cases.c.id, decisions.c.imported.is_(None)
    )
    return own.order_by(decisions.c.id.desc()).limit(1).scalar_subquery()
