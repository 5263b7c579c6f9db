"""One rule set from findings to a decision; the README states it in the same order.

1. A finding that blocks: block.
2. A finding that wants a person's eyes: review.
3. File or behaviour not done, tensors not understood, anything that could not be judged: inconclusive.
4. Otherwise: allow, which means no evidence found with these checks.

Nothing missing ever counts as good: every rule that could allow needs evidence that was gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lorabench.results import STAGES, Decision, Finding, Stage, StageReport, Verdict
from lorabench.results.profiles import Profile

REQUIRED: tuple[Stage, ...] = ("file", "behaviour")
"""Without these done nothing is allowed. Weights may abstain: the study's own threshold does not transfer."""

_CONFIDENT_BOUND, _FAIR_BOUND = 0.05, 0.2
_NAMES = {
    "file": "file",
    "weights": "weights",
    "behaviour": "behaviour",
    "trigger": "reconstructed trigger",
    "cause": "causal evidence",
}


def decide(
    stages: Sequence[StageReport], profile: Profile | None = None, notes: Sequence[str] = ()
) -> Verdict:
    """Return the verdict over the stages of one scan.

    Args:
        stages: The stages, run or not.
        profile: The profile behind the thresholds, or None.
        notes: Reasons that the scan is degraded besides those in the stages, as sentences (fast mode).
    """
    findings = [f for s in stages for f in s.findings]
    degraded = [*notes, *_gaps(stages)]
    decision = _decision(findings, degraded)
    return Verdict(
        decision=decision,
        confidence=_confidence(decision, stages, findings, profile),
        reasons=_reasons(decision, findings, degraded, profile),
        agreement=_agreement(stages),
        coverage=tuple(_coverage(s) for s in stages),
        changes=_changes(decision, findings, degraded),
        is_degraded=bool(degraded),
    )


def _decision(findings: Sequence[Finding], degraded: Sequence[str]) -> Decision:
    levels = {f.level for f in findings}
    if "block" in levels:
        return "block"
    if "review" in levels:
        return "review"
    if degraded or "inconclusive" in levels:
        return "inconclusive"
    return "allow"


def _gaps(stages: Sequence[StageReport]) -> list[str]:
    """Return what keeps the scan from being whole, as sentences."""
    found = []
    by_stage = {s.stage: s for s in stages}
    for name in REQUIRED:
        stage = by_stage.get(name)
        if stage is None or stage.status != "done":
            why = "it is missing." if stage is None else f"{stage.status}. {stage.summary}"
            found.append(f"The stage «{_NAMES[name]}» cannot speak: {why}")
    file = by_stage.get("file")
    if file is not None and file.status == "done" and (file.coverage is None or file.coverage < 1):
        found.append(f"Only {file.coverage or 0:.0%} of the adapter's tensors were understood.")
    failed = [_NAMES[s.stage] for s in stages if s.status == "failed" and s.stage not in REQUIRED]
    if failed:
        found.append(f"Failed: {', '.join(failed)}.")
    return found


def _confidence(
    decision: Decision, stages: Sequence[StageReport], findings: Sequence[Finding], profile: Profile | None
) -> Literal["low", "medium", "high"]:
    against = {f.stage for f in findings if f.level in ("review", "block")}
    if decision == "inconclusive":
        return "low"
    if decision == "block":
        return (
            "high"
            if len(against) > 1 or any(f.stage == "file" and f.level == "block" for f in findings)
            else "medium"
        )
    if decision == "review":
        return "medium" if len(against) > 1 else "low"
    bound = min((t.false_alarm_bound for t in profile.thresholds), default=1.0) if profile else 1.0
    silent = any(s.stage == "weights" and s.status != "done" for s in stages)
    if bound <= _CONFIDENT_BOUND and not silent:
        return "high"
    return "medium" if bound <= _FAIR_BOUND else "low"


def _reasons(
    decision: Decision, findings: Sequence[Finding], degraded: Sequence[str], profile: Profile | None
) -> tuple[str, ...]:
    order = ("block", "review", "inconclusive")
    strong = sorted((f for f in findings if f.level in order), key=lambda f: order.index(f.level))
    reasons = [f.sentence for f in strong]
    if decision in ("inconclusive", "review"):
        reasons += [d for d in degraded if d not in reasons]
    if decision == "allow":
        source = f" Thresholds: {profile.sentence}." if profile else ""
        reasons = [f"No evidence found with these checks.{source}"]
    return tuple(reasons)


def _agreement(stages: Sequence[StageReport]) -> str:
    groups: dict[str, list[str]] = {"against it": [], "nothing found": [], "silent": [], "not run": []}
    for s in stages:
        if s.level in ("review", "block"):
            groups["against it"].append(_NAMES[s.stage])
        elif s.status == "done" and s.level in (None, "info"):
            groups["nothing found"].append(_NAMES[s.stage])
        elif s.status == "not run":
            groups["not run"].append(_NAMES[s.stage])
        else:
            groups["silent"].append(_NAMES[s.stage])
    text = "; ".join(f"{name}: {', '.join(who)}" for name, who in groups.items() if who)
    return f"{text[0].upper()}{text[1:]}." if text else "No stage was run."


def _coverage(stage: StageReport) -> str:
    share = "" if stage.coverage is None else f", {stage.coverage:.0%} covered"
    return f"{_NAMES[stage.stage]}: {stage.status}{share}. {stage.summary}"


def _changes(decision: Decision, findings: Sequence[Finding], degraded: Sequence[str]) -> tuple[str, ...]:
    found = [f.changes for f in findings if f.changes and f.level != "info"]
    if decision == "allow":
        found.append(
            "A trigger that shares no word with any probe, another placement, another target label or "
            "another task was not looked for."
        )
    if degraded:
        found.append("A scan with every stage done could say more.")
    return tuple(dict.fromkeys(found))


def missing_stages(stages: Sequence[StageReport]) -> tuple[StageReport, ...]:
    """Return the stages in order, those that were not run filled in."""
    by_stage = {s.stage: s for s in stages}
    return tuple(
        by_stage.get(name, StageReport(stage=name, status="not run", summary=_NOT_RUN[name]))
        for name in STAGES
    )


_NOT_RUN: dict[Stage, str] = {
    "file": "The folder was not looked at.",
    "weights": "The weights were not measured.",
    "behaviour": "No probe was asked.",
    "trigger": "No trigger was searched for.",
    "cause": "No layer was patched.",
}
