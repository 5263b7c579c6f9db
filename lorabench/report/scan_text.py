"""A scan for a terminal: plain text, nothing in it that a terminal would obey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorabench.figures import interval_text, rate_text, safe_text, signed
from lorabench.report.scan_facts import ScanFacts, scan_facts, stage_coverage
from lorabench.report.scan_numbers import TITLES, number, percent
from lorabench.report.text import columns
from lorabench.results.findings import Decision
from lorabench.results.scans import ScanResult

_SHOWN = 10
_MARKS: dict[Decision, str] = {
    "allow": "[ ok ]",
    "review": "[look]",
    "block": "[STOP]",
    "inconclusive": "[ ?? ]",
}


def scan_text(scans: Sequence[ScanResult]) -> str:
    """Return each scan on about one screen; several begin with a table of decisions."""
    facts = [scan_facts(s) for s in scans]
    parts = [_overview(facts)] if len(facts) > 1 else []
    return ("\n" + "=" * 78 + "\n\n").join([*parts, *map(_one, facts)])


def _overview(facts: Sequence[ScanFacts]) -> str:
    rows = [[safe_text(f.name, 50), f.decision, str(len(f.findings)), f.subject[:12]] for f in facts]
    return "\n".join(columns(["adapter", "decision", ">findings", "sha256"], rows)) + "\n"


def _one(facts: ScanFacts) -> str:
    parts = [
        _verdict(facts),
        _stages(facts),
        _findings(facts),
        _statistics(facts),
        _probes(facts),
        _ends(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(facts: ScanFacts) -> str:
    lines = [f"{_MARKS[facts.decision]} {facts.decision.upper()}  {_line(facts.name, 100)}"]
    lines += [f"sha256 {_line(facts.subject)}", _line(facts.headline), _line(facts.confidence)]
    lines += [f"  {n.label}: {_line(n.value)} ({_line(n.detail)})" for n in facts.key_numbers]
    lines += _bullets("Because", facts.reasons)
    if facts.agreement:
        lines.append(f"Agreement: {_line(facts.agreement)}")
    return "\n".join([*lines, *_bullets("Would change it", facts.changes)])


def _stages(facts: ScanFacts) -> str:
    rows = [
        [TITLES[s.stage], s.status, s.level or "-", stage_coverage(s), _line(s.summary, 90)]
        for s in facts.stages
    ]
    return "\n".join(columns(["stage", "status", "level", ">covered", "summary"], rows))


def _findings(facts: ScanFacts) -> str:
    if not facts.findings:
        return "Findings: none."
    lines = [f"Findings: {len(facts.findings)}"]
    for f in facts.findings:
        place = f" at {_line(f.finding.where, 80)}" if f.finding.where else ""
        lines.append(f"- {f.finding.level}: {_line(f.finding.rule, 80)}{place}")
        lines.append(f"    {_line(f.finding.sentence)}")
        if f.numbers:
            lines.append(f"    {_line(f.numbers_text)}")
        lines += [f"    {_line(x.name, 60)}: {_line(x.value, 200)}" for x in f.finding.facts]
        if f.finding.changes:
            lines.append(f"    Would change it: {_line(f.finding.changes)}")
    return "\n".join(lines)


def _statistics(facts: ScanFacts) -> str:
    if not facts.statistics:
        return ""
    rows = [
        [
            _line(s.name, 40),
            _line(s.battery, 40),
            number(s.value),
            "" if s.interval is None else interval_text(s.interval),
            str(s.n_probes),
        ]
        for s in facts.statistics
    ]
    lines = columns(["statistic", "over", ">value", ">interval", ">probes"], rows)
    how = next((s.interval for s in facts.statistics if s.interval is not None), None)
    if how is not None:
        lines.append(f"Intervals: {percent(how.confidence_level)}, {_line(how.method)}.")
    return "\n".join(lines)


def _probes(facts: ScanFacts) -> str:
    if not facts.probes:
        return ""
    rows = [
        [
            _line(p.text, 44),
            _line(p.category, 20),
            rate_text(p.rate.value),
            interval_text(p.rate.interval()),
            str(p.rate.n),
            signed(p.shift_difference),
        ]
        for p in facts.probes[:_SHOWN]
    ]
    lines = columns(["probe", "category", ">rate", ">interval", ">n", ">shift"], rows)
    more = len(facts.probes) - _SHOWN
    return "\n".join([*lines, *([f"... and {more} weaker ones"] if more > 0 else [])])


def _ends(facts: ScanFacts) -> str:
    claims = [f"{k}: {_line(v, 160)}" for k, v in facts.claims]
    lines = [
        *_bullets("Looked at", facts.coverage),
        *_bullets("Not looked at", facts.gaps),
        *_bullets("Calibration", facts.calibration),
        *_bullets("Claims of the adapter, no evidence", claims),
        *_bullets("Limits", facts.limits),
        *_bullets("Repeat it", (f"{k}: {_line(v, 300)}" for k, v in facts.reproduce)),
    ]
    return "\n".join(lines)


def _bullets(title: str, items: Iterable[str]) -> list[str]:
    found = [f"  - {_line(t)}" for t in items]
    return [f"{title}:", *found] if found else []


def _line(text: str, limit: int | None = 600) -> str:
    return safe_text(text, limit)
