"""Scans as one flat table for CSV and Parquet: verdicts, findings, statistics and every probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lorabench.figures import encodable
from lorabench.report.scan_facts import ScanFacts, scan_facts
from lorabench.results import Interval
from lorabench.results.findings import StageReport
from lorabench.results.scans import ScanResult

_TEXTS = ("adapter", "subject", "decision", "record", "id", "group", "level", "where", "text", "method")
_FLOATS = ("value", "threshold", "low", "high", "mean_shift", "base_shift", "shift_difference", "coverage")
_COUNTS = ("n", "n_hits", "n_ties")


def scan_frame(scans: Sequence[ScanResult]) -> pd.DataFrame:
    """Return one row per verdict, stage, finding, statistic and probe of each scan.

    Returns:
        `record` says what a row is: "verdict", "stage", "finding", "statistic", "category" or "probe";
        `id` names it (a rule, a statistic, a stage); `group` is its stage, battery or category;
        `text` is the probe, exact but for lone surrogates, or a sentence; `value` has `n` and the
        interval `low` to `high`, made by `method`. Numbers that a kind of row has not are missing.
    """
    empty = dict.fromkeys((*_TEXTS, "shared_words", "flips"), "")
    rows = [empty | row for scan in scans for row in _rows(scan)]
    head = [*_TEXTS[:8], "value", "n", "n_hits", *_FLOATS[1:], "n_ties", *_TEXTS[8:]]
    frame = pd.DataFrame(rows, columns=[*head, "shared_words", "flips"])
    return frame.astype({**dict.fromkeys(_FLOATS, "float64"), **dict.fromkeys(_COUNTS, "Int64")})


def _rows(scan: ScanResult) -> list[dict[str, Any]]:
    facts = scan_facts(scan)
    head = {"adapter": facts.name, "subject": facts.subject, "decision": facts.decision}
    rows = [_verdict(scan, facts), *map(_stage, facts.stages), *_findings(facts), *_statistics(scan)]
    rows += _probes(scan)
    return [{k: encodable(v) if isinstance(v, str) else v for k, v in (head | row).items()} for row in rows]


def _verdict(scan: ScanResult, facts: ScanFacts) -> dict[str, Any]:
    text = " ".join((facts.headline, *facts.reasons))
    return {"record": "verdict", "id": facts.decision, "group": scan.verdict.confidence, "text": text}


def _stage(stage: StageReport) -> dict[str, Any]:
    return {
        "record": "stage",
        "id": stage.stage,
        "group": stage.status,
        "level": stage.level or "",
        "coverage": stage.coverage,
        "text": stage.summary,
    }


def _findings(facts: ScanFacts) -> list[dict[str, Any]]:
    return [
        {
            "record": "finding",
            "id": f.finding.rule,
            "group": f.finding.stage,
            "level": f.finding.level,
            "where": f.finding.where,
            "value": f.finding.measured,
            "threshold": f.finding.threshold,
            "n": f.finding.n,
            "text": f.finding.sentence,
            **_ends(f.finding.interval),
        }
        for f in facts.findings
    ]


def _statistics(scan: ScanResult) -> list[dict[str, Any]]:
    if scan.behaviour is None:
        return []
    kinds = [("statistic", scan.behaviour.statistics), ("category", scan.behaviour.categories)]
    return [
        {
            "record": kind,
            "id": s.name,
            "group": s.battery,
            "value": s.value,
            "n": s.n_probes,
            **_ends(s.interval),
        }
        for kind, found in kinds
        for s in found
    ]


def _probes(scan: ScanResult) -> list[dict[str, Any]]:
    if scan.behaviour is None:
        return []
    return [
        {
            "record": "probe",
            "id": "attack_success_rate",
            "group": p.category,
            "value": p.rate.value,
            "n": p.rate.n,
            "n_hits": p.rate.n_hits,
            "mean_shift": p.mean_shift,
            "base_shift": p.base_shift,
            "shift_difference": p.shift_difference,
            "n_ties": p.n_ties,
            "text": p.text,
            "shared_words": " ".join(p.shared_words),
            "flips": p.flips,
            **_ends(p.rate.interval()),
        }
        for p in scan.behaviour.probes
    ]


def _ends(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {}
    return {"low": interval.low, "high": interval.high, "method": interval.method}
