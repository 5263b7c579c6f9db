"""AUC with ties, thresholds without false alarms, and bounds that hold for a handful of adapters."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lorabench.detectors import roc
from lorabench.errors import InputError

SCORES = st.lists(st.integers(0, 6).map(lambda k: k / 60), min_size=1, max_size=9)


def counted(poisoned, clean):
    pairs = list(itertools.product(poisoned, clean))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


@given(SCORES, SCORES)
def test_auc_counts_pairs(poisoned, clean):
    assert roc.auc(poisoned, clean) == pytest.approx(counted(poisoned, clean), abs=1e-12)
    assert roc.auc(poisoned, clean) + roc.auc(clean, poisoned) == pytest.approx(1.0)
    directed = roc.directed_auc(poisoned, clean)
    assert directed.value == pytest.approx(max(counted(poisoned, clean), counted(clean, poisoned)))
    assert directed.value == pytest.approx(
        roc.auc(poisoned, clean) if directed.direction == "higher" else roc.auc(clean, poisoned)
    )


def test_scores_that_differ_by_rounding_are_ties():
    up, down = sum([0.1] * 3), 0.3
    assert up != down
    assert roc.auc([up], [down]) == 0.5
    assert not roc.exceeds(up, down)
    assert not roc.exceeds(1e-17, 0.0)
    assert roc.exceeds(1.0520001e-4, 1.052e-4)
    assert roc.recall_above([up, 0.4], down).n_hits == 1


@given(SCORES, SCORES)
def test_the_points_are_the_curve_of_the_auc(poisoned, clean):
    points = roc.roc_points(poisoned, clean)
    x = np.array([p.false_alarms.value for p in points])
    y = np.array([p.recall.value for p in points])
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(roc.auc(poisoned, clean))
    for point in points[:-1]:
        assert point.recall == roc.recall_above(poisoned, point.threshold)
        assert point.false_alarms == roc.recall_above(clean, point.threshold)
    assert points[-1].threshold is None


@given(SCORES, SCORES)
def test_the_sequential_auc_differs_by_ties_alone(poisoned, clean):
    scores = [*clean, *poisoned]
    truth = [False] * len(clean) + [True] * len(poisoned)
    clean_first = roc.sequential_auc(scores, truth)
    poisoned_first = roc.sequential_auc(scores[::-1], truth[::-1])
    assert (clean_first + poisoned_first) / 2 == pytest.approx(roc.auc(poisoned, clean))
    if not set(poisoned) & set(clean):
        assert clean_first == pytest.approx(roc.auc(poisoned, clean))


@given(SCORES)
def test_the_threshold_flags_nothing_clean_and_no_lower_one_does(clean):
    threshold = roc.zero_alarm_threshold(clean)
    assert threshold in clean
    assert roc.recall_above(clean, threshold).n_hits == 0
    assert roc.recall_above(clean, threshold - 1e-6).n_hits > 0


def test_the_bound_is_clopper_and_pearsons():
    assert roc.false_alarm_bound(0, 4) == pytest.approx(1 - 0.05 ** (1 / 4), abs=1e-12)
    assert roc.false_alarm_bound(0, 4, sides="two") == pytest.approx(1 - 0.025 ** (1 / 4), abs=1e-12)
    assert roc.false_alarm_bound(4, 4) == 1.0
    assert roc.false_alarm_bound(0, 0) == 1.0
    for k, n in ((1, 9), (3, 10)):
        bound = roc.false_alarm_bound(k, n)
        assert stats.binom.cdf(k, n, bound) == pytest.approx(0.05, abs=1e-9)
    with pytest.raises(ValueError, match="n_alarms"):
        roc.false_alarm_bound(2, 1)


def test_delongs_variance_is_the_published_one():
    # the definition, term by term, on scores with ties
    poisoned, clean = [1.0, 2.0, 2.0, 5.0, 3.0], [0.0, 2.0, 1.0]
    interval = roc.auc_interval(poisoned, clean)
    value = counted(poisoned, clean)
    x = [counted([a], clean) for a in poisoned]
    y = [counted(poisoned, [b]) for b in clean]
    sx, sy = (sum((v - value) ** 2 for v in part) / (len(part) - 1) / len(part) for part in (x, y))
    freedom = (sx + sy) ** 2 / (sx**2 / 4 + sy**2 / 2)
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(sx + sy) / (value * (1 - value))
    logit = math.log(value / (1 - value))
    assert interval.low == pytest.approx(1 / (1 + math.exp(reach - logit)))
    assert interval.high == pytest.approx(1 / (1 + math.exp(-reach - logit)))
    assert interval.method == "DeLong over adapters, logit scale, t quantile"


def test_the_degrees_of_freedom_are_brunner_and_munzels():
    poisoned, clean = [1.0, 2.0, 2.5, 5.0, 3.0, 0.4], [0.0, 2.1, 1.1, 0.5]
    found = stats.brunnermunzel(clean, poisoned)
    wins = roc._wins(*roc._ranked(poisoned, clean))
    parts = [roc._variance_part(wins, axis) for axis in (1, 0)]
    variance = sum(v for v, _ in parts)
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    statistic = (wins.mean() - 0.5) / math.sqrt(variance)
    assert 2 * stats.t.sf(abs(statistic), freedom) == pytest.approx(found.pvalue)


@pytest.mark.parametrize(("n_poisoned", "n_clean"), [(30, 4), (3, 3), (1, 9), (5, 1)])
def test_full_separation_gives_the_exact_bound(n_poisoned, n_clean):
    k = min(n_poisoned, n_clean)
    poisoned, clean = np.arange(n_poisoned) + 100.0, np.arange(n_clean) * 1.0
    up, down = roc.auc_interval(poisoned, clean), roc.auc_interval(clean, poisoned)
    assert (up.high, down.low) == (1.0, 0.0)
    assert up.low == pytest.approx(0.025 ** (1 / k))
    assert down.high == pytest.approx(1 - up.low)
    assert up.method == f"exact, {k} independent pairs of adapters all agree"
    # it agrees with the bound on the false alarms of the smaller class
    assert up.low == pytest.approx(1 - roc.false_alarm_bound(0, k, sides="two"))


def test_the_exact_bound_is_attained():
    # 4 clean scores are 2 with probability 1 - a, else 0; all 30 poisoned are 1: AUC a, separated with a^4
    a = roc.auc_interval([1.0] * 30, [0.0] * 4).low
    assert a**4 == pytest.approx(0.025)


def test_all_tied_says_little_and_one_adapter_nothing():
    tied = roc.auc_interval([1.0] * 50, [1.0] * 40)
    assert tied.method == "Hoeffding, 40 independent pairs of adapters"
    assert tied.high - 0.5 == pytest.approx(math.sqrt(math.log(40) / 80))
    assert tied.low + tied.high == pytest.approx(1.0)
    one = roc.auc_interval([0.0, 2.0, 3.0], [1.0])
    assert (one.low, one.high) == (0.0, 1.0)


@given(SCORES, SCORES)
def test_every_interval_holds_its_auc(poisoned, clean):
    interval = roc.auc_interval(poisoned, clean)
    assert 0 <= interval.low <= roc.auc(poisoned, clean) <= interval.high <= 1


def test_the_permutation_test_is_exact_where_all_deals_can_be_tried():
    assert roc.auc_p_value([10.0, 11.0, 12.0], [1.0, 2.0, 3.0], seed=0) == pytest.approx(1 / 20)
    assert roc.auc_p_value([1.0, 1.0], [1.0, 1.0], seed=0) == 1.0
    poisoned, clean = [3.0, 1.0, 4.0], [1.0, 2.0, 0.0]
    everyone = np.array([*poisoned, *clean])
    deals = [
        counted(everyone[list(c)], np.delete(everyone, list(c))) for c in itertools.combinations(range(6), 3)
    ]
    wanted = np.mean(np.array(deals) >= counted(poisoned, clean) - 1e-12)
    assert roc.auc_p_value(poisoned, clean, seed=0) == pytest.approx(wanted)


@given(SCORES, SCORES, st.floats(0.001, 1000), st.floats(-10, 10))
def test_a_monotone_change_of_scores_changes_nothing(poisoned, clean, factor, shift):
    assume(factor * 1 / 60 > 1e-6)
    moved = [[s * factor + shift for s in group] for group in (poisoned, clean)]
    assert roc.auc(*moved) == pytest.approx(roc.auc(poisoned, clean))


@pytest.mark.parametrize(
    ("poisoned", "clean", "rule"),
    [([], [1.0], "no-scores"), ([1.0], [], "no-scores"), ([math.nan], [1.0], "bad-score")],
)
def test_what_cannot_be_compared_is_refused(poisoned, clean, rule):
    for measure in (roc.auc, roc.roc_points, roc.auc_interval, roc.directed_auc):
        with pytest.raises(InputError) as caught:
            measure(poisoned, clean)
        assert caught.value.rule == rule
    with pytest.raises(InputError):
        roc.sequential_auc([*poisoned, *clean], [True] * len(poisoned) + [False] * len(clean))
