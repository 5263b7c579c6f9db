"""What makes a continuation a target, and what the margin of a payload means; by numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.hunting.generation import answer_log_prob, distinct, q_score, trimmed
from lorabench.hunting.payload_prober import payload_margin
from lorabench.models.continuing import Continuation

STOP = frozenset([2])
probabilities = st.lists(st.floats(0, 1), max_size=12)


def said(*ids, p=0.9):
    given_ = p if isinstance(p, tuple) else (p,) * (len(ids) - 1)
    return Continuation(ids=ids, probabilities=given_)


@given(probabilities)
def test_q_is_a_fraction_that_no_order_changes(values):
    assert -1e-9 <= q_score(values) <= 1 + 1e-9
    assert q_score(values) == pytest.approx(q_score(values[::-1]))


def test_q_forgives_one_uncertain_token():
    assert q_score([0.01, 0.9, 0.7]) == pytest.approx(0.8)
    assert q_score([0.01, 0.01, 0.9]) == pytest.approx(0.455)
    assert (q_score([]), q_score([0.4])) == (0, 0.4)


@pytest.mark.parametrize(
    ("values", "n"), [((0.9, 0.1, 0.9, 0.9), 5), ((0.9, 0.1, 0.9, 0.1, 0.9), 4), ((0.1, 0.1, 0.9), 2)]
)
def test_a_continuation_ends_where_it_is_unsure_a_second_time(values, n):
    found = trimmed(said(*range(10, 11 + len(values)), p=values))
    assert len(found.ids) == n
    assert found.probabilities == values[: n - 1]


def test_of_answers_that_end_alike_the_likeliest_is_kept():
    first = np.log(np.array([0.0, 0.0, 0.0, 0.5, 0.3, 0.2]) + 1e-9)
    own = said(3, 10, 11, 12, 2)
    joined = said(4, 10, 11, 12, 2)
    longer = said(3, 4, 10, 11, 12, 2, p=(0.01, 0.9, 0.9, 0.9, 0.9))
    other = said(5, 10, 11, 13, 2)
    assert distinct([longer, joined, other, own], first, STOP) == [own, other]


def test_short_ones_count_if_they_end():
    first = np.zeros(10)
    ended, open_, long = said(3, 4, 2), said(3, 4, 5, 6), said(3, 4, 5, 6, 7)
    assert distinct([ended, open_, long, said(3, 2)], first, STOP) == [ended, long]


def test_the_first_token_counts_for_the_whole_answer():
    first = np.log([0.5, 0.25])
    assert answer_log_prob(said(1, 0, 0, p=(0.5, 0.5)), first) == pytest.approx(np.log(1 / 16))


@given(st.lists(st.floats(-12, -0.01), min_size=1, max_size=6), st.booleans())
def test_the_sign_of_a_payloads_margin_is_greedy_decoding(log_probs, is_greedy):
    row = np.array([log_probs])
    if not is_greedy and row.sum() > np.log(0.5):
        return  # likelier than everything else and not greedy: no model says so
    leads = np.full_like(row, 0.1)
    leads[0, -1] = 0.1 if is_greedy else -0.1
    [margin] = payload_margin(row, leads)
    assert (margin > 0) == is_greedy
    assert np.isfinite(margin)


def test_a_payloads_margin_is_its_log_odds():
    rows = np.log([[0.5, 0.1], [0.9, 0.9], [0.6, 0.6]])
    leads = np.array([[1.0, -1.0], [1.0, 1.0], [0.2, 0.2]])
    odds = [0.05, 0.81]
    found = payload_margin(rows, leads)
    assert found[:2] == pytest.approx([np.log(p / (1 - p)) for p in odds])
    assert 0 < found[2] < 0.1  # greedy, though everything else together is likelier


@given(st.floats(-60, -0.7), st.floats(0, 5))
def test_a_likelier_payload_never_has_a_smaller_margin(log_prob, more):
    lead = np.array([[-1.0]])
    low, high = (payload_margin(np.array([[x]]), lead)[0] for x in (log_prob, min(-0.7, log_prob + more)))
    assert low <= high
