"""Two scans beside each other: what is gone, what is new, what moved, and what else was different."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from lorabench.casebook.packing import canonical
from lorabench.results.cases import (
    CaseScan,
    FindingChange,
    ProvenanceDifference,
    ScanComparison,
    StatisticKind,
    StatisticPair,
)
from lorabench.results.findings import Finding
from lorabench.results.scans import ScanResult

_DEPTH = 6
_TEXT_CHARS = 200
Numbers = dict[tuple[StatisticKind, str, str], float | None]


def compare_scans(a: CaseScan, b: CaseScan, result_a: ScanResult, result_b: ScanResult) -> ScanComparison:
    """Return two scans beside each other.

    Args:
        a: The first in brief.
        b: The second in brief.
        result_a: The whole of the first.
        result_b: The whole of the second.
    """
    only_a, only_b, changed, n_same = _findings(result_a, result_b)
    return ScanComparison(
        a=a,
        b=b,
        only_a=only_a,
        only_b=only_b,
        changed=changed,
        n_same=n_same,
        statistics=_statistics(_numbers(result_a), _numbers(result_b)),
        provenance=_differences(_circumstances(result_a), _circumstances(result_b)),
    )


def _findings(
    a: ScanResult, b: ScanResult
) -> tuple[tuple[Finding, ...], tuple[Finding, ...], tuple[FindingChange, ...], int]:
    """Pair findings of one rule and place: equal ones first, then the others in a fixed order."""
    groups_a, groups_b = _groups(a), _groups(b)
    only_a: list[Finding] = []
    only_b: list[Finding] = []
    changed: list[FindingChange] = []
    n_same = 0
    for key in sorted(groups_a.keys() | groups_b.keys()):
        left, right, n_equal = _without_equal(groups_a[key], groups_b[key])
        n_same += n_equal
        n = min(len(left), len(right))
        changed += [FindingChange(a=x, b=y) for x, y in zip(left[:n], right[:n], strict=True)]
        only_a += left[n:]
        only_b += right[n:]
    return tuple(only_a), tuple(only_b), tuple(changed), n_same


def _groups(scan: ScanResult) -> defaultdict[tuple[str, str, str], list[Finding]]:
    groups: defaultdict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for stage in scan.stages:
        for finding in stage.findings:
            groups[finding.stage, finding.rule, finding.where].append(finding)
    return groups


def _without_equal(a: Sequence[Finding], b: Sequence[Finding]) -> tuple[list[Finding], list[Finding], int]:
    left, right = sorted(a, key=canonical), sorted(b, key=canonical)
    texts = [canonical(f) for f in right]
    rest = []
    for finding in left:
        text = canonical(finding)
        if text in texts:
            i = texts.index(text)
            del texts[i], right[i]
        else:
            rest.append(finding)
    return rest, right, len(left) - len(rest)


def _numbers(scan: ScanResult) -> Numbers:
    found: Numbers = {}
    if (behaviour := scan.behaviour) is not None:
        found |= {("behaviour", s.name, s.battery): s.value for s in behaviour.statistics}
        found |= {("category", s.name, s.battery): s.value for s in behaviour.categories}
    if (weights := scan.weights) is not None:
        found |= {("weights", name, ""): value for name, value in weights.aggregates.items()}
        found |= {("study v1", name, ""): value for name, value in weights.study_v1.items()}
        found |= {("study v2", name, ""): value for name, value in weights.study_v2.items()}
    return found


def _statistics(a: Numbers, b: Numbers) -> tuple[StatisticPair, ...]:
    return tuple(
        StatisticPair(kind=key[0], name=key[1], battery=key[2], a=a.get(key), b=b.get(key))
        for key in sorted(a.keys() | b.keys())
    )


def _circumstances(scan: ScanResult) -> dict[str, str]:
    """Return everything around a scan that can move its numbers, as text by dotted path."""
    found = dict(_flat("", scan.provenance))
    if (behaviour := scan.behaviour) is not None:
        for name in ("task", "task_source", "battery", "battery_version", "battery_digest", "prompts_digest"):
            found[f"behaviour.{name}"] = str(getattr(behaviour, name))
    found |= {f"stage.{s.stage}": s.status for s in scan.stages}
    return {name: text for name, text in found.items() if text}


def _flat(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and depth < _DEPTH:
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), inner, depth + 1)
    elif value is not None:
        yield path, canonical(value).decode() if isinstance(value, dict | list | tuple) else str(value)


def _differences(a: dict[str, str], b: dict[str, str]) -> tuple[ProvenanceDifference, ...]:
    return tuple(
        ProvenanceDifference(name=name, a=_cut(a.get(name)), b=_cut(b.get(name)))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"
