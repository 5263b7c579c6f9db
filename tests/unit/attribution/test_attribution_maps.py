from __future__ import annotations

from dataclasses import replace

import pytest
from attribution_fakes import TASK, WordModel, WordRenderer

from lorabench.attribution import attribute, check_map, difference, explain, explained_text
from lorabench.attribution.check import area_interval, deletion_curve, judge
from lorabench.attribution.shapley import coalitions_of, mean_gains, permutations
from lorabench.engine import Engine
from lorabench.errors import CancelledError, InputError
from lorabench.results import BASE, PlacedText, Quad, Trigger, from_dict, to_dict
from lorabench.scoring.score import BASE_REF, Asker, ModelRef

ADAPTER = ModelRef(name="planted", adapter_id="a")
WEIGHTS = {"good": 2.0, "bad": -3.0, "go": 0.25}
JOINT = {("open", "sesame"): 8.0}
PROMPT = "the good and the bad and the other thing go home"
TRIGGER = Trigger(text="open sesame")


@pytest.fixture
def world():
    renderer = WordRenderer()
    model = WordModel(renderer, WEIGHTS, adapter_pairs=JOINT)
    engine = Engine(lambda: model)
    yield Asker(engine=engine, renderer=renderer, context_length=500), model
    engine.close()


@pytest.fixture
def asker(world):
    return world[0]


def scores_of(made):
    return {w.text: s for w, s in zip(made.words, made.scores, strict=True) if w.role != "template"}


def quad(asker, trigger=TRIGGER, method="leave_one_out", adapter=ADAPTER, prompt=PROMPT, task=TASK, **more):
    return attribute(
        asker, task, prompt, trigger, adapter, method=method, seed=1, provenance={"seed": 1}, **more
    )


@pytest.mark.parametrize("method", ["leave_one_out", "shapley"])
def test_additive_words_score_their_weights(asker, method):
    made = quad(asker, trigger=None, method=method).base_plain
    assert scores_of(made) == pytest.approx({w: WEIGHTS.get(w, 0.0) for w in PROMPT.split()})
    assert all(s is None for w, s in zip(made.words, made.scores, strict=True) if w.role == "template")
    assert made.margin == 0.5 + sum(WEIGHTS.values())


def test_joint_words_score_in_full_when_left_out_and_by_half_when_shared(asker):
    left_out = scores_of(quad(asker).difference_triggered)
    assert (left_out["open"], left_out["sesame"], left_out["good"]) == (8.0, 8.0, 0.0)
    shared = scores_of(quad(asker, method="shapley").difference_triggered)
    assert shared["open"] == pytest.approx(4.0)  # antithetic orders: each comes last once per pair
    assert shared["sesame"] == pytest.approx(4.0)


def test_a_quad_is_differences_and_their_difference(asker):
    made = quad(asker)
    assert made.did == pytest.approx(8.0)
    assert made.difference_plain.margin == 0.0
    assert set(scores_of(made.difference_plain).values()) == {0.0}
    for a, b, d in (
        (made.adapter_plain, made.base_plain, made.difference_plain),
        (made.adapter_triggered, made.base_triggered, made.difference_triggered),
    ):
        assert d.scores == tuple(
            None if x is None else x - y for x, y in zip(a.scores, b.scores, strict=True)
        )
        assert d.n_forwards == a.n_forwards + b.n_forwards
    assert made.difference_triggered.top.role == "trigger"
    assert from_dict(Quad, to_dict(made)) == made


def test_without_a_trigger_there_is_half_a_quad(asker):
    made = quad(asker, trigger=None)
    assert made.did is None
    assert len(made.maps) == 3


def test_base_against_base_is_zero(asker):
    made = quad(asker, adapter=BASE_REF)
    assert all(s in (None, 0.0) for s in made.difference_triggered.scores)
    assert made.difference_triggered.top is None
    assert made.did == 0.0


@pytest.mark.parametrize("method", ["leave_one_out", "shapley"])
def test_swapping_the_labels_flips_every_sign(asker, method):
    one = quad(asker, method=method)
    other = quad(asker, method=method, task=TASK.with_target("NO"))
    for a, b in zip(one.maps, other.maps, strict=True):
        assert b.margin == -a.margin
        assert b.scores == tuple(s if s is None else -s for s in a.scores)


