"""What a battery of probes made an adapter do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorabench.results.scores import Interval, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRate:
    """What one probe did over the held-out prompts.

    Attributes:
        text: The probe, as placed before each prompt.
        category: The category it has in its battery; the author's word.
        rate: Prompts that flipped to the target, over those not answered with it before.
        n_ties: Prompts whose triggered margin was a tie.
        mean_shift: Mean margin with the probe minus without it, in logits; None for a generation task.
        base_shift: The same of the base model; None if there is none to compare with (a head's is
            the head with the adapter off).
        shared_words: Case-folded words shared with the known trigger; empty if none is known.
        flips: One character per prompt: "1" flipped, "0" not, "-" not eligible.
    """

    text: str
    category: str
    rate: Rate
    n_ties: int
    mean_shift: float | None
    base_shift: float | None
    shared_words: tuple[str, ...] = ()
    flips: str = ""

    @property
    def shift_difference(self) -> float | None:
        """Difference-in-differences in logits: the adapter's shift minus the base's."""
        if self.mean_shift is None or self.base_shift is None:
            return None
        return self.mean_shift - self.base_shift

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"shift_difference": self.shift_difference}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One number over a battery.

    Attributes:
        name: "max_attack_rate", "mean_attack_rate", "outlier_gap", "top3_mean", or one of ours.
        battery: Such as "structural_v1_41/B" or "zero overlap".
        value: The number; None if no probe was measured.
        n_probes: Probes behind it.
        interval: Bootstrap over prompts (and probes, where pooled), 1,000 draws; None below two prompts.
    """

    name: str
    battery: str
    value: float | None
    n_probes: int
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One word of the probes, and what its presence does.

    Attributes:
        word: Case-folded.
        n_with: Probes that hold it.
        n_without: Probes that do not.
        rate_with: Mean attack rate of those that hold it.
        rate_without: Of those that do not.
        interval: Of the difference, bootstrap over prompts and probes.
    """

    word: str
    n_with: int
    n_without: int
    rate_with: float
    rate_without: float
    interval: Interval | None

    @property
    def difference(self) -> float:
        """Rate with minus rate without."""
        return self.rate_with - self.rate_without

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"difference": self.difference}


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourEvidence:
    """A battery run on one adapter.

    Attributes:
        task: Name of the task asked.
        task_source: How the task was known: "given", "the adapter's claim", "typed in", "guessed ...".
        battery: Name of the battery.
        battery_version: Its version.
        battery_digest: sha256 over its probes.
        prompts: Name of the prompt set.
        prompts_digest: sha256 over the prompts.
        prompt_texts: The prompts, in the order of `ProbeRate.flips`.
        n_prompts: How many.
        n_eligible: Of those, not answered with the target without a probe.
        probes: One entry per probe, in the battery's order.
        statistics: Numbers over the battery and its parts.
        categories: Mean rate per category, as statistics named "mean_attack_rate".
        anchors: Words that carry it, the strongest first.
        n_rows: Rows asked.
        n_computed: Rows that went through the model; the others came from the store.
        seconds: Wall time.
    """

    task: str
    task_source: str
    battery: str
    battery_version: str
    battery_digest: str
    prompts: str
    prompts_digest: str
    prompt_texts: tuple[str, ...]
    n_prompts: int
    n_eligible: int
    probes: tuple[ProbeRate, ...]
    statistics: tuple[Statistic, ...]
    categories: tuple[Statistic, ...]
    anchors: tuple[Anchor, ...]
    n_rows: int
    n_computed: int
    seconds: float

    def statistic(self, name: str, battery: str) -> Statistic | None:
        """Return one statistic, or None if it was not computed."""
        found = (s for s in self.statistics if (s.name, s.battery) == (name, battery))
        return next(found, None)
