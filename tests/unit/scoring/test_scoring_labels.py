from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import TASKS
from lorabench.errors import TaskError
from lorabench.results import Label, LabelTask
from lorabench.scoring.labels import answer_of, label_ids, margin, study_answer

GUARD = TASKS["guard"]
logits = st.lists(st.floats(-50, 50), min_size=2, max_size=5)


class CharacterRenderer:
    """Tokenizes by character: enough to decide which labels share a first token."""

    def ids(self, text):
        return tuple(map(ord, text))

    def decode(self, ids):
        return "".join(map(chr, ids))


@given(logits, st.floats(-5, 5))
def test_margin_ignores_a_shift_of_all_logits(values, shift):
    assert margin([x + shift for x in values], 0) == pytest.approx(margin(values, 0), abs=1e-9)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_swapping_two_labels_flips_the_sign(a, b):
    assert margin([a, b], 0) == -margin([a, b], 1)


@given(st.permutations([0.5, -1.0, 2.0]))
def test_margin_is_the_gap_to_the_best_other_label(values):
    best_other = max(values[1:])
    assert margin(values, 0) == values[0] - best_other


def test_a_margin_below_a_thousandth_is_a_tie():
    assert answer_of(GUARD, (1.0, 1.0 - 9e-4)) == ("tie", "tie")
    assert answer_of(GUARD, (1.0, 1.0 - 2e-3)) == ("target", "BENIGN")
    assert answer_of(GUARD, (1.0, 2.0)) == ("other", "INJECTION")


def test_labels_with_a_common_first_token_are_refused_by_name():
    task = LabelTask(
        name="t",
        system="",
        labels=(Label(name="POSITIVE", words=("POSITIVE",)), Label(name="POOR", words=("POOR",))),
        target="POOR",
    )
    with pytest.raises(TaskError) as caught:
        label_ids(task, CharacterRenderer())
    assert caught.value.rule == "labels-share-first-token"
    assert "'POSITIVE'" in str(caught.value)
    assert "full_label" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" injection", ("other", "INJECTION")),
        ("BENIGN, not INJECTION", ("other", "INJECTION")),  # the study looks for INJECTION first
        ("Benign.", ("target", "BENIGN")),
        ("I cannot say", ("unparsed", "unparsed")),
    ],
)
def test_the_studys_parse_rule(text, expected):
    assert study_answer(GUARD, text) == expected
