"""The case book itself: keep scans, notes and decisions, find them again, put two scans side by side."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select, update

from lorabench.casebook import exchange, schema
from lorabench.casebook.compare import compare_scans
from lorabench.casebook.database import CaseDatabase
from lorabench.casebook.packing import pack, unpack
from lorabench.casebook.rows import add_once, entry_digest, load_cases, scan_of
from lorabench.casebook.search import matching_cases
from lorabench.casebook.text import (
    case_id,
    case_number,
    now,
    one_line,
    person,
    running_text,
    subject_of,
)
from lorabench.errors import InputError, unknown_name
from lorabench.results.cases import (
    CASE_STATUSES,
    RULINGS,
    Case,
    CaseDecision,
    CaseImport,
    CaseNote,
    CaseScan,
    CaseStatus,
    Ruling,
    ScanComparison,
)
from lorabench.results.scans import ScanResult

NEW_SCAN = "A new scan was kept."
MOST_CASES = 500


class CaseBook:
    """Cases of adapters; any thread may use one, and several processes one file or database.

    Everything but a case's status is only ever added; the tables refuse anything else. Times are
    this book's own, except in what was imported.

    Attributes:
        where: What to call the book in a sentence, without credentials.
    """

    def __init__(self, where: str | Path) -> None:
        """Open a case book, and make it if there is none.

        Args:
            where: A SQLite file, or the URL of a SQLite file or a PostgreSQL database.

        Raises:
            InputError: If the URL cannot be used.
            StorageError: If the book is damaged, newer, or out of reach; nothing was changed.
        """
        self._database = CaseDatabase(where)
        self.where = self._database.where

    def __enter__(self) -> CaseBook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the book."""
        self._database.close()

    def record_scan(self, scan: ScanResult, who: str) -> Case:
        """Keep a scan in its adapter's case; a closed case is opened again.

        The very same scan is kept once: the second time nothing happens.

        Args:
            scan: What was found.
            who: Who scanned.

        Returns:
            The case.

        Raises:
            InputError: If the scan names no adapter, is too large, or `who` is missing.
            StorageError: If it cannot be kept; then nothing of it was.
        """
        who, packed = person(who), pack(scan)
        subject = subject_of(scan.subject)
        values = {"digest": packed.digest, "result": packed.result, **packed.columns}
        with self._database.write() as connection:
            number, _ = exchange.case_of(connection, subject, str(packed.columns["name"]))
            status = _locked_status(connection, number)
            entry = {"case_id": number, "who": who, "created": now(), **values}
            is_new = add_once(connection, schema.scans, entry) is not None
            if is_new and status == "closed":
                self._reopen(connection, number, NEW_SCAN, who)
            return load_cases(connection, [number])[0]

    def note(self, number: str | int, text: str, who: str) -> CaseNote:
        """Add a note of at most 20,000 characters to a case.

        Raises:
            InputError: If there is no such case, or the text is empty or too long.
        """
        values = {"who": person(who), "created": now(), "text": running_text(text, "note")}
        with self._database.write() as connection:
            _add(connection, schema.notes, _existing(connection, number), values)
        return CaseNote(**values)

    def decide(self, number: str | int, decision: Ruling, reason: str, who: str) -> CaseDecision:
        """Add a decision: allow and block close the case, review opens it.

        Args:
            number: The case.
            decision: "allow", "review" or "block".
            reason: Why; at most 20,000 characters.
            who: Who decides.

        Raises:
            InputError: If there is no such case or decision, or the reason is empty or too long.
        """
        if decision not in RULINGS:
            raise unknown_name("decision", one_line(str(decision), 40), RULINGS)
        said = {"who": person(who), "created": now()}
        reason = running_text(reason, "reason")
        with self._database.write() as connection:
            known = _existing(connection, number)
            _locked_status(connection, known)
            _add(connection, schema.decisions, known, {**said, "decision": decision, "reason": reason})
            _set_status(connection, known, "open" if decision == "review" else "closed")
        return CaseDecision(decision=decision, reason=reason, **said)

    def reopen(self, number: str | int, reason: str, who: str) -> Case:
        """Open a closed case again.

        Raises:
            InputError: If there is no such case, it is open, or the reason is empty or too long.
        """
        who, reason = person(who), running_text(reason, "reason")
        with self._database.write() as connection:
            known = _existing(connection, number)
            if _locked_status(connection, known) == "open":
                raise InputError(
                    "case-is-open", f"The case {case_number(known)} is open already.", "Nothing needs doing."
                )
            self._reopen(connection, known, reason, who)
            return load_cases(connection, [known])[0]

    def get(self, number: str | int) -> Case:
        """Return one case with everything but the scans themselves.

        Raises:
            InputError: If there is no such case.
        """
        with self._database.read() as connection:
            return load_cases(connection, [_existing(connection, number)])[0]

    def find(self, subject: str) -> Case | None:
        """Return the case of an adapter, by the sha256 that scans name it with."""
        with self._database.read() as connection:
            query = select(schema.cases.c.id).where(schema.cases.c.subject == subject)
            return next(iter(load_cases(connection, list(connection.execute(query).scalars()))), None)

    def search(
        self,
        text: str = "",
        *,
        decision: Ruling | None = None,
        status: CaseStatus | None = None,
        limit: int = MOST_CASES,
    ) -> tuple[Case, ...]:
        """Return the cases that hold a text, the newest first.

        Args:
            text: Looked for in names, subjects, notes, reasons and the rules of findings; taken
                literally but for upper and lower case. "" finds all.
            decision: Only cases whose newest own decision is this.
            status: Only cases of this status.
            limit: Most cases.

        Raises:
            InputError: For an unknown decision or status.
        """
        if decision is not None and decision not in RULINGS:
            raise unknown_name("decision", one_line(str(decision), 40), RULINGS)
        if status is not None and status not in CASE_STATUSES:
            raise unknown_name("status", one_line(str(status), 40), CASE_STATUSES)
        wanted = one_line(text)
        with self._database.read() as connection:
            found = matching_cases(connection, wanted, decision=decision, status=status, limit=limit)
            return load_cases(connection, found)

    def count(self) -> int:
        """Return how many cases there are."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(schema.cases)).scalar_one())

    def scans(self, number: str | int) -> tuple[CaseScan, ...]:
        """Return the scans of a case in brief, the oldest first.

        Raises:
            InputError: If there is no such case.
        """
        return self.get(number).scans

    def load_scan(self, scan_id: int) -> ScanResult:
        """Return a whole scan as it was kept.

        Raises:
            InputError: If there is no such scan.
            StorageError: If it is not as it was kept.
        """
        with self._database.read() as connection:
            row = _scan_row(connection, scan_id)
        return unpack(row.result, row.digest)

    def compare(self, scan_a: int, scan_b: int) -> ScanComparison:
        """Return two scans beside each other, of one adapter or of two.

        Raises:
            InputError: If there is no such scan.
            StorageError: If one is not as it was kept.
        """
        with self._database.read() as connection:
            a, b = _scan_row(connection, scan_a), _scan_row(connection, scan_b)
        return compare_scans(scan_of(a), scan_of(b), unpack(a.result, a.digest), unpack(b.result, b.digest))

    def export(self, number: str | int) -> dict[str, Any]:
        """Return a case whole, as JSON values that another case book can import.

        Raises:
            InputError: If there is no such case.
            StorageError: If one of its scans is not as it was kept.
        """
        with self._database.read() as connection:
            return exchange.export_case(connection, _existing(connection, number))

    def import_export(self, data: Any, who: str) -> CaseImport:
        """Add what another book exported; a second time adds nothing.

        All of it is marked as a claim of whoever made it, and changes neither the status nor the
        decision of a case here.

        Args:
            data: What `export` returned, after a way through JSON or not; hostile until checked.
            who: Who brings it in.

        Raises:
            InputError: If anything in it is not as an export is; nothing was added then.
            StorageError: If it cannot be kept.
        """
        who, checked = person(who), exchange.read_export(data)
        with self._database.write() as connection:
            return exchange.import_case(connection, checked, who)

    @staticmethod
    def _reopen(connection: Connection, number: int, reason: str, who: str) -> None:
        _add(connection, schema.reopenings, number, {"who": who, "created": now(), "reason": reason})
        _set_status(connection, number, "open")


def _add(connection: Connection, table: Table, number: int, values: dict[str, Any]) -> None:
    add_once(connection, table, {"case_id": number, "digest": entry_digest(values), **values})


def _existing(connection: Connection, number: str | int) -> int:
    wanted = case_id(number)
    if connection.execute(select(schema.cases.c.id).where(schema.cases.c.id == wanted)).scalar() is not None:
        return wanted
    newest = connection.execute(select(func.max(schema.cases.c.id))).scalar()
    raise InputError(
        "no-such-case",
        f"There is no case {case_number(wanted)}.",
        f"The newest is {case_number(newest)}; `lorabench cases list` shows all."
        if newest
        else "The case book is empty; `lorabench scan` begins a case.",
    )


def _scan_row(connection: Connection, scan_id: int) -> Row[Any]:
    row = None
    if 0 < scan_id < 2**31:
        row = connection.execute(select(schema.scans).where(schema.scans.c.id == scan_id)).first()
    if row is None:
        raise InputError(
            "no-such-scan",
            f"There is no scan {scan_id} in the case book.",
            "`lorabench cases show NUMBER` lists the scans of a case.",
        )
    return row


def _locked_status(connection: Connection, number: int) -> str:
    """Return a case's status, and let nobody else change it before this transaction ends."""
    query = select(schema.cases.c.status).where(schema.cases.c.id == number).with_for_update(key_share=True)
    return str(connection.execute(query).scalar_one())


def _set_status(connection: Connection, number: int, status: CaseStatus) -> None:
    connection.execute(update(schema.cases).where(schema.cases.c.id == number).values(status=status))
