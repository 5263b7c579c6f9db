"""What a detector concludes, and what follows from it: findings, stages, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorabench.results.scores import Interval

Stage = Literal["file", "weights", "behaviour", "trigger", "cause"]
STAGES: tuple[Stage, ...] = ("file", "weights", "behaviour", "trigger", "cause")
"""The five kinds of evidence, in the order they are gathered."""

Level = Literal["info", "inconclusive", "review", "block"]
"""How much one finding asks for on its own; a verdict takes the findings together.

"info" is worth knowing. "inconclusive" says that something could not be judged, so nothing may be
allowed on its account. "review" wants a person's eyes. "block" is evidence of harm.
"""
LEVELS: tuple[Level, ...] = ("info", "inconclusive", "review", "block")

Decision = Literal["allow", "review", "block", "inconclusive"]
DECISIONS: tuple[Decision, ...] = ("allow", "inconclusive", "review", "block")
"""From nothing found to evidence of harm, as `--fail-on` orders them."""

StageStatus = Literal["done", "abstained", "not run", "refused", "failed"]
"""How a stage ended; only "done" can speak for an adapter.

"abstained": it ran and cannot speak (no matching profile, a margin that cannot be read). "not run":
something it needs is missing (the base, the task). "refused": the firewall did not let the adapter
that far. "failed": an error of its own, said in the summary.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One piece of evidence, named.

    Attributes:
        name: Such as "declared rank".
        value: As text; untrusted, escaped by whoever shows it.
    """

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A measurement with its threshold, the calibration it came from, and what would change it.

    Attributes:
        rule: Stable kebab-case id, a key of `RULES`.
        stage: Which kind of evidence.
        level: How much it asks for.
        sentence: What was found, to what, with n and interval where there are any; a full sentence.
        changes: What would change it; a full sentence, or empty.
        where: The file, module, probe or token; empty for the whole adapter. Untrusted text.
        measured: The number, or None.
        threshold: The exact threshold it stands against, or None.
        n: How many trials are behind the number, or None.
        interval: Of the number, or None.
        calibration: Id of the profile that the threshold comes from; None: uncalibrated, or none is needed.
        facts: Evidence, named.
    """

    rule: str
    stage: Stage
    level: Level
    sentence: str
    changes: str = ""
    where: str = ""
    measured: float | None = None
    threshold: float | None = None
    n: int | None = None
    interval: Interval | None = None
    calibration: str | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """How one stage ended.

    Attributes:
        stage: Which.
        status: How.
        summary: One sentence for people.
        coverage: Share of what the stage should have looked at that it did; a fraction in [0, 1],
            None where it was not run.
        findings: What it found; the most serious first.
        seconds: Wall time.
    """

    stage: Stage
    status: StageStatus
    summary: str
    coverage: float | None = None
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def level(self) -> Level | None:
        """The most serious level among the findings, or None without any."""
        return max((f.level for f in self.findings), key=LEVELS.index, default=None)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"level": self.level}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do with an adapter, and why.

    Attributes:
        decision: allow, review, block or inconclusive.
        confidence: "low", "medium" or "high"; of the decision, by fixed rules.
        reasons: Full sentences, the strongest first.
        agreement: Which stages speak for and against, and which are silent; a sentence.
        coverage: What was and what was not looked at; one sentence per stage.
        changes: What would change the decision; full sentences.
        is_degraded: Whether anything kept the scan from being whole; such a scan never allows.
    """

    decision: Decision
    confidence: Literal["low", "medium", "high"]
    reasons: tuple[str, ...]
    agreement: str
    coverage: tuple[str, ...]
    changes: tuple[str, ...]
    is_degraded: bool

    def __post_init__(self) -> None:
        if self.decision == "allow" and self.is_degraded:
            raise ValueError("a degraded scan cannot allow")
