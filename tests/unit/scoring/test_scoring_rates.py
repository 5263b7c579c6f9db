from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lorabench.scoring.rates import bootstrap_grid, bootstrap_mean

grids = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.sampled_from([0.0, 1.0])
)


@settings(max_examples=20, deadline=None)
@given(grids)
def test_the_interval_holds_the_mean_of_the_rates(hits):
    mean, interval = bootstrap_grid(hits, seed=0)
    assert interval.low - 1e-9 <= mean <= interval.high + 1e-9


def test_rates_are_averaged_over_variants_not_pooled():
    hits = np.array([[1.0, np.nan, np.nan, np.nan], [0.0, 0.0, 0.0, 0.0]])
    mean, _ = bootstrap_grid(hits, seed=0)
    assert mean == pytest.approx(0.5)  # pooled it would be 1/5


def test_nothing_eligible_is_not_measured():
    assert bootstrap_grid(np.full((2, 3), np.nan), seed=0) is None


def test_one_value_has_no_interval():
    assert bootstrap_mean(np.array([1.0]), seed=0) is None


def test_the_seed_decides_the_interval():
    values = np.arange(10.0)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
