"""One scan as ordered facts and sentences: every format renders these, so all say the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lorabench.figures import interval_text, rate_sentence
from lorabench.results import Interval
from lorabench.results.behaviour import ProbeRate, Statistic
from lorabench.results.findings import LEVELS, Decision, Finding, Stage, StageReport
from lorabench.results.rule import Rule
from lorabench.results.rules import RULES
from lorabench.results.scans import ScanResult

HEADLINES: Final[dict[Decision, str]] = {
    "allow": "No evidence found with these checks.",
    "review": "Something here wants a person's eyes before the adapter is used.",
    "block": "There is evidence of harm: do not use this adapter.",
    "inconclusive": "These checks cannot judge this adapter. That is not a pass.",
}
TITLES: Final[dict[Stage, str]] = {
    "file": "File",
    "weights": "Weights",
    "behaviour": "Behaviour",
    "trigger": "Trigger",
    "cause": "Cause",
}
LIMITS: Final = (
    "A scan speaks of the probes, prompts, task and base that it ran with. Other triggers, placements, "
    "prompts and tasks were not tried.",
    "Weight statistics move with steps, learning rate, rank and data as well; alone they never block.",
    "What an adapter says about itself is a claim and counts as no evidence.",
    "An attacker who knows these checks can try to pass them.",
)
_DISCLOSURES: Final = {
    "hashed": "Probes, prompts and found strings stand here as sha256 prefixes. A hash keeps a text from "
    "being used, not from being guessed.",
    "family": "Probes, prompts and found strings are left out; categories and counts remain.",
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
        gaps=_gaps(scan),
        calibration=_calibration(scan),
        claims=_claims(scan),
        reproduce=_reproduce(scan),
        limits=_limits(scan),
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


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with this many significant digits, or "not measured"."""
    return "not measured" if value is None or value != value else f"{value:.{digits}g}"


def spelled(interval: Interval) -> str:
    """Return "[0.86, 1.00] at 95 % (Wilson over prompts)"."""
    return f"{interval_text(interval)} at {percent(interval.confidence_level)} ({interval.method})"


def percent(fraction: float) -> str:
    """Return "95 %"; up to three digits."""
    return f"{100 * fraction:.3g} %"


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
        battery = found.statistics[0].battery if found.statistics else ""
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
            detail=f"n = {len(scan.file.files)} files in the folder; no interval: a count",
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


def _gaps(scan: ScanResult) -> tuple[str, ...]:
    gaps = []
    for stage in scan.stages:
        title = TITLES[stage.stage]
        if stage.status != "done":
            gaps.append(f"{title}: {stage.status}. {stage.summary}".strip())
        elif stage.coverage is not None and stage.coverage < 1:
            gaps.append(f"{title}: {percent(stage.coverage)} of what it should have looked at.")
    if scan.file.refusal is not None:
        gaps.append(f"The folder was refused by the rule {scan.file.refusal}; nothing in it was loaded.")
    unopened = [f.name for f in scan.file.files if f.sha256 is None]
    if unopened:
        listed = ", ".join(unopened[:12]) + (f" and {len(unopened) - 12} more" if len(unopened) > 12 else "")
        gaps.append(f"Never opened, {len(unopened)} of {len(scan.file.files)} files: {listed}.")
    return tuple(gaps)


def _calibration(scan: ScanResult) -> tuple[str, ...]:
    lines = []
    profile = scan.provenance.get("profile")
    if isinstance(profile, Mapping):
        lines += _profile_lines(profile)
    elif profile:
        lines.append(f"Profile: {profile}")
    used = {f.calibration for s in scan.stages for f in s.findings if f.calibration is not None}
    lines += [f"Thresholds of findings come from {name}." for name in sorted(used)]
    if not lines:
        lines.append("No calibration profile was used: no rate stands against a calibrated threshold.")
    return tuple(lines)


def _profile_lines(profile: Mapping[str, Any]) -> list[str]:
    name = profile.get("id") or " v".join(str(profile[k]) for k in ("name", "version") if k in profile)
    clean, poisoned = profile.get("n_clean"), profile.get("n_poisoned")
    told = profile.get("sentence")
    if told and clean is None:
        return [f"{told}."[0].upper() + f"{told}."[1:]]
    lines = [f"Profile {name}: {_counted(clean)} clean and {_counted(poisoned)} poisoned adapters."]
    bound = profile.get("false_alarm_bound", _first_bound(profile))
    how = "no clean adapter of the calibration is above its thresholds"
    if not isinstance(bound, int | float) and isinstance(clean, int) and clean > 0:
        bound, how = 1 - 0.05 ** (1 / clean), "if no clean adapter of the calibration is above its thresholds"
    if isinstance(bound, int | float):
        lines.append(
            f"Bound on the false-positive rate: at most {percent(bound)} (exact, one-sided 95 %; {how}; "
            f"n = {_counted(clean)})."
        )
    return lines


def _first_bound(profile: Mapping[str, Any]) -> object:
    thresholds = profile.get("thresholds")
    first = thresholds[0] if isinstance(thresholds, list | tuple) and thresholds else {}
    return first.get("false_alarm_bound") if isinstance(first, Mapping) else None


def _counted(n: object) -> str:
    return "an unknown number of" if n is None else str(n)


def _claims(scan: ScanResult) -> tuple[tuple[str, str], ...]:
    if scan.file.facts is None:
        return ()
    claims = scan.file.facts.claims
    told = [("base model", claims.base_model), ("base id", claims.base_fingerprint), ("card", claims.card)]
    return (*((k, v) for k, v in told if v), *(("note", n) for n in claims.notes))


def _reproduce(scan: ScanResult) -> tuple[tuple[str, str], ...]:
    rows = [("command", _command(scan))]
    rows += [(k, v) for k, v in flat(scan.provenance) if k not in ("command", "profile")]
    rows = [(k, v) for k, v in rows if not k.startswith("profile.")]
    if scan.behaviour is not None:
        found = scan.behaviour
        rows += [
            ("task", f"{found.task} ({found.task_source})"),
            ("battery", f"{found.battery} {found.battery_version}, sha256 {found.battery_digest}"),
            ("prompts", f"{found.prompts}, n = {found.n_prompts}, sha256 {found.prompts_digest}"),
            ("rows", f"{found.n_rows:,} asked, {found.n_computed:,} computed"),
        ]
    rows += [("subject", f"sha256 {scan.subject}"), ("created", scan.created)]
    return (*rows, ("seconds", f"{scan.seconds:.1f}"), ("format", scan.format))


def _command(scan: ScanResult) -> str:
    given = scan.provenance.get("command")
    if isinstance(given, list | tuple):
        return shlex.join(map(str, given))
    if given:
        return str(given)
    return shlex.join(["lorabench", "scan", scan.name, "--seed", str(scan.provenance.get("seed", 0))])


def _limits(scan: ScanResult) -> tuple[str, ...]:
    told = _DISCLOSURES.get(str(scan.provenance.get("disclosure")))
    fast = scan.provenance.get("fast_mode")
    return (*LIMITS, *([f"Not evidence: {fast}."] if fast else []), *([told] if told else []))


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested provenance as (dotted name, text) pairs in sorted order."""
    rows: list[tuple[str, str]] = []
    for key in sorted(values, key=str):
        value = values[key]
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        else:
            listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((f"{prefix}{key}", listed))
    return rows


def probe_sentence(probe: ProbeRate) -> str:
    """Return the rate of a probe with n and interval."""
    return rate_sentence(probe.rate)
