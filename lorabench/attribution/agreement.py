"""How far two maps of the same words agree."""

from __future__ import annotations

import math

from lorabench.results import AttributionMap


def _pairs(a: AttributionMap, b: AttributionMap) -> list[tuple[float, float]]:
    """Return both scores of every word of prompt and trigger that both maps score."""
    return [
        (x, y)
        for word, x, y in zip(a.words, a.scores, b.scores, strict=True)
        if word.role != "template" and x is not None and y is not None
    ]


def rank_agreement(a: AttributionMap, b: AttributionMap) -> float | None:
    """Return Kendall's tau-b of the signed scores; None if a map has no ranking."""
    from scipy.stats import kendalltau

    pairs = _pairs(a, b)
    if len({x for x, _ in pairs}) < 2 or len({y for _, y in pairs}) < 2:
        return None
    tau = float(kendalltau([x for x, _ in pairs], [y for _, y in pairs]).statistic)
    return None if math.isnan(tau) else tau


def top_overlap(a: AttributionMap, b: AttributionMap, k: int = 3) -> float:
    """Return the Jaccard overlap of the `k` strongest words, in [0, 1]; 1 for two all-zero maps."""
    pairs = _pairs(a, b)
    first, second = (_strongest([p[side] for p in pairs], k) for side in (0, 1))
    union = first | second
    return len(first & second) / len(union) if union else 1.0


def _strongest(scores: list[float], k: int) -> set[int]:
    ranked = sorted((i for i, s in enumerate(scores) if s != 0), key=lambda i: -abs(scores[i]))
    return set(ranked[:k])
