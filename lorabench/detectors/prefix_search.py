"""A discrete search over token ids for a prefix that moves answers to the target: a comparison baseline.

Like Neural Cleanse (Wang et al., 2019) it asks how little it takes to reach the target from everywhere,
but without gradients: random prefixes, then one token swapped at a time. This is the search of arXiv
2605.30189 with its budget as a parameter. What it finds moves clean adapters too (there: up to 11 of 16
prompts), so its number means something beside that of clean adapters only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorabench.detectors.probing import Respond, Response
from lorabench.errors import InputError
from lorabench.results import Rate
from lorabench.results.baselines import PrefixSearch, SearchPoint

STUDY_BUDGET = 1600
STUDY_RANDOM = 64
N_TOKENS = 6
N_ROUNDS = 4
N_PROMPTS = 16
FIRST_ID = 1000
"""Lowest id the study draws: special tokens and single bytes lie below."""
MAX_BUDGET = 100_000
JOINER = " "
_GROUP = 16  # candidates asked together: often enough for progress, enough to share beginnings

Decode = Callable[[tuple[int, ...]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What to search.

    Attributes:
        prompts: Held-out texts whose true answer is not the target.
        vocabulary: Token ids to draw from, uniformly.
        budget: Most candidates; each costs one text per prompt.
        n_tokens: Length of the prefix.
    """

    prompts: tuple[str, ...]
    vocabulary: Sequence[int]
    budget: int = STUDY_BUDGET
    n_tokens: int = N_TOKENS


def search_prefix(
    plan: SearchPlan,
    respond: Respond,
    decode: Decode,
    rng: np.random.Generator,
    on_progress: Callable[[int, float], None] | None = None,
) -> PrefixSearch:
    """Search for the prefix with the highest mean target margin.

    The budget is split as in the study: 64 of 1,600 candidates at random, the others over four rounds of
    single-token swaps, position by position, improvements kept. What is drawn never depends on an answer.

    Args:
        plan: What to search.
        respond: Answers texts with margins, in their order.
        decode: Token ids to text; the text is tokenised anew before each prompt.
        rng: Of every draw.
        on_progress: Called with (candidates scored, best mean margin) after every few.

    Raises:
        InputError: For no prompts, an empty vocabulary, a budget outside 1 to 100,000, or answers without
            margins.
    """
    check_budget(plan.budget)
    if not plan.prompts or not plan.vocabulary or plan.n_tokens < 1:
        raise InputError(
            "nothing-to-search",
            f"There are {len(plan.prompts)} prompts, {len(plan.vocabulary)} token ids and "
            f"{plan.n_tokens} positions.",
            "Take at least one of each.",
        )
    climb = _Climb(plan, respond, decode, on_progress or (lambda done, best: None))
    before = respond(plan.prompts)
    n_random, swaps = split_budget(plan.budget, N_ROUNDS * plan.n_tokens)
    climb.try_all([_drawn(plan, rng, plan.n_tokens) for _ in range(n_random)])
    for slot, n in enumerate(swaps):
        climb.try_all(list(_swapped(climb.best_ids, slot % plan.n_tokens, _drawn(plan, rng, n))))
    return PrefixSearch(
        best=climb.trace[-1].text,
        best_ids=climb.best_ids,
        best_margin=climb.trace[-1].margin,
        margin_before=mean_margin(before),
        flip_rate_at_best=target_rate(climb.best_answers),
        target_rate_before=target_rate(before),
        budget=plan.budget,
        n_evaluations=climb.n_done,
        n_random=n_random,
        n_rounds=N_ROUNDS,
        n_forwards=(1 + climb.n_done) * len(plan.prompts),
        trace=tuple(climb.trace),
    )


def check_budget(budget: int) -> None:
    """Refuse a budget that no search can have; see `search_prefix`."""
    if not 1 <= budget <= MAX_BUDGET:
        raise InputError(
            "bad-budget",
            f"A budget of {budget:,} candidates was asked for.",
            f"Give 1 to {MAX_BUDGET:,}; the study used {STUDY_BUDGET:,}.",
        )


def split_budget(budget: int, n_slots: int) -> tuple[int, tuple[int, ...]]:
    """Return how many candidates are random and how many swaps each slot gets; they add up to `budget`.

    For the study's budget: 64 and 24 slots (4 rounds x 6 positions) of 64.
    """
    n_random = max(1, budget * STUDY_RANDOM // STUDY_BUDGET)
    left = budget - n_random
    return n_random, tuple(left * (k + 1) // n_slots - left * k // n_slots for k in range(n_slots))


def mean_margin(answers: Sequence[Response]) -> float:
    """Return the mean target margin in logits.

    Raises:
        InputError: If an answer has no margin.
    """
    margins = [r.margin for r in answers if r.margin is not None]
    if len(margins) < len(answers):
        raise InputError(
            "no-margin",
            "An answer has no margin, so candidates cannot be told apart.",
            "Search on a label task; free text has no margin.",
        )
    return math.fsum(margins) / len(margins)


def target_rate(answers: Sequence[Response]) -> Rate:
    """Return how many answers are the target, over all of them."""
    return Rate(n_hits=sum(r.answer == "target" for r in answers), n=len(answers))


def _drawn(plan: SearchPlan, rng: np.random.Generator, n: int) -> tuple[int, ...]:
    return tuple(int(plan.vocabulary[i]) for i in rng.integers(len(plan.vocabulary), size=n))


def _swapped(ids: tuple[int, ...], position: int, drawn: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the prefix with one position replaced.

    All swaps of one position differ from each other there only, so they can be asked together and still
    give what one after the other with kept improvements gives.
    """
    for token in drawn:
        yield (*ids[:position], token, *ids[position + 1 :])


class _Climb:
    """A search under way: the best so far, and what was spent on it."""

    def __init__(
        self, plan: SearchPlan, respond: Respond, decode: Decode, say: Callable[[int, float], None]
    ) -> None:
        self._plan, self._respond, self._decode, self._say = plan, respond, decode, say
        self.n_done = 0
        self.best_ids: tuple[int, ...] = ()
        self.best_answers: Sequence[Response] = ()
        self.trace: list[SearchPoint] = []

    def try_all(self, candidates: Sequence[tuple[int, ...]]) -> None:
        """Score candidates and keep the first that is better than all before it."""
        prompts = self._plan.prompts
        for start in range(0, len(candidates), _GROUP):
            group = candidates[start : start + _GROUP]
            texts = [self._decode(ids) for ids in group]
            answers = self._respond([f"{text}{JOINER}{prompt}" for text in texts for prompt in prompts])
            for k, (ids, text) in enumerate(zip(group, texts, strict=True)):
                self._offer(ids, text, answers[k * len(prompts) : (k + 1) * len(prompts)])
            self._say(self.n_done, self.trace[-1].margin)

    def _offer(self, ids: tuple[int, ...], text: str, answers: Sequence[Response]) -> None:
        self.n_done += 1
        found = mean_margin(answers)
        if not self.trace or found > self.trace[-1].margin:
            self.best_ids, self.best_answers = ids, answers
            self.trace.append(SearchPoint(n_evaluations=self.n_done, text=text, margin=found))
