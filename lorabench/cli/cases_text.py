"""Cases as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorabench.cli.terminal import columns
from lorabench.results.cases import (
    Case,
    CaseDecision,
    CaseEntry,
    CaseImport,
    CaseNote,
    CaseReopening,
    ScanComparison,
    StatisticPair,
)
from lorabench.results.findings import Finding

_WORST = 40  # statistics shown; --json has all


def case_table(cases: Sequence[Case]) -> str:
    """Return one line per case; "" for none."""
    if not cases:
        return ""
    rows = [
        [
            c.number,
            c.status,
            c.decision or "-",
            c.verdict or "-",
            str(len(c.scans)),
            str(len(c.notes)),
            _day(c.created),
            c.subject[:12],
            c.name[:60],
        ]
        for c in cases
    ]
    heads = ["case", "status", "decided", "verdict", "scans", "notes", "since", "sha256", "name"]
    return columns(heads, rows)


def case_text(case: Case) -> str:
    """Return everything in a case but the scans themselves."""
    lines = [
        f"case     {case.number} ({case.status})",
        f"name     {_line(case.name)}",
        f"sha256   {case.subject}",
        f"decided  {case.decision or 'not yet'}",
        f"since    {_minute(case.created)}",
    ]
    text = "".join(f"{line}\n" for line in lines)
    if case.scans:
        text += "\n" + _scans(case)
    history: list[CaseEntry] = [*case.notes, *case.decisions, *case.reopenings]
    for entry in sorted(history, key=lambda e: e.imported or e.created):
        text += "\n" + _entry(entry)
    return text


def comparison_text(found: ScanComparison) -> str:
    """Return two scans beside each other, the largest changes first."""
    a, b = found.a, found.b
    rows = [
        [str(s.id), s.case, s.decision, _minute(s.scanned), s.lorabench or "-", s.profile or "-", s.name[:40]]
        for s in (a, b)
    ]
    text = columns(["scan", "case", "verdict", "scanned", "lorabench", "profile", "name"], rows)
    verdict = f"from {a.decision} to {b.decision}" if found.decision_changed else f"{a.decision} in both"
    text += f"\nverdict  {verdict}\n"
    if not found.is_same_adapter:
        text += "These are two adapters, not one scanned twice.\n"
    text += _findings(f"Only in scan {a.id}", found.only_a)
    text += _findings(f"Only in scan {b.id}", found.only_b)
    if found.changed:
        text += "\nChanged\n"
        for c in found.changed:
            text += f"  {_line(c.a.rule)} {_line(c.a.where)}".rstrip() + f": {', '.join(c.changed)}\n"
            text += f"    {_finding(c.a)}\n    {_finding(c.b)}\n"
    same = "1 finding is" if found.n_same == 1 else f"{found.n_same} findings are"
    text += f"\n{same} the same in both.\n"
    return text + _statistics(found) + _provenance(found)


def imported_text(added: CaseImport) -> str:
    """Return what an import added."""
    counts = (
        (added.n_scans, "scans"),
        (added.n_notes, "notes"),
        (added.n_decisions, "decisions"),
        (added.n_reopenings, "reopenings"),
    )
    what = ", ".join(f"{n} {name}" for n, name in counts if n) or "nothing that was not there already"
    new = "a new case" if added.is_new else "the case of the same adapter"
    text = f"Added {what} to {added.case.number}, {new}.\n"
    return text + (
        "It is all marked as imported: a claim of those who made it.\n" if any(n for n, _ in counts) else ""
    )


def _scans(case: Case) -> str:
    rows = [
        [
            str(s.id),
            s.decision,
            _minute(s.scanned),
            f"{s.seconds:.0f} s",
            s.lorabench or "-",
            s.profile or "-",
            f"{s.who}{' (imported)' if s.is_claim else ''}",
            ", ".join(s.rules)[:80] or "-",
        ]
        for s in case.scans
    ]
    return columns(["scan", "verdict", "scanned", "took", "lorabench", "profile", "by", "findings"], rows)


def _entry(entry: CaseEntry) -> str:
    what = ""
    if isinstance(entry, CaseNote):
        what, body = "note", entry.text
    elif isinstance(entry, CaseDecision):
        what, body = f"decided: {entry.decision}", entry.reason
    elif isinstance(entry, CaseReopening):
        what, body = "opened again", entry.reason
    else:
        return ""
    head = f"{_minute(entry.created)}  {_line(entry.who)}  {what}"
    if entry.is_claim:
        head += f"  (a claim, imported {_minute(entry.imported or '')} by {_line(entry.imported_by or '')})"
    return f"{head}\n{_indented(body)}\n"


def _findings(title: str, findings: Iterable[Finding]) -> str:
    lines = [f"  {_line(f.rule)} {_line(f.where)}".rstrip() + f"\n    {_finding(f)}\n" for f in findings]
    return f"\n{title}\n{''.join(lines)}" if lines else ""


def _finding(finding: Finding) -> str:
    number = "" if finding.measured is None else f" {finding.measured:.6g}"
    if finding.measured is not None and finding.threshold is not None:
        number += f" against {finding.threshold:.6g}"
    return f"[{finding.level}]{number} {_line(finding.sentence)}"


def _statistics(found: ScanComparison) -> str:
    moved = [s for s in found.statistics if s.a != s.b]
    n_same = len(found.statistics) - len(moved)
    moved.sort(key=_size, reverse=True)
    rows = [
        [s.kind, s.name, s.battery[:40], _number(s.a), _number(s.b), _number(s.difference)]
        for s in moved[:_WORST]
    ]
    heads = ["kind", "statistic", "battery", f"scan {found.a.id}", f"scan {found.b.id}", "difference"]
    text = "\n" + columns(heads, rows) if rows else ""
    if len(moved) > _WORST:
        text += f"{len(moved) - _WORST} more moved; --json has them.\n"
    return text + (f"{n_same} numbers are the same in both.\n" if n_same else "")


def _size(pair: StatisticPair) -> float:
    """Return how much a number moved, relative to its size; one that is missing moved most."""
    if pair.a is None or pair.b is None:
        return float("inf")
    return abs(pair.b - pair.a) / (abs(pair.a) + abs(pair.b) + 1e-12)


def _provenance(found: ScanComparison) -> str:
    if not found.provenance:
        return "\nNothing else was different.\n"
    rows = [[p.name[:60], (p.a or "-")[:40], (p.b or "-")[:40]] for p in found.provenance]
    text = "\nDifferent around them, so numbers may differ because of it:\n"
    return text + columns(["what", f"scan {found.a.id}", f"scan {found.b.id}"], rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _minute(iso: str) -> str:
    return _line(iso)[:16].replace("T", " ")


def _day(iso: str) -> str:
    return _line(iso)[:10]
