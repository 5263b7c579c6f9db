"""A scan as JSON, and back: the one format that holds everything, checked against a published schema."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from lorabench.errors import InputError
from lorabench.figures import safe_text
from lorabench.report.exports import to_json
from lorabench.results import from_dict
from lorabench.results.scans import SCAN_FORMAT, ScanResult

MAX_SCAN_CHARACTERS = 64 * 1024 * 1024
"""Longest JSON text that is read back."""

SCHEMA_NAME = "scan-1.schema.json"


def scan_json(scans: Sequence[ScanResult]) -> str:
    """Return one scan as an object, several as an array of such objects."""
    if len(scans) == 1:
        return to_json(scans[0])
    return "[\n" + ",\n".join(to_json(s).rstrip("\n") for s in scans) + "\n]\n"


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) of one scan, as shipped."""
    return files("lorabench.report").joinpath("schemas", SCHEMA_NAME).read_text(encoding="utf-8")


def read_scan(text: str) -> ScanResult:
    """Return the scan that a JSON report holds.

    Args:
        text: What `scan_json` wrote for one scan; anything else is refused.

    Raises:
        InputError: If it is too large, no JSON, of another major format, or breaks the schema.
    """
    value = _parsed(text)
    _check_format(value)
    _check_schema(value)
    try:
        return from_dict(ScanResult, value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(f"its values contradict each other ({safe_text(str(error), 120)})") from error


def _parsed(text: str) -> Any:
    if len(text) > MAX_SCAN_CHARACTERS:
        raise InputError(
            "scan-too-large",
            f"The scan report has {len(text):,} characters; at most {MAX_SCAN_CHARACTERS:,} are read.",
            "Give the JSON report of one scan.",
        )
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError as error:
        raise _unreadable("it is nested too deeply") from error
    except ValueError as error:
        raise _unreadable(f"it is no valid JSON ({safe_text(str(error), 120)})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a field twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_format(value: Any) -> None:
    given = value.get("format") if isinstance(value, dict) else None
    if not isinstance(given, str) or not re.fullmatch(r"lorabench-scan-\d{1,6}", given):
        raise _unreadable("it is no scan report of lorabench")
    if given != SCAN_FORMAT:
        raise InputError(
            "scan-format",
            f"The report has the format {given}; this version reads {SCAN_FORMAT}.",
            "Read it with the version of lorabench that wrote it, or scan the adapter again.",
        )


def _check_schema(value: Any) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(value))
    if error is not None:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise _unreadable(f"at {safe_text(place, 120)}: {safe_text(error.message, 200)}")


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema_text()))


def _unreadable(why: str) -> InputError:
    return InputError(
        "scan-unreadable", f"The scan report cannot be read: {why}.", "Give the JSON report of one scan."
    )