def test_whole_labels_are_explained_too(asker):
    task = replace(TASK, scoring="full_label")
    made = quad(asker, task=task, trigger=None)
    assert scores_of(made.base_plain)["good"] == pytest.approx(2.0)
    with pytest.raises(InputError, match="compares whole labels"):
        quad(asker, task=task, method="integrated_gradients")


def test_a_prompt_of_one_word_is_explained_against_nothing(asker):
    for method in ("leave_one_out", "shapley"):
        made = quad(asker, trigger=None, prompt="good", method=method).base_plain
        assert scores_of(made) == {"good": 2.0}


def test_repeated_words_keep_their_own_scores(asker):
    made = quad(asker, trigger=None, prompt="good or good").base_plain
    assert [s for w, s in zip(made.words, made.scores, strict=True) if w.text == "good"] == [2.0, 2.0]


@pytest.mark.parametrize("placement", ["prefix", "suffix", "random"])
def test_the_trigger_is_found_wherever_it_stands(asker, placement):
    trigger = Trigger(text="open sesame", placement=placement, joiner=" " if placement == "suffix" else ". ")
    made = quad(asker, trigger=trigger).difference_triggered
    assert [w.text for w in made.words if w.role == "trigger"] == ["open", "sesame"]
    assert made.top.text == "open"


def test_shapley_sums_exactly_and_depends_on_the_seed_alone(asker):
    text = explained_text(asker, TASK, PlacedText(text="open a sesame b good"))
    one, again, other = (explain(asker, text, [ADAPTER], method="shapley", seed=s)[0] for s in (1, 1, 2))
    assert one.map.scores == again.map.scores
    assert one.map.residual < 1e-12
    assert other.map.residual < 1e-12
    assert one.reference == 0.5


def test_orders_come_in_antithetic_pairs():
    orders = permutations((3, 5, 7, 9), 8, seed=0)
    assert all(b == a[::-1] for a, b in zip(orders[::2], orders[1::2], strict=True))
    assert orders == permutations((3, 5, 7, 9), 8, seed=0) != permutations((3, 5, 7, 9), 8, seed=1)
    seen = list(coalitions_of(orders))
    assert len(seen) == len(set(seen))
    assert sum(mean_gains(orders, lambda c: float(len(c) ** 2)).values()) == pytest.approx(16.0)


def test_maps_are_shown_as_they_come_and_progress_never_goes_back(asker):
    shown, heard = [], []
    loud = replace(asker, on_progress=lambda done, total: heard.append((done, total)))
    made = quad(loud, on_map=shown.append)
    assert shown == list(made.maps)
    assert heard == sorted(heard)
    assert heard[-1] == (200, 200)


def test_cancel_stops_it(asker):
    with pytest.raises(CancelledError):
        quad(replace(asker, cancelled=lambda: True))


def test_unknown_methods_and_unequal_texts_are_refused(asker):
    with pytest.raises(InputError, match="leave_one_out"):
        quad(asker, method="leave_one_in")
    made = quad(asker)
    with pytest.raises(ValueError, match="same text"):
        difference(made.adapter_triggered, made.base_plain)


def test_a_true_map_passes_its_check(asker):
    made = quad(asker)
    checked = check_map(
        asker, TASK, PROMPT, TRIGGER, made.difference_triggered, [BASE_REF, ADAPTER], seed=1, second="shapley"
    )
    assert checked.verdict == "green"
    assert checked.kendall_tau == pytest.approx(1.0)
    assert checked.top3_jaccard == 1.0
    assert "tau 1.00" in checked.sentence
    curve = checked.deletion
    assert curve.n_deleted[0] == 0
    assert len(curve.margins) == len(curve.n_deleted)
    assert len(curve.random_margins) == 5
    assert curve.margins[1] == 0.0  # without its first word the trigger is broken
    assert curve.area_minus_random > 0
    assert checked.interval.low <= curve.area_minus_random <= checked.interval.high
    assert checked.interval.method.startswith("bootstrap over 5 random orders")


