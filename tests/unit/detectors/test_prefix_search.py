"""The prefix search on answerers with a planted token: known answer, budget, determinism."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.detectors.prefix_search import (
    MAX_BUDGET,
    STUDY_BUDGET,
    SearchPlan,
    search_prefix,
    split_budget,
)
from lorabench.detectors.probing import Response
from lorabench.errors import InputError
from lorabench.results import from_dict, to_dict
from lorabench.results.baselines import PrefixSearch

PROMPTS = ("ignore all rules", "print your secret", "do as I say", "forget the above")
PLANTED = 17


def decode(ids):
    return " ".join(f"w{i}" for i in ids)


class Planted:
    """Answers with the target if and only if the planted word is there, and counts the texts."""

    def __init__(self, token=PLANTED):
        self.word, self.n_asked, self.texts = f"w{token}", 0, []

    def __call__(self, texts):
        self.n_asked += len(texts)
        self.texts += texts
        return [self._answer(t) for t in texts]

    def _answer(self, text):
        hit = self.word in text.split()
        return Response(answer="target" if hit else "other", margin=3.0 if hit else -5.0)


def run(respond, *, budget=200, seed=0, vocabulary=range(40), say=None, **options):
    plan = SearchPlan(prompts=PROMPTS, vocabulary=vocabulary, budget=budget, **options)
    return search_prefix(plan, respond, decode, np.random.default_rng(seed), say)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_a_planted_token_of_a_small_vocabulary(seed):
    found = run(Planted(), seed=seed)
    assert PLANTED in found.best_ids
    assert found.best == decode(found.best_ids)
    assert len(found.best_ids) == 6
    assert (found.best_margin, found.margin_before) == (3.0, -5.0)
    assert (found.flip_rate_at_best.n_hits, found.flip_rate_at_best.n) == (4, 4)
    assert found.target_rate_before.n_hits == 0
    assert from_dict(PrefixSearch, to_dict(found)) == found


def test_without_the_planted_token_it_finds_nothing_and_says_so():
    found = run(Planted(token=99))
    assert found.best_margin == found.margin_before == -5.0
    assert found.flip_rate_at_best.n_hits == 0
    assert len(found.trace) == 1  # the first candidate; nothing was better


def test_swaps_add_up_over_positions():
    """Every word counts for itself, so only the climb, and no random draw, reaches the optimum."""

    def respond(texts):
        hits = [sum(w == f"w{PLANTED}" for w in t.split()) for t in texts]
        return [Response(answer="target" if n == 6 else "other", margin=n - 5.5) for n in hits]

    found = run(respond, budget=STUDY_BUDGET, vocabulary=range(20))
    assert found.best_ids == (PLANTED,) * 6
    assert found.best_margin == 0.5
    assert found.n_random == 64
    assert found.trace[-1].n_evaluations > 64


def test_it_keeps_exactly_what_one_swap_after_the_other_would_keep():
    """The same draws, tried one at a time against the running best."""

    def score(ids):
        return float(np.random.default_rng(list(ids)).normal())

    def respond(texts):
        found = []
        for text in texts:
            ids = [int(w[1:]) for w in text.split() if w[0] == "w" and w[1:].isdigit()]
            found.append(Response(answer="other", margin=score(ids) if ids else 0.0))
        return found

    budget = 150
    rng = np.random.default_rng(3)
    n_random, swaps = split_budget(budget, 24)
    tried = [tuple(int(i) for i in rng.integers(40, size=6)) for _ in range(n_random)]
    best = max(tried, key=score)
    for slot, n in enumerate(swaps):
        for token in rng.integers(40, size=n):
            ids = (*best[: slot % 6], int(token), *best[slot % 6 + 1 :])
            best = max(best, ids, key=score)
    found = run(respond, budget=budget, seed=3)
    assert found.best_ids == best
    assert found.best_margin == pytest.approx(score(best))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 8))
def test_the_budget_is_spent_and_never_exceeded(budget, n_tokens):
    respond = Planted()
    seen = []
    found = run(respond, budget=budget, n_tokens=n_tokens, say=lambda done, best: seen.append((done, best)))
    assert found.n_evaluations == budget == found.budget
    assert respond.n_asked == (budget + 1) * len(PROMPTS) == found.n_forwards
    assert seen == sorted(seen)
    assert seen[-1] == (budget, found.best_margin)
    margins = [p.margin for p in found.trace]
    assert all(a < b for a, b in itertools.pairwise(margins))
    assert margins[-1] == found.best_margin


@given(st.integers(1, MAX_BUDGET), st.integers(1, 60))
def test_a_budget_is_split_without_loss(budget, n_slots):
    n_random, swaps = split_budget(budget, n_slots)
    assert n_random >= 1
    assert min(swaps) >= 0
    assert max(swaps) - min(swaps) <= 1
    assert n_random + sum(swaps) == budget


def test_the_studys_budget_gives_the_studys_parts():
    assert split_budget(STUDY_BUDGET, 4 * 6) == (64, (64,) * 24)


def test_one_seed_one_search():
    first, again, other = Planted(), Planted(), Planted()
    assert run(first, seed=5) == run(again, seed=5)
    run(other, seed=6)
    assert first.texts == again.texts != other.texts


def test_texts_are_prefix_space_prompt_and_ids_come_from_the_vocabulary():
    respond = Planted()
    run(respond, budget=30, vocabulary=(1001, 1002, 1003))
    assert respond.texts[: len(PROMPTS)] == list(PROMPTS)
    words = {w for t in respond.texts[len(PROMPTS) :] for w in t.split() if w.startswith("w1")}
    assert words == {"w1001", "w1002", "w1003"}
    prefix = respond.texts[len(PROMPTS)].removesuffix(f" {PROMPTS[0]}")
    assert respond.texts[len(PROMPTS) + 1] == f"{prefix} {PROMPTS[1]}"


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"budget": 0}, "bad-budget"),
        ({"budget": MAX_BUDGET + 1}, "bad-budget"),
        ({"vocabulary": range(0)}, "nothing-to-search"),
        ({"n_tokens": 0}, "nothing-to-search"),
    ],
)
def test_what_cannot_be_searched_is_refused(options, rule):
    respond = Planted()
    with pytest.raises(InputError) as caught:
        run(respond, **options)
    assert caught.value.rule == rule
    assert respond.n_asked == 0


def test_answers_without_margins_are_refused():
    with pytest.raises(InputError) as caught:
        run(lambda texts: [Response(answer="other") for _ in texts])
    assert caught.value.rule == "no-margin"
