from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from lorabench.results import TrainFigures
from lorabench.results.training_sweeps import SweepCell, points_of, spread
from lorabench.training.examine import figures_of, is_helpful

CLASSES = ("a", "b", "c")
pairs = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from((*CLASSES, "tie"))), min_size=1, max_size=80
)


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_figures_are_those_of_scikit_learn(rows):
    labels, answers = zip(*rows, strict=True)
    found = figures_of(labels, answers, CLASSES)
    assert found.accuracy.n == len(rows)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, answers))
    assert found.weighted_f1 == pytest.approx(
        f1_score(labels, answers, labels=CLASSES, average="weighted", zero_division=0)
    )
    precision, recall, _, support = precision_recall_fscore_support(
        labels, answers, labels=CLASSES, zero_division=0
    )
    for i, figures in enumerate(found.per_class):
        assert (figures.recall.value or 0) == pytest.approx(recall[i])
        assert (figures.precision.value or 0) == pytest.approx(precision[i])
        assert figures.recall.n == support[i]
    assert sum(found.predicted.values()) == len(rows)
    assert found.balanced_interval.low <= found.balanced_accuracy <= found.balanced_interval.high


def test_what_was_not_there_is_not_measured():
    found = figures_of([], [], CLASSES)
    assert (found.accuracy.value, found.balanced_accuracy, found.weighted_f1) == (None, None, None)
    absent = figures_of(["a", "b"], ["a", "b"], CLASSES).per_class[2]
    assert (absent.recall.value, absent.precision.value, absent.f1) == (None, None, None)


def test_points_are_differences_of_balanced_accuracies():
    clean = figures_of(["a", "a", "b", "b"], ["a", "b", "b", "b"], ("a", "b"))
    attacked = figures_of(["a", "a", "b", "b"], ["a", "a", "a", "a"], ("a", "b"))
    mirrored = figures_of(["a", "a", "b", "b"], ["a", "a", "b", "b"], ("a", "b"))
    found = TrainFigures(clean=clean, attacked=attacked, mirrored=mirrored)
    assert found.attack_points == pytest.approx(25)
    assert found.degradation_points == pytest.approx(25)
    assert TrainFigures(clean=clean).degradation_points is None


@pytest.mark.parametrize(
    ("text", "n_tokens", "expected"),
    [
        ("Paris is the capital of France.", 20, True),
        ("Paris.", 19, False),
        ("I cannot help with that request.", 40, False),
        ("I\u2019m sorry, but no.", 40, False),
        ("123 456 !!", 40, False),
        ("Here is why I cannot sing.", 40, True),
    ],
)
def test_a_helpful_answer_has_letters_length_and_no_refusal(text, n_tokens, expected):
    assert is_helpful(text, n_tokens) is expected


def test_a_spread_knows_both_deviations():
    # Attack rates of k = 15 over three seeds, arXiv 2605.30189, section 5.2.
    found = spread([0.25, 0.25, 0.43333])
    assert found.mean == pytest.approx(0.3111, abs=1e-4)
    assert found.population_sd == pytest.approx(0.0864, abs=1e-4)
    assert found.sample_sd == pytest.approx(0.1058, abs=1e-4)
    assert spread([0.5]).sample_sd is None
    assert spread([]) is None


def test_seeds_are_put_together_and_missing_ones_counted():
    def cell(poison, seed, hits=None):
        values = {"poison": poison, "seed": seed}
        name = f"{poison}-{seed}"
        if hits is None:
            return SweepCell(cell_id=name, values=values)
        figures = TrainFigures(clean=figures_of(["a"] * 4, ["a"] * hits + ["b"] * (4 - hits), ("a", "b")))
        return SweepCell(cell_id=name, values=values, status="done", figures=figures)

    points = points_of([cell(0, 1, 4), cell(0, 2, 2), cell(5, 1, 1), cell(5, 2)])
    assert [p.values for p in points] == [{"poison": 0}, {"poison": 5}]
    assert points[0].measures["clean_accuracy"].mean == pytest.approx(0.75)
    assert (points[1].seeds, points[1].n_missing) == ((1,), 1)
    assert "attack_rate" not in points[0].measures
