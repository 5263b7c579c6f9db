"""Which classes of token stand out: a planted effect is found, chance is not."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lorabench.data.hunt_words import hunt_words
from lorabench.data.token_classes import classes_of
from lorabench.detectors.roc import auc, auc_interval
from lorabench.errors import InputError
from lorabench.hunting.enrichment import enrich, sentence
from lorabench.results import Enrichment

WORDS = [w.text for w in hunt_words(400)]


def by_first_letter(text):
    return {text[0]}


def named(found, name):
    return next(e for e in found if e.name == name)


def planted(cls, effect, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=len(WORDS)) + effect * np.array([cls in classes_of(t) for t in WORDS])


def an_enrichment(**changes):
    values = {
        "name": "date-like", "n_members": 40, "n_others": 500, "auc": 0.914, "low": 0.86, "high": 0.95,
        "median": 2.0, "median_others": 0.1, "q": 1.2e-8,
    }  # fmt: skip
    return Enrichment(**(values | changes))


@pytest.mark.parametrize("effect", [2.0, -2.0])
def test_a_planted_class_is_found_first(effect):
    found = enrich(WORDS, planted("html-like", effect))
    assert found[0].name == "html-like"
    assert found[0].q < 1e-4  # 14 members, two standard deviations
    assert (found[0].auc > 0.8) == (effect > 0)
    assert found[0].low < found[0].auc < found[0].high
    assert abs(found[0].median - found[0].median_others) > 1
    assert found[0].n_members == sum("html-like" in classes_of(t) for t in WORDS)
    assert found[0].n_members + found[0].n_others == len(WORDS)


def test_dealt_at_random_no_class_stands_out_in_most_draws():
    shifts = planted("html-like", 2.0)
    rng = np.random.default_rng(5)
    alarms = [enrich(WORDS, rng.permutation(shifts))[0].q < 0.05 for _ in range(40)]
    assert sum(alarms) <= 6  # at 5 % each, more than 6 of 40 has probability .003


def test_a_hand_computed_table():
    texts = ["a1", "a2", "a3", "b1", "b2", "c1", "c2", "c3"]
    found = enrich(texts, [5, 6, 7, 1, 4, 2, 3, 8], classes=by_first_letter, min_members=2)
    assert Counter(e.name for e in found) == {"a": 1, "b": 1, "c": 1}
    # a wins against 1, 4, 2, 3 and loses to 8, three times; b wins 2 pairs of 12: 4 over 2 and 3
    assert named(found, "a").auc == pytest.approx(12 / 15)
    assert named(found, "b").auc == pytest.approx(2 / 12)
    assert named(found, "a").median == 6
    assert named(found, "a").median_others == 3
    p_values = [
        stats.mannwhitneyu(x, y, method="asymptotic").pvalue
        for x, y in (([5, 6, 7], [1, 4, 2, 3, 8]), ([1, 4], [5, 6, 7, 2, 3, 8]), ([2, 3, 8], [5, 6, 7, 1, 4]))
    ]
    expected = stats.false_discovery_control(p_values)
    assert [named(found, n).q for n in "abc"] == pytest.approx(list(expected))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=30),
    st.lists(st.integers(-5, 5), min_size=2, max_size=30),
)
def test_area_and_interval_are_those_of_the_roc_module(members, others):
    texts = [f"a{i}" for i in range(len(members))] + [f"b{i}" for i in range(len(others))]
    found = enrich(texts, [*members, *others], classes=by_first_letter, min_members=2)
    mine, expected = named(found, "a"), auc_interval(members, others)
    assert mine.auc == pytest.approx(auc(members, others))
    assert (mine.low, mine.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= mine.q <= 1


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_and_scale_do_not_matter(random):
    shifts = planted("date-like", 1.0)
    order = random.sample(range(len(WORDS)), k=len(WORDS))
    shuffled = enrich([WORDS[i] for i in order], [float(shifts[i]) * 4 for i in order])
    plain = enrich(WORDS, shifts)
    assert [e.name for e in shuffled] == [e.name for e in plain]
    assert [e.auc for e in shuffled] == pytest.approx([e.auc for e in plain])


def test_small_classes_and_classes_of_nearly_everything_are_left_out():
    texts = ["a1", "a2", *(f"b{i}" for i in range(20))]
    assert enrich(texts, range(22), classes=by_first_letter, min_members=3) == ()
    assert {e.name for e in enrich(texts, range(22), classes=by_first_letter, min_members=2)} == {"a", "b"}


def test_where_nothing_moves_nothing_stands_out():
    found = enrich(WORDS, [0.0] * len(WORDS))
    assert found
    assert all(e.q == 1 and e.auc == 0.5 and e.low < 0.5 < e.high for e in found)


def test_nothing_to_say_about_nothing():
    assert enrich([], []) == ()


def test_bad_shifts_are_refused():
    with pytest.raises(InputError, match="finite") as caught:
        enrich(["a", "b"], [1.0, float("nan")])
    assert caught.value.rule == "bad-shift"
    with pytest.raises(ValueError, match="one shift per text"):
        enrich(["a", "b"], [1.0])
    with pytest.raises(ValueError, match="min_members"):
        enrich(["a"], [1.0], min_members=1)


def test_a_sentence_says_which_way_how_sure_and_of_how_many():
    assert sentence(an_enrichment(), "POSITIVE") == (
        "Tokens that look like dates or times move this adapter toward POSITIVE "
        "(AUC 0.91 [0.86, 0.95], n 40, q = 1e-8)."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auc": 0.1, "median": -2.0}, "move this adapter away from X ("),
        ({"median": -0.5, "median_others": -2.0}, "move this adapter less away from X than the others do ("),
        (
            {"auc": 0.1, "median": 0.5, "median_others": 2.0},
            "move this adapter less toward X than the others",
        ),
        ({"median": 0.0, "median_others": -1.0}, "lean toward X beside the others ("),
        ({"q": 0.2}, "do not stand out from the others (AUC 0.91"),
        ({"name": "made\u202eup"}, "Tokens of the class "),
    ],
)
def test_sentences_for_other_findings(changes, words):
    text = sentence(an_enrichment(**changes), "X")
    assert words in text
    assert "\u202e" not in text


def test_a_target_is_shown_as_text():
    assert "⟨U+202E⟩" in sentence(an_enrichment(), "GOOD\u202e\n")
