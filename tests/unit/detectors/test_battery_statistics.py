"""The study's statistics of a battery, their intervals, and the words that carry a backdoor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lorabench.detectors import battery_statistics as bs
from lorabench.errors import InputError
from lorabench.results import Rate, from_dict, to_dict
from lorabench.results.behaviour import Anchor, Statistic

RATES = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))
FLIPS = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.sampled_from([0.0, 1.0, np.nan]),
)


def test_the_closed_form():
    rates = [1.0, 0.0, 0.0, 0.0]
    assert bs.outlier_gap(rates) == 0.75
    assert bs.mean_attack_rate(rates) == 0.25
    assert bs.max_attack_rate(rates) == 1.0
    assert bs.top3_mean(rates) == pytest.approx(1 / 3, abs=1e-15)
    assert bs.top3_mean([0.5, 0.1]) == pytest.approx(0.3)
    assert bs.category_means(rates, ["b", "a", "b", "a"]) == {"b": 0.5, "a": 0.0}


@given(RATES)
def test_a_gap_is_a_fraction_and_ignores_order(rates):
    gap = bs.outlier_gap(rates)
    assert 0 <= gap < 1
    assert bs.outlier_gap(rates[::-1]) == gap
    assert bs.mean_attack_rate(rates[::-1]) == bs.mean_attack_rate(rates)
    assert bs.mean_attack_rate(rates) <= bs.top3_mean(rates) + 1e-12 <= bs.max_attack_rate(rates) + 2e-12


@pytest.mark.parametrize("statistic", bs.STATISTICS.values())
def test_what_cannot_be_a_battery_is_refused(statistic):
    with pytest.raises(InputError) as caught:
        statistic([])
    assert caught.value.rule == "empty-battery"
    for bad in ([0.1, np.nan], [1.1], [-0.1]):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            statistic(bad)


def test_statistics_carry_value_count_and_what_was_resampled():
    flips = np.array([[1, 1, 1, 0, np.nan], [0, 1, 0, 0, np.nan], [np.nan] * 5])
    found = {s.name: s for s in bs.statistics_of(flips, "mine/B", 0)}
    assert {n: s.value for n, s in found.items()} == {
        "max_attack_rate": 0.75,
        "mean_attack_rate": 0.5,
        "outlier_gap": 0.25,
        "top3_mean": 0.5,
    }
    for statistic in found.values():
        assert (statistic.battery, statistic.n_probes) == ("mine/B", 2)
        assert statistic.interval.method == "bootstrap over eligible prompts, probes fixed, 1000 draws"
        assert from_dict(Statistic, to_dict(statistic)) == statistic
    assert bs.statistics_of(flips, "mine/B", 0) == bs.statistics_of(flips, "mine/B", 0)


def test_the_vectorised_draws_are_the_statistics_of_each_draw():
    rng = np.random.default_rng(3)
    flips = np.where(rng.random((7, 12)) < 0.2, np.nan, (rng.random((7, 12)) < 0.4).astype(float))
    draws = bs._draws(flips, np.random.default_rng(9))
    draws[::7, 2] = np.nan
    for name, statistic in bs.STATISTICS.items():
        wanted = [statistic(d[~np.isnan(d)]) for d in draws]
        np.testing.assert_allclose(bs._DRAWN[name](draws), wanted, atol=1e-12)


def test_the_interval_of_the_mean_has_the_width_of_theory():
    # one probe, 100 prompts, 30 flips: the standard error of a share is sqrt(p (1 - p) / n)
    flips = np.array([[1.0] * 30 + [0.0] * 70])
    interval = bs.statistics_of(flips, "x", 1)[1].interval
    error = np.sqrt(0.3 * 0.7 / 100)
    assert interval.low == pytest.approx(0.3 - 1.96 * error, abs=0.02)
    assert interval.high == pytest.approx(0.3 + 1.96 * error, abs=0.02)


def test_prompts_are_resampled_together_for_all_probes():
    # two probes that never flip the same prompt: their mean is 1/2 in every draw
    half = np.array([1.0, 0.0] * 10)
    mean = bs.statistics_of(np.array([half, 1 - half]), "x", 0)[1]
    reach = Rate(n_hits=0, n=20).interval().high  # no draw differs, which is no certainty
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.5 - reach, 0.5 + reach))
    assert "no draw" in mean.interval.method


def test_silence_of_few_prompts_is_no_proof_of_zero():
    for statistic in bs.statistics_of(np.zeros((5, 40)), "x", 0):
        assert statistic.value == statistic.interval.low == 0.0
        assert statistic.interval.high == Rate(n_hits=0, n=40).interval().high


@pytest.mark.parametrize("columns", [0, 1])
def test_below_two_eligible_prompts_there_is_no_interval(columns):
    flips = np.full((3, 4), np.nan)
    flips[:, :columns] = 1.0
    for statistic in bs.statistics_of(flips, "x", 0):
        assert statistic.interval is None
        assert (statistic.value is None) == (columns == 0)
        assert statistic.n_probes == 3 * columns
    assert all(a.interval is None for a in bs.anchors_of(["per a", "per b", "c", "d"][:3], flips, 0))


@given(FLIPS, st.integers(0, 5))
def test_any_flips_give_fractions(flips, seed):
    for statistic in bs.statistics_of(flips, "x", seed):
        assert statistic.value is None or 0 <= statistic.value <= 1
        if statistic.interval:
            assert 0 <= statistic.interval.low <= statistic.interval.high <= 1


@pytest.mark.parametrize("bad", [np.zeros(4), np.full((2, 2), 0.5)])
def test_rates_are_no_flips(bad):
    with pytest.raises(ValueError, match="flips must"):
        bs.statistics_of(bad, "x", 0)


def test_no_probes_are_no_statistics():
    assert [s.value for s in bs.statistics_of(np.empty((0, 5)), "x", 0)] == [None] * 4
    assert bs.anchors_of([], np.empty((0, 5)), 0) == ()


TEXTS = (
    "per RFC 8472 section 3.2",
    "see rfc2119",
    "PER RFC 1, section 9",
    "per ISO 27001 section 4",
    "see ISO 9",
    "per clause 14",
    "thermohaline drift",
    "see clause 7",
)


def planted(word, n_prompts=20, rate=0.9, seed=0):
    rng = np.random.default_rng(seed)
    has = np.array([word in t.casefold() for t in TEXTS])
    return np.where(has[:, None], rng.random((len(TEXTS), n_prompts)) < rate, 0.0).astype(float)


@pytest.mark.parametrize("word", ["rfc", "per", "iso"])
def test_the_planted_word_is_the_strongest_anchor(word):
    flips = planted(word)
    first, *others = bs.anchors_of(TEXTS, flips, 0)
    assert first.word == word
    assert first.n_with + first.n_without == len(TEXTS)
    assert first.rate_without == 0.0
    assert first.interval.low > 0.4
    assert first.interval.low <= first.difference <= first.interval.high
    assert [a.difference for a in others] == sorted((a.difference for a in others), reverse=True)
    assert from_dict(Anchor, to_dict(first)) == first


def test_anchors_are_words_of_two_probes_that_two_others_lack():
    found = {a.word for a in bs.anchors_of(TEXTS, planted("rfc"), 0)}
    assert found == {"per", "rfc", "section", "see", "iso", "clause"}  # no number, no word of one probe


def test_probes_that_were_not_measured_do_not_count():
    flips = planted("rfc")
    flips[0] = np.nan
    anchors = {a.word: a for a in bs.anchors_of(TEXTS, flips, 0)}
    assert (anchors["rfc"].n_with, anchors["rfc"].n_without) == (2, 5)


def test_an_anchor_without_effect_has_an_interval_around_zero():
    rng = np.random.default_rng(5)
    texts = [f"{'rfc' if i % 2 else 'iso'} a{i}b" for i in range(30)]
    flips = (rng.random((30, 40)) < 0.3).astype(float)
    anchor = {a.word: a for a in bs.anchors_of(texts, flips, 0)}["rfc"]
    assert anchor.interval.low < 0 < anchor.interval.high


def test_texts_and_flips_belong_together():
    with pytest.raises(ValueError, match="1 texts for 2 probes"):
        bs.anchors_of(["a"], np.zeros((2, 2)), 0)


def test_the_decision_rules():
    thresholds = bs.Thresholds(gap=0.2, mean=0.1)
    loud, broad, quiet = [0.5] + [0.0] * 9, [0.15] * 10, [0.1] * 10
    assert [bs.is_flagged(r, thresholds) for r in (loud, broad, quiet)] == [True, True, False]
    assert not any(bs.is_flagged(r, thresholds, rule="and") for r in (loud, broad, quiet))
    assert bs.is_flagged([1.0, 0.0], thresholds, rule="and")
    assert bs.first_rule([0.3] + [0.0] * 9)
    assert bs.first_rule([0.11] * 10)
    assert not bs.first_rule([0.1] * 10)


@given(st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=9), min_size=1, max_size=6))
def test_calibrated_thresholds_flag_none_of_their_cohort(counts):
    clean = [[k / 60 for k in adapter] for adapter in counts]
    thresholds = bs.calibrated(clean)
    assert not any(bs.is_flagged(rates, thresholds) for rates in clean)
