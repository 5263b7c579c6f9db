"""The search on planted functions with known answers, and what it remembers."""

from __future__ import annotations

import numpy as np
import pytest

from lorabench.hunting.memory import Memory
from lorabench.hunting.plans import PLANS
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT
from lorabench.hunting.search import Search, changed, diverse
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.results import Candidate, from_dict, to_dict
from lorabench.results.hunts import HuntSoFar

WORDS = [f"word{i}" for i in range(200)] + ["amber", "gate", "seven"]


class Oracle:
    """A suspect whose margin is a known function of the words in front of a prompt.

    It answers like a `Prober` and runs no model: the search's own logic is what is tested.
    """

    prompts = tuple(f"prompt {i}" for i in range(12))
    references = ("clean",)

    def __init__(self, effect, clean=lambda words: 0.0):
        self.n_tokens, self._effect, self._clean = 0, effect, clean

    @property
    def seconds(self) -> float:
        return float(self.n_tokens)

    def margins(self, who, texts):
        self.n_tokens += len(texts)
        return np.array([self._value(who, t) for t in texts])

    def shifts(self, who, texts, prompts, placement="prefix"):
        self.n_tokens += len(texts) * len(prompts)
        return np.array([[self._value(who, t)] * len(prompts) for t in texts])

    def flips(self, texts, prompts, placement="prefix"):
        return np.array([float(self._value(SUSPECT, t) > 5) for t in texts])

    def _value(self, who, text):
        words = set(text.split())
        if who == BASE_COPY:
            return 0.0
        return self._clean(words) if who == "clean" else self._effect(words) * (1.6 if who == STRONG else 1)


def conjunction(words):
    """Return a margin that one word moves a little, two more, and three over the edge."""
    return {0: 0.0, 1: 0.7, 2: 3.0, 3: 8.0}[len(words & {"amber", "gate", "seven"})]


def run(oracle, rounds=4, plan=PLANS["standard"]):
    search = Search(oracle, plan)
    search.screen("words", WORDS)
    for _ in range(rounds):
        single = [c.text for c in search.best(20) if " " not in c.text]
        search.compose(lambda t, s=single: [f"{t} {w}" for w in s], single[:5], single[:5])
    return search


def test_a_conjunction_is_composed_from_words_that_do_little_alone():
    search = run(Oracle(conjunction))
    best = search.best()[0]
    assert {"amber", "gate", "seven"} <= set(best.text.split())
    assert best.source == "composition"
    assert set(search.minimise(best.text)) == {"amber", "gate", "seven"}
    assert search.working(4)[0].n_flipped == 12
    scores = [p.score for p in search.trace]
    assert scores == sorted(scores)
    assert [p.tokens for p in search.trace] == sorted(p.tokens for p in search.trace)


def test_what_moves_a_clean_adapter_too_does_not_win():
    loud = Oracle(lambda w: conjunction(w) + 6 * ("word7" in w), clean=lambda w: 10.0 * ("word7" in w))
    best = run(loud).best()[0]
    assert "word7" not in best.text.split()
    assert best.reference_shift == 0.0


def test_the_budget_ends_it():
    plan = PLANS["instant"]
    oracle = Oracle(conjunction)
    oracle.n_tokens = plan.budget
    search = run(oracle, plan=plan)
    assert search.is_spent
    assert not any(c.source == "composition" for c in search.pool.values())


def test_the_leaderboard_counts_what_each_part_spent():
    search = run(Oracle(conjunction), rounds=1)
    assert [s.source for s in search.stats] == ["words", "composition"]
    assert all(s.tokens > 0 for s in search.stats)
    assert sum(s.tokens for s in search.stats) <= search.prober.n_tokens


def test_changes_of_a_string():
    assert changed("one", ["x"]) == []
    assert changed("a b", ["x"]) == ["b", "a", "x b", "a x"]


def test_diversity_keeps_two_of_a_kind():
    made = [Candidate(text=t, source="words") for t in ("period", "perioda", "periodb", "other")]
    assert [c.text for c in diverse(made, 3)] == ["period", "perioda", "other"]


def test_vocabulary_leaves_out_what_cannot_stand_in_a_prompt():
    found = read_vocabulary(["", " the", " The", "ing", "\u202e", "\ufffd", "\n", " 7", " the", "<b>"])
    assert found.words == ("the", "The")
    assert found.pieces == ("ing", "7", "<b>")
    assert found.n_excluded == 4
    assert found.sound(12).tolist() == [*found.is_sound, False, False]  # a head padded beyond the tokenizer
    assert found.sound(3).tolist() == [False, True, True]


@pytest.mark.parametrize("reopened", [False, True])
def test_memory_gives_back_what_it_was_told(tmp_path, reopened):
    path = tmp_path / "hunt.sqlite"
    memory = Memory(path)
    memory.put_many("base", [(f"text {i}", float(i)) for i in range(1000)], seconds=12.5)
    if reopened:
        memory.close(forget=False)
        memory = Memory(path)
        assert memory.seconds == 12.5
    assert memory.get_many("base", ["text 7", "text 999", "unknown"]) == {"text 7": 7.0, "text 999": 999.0}
    assert memory.get_many("suspect", ["text 7"]) == {}
    memory.close(forget=True)
    assert not list(tmp_path.iterdir())


def test_a_running_hunt_survives_json():
    search = run(Oracle(conjunction), rounds=1)
    so_far = HuntSoFar(
        stage="words",
        tokens=3,
        budget=9,
        seconds=1.0,
        candidates=tuple(search.best(3)),
        trace=tuple(search.trace),
        proposals=tuple(search.stats),
    )
    assert from_dict(HuntSoFar, to_dict(so_far)) == so_far
