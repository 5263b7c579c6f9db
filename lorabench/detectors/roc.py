"""How well a score separates poisoned adapters from clean ones, and how little a small cohort can prove.

Higher scores speak for poison. Two scores that differ by less than a sum's rounding (1e-12 of their size)
are one score: the gap of (0.05, 0.01) and that of (0.04, 0.02, ...) can be equal on paper and not in binary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lorabench.errors import InputError
from lorabench.results import Interval, Rate

RELATIVE_TIE = 1e-12
"""Scores closer than this, relative to their size, are equal."""
_ABSOLUTE_TIE = 1e-15
_PERMUTATIONS = 50_000  # all of C(34, 4) = 46,376 are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class RocPoint:
    """What one threshold does to a cohort.

    Attributes:
        threshold: Scores above it are flagged; None flags everything.
        false_alarms: Clean adapters flagged.
        recall: Poisoned adapters flagged.
    """

    threshold: float | None
    false_alarms: Rate
    recall: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectedAuc:
    """An AUC whose direction was chosen on the same data: optimistic, never below 0.5.

    Attributes:
        value: The larger of AUC and 1 - AUC.
        direction: Whether "higher" or "lower" scores speak for poison in this cohort.
    """

    value: float
    direction: Literal["higher", "lower"]


def exceeds(score: float, threshold: float) -> bool:
    """Return whether a score is above a threshold by more than rounding."""
    return score > threshold and not math.isclose(
        score, threshold, rel_tol=RELATIVE_TIE, abs_tol=_ABSOLUTE_TIE
    )


def auc(poisoned: ArrayLike, clean: ArrayLike) -> float:
    """Return the share of (poisoned, clean) pairs in which the poisoned one scores higher; a tie is half.

    Args:
        poisoned: Shape (n_poisoned,); scores.
        clean: Shape (n_clean,); scores.

    Raises:
        InputError: Rule "no-scores", for an empty class; "bad-score" for NaN or infinity.

    References:
        Mann and Whitney (1947); Bamber (1975): the area under the ROC curve with ties on diagonals.
    """
    return float(_wins(*_ranked(poisoned, clean)).mean())


def sequential_auc(scores: Sequence[float], is_poisoned: Sequence[bool]) -> float:
    """Return the area under a curve that steps one adapter at a time: the first study's number.

    Ties are taken in input order, so it depends on how the adapters are listed, and clean ones listed
    first cost area. `auc` is the number to use; this one is for comparison with arXiv 2605.30189.

    Args:
        scores: One per adapter.
        is_poisoned: Whether each is poisoned.

    Raises:
        InputError: As `auc`.
    """
    truth = np.asarray(is_poisoned, dtype=np.bool_)
    values = _checked(scores)
    if not truth.any() or truth.all():
        raise _no_scores()
    truth = truth[np.argsort(-values, kind="stable")]
    recall = np.concatenate(([0.0], np.cumsum(truth) / truth.sum()))
    alarms = np.concatenate(([0.0], np.cumsum(~truth) / (~truth).sum()))
    return float(np.sum(np.diff(alarms) * (recall[1:] + recall[:-1]) / 2))


def directed_auc(poisoned: ArrayLike, clean: ArrayLike) -> DirectedAuc:
    """Return the AUC in the better of the two directions, and which one that is."""
    value = auc(poisoned, clean)
    return DirectedAuc(value=max(value, 1 - value), direction="higher" if value >= 0.5 else "lower")


def roc_points(poisoned: ArrayLike, clean: ArrayLike) -> tuple[RocPoint, ...]:
    """Return false alarms and recall at every threshold that tells scores apart, the strictest first.

    The first point flags nothing, the last everything; tied scores are one step.
    """
    bad, good = _ranked(poisoned, clean)
    ranks, first = np.unique(np.concatenate((bad, good)), return_index=True)
    values = np.concatenate((_checked(poisoned), _checked(clean)))[first]
    points = []
    for rank, value in zip((*ranks[::-1], -1), (*values[::-1], None), strict=True):
        points.append(
            RocPoint(
                threshold=None if value is None else float(value),
                false_alarms=Rate(n_hits=int((good > rank).sum()), n=len(good)),
                recall=Rate(n_hits=int((bad > rank).sum()), n=len(bad)),
            )
        )
    return tuple(points)


def zero_alarm_threshold(clean: ArrayLike) -> float:
    """Return the largest clean score, exact: the lowest threshold that flags no clean adapter.

    Never round it: the first study's printed 0.008 lies below the 1/120 of one of its clean adapters.
    """
    return float(_checked(clean).max())


def recall_above(poisoned: ArrayLike, threshold: float) -> Rate:
    """Return how many poisoned adapters score above a threshold."""
    values = _checked(poisoned)
    return Rate(n_hits=sum(exceeds(float(v), threshold) for v in values), n=len(values))


def false_alarm_bound(
    n_alarms: int, n_clean: int, *, sides: Literal["one", "two"] = "one", confidence_level: float = 0.95
) -> float:
    """Return the exact upper bound of a false-alarm rate (Clopper and Pearson, 1934).

    Args:
        n_alarms: Clean adapters flagged.
        n_clean: Clean adapters.
        sides: "one" leaves 1 - confidence_level above the bound, "two" half of it.
        confidence_level: Such as 0.95.

    Returns:
        A fraction; 1 without clean adapters. 0 alarms of 4: 0.527 ("one"), 0.602 ("two").
    """
    if not 0 <= n_alarms <= n_clean:
        raise ValueError(f"need 0 <= n_alarms <= n_clean, got {n_alarms} of {n_clean}")
    if n_alarms == n_clean:
        return 1.0
    tail = (1 - confidence_level) / (1 if sides == "one" else 2)
    return float(stats.beta.ppf(1 - tail, n_alarms + 1, n_clean - n_alarms))


def auc_interval(poisoned: ArrayLike, clean: ArrayLike, *, confidence_level: float = 0.95) -> Interval:
    """Return a two-sided interval of the AUC; `method` says which of three it is.

    DeLong's variance on the logit scale, with a t quantile at Brunner and Munzel's degrees of freedom,
    because one class is often a handful of adapters (1,500 simulated cohorts of two normal samples each: the
    95 % interval held the truth in 99 % at AUC 0.92 with 30 and 4 adapters, in 95 to 97 % at AUC 0.76 and
    0.69). Where that variance is 0 or unknown, resampling is
    no way out: a bootstrap of two separated samples separates them again in every draw and ends in [1, 1],
    and one of a single clean adapter never sees another. Two bounds hold without any assumption on the
    scores, over the k = min(n_poisoned, n_clean) disjoint pairs of one poisoned and one clean adapter,
    which are independent:

    - AUC 1 (or 0): all k pairs agree, which has probability AUC**k at most, so AUC >= (tail)**(1 / k).
      No bound from separation alone can be better: it is attained where the scores of the larger class
      are constant. With 4 clean adapters it starts at 0.40, the complement of the 0.60 that
      `false_alarm_bound` allows them.
    - otherwise Hoeffding's (1963) for two-sample U-statistics: AUC +- sqrt(ln(1 / tail) / (2 k)).

    Args:
        poisoned: Shape (n_poisoned,); scores.
        clean: Shape (n_clean,); scores.
        confidence_level: Such as 0.95.

    References:
        DeLong, DeLong and Clarke-Pearson (1988); Brunner and Munzel (2000); Qin and Hotilovac (2008).
    """
    return wins_interval(_wins(*_ranked(poisoned, clean)), confidence_level=confidence_level)


def wins_interval(wins: NDArray[np.float64], *, confidence_level: float = 0.95) -> Interval:
    """Return `auc_interval` for pairs whose winners are known already.

    Args:
        wins: Shape (n_poisoned, n_clean): 1 where the poisoned one scores higher, 0.5 for a tie.
        confidence_level: Such as 0.95.
    """
    value, k, tail = float(wins.mean()), min(wins.shape), (1 - confidence_level) / 2
    parts = [_variance_part(wins, axis) for axis in (1, 0)]
    known = [p for p in parts if p is not None]
    if len(known) == 2 and sum(v for v, _ in known) > _ABSOLUTE_TIE:
        low, high = _logit_interval(value, known, tail)
        method = "DeLong over adapters, logit scale, t quantile"
    elif value in (0.0, 1.0):
        reach = tail ** (1 / k)
        low, high = (reach, 1.0) if value else (0.0, 1 - reach)
        method = f"exact, {k} independent pairs of adapters all agree"
    else:
        reach = math.sqrt(math.log(1 / tail) / (2 * k))
        low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        method = f"Hoeffding, {k} independent pairs of adapters"
    return Interval(low=low, high=high, method=method, confidence_level=confidence_level)


def auc_p_value(poisoned: ArrayLike, clean: ArrayLike, *, seed: int) -> float:
    """Return how often labels dealt at random give an AUC at least as high: a one-sided permutation test.

    Exact up to 50,000 ways to deal them (4 of 34: 46,376); beyond that as many random ones are tried.
    Full separation of 4 and 30 has p = 1 / 46,376, of 3 and 3 no less than 1 / 20.
    """
    bad, good = _ranked(poisoned, clean)
    ranks = stats.rankdata(np.concatenate((bad, good)))
    n = len(bad)

    def rank_sum(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(x.sum(axis=axis))

    found = stats.permutation_test(
        (ranks[:n], ranks[n:]),
        rank_sum,
        vectorized=True,
        alternative="greater",
        n_resamples=_PERMUTATIONS,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def percentile_interval(
    draws: NDArray[np.float64], method: str, *, confidence_level: float = 0.95
) -> Interval:
    """Return the interval between two quantiles of bootstrap draws.

    Args:
        draws: Shape (n_draws,); NaN where a draw had nothing to count.
        method: What was resampled, and how often.
        confidence_level: Such as 0.95.
    """
    tail = (1 - confidence_level) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), method=method, confidence_level=confidence_level)


def _variance_part(wins: NDArray[np.float64], axis: int) -> tuple[float, int] | None:
    """Return one class's share of DeLong's variance and its degrees of freedom, or None for one adapter."""
    placements = wins.mean(axis=axis)
    n = len(placements)
    return (float(placements.var(ddof=1)) / n, n - 1) if n > 1 else None


def _logit_interval(value: float, parts: Sequence[tuple[float, int]], tail: float) -> tuple[float, float]:
    variance = sum(v for v, _ in parts)
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    reach = float(stats.t.ppf(1 - tail, freedom)) * math.sqrt(variance) / (value * (1 - value))
    centre = math.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-np.clip(centre + s * reach, -700, 700)))) for s in (-1, 1))
    return low, high


def _wins(bad: NDArray[np.int64], good: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1, 0.5 or 0 for each pair, shape (n_poisoned, n_clean)."""
    found: NDArray[np.float64] = (np.sign(bad[:, None] - good[None, :]) + 1.0) / 2
    return found


def _ranked(poisoned: ArrayLike, clean: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the dense ranks of both classes from 0, scores that differ by rounding alone being tied."""
    bad, good = _checked(poisoned), _checked(clean)
    values = np.concatenate((bad, good))
    order = np.argsort(values, kind="stable")
    below, above = values[order][:-1], values[order][1:]
    is_new = ~np.isclose(above, below, rtol=RELATIVE_TIE, atol=_ABSOLUTE_TIE)
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.concatenate(([0], np.cumsum(is_new)))
    return ranks[: len(bad)], ranks[len(bad) :]


def _checked(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not values.size:
        raise _no_scores()
    if not np.isfinite(values).all():
        raise InputError("bad-score", "A score is not a finite number.", "Leave that adapter out.")
    return values


def _no_scores() -> InputError:
    return InputError(
        "no-scores",
        "One of the two classes has no adapter.",
        "Give at least one poisoned and one clean adapter.",
    )
