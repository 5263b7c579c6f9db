"""A scan as a CycloneDX 1.6 ML-BOM: what the adapter is, what was measured, what was found."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from lorabench import __version__
from lorabench.figures import visible
from lorabench.report.scan_facts import FindingFacts, ScanFacts, scan_facts
from lorabench.report.scan_numbers import number
from lorabench.report.scan_sarif import SEVERITY, utc_time
from lorabench.results import Interval
from lorabench.results.findings import Level
from lorabench.results.scans import ScanResult

_REF: Final = "adapter"
_SEVERITY: Final[dict[Level, str]] = {
    "block": "critical",
    "review": "medium",
    "inconclusive": "low",
    "info": "info",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE: Final = {"block": "exploitable", "review": "in_triage"}
_LIMIT = 2000


def scan_bom(scan: ScanResult) -> str:
    """Return the bill of materials; equal scans give equal bytes, the serial number included."""
    facts = scan_facts(scan)
    metadata: dict[str, Any] = {
        "tools": {"components": [{"type": "application", "name": "lorabench", "version": __version__}]},
        "component": _component(scan, facts),
        "properties": _properties(facts),
    }
    if made := utc_time(scan.created):
        metadata = {"timestamp": made, **metadata}
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, 'lorabench:' + visible(scan.subject))}",
        "version": 1,
        "metadata": metadata,
        "vulnerabilities": _vulnerabilities(facts),
    }
    return json.dumps(bom, ensure_ascii=True, indent=2, allow_nan=False) + "\n"


def _component(scan: ScanResult, facts: ScanFacts) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": _REF,
        "name": _text(facts.name, 300) or "(no name)",
        "description": _text(f"LoRA adapter. Triage by lorabench: {facts.decision}. {facts.headline}"),
        **_hashes(scan.subject),
        "pedigree": {"ancestors": _ancestors(scan)},
        "modelCard": {
            "bom-ref": "model-card",
            "modelParameters": _parameters(scan),
            "quantitativeAnalysis": {"performanceMetrics": _metrics(facts)},
            "considerations": {"technicalLimitations": [_text(t) for t in (*facts.gaps, *facts.limits)]},
        },
        "properties": _file_properties(scan),
    }


def _hashes(sha256: str | None) -> dict[str, Any]:
    if sha256 is None or not _SHA256.fullmatch(sha256):
        return {}
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]}


def _ancestors(scan: ScanResult) -> list[dict[str, Any]]:
    """Return the base that the scan ran on; without one, the base that the adapter claims, as a claim."""
    base = scan.provenance.get("base")
    if isinstance(base, dict) and base.get("id"):
        name, fingerprint, source = str(base["id"]), str(base.get("fingerprint") or ""), "used in this scan"
    elif scan.file.facts is not None and scan.file.facts.claims.base_model:
        claims = scan.file.facts.claims
        name, fingerprint, source = (
            claims.base_model or "",
            claims.base_fingerprint or "",
            "the adapter's claim",
        )
    else:
        return []
    told = [("base.source", source), ("base.fingerprint", fingerprint)]
    entry = {"type": "machine-learning-model", "name": _text(name, 300)}
    return [{**entry, "properties": [_property(k, v) for k, v in told if v]}]


def _parameters(scan: ScanResult) -> dict[str, Any]:
    parameters: dict[str, Any] = {"architectureFamily": "transformer", "modelArchitecture": "LoRA adapter"}
    if scan.behaviour is not None:
        parameters["task"] = _text(scan.behaviour.task, 200)
    return parameters


def _metrics(facts: ScanFacts) -> list[dict[str, Any]]:
    metrics = []
    for s in facts.statistics:
        if s.value is not None:
            slice_ = f"{s.battery}; n = {s.n_probes} probes"
            metrics.append(_metric(s.name, s.value, slice_, s.interval))
    for p in facts.probes:
        if p.rate.value is not None:
            slice_ = f"probe {visible(p.text, 300)}; category {p.category}; n = {p.rate.n} prompts"
            metrics.append(_metric("attack_success_rate", p.rate.value, slice_, p.rate.interval()))
    return metrics


def _metric(name: str, value: float, slice_: str, interval: Interval | None) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": _text(name, 100), "value": number(value), "slice": _text(slice_, 600)}
    if interval is not None:
        ends = {"lowerBound": number(interval.low), "upperBound": number(interval.high)}
        metric["confidenceInterval"] = ends
    return metric


def _properties(facts: ScanFacts) -> list[dict[str, str]]:
    rows = [("decision", facts.decision), ("confidence", facts.confidence), ("headline", facts.headline)]
    rows += [("reason", t) for t in facts.reasons]
    rows += [("agreement", facts.agreement)]
    rows += [("would-change", t) for t in facts.changes]
    rows += [(f"stage.{s.stage}", f"{s.status}. {s.summary}") for s in facts.stages]
    rows += [("finding", _finding(f)) for f in facts.findings]
    rows += [("coverage", t) for t in facts.coverage]
    rows += [("calibration", t) for t in facts.calibration]
    rows += [(f"claim.{k}", v) for k, v in facts.claims]
    rows += [(f"reproduce.{k}", v) for k, v in facts.reproduce]
    return [_property(k, v) for k, v in rows if v]


def _finding(found: FindingFacts) -> str:
    finding = found.finding
    place = f" at {finding.where}" if finding.where else ""
    numbers = f" ({found.numbers_text})" if found.numbers else ""
    return f"{finding.rule} [{finding.level}]{place}: {finding.sentence}{numbers}"


def _file_properties(scan: ScanResult) -> list[dict[str, str]]:
    rows = []
    for f in scan.file.files:
        size = "size unknown" if f.n_bytes is None else f"{f.n_bytes} bytes"
        told = f"sha256 {f.sha256}" if f.sha256 else "never opened"
        rows.append(_property("file", f"{f.name}: {f.kind}, {size}, {told}"))
    return rows


def _vulnerabilities(facts: ScanFacts) -> list[dict[str, Any]]:
    wanted = [f for f in facts.findings if f.finding.level in _STATE]
    return [_vulnerability(i, f) for i, f in enumerate(wanted, start=1)]


def _vulnerability(i: int, found: FindingFacts) -> dict[str, Any]:
    finding, rule = found.finding, found.rule
    source = {"name": "lorabench"}
    entry: dict[str, Any] = {
        "bom-ref": f"finding-{i}",
        "id": f"lorabench:{_text(finding.rule, 120)}",
        "source": source,
        "ratings": [
            {
                "source": source,
                "score": float(SEVERITY[finding.level]),
                "severity": _SEVERITY[finding.level],
                "method": "other",
            }
        ],
        "description": _text(finding.sentence or rule.title),
        "detail": _text("; ".join((rule.help, *(f"{f.name}: {f.value}" for f in finding.facts)))),
        "recommendation": _text(finding.changes or rule.help),
        "analysis": {"state": _STATE[finding.level], "detail": _text(found.numbers_text or rule.title)},
        "affects": [{"ref": _REF}],
        "properties": [
            _property("rule", finding.rule),
            _property("where", finding.where or "the whole adapter"),
        ],
    }
    cwes = [int(x.removeprefix("CWE-")) for x in rule.cwe if x.removeprefix("CWE-").isdigit()]
    return {**entry, "cwes": cwes} if cwes else entry


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"lorabench:{_text(name, 120)}", "value": _text(value)}


def _text(text: str, limit: int = _LIMIT) -> str:
    return visible(text, limit)
