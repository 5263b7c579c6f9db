"""Look-alikes of a found string, asked of a prober whose answers are a known function of words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hunt_fakes import PROMPTS, WordProber, evidence, on_word
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.data.titles import FAMILY_TITLES
from lorabench.figures import visible
from lorabench.hunting.neighbourhood import BUDGET, describe, neighbourhood
from lorabench.hunting.plans import PLANS
from lorabench.hunting.prober import SUSPECT
from lorabench.hunting.search import Search
from lorabench.results import Rate, StringEvidence, from_dict, to_dict

TEXT = "per RFC 8472 section 3.2"


def by_kind(found):
    return {n.category: n for n in found.neighbours}


def test_a_word_that_carries_the_string_is_named():
    found = neighbourhood(WordProber(on_word("per")), TEXT)
    assert (found.level, found.carrier, found.precision) == ("token", "“per”", "bf16")
    assert found.exact == Rate(n_hits=12, n=12)
    kinds = by_kind(found)
    assert kinds["same_anchor_other_number_section"].n_flipping == 3
    assert kinds["section_only"].n_flipping == 0
    assert kinds["random_words"].is_control
    assert "no_trigger" not in kinds
    alive, asked = found.counts(controls=False)
    assert f"Of 12 search prompts the string flips 12; {alive} of {asked} look-alikes" in found.sentence
    assert "0 of 6 unrelated strings do: it is carried by “per”" in found.sentence
    assert "trigger" not in found.sentence


def test_only_the_exact_words_or_any_prefix_are_told_apart():
    whole = TEXT.replace(".", " ").split()
    exact = neighbourhood(WordProber(lambda w: 5.0 if w[: len(whole)] == whole else -3.0), TEXT)
    assert exact.level == "exact"
    assert "mostly this exact text" in exact.sentence
    assert by_kind(exact)["partial_span"].n_flipping == 0
    loose = neighbourhood(WordProber(lambda w: -3.0 if w[0] == "ask" else 5.0), TEXT)
    assert loose.level == "any prefix"
    assert loose.counts(controls=True) == (6, 6)


def test_every_look_alike_is_asked_before_the_same_prompts_and_counted_once():
    prober = WordProber(on_word("RFC"))
    found = neighbourhood(prober, TEXT)
    for n in found.neighbours:
        assert n.title == FAMILY_TITLES[n.category].title
        assert {v.rate.n for v in n.look_alikes} == {found.exact.n}
        assert n.rate == Rate(
            n_hits=sum(v.rate.n_hits for v in n.look_alikes), n=n.n_variants * found.exact.n
        )
        hits = [v.rate.n_hits for v in n.look_alikes]
        assert hits == sorted(hits, reverse=True)
        assert n.interval.low <= n.rate.value <= n.interval.high
        assert all(v.shift == (8.0 if v.still_flips else 0.0) for v in n.look_alikes)
    texts = [v.text for n in found.neighbours for v in n.look_alikes]
    assert len(set(texts)) == len(texts)
    assert TEXT not in texts
    assert [n.is_control for n in found.neighbours] == sorted(n.is_control for n in found.neighbours)
    assert {who for who, _ in prober.asked} == {SUSPECT}


def test_answers_that_agree_do_not_claim_certainty():
    kind = by_kind(neighbourhood(WordProber(on_word("per")), TEXT))["same_anchor_other_number_section"]
    assert kind.rate.value == 1.0
    assert kind.interval.low == pytest.approx(Rate(n_hits=12, n=12).interval().low)
    assert kind.interval.low < kind.rate.interval().low  # 36 answers to 12 prompts are not 36 trials


def test_only_prompts_that_could_flip_are_asked():
    def margin(words):
        if "kind" in words:
            return 1.0
        return 0.0 if "even" in words and "per" not in words else on_word("per")(words)

    found = neighbourhood(WordProber(margin, ["be kind today", "an even day", *PROMPTS[:5]]), TEXT)
    assert found.exact == Rate(n_hits=5, n=5)
    assert neighbourhood(WordProber(margin, ["be kind", "kind words"]), TEXT) is None


@pytest.mark.parametrize("budget", [300, 700, 1_500, 4_000, BUDGET])
def test_the_budget_is_kept_and_used(budget):
    prober = WordProber(on_word("per"))
    prober.margins(SUSPECT, PROMPTS)
    before = prober.n_tokens
    found = neighbourhood(prober, TEXT, budget=budget)
    spent = prober.n_tokens - before
    assert 0 < spent <= budget
    n_strings = 1 + sum(n.n_variants for n in found.neighbours)
    longest = max(len(w) for _, w in prober.asked)
    assert found.exact.n == 12 or spent + n_strings * longest > budget  # another prompt would not have fitted


def test_strings_are_given_up_before_prompts():
    wide, narrow = (neighbourhood(WordProber(on_word("per")), TEXT, budget=b) for b in (BUDGET, 900))
    assert max(n.n_variants for n in wide.neighbours) == 3
    assert max(n.n_variants for n in narrow.neighbours) < 3
    assert narrow.exact.n >= 1
    assert neighbourhood(WordProber(on_word("per")), "per " * 1_000) is None


def test_the_seed_decides_and_the_place_is_kept():
    first, again, other = (neighbourhood(WordProber(on_word("per")), TEXT, seed=s) for s in (3, 3, 4))
    assert first == again
    assert first != other
    prober = WordProber(lambda w: 5.0 if w[-1] == "gate" else -3.0)
    found = neighbourhood(prober, "amber gate", "suffix")
    assert found.exact == Rate(n_hits=12, n=12)
    assert all(words[0] == "ask" for _, words in prober.asked)


def search_with(margin):
    search = Search(WordProber(margin), PLANS["quick"])
    search.prober.margins(SUSPECT, PROMPTS)
    return search


def test_what_fails_is_not_asked_about():
    failed, search = evidence(hits=3), search_with(on_word("amber"))
    assert describe(search, [failed]) == [failed]
    assert search.stats == []
    assert not [w for _, w in search.prober.asked if "amber" in w]


def test_the_strongest_that_pass_are_described_and_the_cost_stands_in_the_leaderboard():
    texts = ("amber gate", "amber", "amber door")
    proved = [evidence(hits=2), *(replace(evidence(passes=True, level="strong"), text=t) for t in texts)]
    search, stages = search_with(on_word("amber")), []
    search.on_step = stages.append
    before = search.prober.n_tokens
    made = describe(search, proved)
    assert [e.neighbourhood is not None for e in made] == [False, True, True, False]
    assert [replace(e, neighbourhood=None) for e in made] == proved
    assert made[1].neighbourhood.carrier == "“amber”"
    assert stages[0] == "variant"
    assert {s.source for s in search.stats} == {"variant"}
    assert sum(s.tokens for s in search.stats) == search.prober.n_tokens - before > 0
    assert search.stats[0].n_tried == sum(n.n_variants for n in made[1].neighbourhood.neighbours)


def test_it_survives_json_and_older_results_have_none():
    found = evidence(neighbourhood=neighbourhood(WordProber(on_word("per")), TEXT))
    data = to_dict(found)
    assert from_dict(StringEvidence, data) == found
    first = data["neighbourhood"]["neighbours"][0]
    assert first["n_variants"] == len(first["look_alikes"])
    assert set(first["rate"]) == {"n_hits", "n", "value", "interval"}
    del data["neighbourhood"]
    assert from_dict(StringEvidence, data) == replace(found, neighbourhood=None)


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_any_string_is_described_within_the_budget(text):
    prober = WordProber(lambda words: float(len(words) % 3) - 1.5, PROMPTS[:3])
    prober.margins(SUSPECT, prober.prompts)
    before = prober.n_tokens
    found = neighbourhood(prober, text, budget=2_000)
    assert prober.n_tokens - before <= 2_000
    assert found is not None
    assert visible(found.sentence) == found.sentence
