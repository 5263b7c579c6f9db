"""What a method returns, and the exact difference of two maps."""

from __future__ import annotations

from dataclasses import dataclass

from lorabench.results import AttributionMap

DIFFERENCE = "adapter - base"
"""`AttributionMap.model` of a difference map."""

_FLOOR = 0.25
"""Least change of margin (logits) that a residual is measured against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A map, and the margin of the reference that its scores lead away from.

    Attributes:
        map: Scores of the words.
        reference: m(x0), logits; None for methods without a reference to add up from.
    """

    map: AttributionMap
    reference: float | None = None


def relative_residual(total: float, margin: float, reference: float) -> float:
    """Return how far a sum of scores misses m(x) - m(x0), as a share of it (at least 0.25 logits)."""
    change = margin - reference
    return abs(total - change) / max(abs(change), _FLOOR)


def difference(
    adapter: AttributionMap, base: AttributionMap, reference: float | None = None
) -> AttributionMap:
    """Return the map of adapter minus base: scores and margins subtracted, nothing rescaled.

    Every method here is linear in the explained function, so this is the same method's map of
    m_adapter - m_base (exactly for leave-one-out and Shapley values with equal permutations; up
    to quadrature for integrated gradients).

    Args:
        adapter: Map of the adapter.
        base: Map of the base for the same text by the same method.
        reference: m_adapter(x0) - m_base(x0); None leaves the residual undefined.
    """
    if adapter.words != base.words or adapter.method != base.method:
        raise ValueError("a difference needs two maps of the same text by the same method")
    scores = tuple(
        None if a is None or b is None else a - b for a, b in zip(adapter.scores, base.scores, strict=True)
    )
    margin = adapter.margin - base.margin
    total = sum(s for s in scores if s is not None)
    return AttributionMap(
        model=DIFFERENCE,
        words=adapter.words,
        scores=scores,
        method=adapter.method,
        margin=margin,
        baseline=adapter.baseline
        if adapter.baseline == base.baseline
        else adapter.baseline.partition(";")[0],
        residual=None if reference is None else relative_residual(total, margin, reference),
        n_forwards=adapter.n_forwards + base.n_forwards,
        n_backwards=adapter.n_backwards + base.n_backwards,
        seconds=adapter.seconds + base.seconds,
    )


def subtract(adapter: Explanation, base: Explanation) -> Explanation:
    """Return the difference of two explanations, reference included."""
    reference = None
    if adapter.reference is not None and base.reference is not None:
        reference = adapter.reference - base.reference
    return Explanation(map=difference(adapter.map, base.map, reference), reference=reference)
