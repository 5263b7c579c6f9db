"""Answers of several tokens, by copies: equal to plain passes over whole rows, one token at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import save_adapter, save_base

from lorabench.models.sweep import MergedCopy

SHARED = tuple(range(10, 30))
ROWS = [SHARED + tail for tail in ((40,), (41, 42, 43), (44, 45), (41, 42, 43, 46, 47, 48))]
TAILS = [(7, 9, 200), (7,), (55, 56, 57, 58), (7, 9)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continuing")
    adapter = save_adapter(folder / "a", seed=3, rank=4)
    return MergedCopy(save_base(folder / "base"), "tiny", adapter, dtype="fp32")


def finish(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def plain(copy, ids):
    """Return the log-probabilities (vocabulary,) of what comes next, by one whole pass."""
    with torch.inference_mode():
        logits = copy._model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]
    return torch.log_softmax(logits.float(), dim=-1).numpy()


def check_tails(copy, rows, tails, budget=4096):
    log_probs, leads = finish(copy.tail_logprobs(rows, tails, budget))
    assert log_probs.shape == leads.shape == (len(rows), max(map(len, tails)))
    for k, (row, tail) in enumerate(zip(rows, tails, strict=True)):
        assert np.isnan(log_probs[k, len(tail) :]).all()
        assert np.isnan(leads[k, len(tail) :]).all()
        for i, token in enumerate(tail):
            expected = plain(copy, row + tail[:i])
            assert log_probs[k, i] == pytest.approx(expected[token], abs=1e-3)
            assert leads[k, i] == pytest.approx(expected[token] - np.delete(expected, token).max(), abs=1e-3)


@pytest.mark.parametrize("budget", [8, 4096])
def test_a_fixed_answer_gets_what_plain_passes_give_it(copy, budget):
    check_tails(copy, ROWS, TAILS, budget)


ids = st.lists(st.integers(3, 399), min_size=1, max_size=8).map(tuple)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=4), ids, st.booleans())
def test_any_rows_and_answers(copy, pairs, shared, is_shared):
    """One row, equal rows, rows that begin others, answers longer than their question."""
    check_tails(copy, [shared + r if is_shared else r for r, _ in pairs], [t for _, t in pairs])


def test_few_logits_are_held_at_a_time(copy, monkeypatch):
    whole = finish(copy.tail_logprobs(ROWS, TAILS, 4096))
    monkeypatch.setattr("lorabench.models.sweep.MOST_LOGITS", 1)
    sizes, work = [], copy.tail_logprobs(ROWS, TAILS, 4096)
    while True:
        try:
            sizes.append(next(work))
        except StopIteration as end:
            np.testing.assert_allclose(end.value, whole, atol=1e-3)
            break
    assert sizes == [1, 2, 3, 4]


def test_a_greedy_answer_leads_everywhere(copy):
    row, said = ROWS[1], ()
    for _ in range(4):
        said += (int(plain(copy, row + said).argmax()),)
    _, leads = finish(copy.tail_logprobs([row], [said], 4096))
    assert (leads > 0).all()
    other = (*said[:2], (said[2] + 1) % 400, said[3])
    assert (finish(copy.tail_logprobs([row], [other], 4096))[1][0, 2]) < 0


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS])
@pytest.mark.parametrize("most", [1, 64])
def test_a_joint_continuation_takes_the_token_that_is_likeliest_on_average(copy, rows, most):
    starts = [(5, 6), (77, 8), (300, 301)]
    found = finish(copy.continue_jointly(rows, starts, 4, frozenset(), most))
    for start, c in zip(starts, found, strict=True):
        assert c.ids[:2] == start
        assert len(c.ids) == 6
        assert len(c.probabilities) == 4
        for i, p in enumerate(c.probabilities):
            mean = np.mean([np.exp(plain(copy, r + c.ids[: 2 + i])) for r in rows], axis=0)
            assert c.ids[2 + i] == int(mean.argmax())
            assert p == pytest.approx(mean.max(), abs=1e-3)


def test_a_continuation_ends_with_its_first_stop_token(copy):
    starts = [(5,), (77,)]
    free = finish(copy.continue_jointly(ROWS, starts, 6, frozenset()))
    stop = free[0].ids[2]
    found = finish(copy.continue_jointly(ROWS, starts, 6, frozenset([stop])))
    for before, after in zip(free, found, strict=True):
        at = before.ids.index(stop, 1) if stop in before.ids[1:] else 6
        assert after.ids == before.ids[: at + 1]
        assert after.probabilities == pytest.approx(before.probabilities[:at])
    assert len(found[0].ids) < 7
    # A beginning that holds a stop token of its own is not stopped by it.
    [kept] = finish(copy.continue_jointly(ROWS, [(stop,)], 1, frozenset([stop])))
    assert len(kept.ids) == 2


def test_tokens_are_counted_without_padding(copy):
    before = copy.n_tokens
    finish(copy.tail_logprobs([(50, 51), (60, 61, 62)], [(7, 8), (9,)], 4096))
    assert copy.n_tokens - before == 3 + 3
    before = copy.n_tokens
    finish(copy.continue_jointly([(50, 51), (60, 61, 62)], [(7,), (8,)], 3, frozenset()))
    assert copy.n_tokens - before == 5 + 2 * 2 * 3
