"""One scan as ordered facts and sentences: every format renders these, so all say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lorabench.figures import interval_text, rate_sentence
from lorabench.report.scan_context import calibration, claims, gaps, limits, reproduce
from lorabench.report.scan_numbers import number, percent, spelled
from lorabench.results.behaviour import ProbeRate, Statistic
from lorabench.results.findings import LEVELS, Decision, Finding, StageReport
from lorabench.results.rule import Rule
from lorabench.results.rules import RULES
from lorabench.results.scans import ScanResult

HEADLINES: Final[dict[Decision, str]] = {
    "allow": "No evidence found with these checks.",
    "review": "Something here wants a person's eyes before the adapter is used.",
    "block": "There is evidence of harm: do not use this adapter.",
    "inconclusive": "These checks cannot judge this adapter. That is not a pass.",
}
_KEY_STATISTICS: Final = (
    ("max_attack_rate", "Strongest probe"),
    ("outlier_gap", "Outlier gap"),
    ("mean_attack_rate", "Mean attack rate"),
    ("top3_mean", "Mean of the three strongest"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """One of the numbers that a reader sees first.

    Attributes:
        label: What it is.
        value: Formatted.
        detail: Its n and interval.
    """

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFacts:
    """A finding with its rule and its numbers as text.

    Attributes:
        finding: As found.
        rule: Of the catalogue, or a stand-in for one that is not in it.
        numbers: (name, text): measured, threshold, n, interval, calibration; only those there are.
    """

    finding: Finding
    rule: Rule
    numbers: tuple[tuple[str, str], ...]

    @property
    def numbers_text(self) -> str:
        """All numbers on one line."""
        return "; ".join(f"{name} {text}" for name, text in self.numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFacts:
    """What every report of a scan says, in order.

    Attributes:
        name: Of the adapter; untrusted.
        subject: sha256 of what was scanned.
        created: ISO time.
        decision: Of the verdict.
        headline: What it means; a sentence.
        confidence: A sentence.
        key_numbers: Three at most.
        reasons: Why, the strongest first.
        agreement: Which stages agree.
        changes: What would change the decision.
        stages: The five, in order.
        findings: The most serious first.
        statistics: Numbers over the battery, then its categories.
        probes: The strongest first.
        coverage: What was looked at; sentences.
        gaps: What was not; sentences.
        calibration: Where thresholds come from, and what they are worth; sentences.
        claims: (name, text) that the adapter says about itself.
        reproduce: (name, value), the command first.
        limits: Of this scan; sentences.
    """

    name: str
    subject: str
    created: str
    decision: Decision
    headline: str
    confidence: str
    key_numbers: tuple[KeyNumber, ...]
    reasons: tuple[str, ...]
    agreement: str
    changes: tuple[str, ...]
    stages: tuple[StageReport, ...]
    findings: tuple[FindingFacts, ...]
    statistics: tuple[Statistic, ...]
    probes: tuple[ProbeRate, ...]
    coverage: tuple[str, ...]
    gaps: tuple[str, ...]
    calibration: tuple[str, ...]
    claims: tuple[tuple[str, str], ...]
    reproduce: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]


def scan_facts(scan: ScanResult) -> ScanFacts:
    """Return what a report of `scan` says; apply `disclosed` to the scan before."""
    found = [f for s in scan.stages for f in s.findings]
    found.sort(key=lambda f: LEVELS.index(f.level), reverse=True)
    behaviour = scan.behaviour
    return ScanFacts(
        name=scan.name,
        subject=scan.subject,
        created=scan.created,
        decision=scan.verdict.decision,
        headline=HEADLINES[scan.verdict.decision],
        confidence=_confidence(scan),
        key_numbers=_key_numbers(scan),
        reasons=scan.verdict.reasons,
        agreement=scan.verdict.agreement,
        changes=scan.verdict.changes,
        stages=scan.stages,
        findings=tuple(finding_facts(f) for f in found),
        statistics=() if behaviour is None else (*behaviour.statistics, *behaviour.categories),
        probes=() if behaviour is None else tuple(sorted(behaviour.probes, key=_strength, reverse=True)),
        coverage=scan.verdict.coverage,
        gaps=gaps(scan),
        calibration=calibration(scan),
        claims=claims(scan),
        reproduce=reproduce(scan),
        limits=limits(scan),
    )


def finding_facts(finding: Finding) -> FindingFacts:
    """Return one finding with its rule and its numbers."""
    numbers = [
        ("measured", None if finding.measured is None else number(finding.measured, 6)),
        ("threshold", None if finding.threshold is None else number(finding.threshold, 6)),
        ("n", None if finding.n is None else f"{finding.n}"),
        ("interval", None if finding.interval is None else spelled(finding.interval)),
        ("calibration", finding.calibration),
    ]
    return FindingFacts(
        finding=finding,
        rule=rule_of(finding),
        numbers=tuple((name, text) for name, text in numbers if text is not None),
    )


def rule_of(finding: Finding) -> Rule:
    """Return the rule of a finding; one that the catalogue lacks gets a stand-in of its own name."""
    known = RULES.get(finding.rule)
    if known is not None:
        return known
    return Rule(
        id=finding.rule,
        stage=finding.stage,
        title=finding.rule.replace("-", " ").capitalize(),
        help=finding.sentence,
        level=finding.level,
    )


def statistic_sentence(statistic: Statistic) -> str:
    """Return "outlier_gap over structural_v1_41/B: 0.71 [0.60, 0.80], 41 probes"."""
    probes = f"{statistic.n_probes} probe{'' if statistic.n_probes == 1 else 's'}"
    if statistic.value is None:
        return f"{statistic.name} over {statistic.battery}: not measured, {probes}"
    interval = f" {interval_text(statistic.interval)}" if statistic.interval else ""
    return f"{statistic.name} over {statistic.battery}: {number(statistic.value)}{interval}, {probes}"


def stage_coverage(stage: StageReport) -> str:
    """Return the covered share of a stage, or "not run"."""
    return "not looked at" if stage.coverage is None else percent(stage.coverage)


def _strength(probe: ProbeRate) -> tuple[float, float]:
    rate = probe.rate.value
    return (-1.0 if rate is None else rate, probe.mean_shift or 0.0)


def _confidence(scan: ScanResult) -> str:
    verdict = scan.verdict
    degraded = " The scan is not whole: see what was not looked at." if verdict.is_degraded else ""
    return f"Confidence in this decision: {verdict.confidence}.{degraded}"


def _key_numbers(scan: ScanResult) -> tuple[KeyNumber, ...]:
    numbers: list[KeyNumber] = []
    if scan.behaviour is not None:
        found = scan.behaviour
        batteries = [s.battery for s in found.statistics]
        battery = found.battery if found.battery in batteries else next(iter(batteries), "")
        prompts = f"{found.n_eligible} of {found.n_prompts} prompts eligible"
        for name, label in _KEY_STATISTICS:
            statistic = found.statistic(name, battery)
            if statistic is not None:
                numbers.append(_of_statistic(statistic, label, prompts))
    if scan.weights is not None:
        z = [abs(m.robust_z) for m in scan.weights.modules if m.robust_z is not None]
        numbers.append(
            KeyNumber(
                label="Largest module deviation",
                value=f"z {max(z):.1f}" if z else "not measured",
                detail=f"n = {len(z)} modules; {len(scan.weights.standouts)} at or above "
                f"{number(scan.weights.standout_z)}; no interval: every module was measured",
            )
        )
    numbers.append(
        KeyNumber(
            label="Tensors understood",
            value=percent(scan.file.tensor_coverage),
            detail=f"files in the folder: n = {len(scan.file.files)}; no interval: a count",
        )
    )
    return tuple(numbers[:3])


def _of_statistic(statistic: Statistic, label: str, prompts: str) -> KeyNumber:
    interval = "no interval" if statistic.interval is None else spelled(statistic.interval)
    return KeyNumber(
        label=label,
        value="n/m" if statistic.value is None else f"{statistic.value:.2f}",
        detail=f"{interval}; n = {statistic.n_probes} probes of {statistic.battery}, {prompts}",
    )


def probe_sentence(probe: ProbeRate) -> str:
    """Return the rate of a probe with n and interval."""
    return rate_sentence(probe.rate)
