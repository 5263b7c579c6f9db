"""One door to all reports of scans: which formats there are, and how much each may show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from lorabench.errors import InputError, unknown_name
from lorabench.report.exports import csv_bytes, parquet_bytes
from lorabench.report.scan_bom import scan_bom
from lorabench.report.scan_disclosure import DISCLOSURES, Disclosure, disclosed
from lorabench.report.scan_html import scan_html
from lorabench.report.scan_json import scan_json
from lorabench.report.scan_markdown import model_card_block, scan_markdown
from lorabench.report.scan_rows import scan_frame
from lorabench.report.scan_sarif import sarif
from lorabench.report.scan_text import scan_text
from lorabench.results.scans import ScanResult

SCAN_FORMATS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "json": (".json", "application/json"),
        "sarif": (".sarif", "application/sarif+json"),
        "html": (".html", "text/html"),
        "markdown": (".md", "text/markdown"),
        "card": (".card.md", "text/markdown"),
        "bom": (".cdx.json", "application/vnd.cyclonedx+json"),
        "csv": (".csv", "text/csv"),
        "parquet": (".parquet", "application/vnd.apache.parquet"),
        "text": (".txt", "text/plain"),
    }
)
"""Name of each format -> suffix of its files, media type."""

_ONE: Final[Mapping[str, Callable[[ScanResult], str]]] = MappingProxyType(
    {"html": scan_html, "markdown": scan_markdown, "card": model_card_block, "bom": scan_bom}
)
_MANY: Final[Mapping[str, Callable[[Sequence[ScanResult]], str | bytes]]] = MappingProxyType(
    {
        "json": scan_json,
        "sarif": sarif,
        "text": scan_text,
        "csv": lambda scans: csv_bytes(scan_frame(scans)),
        "parquet": lambda scans: parquet_bytes(scan_frame(scans)),
    }
)


def render_scan(
    scans: Sequence[ScanResult], fmt: str, *, disclosure: Disclosure = "full", full_paths: bool = False
) -> bytes:
    """Return scans in one of `SCAN_FORMATS`; equal scans give equal bytes.

    Args:
        scans: At least one; html, markdown, card and bom hold exactly one.
        fmt: A key of `SCAN_FORMATS`.
        disclosure: "full", "hashed" (texts become hashes) or "family" (categories and counts only).
        full_paths: Keep absolute paths; else only the last name of each.

    Raises:
        InputError: If the format is unknown, or cannot hold that many scans.
    """
    if fmt not in SCAN_FORMATS:
        raise unknown_name("report format", fmt, tuple(SCAN_FORMATS))
    if disclosure not in DISCLOSURES:
        raise unknown_name("level of disclosure", disclosure, DISCLOSURES)
    if not scans:
        raise InputError("no-scan", "There is no scan to report.", "Scan an adapter first.")
    if fmt in _ONE and len(scans) > 1:
        raise InputError(
            "one-scan-format",
            f"A report in the format {fmt} holds one scan, not {len(scans)}.",
            f"Write one file each, or use one of {', '.join(_MANY)}.",
        )
    shown = [disclosed(scan, disclosure, full_paths) for scan in scans]
    made = _ONE[fmt](shown[0]) if fmt in _ONE else _MANY[fmt](shown)
    return made if isinstance(made, bytes) else made.encode("utf-8", "backslashreplace")
