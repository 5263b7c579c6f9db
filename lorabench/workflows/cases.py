"""The case book of these settings: open it, keep a scan in it, take in what others exported."""

from __future__ import annotations

import getpass
import logging
from dataclasses import dataclass
from pathlib import Path

from lorabench.adapters.strict_json import parse_object
from lorabench.casebook import CaseBook
from lorabench.config import Config
from lorabench.errors import AdapterRefusedError, InputError, LorabenchError
from lorabench.results.cases import Case, CaseImport
from lorabench.results.scans import ScanResult

log = logging.getLogger(__name__)

_IMPORT_BYTES = 256 * 1024**2
_IMPORT_DEPTH = 40
_IMPORT_TOKENS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScan:
    """Where a scan is kept, or why it is not.

    Attributes:
        case: Its case; None if it could not be kept.
        problem: Why not, as a sentence; None if it was kept.
    """

    case: Case | None
    problem: str | None = None


def open_cases(config: Config) -> CaseBook:
    """Return the case book that the settings name, opened; it is made if there is none.

    Raises:
        InputError: If its URL cannot be used.
        StorageError: If it is damaged, newer than this lorabench, or out of reach.
    """
    return CaseBook(config.cases_url or config.cases_path)


def user_name() -> str:
    """Return what the operating system calls whoever runs this process."""
    try:
        return getpass.getuser() or "unknown"
    except (KeyError, OSError, ImportError):  # a user id without a name
        return "unknown"


def record_scan(config: Config, scan: ScanResult, *, who: str | None = None) -> Case:
    """Keep a scan in the case book and return its case.

    Args:
        config: Where the case book is.
        scan: What was found.
        who: Who scanned; None for the user of the operating system.

    Raises:
        InputError: If the scan names no adapter or is too large.
        StorageError: If it cannot be kept; see `keep_scan` for one that must not be lost.
    """
    with open_cases(config) as book:
        return book.record_scan(scan, who or user_name())


def keep_scan(config: Config, scan: ScanResult, who: str | None = None) -> KeptScan:
    """Keep a scan as `record_scan` does; trouble with the book does not take the scan with it."""
    try:
        return KeptScan(case=record_scan(config, scan, who=who))
    except LorabenchError as error:
        log.warning("a scan was not kept: %s", error)
        return KeptScan(case=None, problem=str(error))


def import_case(book: CaseBook, path: Path, who: str) -> CaseImport:
    """Add the case in a file that another case book exported; all of it stays marked as a claim.

    Args:
        book: Where to.
        path: JSON, as `lorabench cases export` writes it; at most 256 MiB.
        who: Who brings it in.

    Raises:
        InputError: If the file cannot be read or is no such export; nothing was added then.
        StorageError: If it cannot be kept.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_IMPORT_BYTES + 1)
    except OSError as error:
        raise InputError(
            "cannot-read", f"{str(path)!r} cannot be read ({error.strerror}).", "Check the path."
        ) from error
    if len(data) > _IMPORT_BYTES:
        raise InputError(
            "case-too-large",
            f"{str(path)!r} is larger than {_IMPORT_BYTES:,} bytes.",
            "A case of that size cannot be imported.",
        )
    try:
        found = parse_object(data, what=f"{str(path)!r}", max_depth=_IMPORT_DEPTH, max_tokens=_IMPORT_TOKENS)
    except AdapterRefusedError as error:
        raise InputError(
            error.rule, error.problem, "Export the case again with `lorabench cases export`."
        ) from error
    return book.import_export(found, who)
