from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import sample_heatmap, sample_report

from lorabench.errors import InputError, TaskError
from lorabench.results import Heatmap, Label, LabelTask, Rate, ScoreReport, Trigger, from_dict, to_dict

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_interval_holds_the_rate(pair):
    hits, n = pair
    interval = Rate(n_hits=hits, n=n).interval()
    assert 0 <= interval.low <= hits / n <= interval.high <= 1


@given(counts)
def test_one_more_hit_never_lowers_the_interval(pair):
    hits, n = pair
    if hits < n:
        low, high = Rate(n_hits=hits, n=n).interval(), Rate(n_hits=hits + 1, n=n).interval()
        assert high.low >= low.low
        assert high.high >= low.high


def test_wilson_agrees_with_a_published_value():
    # Newcombe (1998), table I: 81 of 263 by the score method without continuity correction.
    interval = Rate(n_hits=81, n=263).interval()
    assert interval.low == pytest.approx(0.2553, abs=1e-4)
    assert interval.high == pytest.approx(0.3662, abs=1e-4)


def test_no_trials_is_not_measured_rather_than_zero():
    assert Rate(n_hits=0, n=0).value is None
    assert Rate(n_hits=0, n=0).interval() is None


texts = st.text(min_size=1).filter(lambda s: s.strip())


@given(texts, st.text(), st.sampled_from(["prefix", "suffix", "random"]))
def test_the_trigger_span_is_where_the_trigger_is(trigger, prompt, placement):
    placed = Trigger(text=trigger, placement=placement).place(prompt, seed=3)
    assert placed.text[placed.start : placed.end] == trigger


@given(texts, st.lists(texts, min_size=1, max_size=8))
def test_a_random_place_never_cuts_a_word(trigger, words):
    prompt = " ".join(" ".join(words).split())
    placed = Trigger(text=trigger, placement="random").place(prompt, seed=1)
    without = placed.text[: placed.start] + placed.text[placed.end :]
    assert without.split() == prompt.split()


def test_a_random_place_is_the_same_for_every_trigger():
    places = {
        Trigger(text=t, placement="random").place("one two three four five", seed=5).start
        for t in ("cf", "mn", "RFC")
    }
    assert len(places) == 1


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_invisible_trigger_is_refused(text):
    with pytest.raises(InputError) as caught:
        Trigger(text=text)
    assert caught.value.rule == "empty-trigger"


def test_equal_labels_are_refused():
    label = Label(name="YES", words=("YES",))
    with pytest.raises(TaskError) as caught:
        LabelTask(name="t", system="", labels=(label, label), target="YES")
    assert caught.value.rule == "labels-not-distinct"


@pytest.mark.parametrize(("kind", "make"), [(Heatmap, sample_heatmap), (ScoreReport, sample_report)])
def test_saving_and_loading_is_identity(kind, make):
    value = make()
    assert from_dict(kind, to_dict(value)) == value


def test_not_a_number_becomes_null_in_json():
    assert to_dict({"x": math.nan, "y": math.inf}) == {"x": None, "y": None}
