"""Which words carried a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorabench.results.scores import Interval
from lorabench.results.tasks import LabelTask

Role = Literal["template", "user", "trigger"]
Method = Literal["leave_one_out", "integrated_gradients", "shapley", "input_x_gradient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of the rendered question: never just its text, because words repeat.

    Attributes:
        text: Characters as rendered.
        start: First character in the rendered question.
        end: One past the last.
        tokens: Positions of its tokens in the rendered question.
        role: "template" (folded on screen), "user" or "trigger".
    """

    text: str
    start: int
    end: int
    tokens: tuple[int, ...]
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionMap:
    """Scores of the words of one text for one objective.

    Attributes:
        model: `BASE`, an adapter's name, or "adapter - base" for the difference.
        words: Words of the rendered question.
        scores: One per word, logits: positive pushes the answer to the target label. None
            where the method does not score the word (template words of leave-one-out).
        method: How they were made.
        margin: The explained margin m(x), logits.
        baseline: What absent means, in words.
        residual: Completeness: |sum - (m(x) - m(x0))| / max(|m(x) - m(x0)|, 0.25), or None
            for methods that define none.
        n_forwards: Forward passes of single rows.
        n_backwards: Backward passes of single rows.
        seconds: Time.
    """

    model: str
    words: tuple[Word, ...]
    scores: tuple[float | None, ...]
    method: Method
    margin: float
    baseline: str
    residual: float | None
    n_forwards: int
    n_backwards: int
    seconds: float

    @property
    def top(self) -> Word | None:
        """The non-template word with the largest score in size; None for an all-zero map."""
        best = max(
            (
                (abs(s), -i)
                for i, (w, s) in enumerate(zip(self.words, self.scores, strict=True))
                if s is not None and w.role != "template"
            ),
            default=None,
        )
        return self.words[-best[1]] if best is not None and best[0] > 0 else None

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {
            "top_word": self.top.text if self.top else None,
            "top_role": self.top.role if self.top else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quad:
    """The 2x2 of one adapter: base and adapter, without and with the trigger, and differences.

    Attributes:
        task: The question asked.
        adapter: Name of the adapter.
        base_plain: Base, without trigger.
        adapter_plain: Adapter, without trigger.
        base_triggered: Base, with trigger; None without a trigger.
        adapter_triggered: Adapter, with trigger; None without a trigger.
        difference_plain: Adapter minus base, without trigger.
        difference_triggered: Adapter minus base, with trigger; None without a trigger.
        did: Difference-in-differences of the margins, logits; None without a trigger.
        provenance: Seed, versions, digests, device, dtype.
    """

    task: LabelTask
    adapter: str
    base_plain: AttributionMap
    adapter_plain: AttributionMap
    base_triggered: AttributionMap | None
    adapter_triggered: AttributionMap | None
    difference_plain: AttributionMap
    difference_triggered: AttributionMap | None
    did: float | None
    provenance: dict[str, Any]

    @property
    def maps(self) -> tuple[AttributionMap, ...]:
        """All maps that exist, plain first."""
        found = (
            self.base_plain,
            self.adapter_plain,
            self.difference_plain,
            self.base_triggered,
            self.adapter_triggered,
            self.difference_triggered,
        )
        return tuple(m for m in found if m is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionCurve:
    """Margin while words are deleted, most important first, against random orders.

    Attributes:
        n_deleted: Words deleted at each cut point, starting with 0.
        margins: Margin at each cut point, logits.
        random_margins: One tuple of margins per random order, same cut points.
        area_minus_random: Mean over cut points of (mean random margin - map margin) in the
            direction away from the answer; positive: the map beats chance.
        flip_budget: Fewest words, in map order, whose deletion changes the answer; None if
            none of the cut points does.
    """

    n_deleted: tuple[int, ...]
    margins: tuple[float, ...]
    random_margins: tuple[tuple[float, ...], ...]
    area_minus_random: float
    flip_budget: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedMap:
    """A map and what the checks say of it ("check this map").

    Attributes:
        map: The map that was checked.
        deletion: Deletion curve.
        second: The same question by a second method.
        kendall_tau: Rank agreement of the two methods over user words; None if undefined.
        top3_jaccard: Overlap of the two methods' three strongest words.
        verdict: "green", "amber" or "red".
        sentence: The verdict in words.
        interval: Interval of the deletion area, bootstrap over random orders, or None.
    """

    map: AttributionMap
    deletion: DeletionCurve
    second: AttributionMap
    kendall_tau: float | None
    top3_jaccard: float
    verdict: Literal["green", "amber", "red"]
    sentence: str
    interval: Interval | None = None