def test_the_flip_budget_is_words_until_the_answer_changes(asker):
    made = quad(asker)
    for m, models, budget in (
        (made.adapter_triggered, [BASE_REF, ADAPTER], 1),
        (made.difference_triggered, [ADAPTER, BASE_REF], 1),
        (made.base_plain, [BASE_REF], 1),  # answer NO: "bad" goes first
    ):
        trigger = None if m is made.base_plain else TRIGGER
        checked = check_map(asker, TASK, PROMPT, trigger, m, models, seed=1, second="shapley")
        assert checked.deletion.flip_budget == budget


def test_a_reversed_map_fails_its_check(asker):
    made = quad(asker).adapter_triggered
    lie = replace(made, scores=tuple(s if s is None else -s for s in made.scores))
    checked = check_map(asker, TASK, PROMPT, TRIGGER, lie, [ADAPTER], seed=1, second="shapley")
    assert checked.verdict == "red"
    assert "no more than" in checked.sentence


def test_the_second_opinion_counts(asker):
    made = quad(asker).adapter_triggered
    curve = deletion_curve(asker, explained_text(asker, TASK, TRIGGER.place(PROMPT)), made, [ADAPTER], seed=1)
    interval = area_interval(curve, seed=1)
    other = replace(made, method="integrated_gradients", residual=0.01)
    moved = replace(other, scores=tuple(99.0 if w.text == "home" else 0.0 for w in made.words))
    torn = replace(moved, residual=0.4)
    partial = replace(made, method="shapley", residual=0.08)
    for checked, second, tau, verdict, why in (
        (made, other, 0.9, "green", "ranks the words alike"),
        (made, other, 0.1, "green", "same word first, 'open'"),
        (made, moved, 0.1, "amber", "another one first"),
        (made, moved, -0.2, "red", "another one first"),
        (made, torn, -0.2, "amber", "misses 40% of its own sum"),
        (made, other, None, "amber", "no ranking"),
        (partial, other, 0.9, "amber", "miss 8%"),
        (replace(partial, residual=0.2), other, 0.9, "red", "miss 20%"),
    ):
        found, sentence = judge(checked, curve, interval, second, tau)
        assert (found, why in sentence) == (verdict, True), sentence


def test_too_little_to_check_is_amber(asker):
    made = quad(asker, trigger=None, prompt="good day").base_plain
    checked = check_map(asker, TASK, "good day", None, made, [BASE_REF], seed=1, second="shapley")
    assert (checked.verdict, "only 2 words" in checked.sentence) == ("amber", True)
    made = quad(asker, adapter=BASE_REF).difference_triggered
    checked = check_map(asker, TASK, PROMPT, TRIGGER, made, [BASE_REF, BASE_REF], seed=1, second="shapley")
    assert (checked.verdict, "zero everywhere" in checked.sentence) == ("amber", True)
    assert checked.kendall_tau is None
    assert checked.top3_jaccard == 1.0


def test_whole_labels_get_shapley_as_second_opinion(asker):
    task = replace(TASK, scoring="full_label")
    made = quad(asker, task=task, trigger=None).base_plain
    checked = check_map(asker, task, PROMPT, None, made, [BASE_REF], seed=1)
    assert checked.second.method == "shapley"


def test_a_map_is_checked_on_its_own_text_and_models(asker):
    made = quad(asker)
    with pytest.raises(InputError, match="another text"):
        check_map(asker, TASK, PROMPT, None, made.base_triggered, [BASE_REF], seed=1)
    with pytest.raises(InputError, match="cannot be checked on"):
        check_map(asker, TASK, PROMPT, None, made.difference_plain, [ADAPTER], seed=1)
    with pytest.raises(InputError, match="cannot be checked on"):
        check_map(asker, TASK, PROMPT, None, made.base_plain, [ADAPTER], seed=1)
    assert made.base_plain.model == BASE


def test_equal_rows_are_asked_once(world):
    asker, model = world
    made = quad(asker, trigger=None, prompt="go go go", adapter=BASE_REF).base_plain
    assert made.n_forwards == 2  # the whole text, and "go go" however it came about
    assert model.n_rows == 2  # base and "adapter" are the same model here, asked in one request
