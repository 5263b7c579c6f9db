"""A scan as one page of Markdown, and as a section for a model card.

Untrusted text is escaped against Markdown and HTML both, because renderers differ in what they
pass through: no link, picture, tag, heading or table cell can come from an adapter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lorabench import __version__
from lorabench.figures import interval_text, signed, visible
from lorabench.report.scan_facts import ScanFacts, probe_sentence, scan_facts, stage_coverage
from lorabench.report.scan_numbers import TITLES, number, percent
from lorabench.results.findings import Decision
from lorabench.results.scans import ScanResult

_SPECIAL = re.compile(r"[\\`*{}\[\]#!|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_COLON = re.compile(r"(?<!sha256):(?=[/A-Za-z])")  # http://, javascript:, :red[...], but not "n: 3"
_HOST = re.compile(r"(www)\.", re.IGNORECASE)
_START = re.compile(r"^(\s*)([-+=](?=[-+=\s]|$)|\d+(?=[.)](?:\s|$)))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_MARKS: dict[Decision, str] = {"allow": "✓", "review": "▲", "block": "✖", "inconclusive": "?"}
_LIMIT = 2000
_SHOWN = 10


def md(text: str, limit: int | None = _LIMIT) -> str:
    """Return an untrusted text as inert Markdown on one line, fit for a paragraph or a table cell."""
    shown = _SPECIAL.sub(r"\\\g<0>", visible(text, limit))
    shown = _COLON.sub(r"\\:", "".join(_ENTITIES.get(c, c) for c in shown))
    shown = _HOST.sub(r"\1\\.", shown)
    return _START.sub(_escaped_start, shown)


def _escaped_start(match: re.Match[str]) -> str:
    mark = match[2]
    return f"&#{ord(mark[0])};{mark[1:]}" if mark.isdigit() else f"\\{mark}"


def scan_markdown(scan: ScanResult) -> str:
    """Return a scan on one page: verdict, three numbers, stages, findings, limits, how to repeat it."""
    facts = scan_facts(scan)
    parts = [
        f"# Triage of {md(facts.name, 200)}",
        f"**{_decision(facts)}** {md(facts.headline)}",
        md(facts.confidence),
        f"sha256 {md(facts.subject)}",
        _numbers(facts),
        _list("Why", facts.reasons),
        _agreement(facts),
        _list("What would change it", facts.changes),
        "## Stages\n\n" + _stages(facts),
        "## Findings\n\n" + _findings(facts),
        _statistics(facts),
        _probes(facts),
        _list("What was looked at", facts.coverage),
        _list("What was not looked at", facts.gaps),
        _list("Calibration", facts.calibration),
        _list("Claims of the adapter, no evidence", (f"{k}: {visible(v, 300)}" for k, v in facts.claims)),
        _list("Limits", facts.limits),
        "## How to repeat it\n\n" + _table(("what", "value"), facts.reproduce),
        f"lorabench {__version__}",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def model_card_block(scan: ScanResult) -> str:
    """Return a section "Backdoor triage" to paste into an adapter's README."""
    facts = scan_facts(scan)
    lines = [f"- {md(n.label)}: {md(n.value)} ({md(n.detail)})" for n in facts.key_numbers]
    found = [
        f"- {md(f.finding.rule)} ({f.finding.level}): {md(f.finding.sentence, 500)}" for f in facts.findings
    ]
    parts = [
        "## Backdoor triage",
        f"**{_decision(facts)}** {md(facts.headline)} {md(facts.confidence)}",
        f"Scanned: {md(facts.name, 120)}, sha256 {md(facts.subject)}, {md(facts.created)}, "
        f"lorabench {__version__}.",
        "\n".join(lines),
        "\n".join(["Findings:", "", *found]) if found else "Findings: none.",
        _statistics(facts, heading="###"),
        _list("What was not looked at", facts.gaps, "###"),
        _list("Calibration", facts.calibration, "###"),
        _list("Limits", facts.limits, "###"),
        f"Repeat it: {md(facts.reproduce[0][1])}",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _decision(facts: ScanFacts) -> str:
    return f"{_MARKS[facts.decision]} {facts.decision.upper()}."


def _agreement(facts: ScanFacts) -> str:
    return f"Agreement of the stages: {md(facts.agreement)}" if facts.agreement else ""


def _numbers(facts: ScanFacts) -> str:
    return _table(
        ("number", "value", "n and interval"), [(n.label, n.value, n.detail) for n in facts.key_numbers]
    )


def _stages(facts: ScanFacts) -> str:
    rows = [
        (TITLES[s.stage], s.status, s.level or "-", stage_coverage(s), s.summary or "-") for s in facts.stages
    ]
    return _table(("stage", "status", "level", "covered", "summary"), rows)


def _findings(facts: ScanFacts) -> str:
    if not facts.findings:
        return "None."
    lines = []
    for f in facts.findings:
        place = f" at {md(f.finding.where, 300)}" if f.finding.where else ""
        lines.append(f"- **{f.finding.level}**: {md(f.finding.rule, 120)}{place}. {md(f.finding.sentence)}")
        told = [f.numbers_text, *(f"{x.name}: {visible(x.value, 300)}" for x in f.finding.facts)]
        told.append(f"Would change it: {f.finding.changes}" if f.finding.changes else "")
        lines += [f"  - {md(t)}" for t in told if t]
    return "\n".join(lines)


def _statistics(facts: ScanFacts, heading: str = "##") -> str:
    if not facts.statistics:
        return ""
    rows = [
        (s.name, s.battery, number(s.value), interval_text(s.interval), str(s.n_probes))
        for s in facts.statistics
    ]
    how = next((s.interval for s in facts.statistics if s.interval is not None), None)
    note = "" if how is None else f"\n\nIntervals: {percent(how.confidence_level)}, {md(how.method)}."
    return (
        f"{heading} Statistics\n\n"
        + _table(("statistic", "over", "value", "interval", "probes"), rows)
        + note
    )


def _probes(facts: ScanFacts) -> str:
    if not facts.probes:
        return ""
    rows = [
        (visible(p.text, 200), p.category, probe_sentence(p), signed(p.shift_difference))
        for p in facts.probes[:_SHOWN]
    ]
    heads = ("probe", "category", "attack rate, interval, n", "margin shift minus the base's (logits)")
    more = len(facts.probes) - _SHOWN
    return (
        "## Strongest probes\n\n" + _table(heads, rows) + (f"\n\nAnd {more} weaker ones." if more > 0 else "")
    )


def _list(title: str, items: Iterable[str], heading: str = "##") -> str:
    found = [f"- {md(t)}" for t in items if t]
    return f"{heading} {title}\n\n" + "\n".join(found) if found else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(md(c) for c in row)} |" for row in rows)])
