"""The JSON Schema of a scan, derived from the value types; `schemas/` holds what this makes."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

from lorabench.results.findings import STAGES, StageReport
from lorabench.results.scans import SCAN_FORMAT, ScanResult

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_LIMITS: dict[str, dict[str, Any]] = {
    "ScanResult.format": {"const": SCAN_FORMAT},
    "ScannedFile.sha256": {"anyOf": [_SHA256, {"type": "null"}]},
    "StageReport.coverage": {"anyOf": [_SHARE, {"type": "null"}]},
    "FileEvidence.tensor_coverage": _SHARE,
    "ProbeRate.flips": {"type": "string", "pattern": "^[01-]*$"},
    "Interval.confidence_level": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
}
"""What a type alone does not say, by class and field."""
_COUNTS = re.compile(r"n|n_\w+|rank|measured_rank|in_features|out_features|layer")
_DERIVED: dict[str, dict[str, Any]] = {
    "StageReport": {"level": {"enum": ["info", "inconclusive", "review", "block", None]}},
    "ProbeRate": {"shift_difference": {"type": ["number", "null"]}},
    "Anchor": {"difference": {"type": ["number", "null"]}},
    "Rate": {
        "value": {"type": ["number", "null"]},
        "interval": {"anyOf": [{"$ref": "#/$defs/Interval"}, {"type": "null"}]},
    },
}
"""Fields that a reader may use and that are ignored when read back."""


def scan_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of what `scan_json` writes for one scan."""
    defs: dict[str, Any] = {}
    top = _object(ScanResult, defs)
    properties = {"lorabench": {"type": "string"}, "type": {"const": "ScanResult"}, **top["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:lorabench:{SCAN_FORMAT}",
        "title": "lorabench scan",
        "description": "Everything one scan of one adapter found. Non-finite numbers are null. Fields that "
        "this schema does not name may be added within one format; a change of meaning gets a new format.",
        "type": "object",
        "required": ["lorabench", "type", *top["required"]],
        "properties": properties,
        "allOf": _invariants(),
        "$defs": dict(sorted(defs.items())),
    }


def write_schema(path: Path | None = None) -> Path:
    """Write the schema to where the package ships it (or to `path`), and return where."""
    path = path or Path(__file__).parent / "schemas" / "scan-1.schema.json"
    path.write_text(json.dumps(scan_schema(), indent=2) + "\n", encoding="utf-8")
    return path


def _invariants() -> list[dict[str, Any]]:
    """Return what must hold between fields: a scan that is not whole never allows."""
    return [
        _never_allows({"verdict": {"properties": {"is_degraded": {"const": True}}}}, "A degraded scan."),
        _never_allows(
            {"stages": {"contains": {"properties": {"status": {"enum": ["failed", "refused"]}}}}},
            "A stage that failed or was refused.",
        ),
        _never_allows({"file": {"properties": {"refusal": {"type": "string"}}}}, "A refused folder."),
        _never_allows(
            {"stages": {"contains": {"properties": {"level": {"const": "block"}}, "required": ["level"]}}},
            "Evidence of harm.",
        ),
    ]


def _never_allows(when: dict[str, Any], comment: str) -> dict[str, Any]:
    decision = {"enum": ["inconclusive", "review", "block"]}
    return {
        "$comment": f"{comment} It cannot allow.",
        "if": {"properties": when},
        "then": {"properties": {"verdict": {"properties": {"decision": decision}}}},
    }


def _object(cls: Any, defs: dict[str, Any]) -> dict[str, Any]:
    hints, told = typing.get_type_hints(cls), _described(cls)
    properties, required = {}, []
    for field in dataclasses.fields(cls):
        schema = _field(cls, field.name, hints[field.name], defs)
        properties[field.name] = {**schema, "description": told[field.name]} if field.name in told else schema
        required.append(field.name)
    for name, schema in _DERIVED.get(cls.__name__, {}).items():
        properties[name] = {**schema, "description": "Derived; ignored when read back."}
    return {
        "type": "object",
        "description": (inspect.getdoc(cls) or "").splitlines()[0],
        "required": required,
        "properties": properties,
    }


def _field(cls: Any, name: str, hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    limits = _LIMITS.get(f"{cls.__name__}.{name}")
    if limits is not None:
        return dict(limits)
    if (cls, name) == (ScanResult, "stages"):
        return _five_stages(defs)
    schema = _type(hint, defs)
    if hint is int and _COUNTS.fullmatch(name):
        return {**schema, "minimum": 0}
    return schema


def _five_stages(defs: dict[str, Any]) -> dict[str, Any]:
    one = _type(StageReport, defs)
    named = [{"allOf": [one, {"properties": {"stage": {"const": stage}}}]} for stage in STAGES]
    return {"type": "array", "prefixItems": named, "items": False, "minItems": len(STAGES)}


def _type(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(hint):
        name = typing.cast(type, hint).__name__
        if name not in defs:
            defs[name] = {}  # a name taken first ends recursion
            defs[name] = _object(hint, defs)
        return {"$ref": f"#/$defs/{name}"}
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        return _optional([_type(a, defs) for a in args if a is not type(None)])
    if origin is tuple:
        return {"type": "array", "items": _type(args[0], defs)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(args[1], defs)}
    return dict(_SIMPLE[hint])


_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": ["number", "null"]},
    Any: {},
}


def _optional(members: list[dict[str, Any]]) -> dict[str, Any]:
    only = members[0]
    if len(members) == 1 and isinstance(only.get("type"), str):
        return {**only, "type": [only["type"], "null"]}
    if len(members) == 1 and isinstance(only.get("type"), list):
        return only
    return {"anyOf": [*members, {"type": "null"}]}


def _described(cls: Any) -> dict[str, str]:
    """Return the docstring's sentence for each attribute."""
    doc = inspect.getdoc(cls) or ""
    block = doc.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for match in re.finditer(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", block, re.MULTILINE):
        found[match[1]] = " ".join(match[2].split())
    return found
