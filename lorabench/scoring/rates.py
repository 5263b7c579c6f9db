"""Intervals for what is more than one count: bootstrap over prompts and, where pooled, variants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lorabench.results import Interval

DRAWS = 1000


def bootstrap_mean(
    values: NDArray[np.float64], *, seed: int, what: str = "prompts", confidence_level: float = 0.95
) -> Interval | None:
    """Return a percentile bootstrap interval of a mean, or None for fewer than two values.

    Args:
        values: Shape (n,); one value per resampled unit.
        seed: Seed of the draws.
        what: What the units are, for the interval's name.
        confidence_level: Such as 0.95.
    """
    if values.size < 2:
        return None
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(0, values.size, (DRAWS, values.size))].mean(axis=1)
    return _percentiles(draws, f"bootstrap over {what}, {DRAWS} draws", confidence_level)


def bootstrap_grid(
    hits: NDArray[np.float64], *, seed: int, confidence_level: float = 0.95
) -> tuple[float, Interval] | None:
    """Return the mean rate of several variants and its interval, prompts and variants resampled.

    Args:
        hits: Shape (n_variants, n_prompts): 1 flipped, 0 not, NaN not eligible. The rate of
            a variant is the mean over its eligible prompts; the grid's is the mean of those.
        seed: Seed of the draws.
        confidence_level: Such as 0.95.

    Returns:
        (mean, interval), or None when no variant has an eligible prompt.
    """
    if hits.size == 0 or np.isnan(hits).all():
        return None
    rng = np.random.default_rng(seed)
    n_variants, n_prompts = hits.shape
    draws = np.empty(DRAWS)
    for k in range(DRAWS):
        rows = rng.integers(0, n_variants, n_variants)
        columns = rng.integers(0, n_prompts, n_prompts)
        draws[k] = _mean_of_rates(hits[np.ix_(rows, columns)])
    method = f"bootstrap over prompts and variants, {DRAWS} draws"
    return _mean_of_rates(hits), _percentiles(draws[~np.isnan(draws)], method, confidence_level)


def _mean_of_rates(hits: NDArray[np.float64]) -> float:
    counted = ~np.isnan(hits)
    n = counted.sum(axis=1)
    rates = np.where(counted, hits, 0.0).sum(axis=1)[n > 0] / n[n > 0]
    return float(rates.mean()) if rates.size else float("nan")


def _percentiles(draws: NDArray[np.float64], method: str, confidence_level: float) -> Interval:
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), method=method, confidence_level=confidence_level)
