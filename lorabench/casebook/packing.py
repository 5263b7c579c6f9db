"""A scan as the case book keeps it: canonical JSON, compressed, named by its sha256."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

from lorabench.casebook.text import one_line
from lorabench.errors import InputError, StorageError
from lorabench.results.convert import from_dict, to_dict
from lorabench.results.scans import ScanResult

SCAN_BYTES = 64 * 1024**2
"""Longest JSON of one scan; the largest adapters stay below a quarter of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedScan:
    """One scan, ready to be kept.

    Attributes:
        digest: sha256 over its canonical JSON.
        result: That JSON, zlib.
        columns: What is searched or listed, by column.
    """

    digest: str
    result: bytes
    columns: dict[str, Any]


def pack(scan: ScanResult) -> PackedScan:
    """Return a scan as it is kept.

    Raises:
        InputError: If its JSON is longer than `SCAN_BYTES`.
    """
    text = canonical(scan)
    if len(text) > SCAN_BYTES:
        raise InputError(
            "scan-too-large",
            f"The scan has {len(text):,} bytes; at most {SCAN_BYTES:,} are kept.",
            "Save it as a file instead.",
        )
    columns = {
        "name": one_line(scan.name) or "unnamed",
        "scanned": one_line(scan.created, 40),
        "decision": scan.verdict.decision,
        "lorabench": _version(scan.provenance),
        "profile": _profile(scan),
        "seconds": scan.seconds if math.isfinite(scan.seconds) else 0.0,
        "rules": "\n".join(sorted({one_line(f.rule) for s in scan.stages for f in s.findings})),
    }
    return PackedScan(digest=sha256(text), result=zlib.compress(text, 6), columns=columns)


def unpack(packed: bytes, digest: str) -> ScanResult:
    """Return the scan that was kept.

    Raises:
        StorageError: If the bytes are not those that were kept.
    """
    try:
        text = zlib.decompressobj().decompress(packed, SCAN_BYTES + 1)
        if sha256(text) == digest:
            return from_dict(ScanResult, json.loads(text))
    except (zlib.error, ValueError, KeyError, TypeError):
        pass
    raise StorageError(
        "cases-damaged",
        "A scan in the case book is not as it was kept.",
        "Put a copy of the case book back, or scan the adapter again.",
    )


def canonical(value: Any) -> bytes:
    """Return the one JSON of a value: ASCII, sorted names, no blanks; non-finite numbers are null."""
    return json.dumps(to_dict(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256(data: bytes) -> str:
    """Return the sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _version(provenance: dict[str, Any]) -> str:
    versions = provenance.get("versions")
    return one_line(str(versions.get("lorabench", "")), 40) if isinstance(versions, dict) else ""


def _profile(scan: ScanResult) -> str | None:
    """Return the calibration profile that the scan says it used, or the one its findings name."""
    said = scan.provenance.get("profile")
    if isinstance(said, dict):
        said = said.get("id")
    if not said:
        named = (f.calibration for s in scan.stages for f in s.findings if f.calibration)
        said = next(named, None)
    return one_line(str(said)) if said else None
