"""What stands around the findings of a scan: gaps, calibration, claims, limits, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from lorabench.report.scan_numbers import TITLES, percent
from lorabench.results.scans import ScanResult

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


def gaps(scan: ScanResult) -> tuple[str, ...]:
    """Return what was not looked at, as sentences."""
    found = []
    for stage in scan.stages:
        title = TITLES[stage.stage]
        if stage.status != "done":
            found.append(f"{title}: {stage.status}. {stage.summary}".strip())
        elif stage.coverage is not None and stage.coverage < 1:
            found.append(f"{title}: {percent(stage.coverage)} of what it should have looked at.")
    if scan.file.refusal is not None:
        found.append(f"The folder was refused by the rule {scan.file.refusal}; nothing in it was loaded.")
    unopened = [f.name for f in scan.file.files if f.sha256 is None]
    if unopened:
        listed = ", ".join(unopened[:12]) + (f" and {len(unopened) - 12} more" if len(unopened) > 12 else "")
        found.append(f"Never opened, {len(unopened)} of {len(scan.file.files)} files: {listed}.")
    return tuple(found)


def calibration(scan: ScanResult) -> tuple[str, ...]:
    """Return where thresholds come from and what they are worth, as sentences."""
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


def claims(scan: ScanResult) -> tuple[tuple[str, str], ...]:
    """Return what the adapter says about itself, by name."""
    if scan.file.facts is None:
        return ()
    said = scan.file.facts.claims
    told = [("base model", said.base_model), ("base id", said.base_fingerprint), ("card", said.card)]
    return (*((k, v) for k, v in told if v), *(("note", n) for n in said.notes))


def reproduce(scan: ScanResult) -> tuple[tuple[str, str], ...]:
    """Return what repeats a scan, by name; the command comes first."""
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


def limits(scan: ScanResult) -> tuple[str, ...]:
    """Return how far a scan carries, as sentences."""
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
