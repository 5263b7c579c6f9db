"""A calibration profile: which cohort a threshold comes from, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorabench.results.convert import digest
from lorabench.results.scores import Interval, Rate

PROFILE_FORMAT = "lorabench-profile-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One adapter of a cohort, measured: features, settings and hashes, never the weights.

    Attributes:
        name: In the cohort.
        kind: "clean", "strong", "weak" or "poisoned".
        split: "calibrate" (clean, thresholds), "tune" (poisoned, choices) or "test" (seen by neither).
        adapter_id: sha256 over its tensors and scales.
        trigger: What was planted; empty if clean or not known.
        attack_rate: On that trigger, over the prompt set; None if clean or not known.
        settings: How it was trained, as far as known.
        rank: LoRA rank.
        targets: Short names of the adapted projections.
        layers: First and last adapted layer; None if the names hold none.
        statistics: "statistic|battery" -> value.
        weights: Weight aggregate -> value.
        flips: Probe -> one character per prompt, as in `ProbeRate.flips`.
        shifts: Probe -> mean margin shift minus the base's, in logits.
    """

    name: str
    kind: str
    split: str
    adapter_id: str
    trigger: str = ""
    attack_rate: Rate | None = None
    settings: dict[str, Any]
    rank: int
    targets: tuple[str, ...]
    layers: tuple[int, int] | None
    statistics: dict[str, float]
    weights: dict[str, float]
    flips: dict[str, str]
    shifts: dict[str, float]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was planted."""
        return self.kind == "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One statistic, calibrated: a value above the largest clean one is an alarm.

    Attributes:
        statistic: Such as "outlier_gap".
        battery: Such as "triage_60".
        value: The largest of the clean calibration adapters, exact.
        n_clean: How many those are.
        false_alarm_bound: Exact one-sided 95 % bound on the false-positive rate when none of
            `n_clean` alarms: 1 - 0.05^(1/n).
        auc: Tie-correct, clean against poisoned, over calibrate and tune; None without poisoned ones.
        auc_interval: Its interval.
        recall: Poisoned tune adapters above the value.
        speaks: Whether an alarm of it counts in a verdict; the others are shown beside it.
    """

    statistic: str
    battery: str
    value: float
    n_clean: int
    false_alarm_bound: float
    auc: float | None
    auc_interval: Interval | None
    recall: Rate
    speaks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What a threshold did on adapters that it never saw.

    Attributes:
        statistic: As in `Threshold`.
        battery: As in `Threshold`.
        auc: Tie-correct, clean against poisoned of the test split.
        auc_interval: Its interval.
        n_clean: Clean test adapters.
        n_poisoned: Poisoned ones.
        false_alarms: Clean test adapters above the threshold.
        recall: Poisoned test adapters above it.
        recall_weak: The same, attack rate on their own trigger from 0.2 to 0.6 only.
    """

    statistic: str
    battery: str
    auc: float | None
    auc_interval: Interval | None
    n_clean: int
    n_poisoned: int
    false_alarms: Rate
    recall: Rate
    recall_weak: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBound:
    """The range of one weight aggregate over the clean calibration adapters.

    Attributes:
        name: Of the aggregate.
        low: Smallest.
        high: Largest.
        auc: Held-out, clean against poisoned, in the direction "poisoned is larger"; None if not measured.
        auc_interval: Its interval.
    """

    name: str
    low: float
    high: float
    auc: float | None = None
    auc_interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a scan needs to know to say that a number is unusual, and how far that carries.

    Attributes:
        name: Such as "guard-demo".
        version: Grows when the cohort does.
        base: Id of the base.
        base_fingerprint: Its sha256.
        task: Name of the task.
        task_digest: sha256 of its fields.
        battery: Name of the battery.
        battery_version: Its version.
        battery_digest: sha256 over its probes.
        prompts: Name of the prompt set.
        prompts_digest: sha256 over the prompts.
        n_prompts: How many.
        ranks: Smallest and largest rank in the cohort.
        targets: Adapted projections, the same in all of it.
        first_layers: Smallest and largest first adapted layer; None if not known.
        n_clean: Clean calibration adapters.
        n_poisoned: Poisoned tune adapters.
        n_failed: Adapters whose planting did not take (attack rate below 0.2); no number counts them.
        thresholds: One per statistic and battery.
        held_out: The same on the test split; empty without one.
        overlap: Held-out AUC with and without shared words, over pairs of adapters; no thresholds.
        weights: Ranges of the weight aggregates.
        created: ISO date.
        versions: Of what measured it.
        cohort_digest: sha256 over the members' features.
        format: `PROFILE_FORMAT`.
    """

    name: str
    version: int
    base: str
    base_fingerprint: str
    task: str
    task_digest: str
    battery: str
    battery_version: str
    battery_digest: str
    prompts: str
    prompts_digest: str
    n_prompts: int
    ranks: tuple[int, int]
    targets: tuple[str, ...]
    first_layers: tuple[int, int] | None
    n_clean: int
    n_poisoned: int
    thresholds: tuple[Threshold, ...]
    held_out: tuple[HeldOut, ...]
    weights: tuple[WeightBound, ...]
    created: str
    versions: dict[str, str]
    cohort_digest: str
    overlap: tuple[HeldOut, ...] = ()
    n_failed: int = 0
    format: str = PROFILE_FORMAT

    @property
    def id(self) -> str:
        """Name, version and content: "guard-demo v1 (3f9a01c2)"."""
        return f"{self.name} v{self.version} ({digest(self)[:8]})"

    def threshold(self, statistic: str, battery: str) -> Threshold | None:
        """Return one threshold, or None if the profile has none for it."""
        found = (t for t in self.thresholds if (t.statistic, t.battery) == (statistic, battery))
        return next(found, None)

    @property
    def sentence(self) -> str:
        """What it comes from and what it is worth, for people."""
        bound = next((t.false_alarm_bound for t in self.thresholds), None)
        worth = "" if bound is None else f"; no alarm among them bounds false alarms at {bound:.0%}"
        return f"profile {self.id}: {self.n_clean} clean and {self.n_poisoned} poisoned adapters{worth}"
