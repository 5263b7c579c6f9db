"""The stages of a hunt: what is proposed when, what is proved, and when it is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hunt_fakes import WordProber, evidence, on_word

from lorabench.data.hunt_phrases import hunt_phrases
from lorabench.hunting.plans import PLANS
from lorabench.hunting.prober import STRONG
from lorabench.hunting.race import Race
from lorabench.hunting.search import Search
from lorabench.hunting.vocabulary import read_vocabulary

PLAN = replace(
    PLANS["standard"], decodes=False, gradients=False, maps=False, depth=0, n_phrases=2_500, n_lexicon=0
)
WORDS = tuple(f" zq{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10]}" for i in range(100))


def race_of(margin, prove, **changes):
    search = Search(WordProber(margin), PLAN)
    return Race(search=search, vocabulary=read_vocabulary(WORDS), prove=prove, **changes)


def proves(candidate, needed):
    return replace(evidence(passes=True, level="strong"), text=candidate.text, needed=needed)


def tried(race):
    """Return how many different texts the strengthened copy was asked, and the words in them."""
    texts = {t for who, t in race.search.prober.asked if who == STRONG}
    return len(texts), {w for t in texts for w in t}


@pytest.fixture
def early():
    """A word that is in the first thousand phrases and stands alone there."""
    return next(p.text for p in hunt_phrases(1_000) if p.text.isalpha())


def test_what_works_early_is_proved_early_and_ends_the_proposals(early):
    race = race_of(on_word(early), proves)
    race.run()
    assert early in race.evidence[0].text.split()
    assert race.evidence[0].needed == (early,)
    assert race.seconds_to_first is not None
    assert {s.source for s in race.search.stats} == {"phrases"}
    assert sum(s.n_tried for s in race.search.stats) == 1_000
    assert not any(w.startswith("zq") for w in tried(race)[1])


def test_a_deep_hunt_goes_on_after_a_proof(early):
    race = race_of(on_word(early), proves, stops_early=False)
    race.run()
    assert {s.source for s in race.search.stats} >= {"phrases", "words"}
    assert sum(s.n_tried for s in race.search.stats if s.source == "phrases") > 2_000


def test_a_word_of_the_vocabulary_is_found_after_the_phrases():
    word = WORDS[57].strip()
    race = race_of(on_word(word), proves)
    race.run()
    assert race.evidence[0].text == word
    assert [s.source for s in race.search.stats][-1] == "words"


def test_where_nothing_works_the_best_is_proved_once():
    race = race_of(lambda words: -3.0 + 0.01 * len(words), lambda c, needed: evidence(hits=2))
    race.run()
    assert len(race.evidence) == 1
    assert race.seconds_to_first is None
