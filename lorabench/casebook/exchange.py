"""Cases as JSON that other case books can take in; what comes in is checked whole, and stays a claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, Table, select

from lorabench import __version__
from lorabench.casebook import schema
from lorabench.casebook.conform import conforms
from lorabench.casebook.packing import PackedScan, pack, unpack
from lorabench.casebook.rows import add_once, entry_digest, load_cases
from lorabench.casebook.text import now, one_line, person, running_text, subject_of
from lorabench.errors import InputError
from lorabench.results.cases import CASE_FORMAT, RULINGS, CaseImport
from lorabench.results.convert import from_dict, to_dict
from lorabench.results.findings import STAGES
from lorabench.results.scans import SCAN_FORMAT, ScanResult

MOST_SCANS = 1_000
MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedExport:
    """An export in which everything is as it should be.

    Attributes:
        subject: sha256 of the adapter.
        name: What it was called there.
        scans: Each with who kept it and when.
        notes: Rows without marks of an import.
        decisions: The same.
        reopenings: The same.
    """

    subject: str
    name: str
    scans: tuple[tuple[PackedScan, dict[str, Any]], ...]
    notes: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]
    reopenings: tuple[dict[str, Any], ...]


def case_of(connection: Connection, subject: str, name: str) -> tuple[int, bool]:
    """Return the id of an adapter's case, and whether it was just made."""
    query = select(schema.cases.c.id).where(schema.cases.c.subject == subject)
    found = connection.execute(query).scalar()
    if found is not None:
        return int(found), False
    values = {"subject": subject, "name": name, "status": "open", "created": now()}
    added = add_once(connection, schema.cases, values)
    if added is not None:
        return added, True
    return int(connection.execute(query).scalar_one()), False  # somebody was quicker


def export_case(connection: Connection, number: int) -> dict[str, Any]:
    """Return a case and its scans as JSON values.

    Raises:
        StorageError: If a scan is not as it was kept.
    """
    case = to_dict(load_cases(connection, [number])[0])
    query = select(schema.scans.c.digest, schema.scans.c.result).where(schema.scans.c.case_id == number)
    whole = {row.digest: to_dict(unpack(row.result, row.digest)) for row in connection.execute(query)}
    for scan in case["scans"]:
        scan["result"] = whole[scan["digest"]]
    return {"format": CASE_FORMAT, "lorabench": __version__, "exported": now(), "case": case}


def read_export(data: Any) -> CheckedExport:
    """Return an export after looking at all of it.

    Raises:
        InputError: Rule "bad-case-export" and those of texts, saying what is wrong.
    """
    if not isinstance(data, dict) or data.get("format") != CASE_FORMAT:
        _refuse(f"it is not of the format {CASE_FORMAT}")
    case = data.get("case")
    if not isinstance(case, dict):
        _refuse("it holds no case")
    subject = subject_of(_text(case, "subject", 64))
    return CheckedExport(
        subject=subject,
        name=one_line(_text(case, "name", 4_000)) or "unnamed",
        scans=tuple(_scan(item, subject) for item in _items(case, "scans", MOST_SCANS)),
        notes=tuple(_entry(n, "text", "note") for n in _items(case, "notes", MOST_ENTRIES)),
        decisions=tuple(_decision(d) for d in _items(case, "decisions", MOST_ENTRIES)),
        reopenings=tuple(_entry(r, "reason", "reason") for r in _items(case, "reopenings", MOST_ENTRIES)),
    )


def import_case(connection: Connection, export: CheckedExport, who: str) -> CaseImport:
    """Add what is not there yet, each marked as imported now by `who`."""
    number, is_new = case_of(connection, export.subject, export.name)
    marks = {"case_id": number, "origin": schema.IMPORTED, "imported": now(), "imported_by": who}

    def add(table: Table, entries: Iterable[dict[str, Any]]) -> int:
        known = set(connection.execute(select(table.c.digest).where(table.c.case_id == number)).scalars())
        new = [e for e in entries if e["digest"] not in known]
        return sum(add_once(connection, table, {**e, **marks}) is not None for e in new)

    def named(entries: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        return ({**e, "digest": entry_digest(e)} for e in entries)

    scans = ({"digest": p.digest, "result": p.result, **p.columns, **said} for p, said in export.scans)
    n_scans = add(schema.scans, scans)
    n_notes = add(schema.notes, named(export.notes))
    n_decisions = add(schema.decisions, named(export.decisions))
    n_reopenings = add(schema.reopenings, named(export.reopenings))
    return CaseImport(
        case=load_cases(connection, [number])[0],
        is_new=is_new,
        n_scans=n_scans,
        n_notes=n_notes,
        n_decisions=n_decisions,
        n_reopenings=n_reopenings,
    )


def _scan(item: dict[str, Any], subject: str) -> tuple[PackedScan, dict[str, Any]]:
    try:
        scan = from_dict(ScanResult, item.get("result"))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        scan = None
    if scan is None or not conforms(ScanResult, scan) or scan.format != SCAN_FORMAT:
        _refuse("one of its scans cannot be read")
    if tuple(s.stage for s in scan.stages) != STAGES:
        _refuse("one of its scans has not the five stages")
    if scan.subject != subject:
        _refuse("one of its scans is of another adapter")
    return pack(scan), _said(item)


def _decision(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("decision") not in RULINGS:
        _refuse("one of its decisions is none of allow, review and block")
    return {**_entry(item, "reason", "reason"), "decision": item["decision"]}


def _entry(item: dict[str, Any], name: str, what: str) -> dict[str, Any]:
    text = item.get(name)
    if not isinstance(text, str):
        _refuse(f"one of its entries has no {name}")
    return {**_said(item), name: running_text(text, what)}


def _said(item: dict[str, Any]) -> dict[str, Any]:
    created = _text(item, "created", 40)
    try:
        datetime.fromisoformat(created)
    except ValueError:
        _refuse("one of its entries has no time")
    return {"who": person(_text(item, "who", 200)), "created": created}


def _items(case: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
    found = case.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        _refuse(f"its {name} are no list of objects")
    if len(found) > most:
        _refuse(f"it has more than {most:,} {name}")
    return found


def _text(item: dict[str, Any], name: str, most: int) -> str:
    found = item.get(name)
    if not isinstance(found, str) or len(found) > most:
        _refuse(f"its {name} is missing or too long")
    return found


def _refuse(why: str) -> NoReturn:
    raise InputError(
        "bad-case-export",
        f"This is no case that lorabench exported: {why}. Nothing was imported.",
        "Export the case again with `lorabench cases export`.",
    )
