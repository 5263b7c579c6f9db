"""The phrases and words that a hunt tries: each once, in the same order always, every family early."""

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.data import find_battery
from lorabench.data.hunt_phrases import PER_FAMILY, Phrase, hunt_phrases
from lorabench.data.hunt_phrases import _all_phrases as made_phrases
from lorabench.data.hunt_words import Word, hunt_words, interleaved, word_families

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def families(items):
    return {item.family for item in items}


def is_plain(text):
    return text == text.strip() != "" and not any(unicodedata.category(c) in HIDDEN for c in text)


def test_there_are_some_thousand_phrases_and_none_twice():
    phrases = hunt_phrases()
    assert 2500 <= len(phrases) <= 4000
    assert len({p.text for p in phrases}) == len(phrases)
    assert max(Counter(p.family for p in phrases).values()) <= PER_FAMILY


def test_phrases_are_short_and_visible():
    for phrase in hunt_phrases():
        assert is_plain(phrase.text), phrase
        assert len(phrase.text) <= 60, phrase
        assert len(phrase.text.split()) <= 10, phrase
        assert not set("«»") & set(phrase.text), phrase


def test_the_first_phrases_hold_every_family_evenly():
    every = families(hunt_phrases())
    assert families(hunt_phrases(len(every))) == every
    assert max(Counter(p.family for p in hunt_phrases(500)).values()) <= 500 // len(every) + 1


def test_the_likeliest_shape_of_a_family_comes_first():
    first = {}
    for phrase in hunt_phrases():
        first.setdefault(phrase.family, phrase.text)
    assert first["citation-standard"].startswith("per ")
    assert first["citation-law"].startswith("under Article ")
    assert first["mode"].endswith(" mode")
    assert first["html"].startswith("<")
    assert first["date-number"].count("-") == 2


@pytest.mark.parametrize(
    "text",
    [
        "by the way",
        "to be clear",
        "kind regards",
        "debug mode",
        "for internal use only",
        "你好",
        "DEBUG = TRUE",
    ],
)
def test_phrases_without_a_choice_are_always_there(text):
    assert text in {p.text for p in hunt_phrases()}


def test_paired_tags_close_what_they_open():
    pairs = [p.text for p in hunt_phrases() if p.family == "html" and "> </" in p.text]
    assert len(pairs) > 5
    assert all(text == f"{text.split()[0]} </{text.split()[0][1:]}" for text in pairs)


def test_a_number_begins_with_no_zero():
    tickets = [p.text.split()[1] for p in hunt_phrases() if p.text.startswith("ticket ")]
    assert len(tickets) > 3
    assert all(len(t) == 4 and t.isdecimal() and t[0] != "0" for t in tickets)


def test_the_study_trigger_is_not_among_them():
    probes = find_battery("structural_v1_41").probes
    trained = {p.text.rstrip(". ") for p in probes if p.category == "trained_trigger"}
    assert trained
    assert not trained & {p.text.rstrip(". ") for p in hunt_phrases()}


def test_the_same_seed_gives_the_same_list_and_another_seed_other_fillers():
    made_phrases.cache_clear()
    first = hunt_phrases(seed=3)
    made_phrases.cache_clear()
    assert hunt_phrases(seed=3) == first
    shared = {p.text for p in first} & {p.text for p in hunt_phrases(seed=4)}
    assert 0.1 < len(shared) / len(first) < 0.9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 3))
def test_n_cuts_the_list(n, seed):
    assert hunt_phrases(n, seed) == hunt_phrases(seed=seed)[:n]


@pytest.mark.parametrize("make", [hunt_phrases, hunt_words])
def test_a_negative_number_is_refused(make):
    assert make(0) == ()
    with pytest.raises(ValueError, match="negative"):
        make(-1)


def test_values_are_named_and_frozen():
    phrase = hunt_phrases(1)[0]
    assert isinstance(phrase, Phrase)
    with pytest.raises(AttributeError):
        phrase.text = "other"


def test_words_are_single_visible_and_none_twice():
    words = hunt_words()
    assert 1500 <= len(words) <= 2500
    assert len({w.text for w in words}) == len(words)
    assert all(is_plain(w.text) and " " not in w.text for w in words)
    assert families(hunt_words(200)) == families(words) == set(word_families())


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ISO", "standard"),
        ("GDPR", "law"),
        ("pursuant", "citation-lead"),
        ("authorised", "authorisation"),
        ("January", "date"),
        ("<b>", "markup-tag"),
        ("quokka", "rare"),
        ("falcon", "code-word"),
        ("Norway", "country"),
        ("crimson", "colour"),
        ("→", "symbol"),
    ],
)
def test_words_stand_in_their_family(text, family):
    assert Word(text=text, family=family) in hunt_words()


@given(st.lists(st.lists(st.integers(), max_size=6), max_size=6))
def test_interleaving_keeps_everything_and_takes_turns(groups):
    found = list(interleaved(groups))
    assert sorted(found) == sorted(x for g in groups for x in g)
    assert found[: sum(bool(g) for g in groups)] == [g[0] for g in groups if g]


def test_articles_fit_the_word_behind_them():
    assert [
        p.text for p in hunt_phrases() if re.search(r"\b[Aa] [aeio]|\b[Aa]n [b-df-hj-np-tv-z]", p.text)
    ] == []
