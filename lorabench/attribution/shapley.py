"""Shapley values of words by permutation sampling, for redundant and for joint triggers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence

from lorabench.attribution.maps import Explanation, relative_residual
from lorabench.attribution.texts import ExplainedText, margins_without
from lorabench.results import AttributionMap
from lorabench.scoring.score import Asker, ModelRef

N_PERMUTATIONS = 8

Coalition = frozenset[int]


def shapley(
    asker: Asker,
    explained: ExplainedText,
    models: Sequence[ModelRef],
    *,
    seed: int,
    n_permutations: int = N_PERMUTATIONS,
) -> list[Explanation]:
    """Return each word's mean gain in margin when it joins the words before it in a random order.

    One explanation per model, all from the same orders.

    Absent words are deleted from the text. Within each order the gains add up to m(x) - m(no
    word at all), so the residual is 0 up to rounding, whatever the number of orders; what more
    orders reduce is the sampling error of each score.

    We do not use Captum's `ShapleyValueSampling`: it draws from torch's global generator and
    asks for one order at a time, where we ask for all coalitions at once, equal ones once.
    A test holds the two to the same numbers.
    """
    started = time.monotonic()
    orders = permutations(explained.features, n_permutations, seed)
    coalitions = list(coalitions_of(orders))
    everyone = frozenset(explained.features)
    per_model, n_rows = margins_without(asker, explained, [everyone - c for c in coalitions], models)
    return [
        _explanation(model, explained, orders, dict(zip(coalitions, margins, strict=True)), n_rows, started)
        for model, margins in zip(models, per_model, strict=True)
    ]


def _explanation(
    model: ModelRef,
    explained: ExplainedText,
    orders: Sequence[tuple[int, ...]],
    value: dict[Coalition, float],
    n_rows: int,
    started: float,
) -> Explanation:
    everyone = frozenset(explained.features)
    gains = mean_gains(orders, value.__getitem__)
    scores = tuple(gains.get(i) for i in range(len(explained.words)))
    reference = value[frozenset()]
    return Explanation(
        map=AttributionMap(
            model=model.name,
            words=explained.words,
            scores=scores,
            method="shapley",
            margin=value[everyone],
            baseline=f"absent words are deleted from the text; {len(orders)} orders",
            residual=relative_residual(sum(gains.values()), value[everyone], reference),
            n_forwards=n_rows,
            n_backwards=0,
            seconds=time.monotonic() - started,
        ),
        reference=reference,
    )


def permutations(features: Sequence[int], n: int, seed: int) -> list[tuple[int, ...]]:
    """Return `n` random orders in antithetic pairs: each order is followed by its reverse.

    A word that comes early in one of a pair comes late in the other, which cancels much of the
    sampling error (Mitchell et al. 2022, "Sampling permutations for Shapley value estimation").
    """
    draw = random.Random(seed)
    orders: list[tuple[int, ...]] = []
    while len(orders) < n:
        order = tuple(draw.sample(features, len(features)))
        orders += [order, order[::-1]]
    return orders[:n]


def coalitions_of(orders: Iterable[Sequence[int]]) -> Iterable[Coalition]:
    """Return the different sets of words that the orders pass through, the empty one first."""
    seen = {frozenset[int](): None}
    for order in orders:
        for k in range(1, len(order) + 1):
            seen[frozenset(order[:k])] = None
    return seen


def mean_gains(orders: Sequence[Sequence[int]], value: Callable[[Coalition], float]) -> dict[int, float]:
    """Return each feature's gain in value on joining, averaged over the orders."""
    gains = dict.fromkeys(orders[0], 0.0)
    for order in orders:
        before = value(frozenset())
        for k, feature in enumerate(order, start=1):
            after = value(frozenset(order[:k]))
            gains[feature] += (after - before) / len(orders)
            before = after
    return gains
