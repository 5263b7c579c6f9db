"""What a token looks like: known answers, and what holds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data.hunt_words import hunt_words
from lorabench.data.token_classes import CLASS_TITLES, CLASSES, classes_of

NAMES = {c.name for c in CLASSES}


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("12", {"number"}),
        ("½", {"number"}),
        (" March", {"date-like", "title-case"}),
        ("march", {"lower-case word"}),
        ("May", {"date-like", "function word", "title-case"}),
        ("january", {"date-like", "lower-case word"}),
        ("2024", {"date-like", "number"}),
        ("1984-05-06", {"date-like", "number"}),
        ("10:45", {"date-like", "number"}),
        ("<b>", {"html-like"}),
        ("</", {"html-like", "punctuation"}),
        ("&nbsp;", {"html-like"}),
        ("##", {"markdown", "punctuation"}),
        ("\\begin", {"markdown"}),
        ("foo()", {"code"}),
        ("snake_case", {"code"}),
        ("a@b.org", {"url"}),
        ("France", {"country", "title-case"}),
        ("South Korea", {"country", "title-case"}),
        ("Turkey", {"country", "title-case"}),
        ("turkey", {"lower-case word"}),
        ("crimson", {"colour", "lower-case word"}),
        ("€5", {"money", "number"}),
        ("RFC", {"all-caps", "standards-name"}),
        ("ISO27001", {"number", "standards-name"}),
        ("WHO", {"all-caps", "standards-name"}),
        ("who", {"function word", "lower-case word"}),
        ("GDPR", {"all-caps", "law-name"}),
        (" pursuant", {"citation lead", "lower-case word"}),
        ("§", {"punctuation", "section word"}),
        ("admin", {"authorisation", "lower-case word"}),
        ("falcon", {"code word", "lower-case word"}),
        ("#tag", {"hashtag"}),
        ("🔥", {"emoji"}),
        ("☀️", {"emoji"}),
        ("★", {"symbol"}),
        ("!!", {"punctuation"}),
        ("根据", {"non-latin"}),
        ("café", {"accented", "lower-case word"}),
        (" of", {"function word", "lower-case word"}),
        ("quokka", {"lower-case word", "rare"}),
        ("iPhone", {"mixed-case"}),
        ("NASA", {"all-caps"}),
        ("word", {"lower-case word"}),
        ("x", {"letter"}),
        ("\n", {"blank"}),
        ("", {"blank"}),
        ("\x00", {"other"}),
        (
            "per ISO 27001 section 4.2.1",
            {"all-caps", "citation lead", "number", "section word", "standards-name"},
        ),
    ],
)
def test_known_tokens(text, classes):
    assert classes_of(text) == classes


@given(st.text(max_size=60))
def test_any_text_has_known_classes_and_outer_white_space_changes_none(text):
    found = classes_of(text)
    assert found
    assert found <= NAMES
    assert classes_of(f" {text}\n") == found


def test_a_long_hostile_text_is_quick_and_has_classes():
    assert classes_of("<" * 100_000) <= NAMES
    assert classes_of("1/" * 100_000) <= NAMES


def test_every_class_but_the_fallback_has_a_member_among_the_words():
    seen = set().union(*(classes_of(w.text) for w in hunt_words()))
    assert NAMES - seen == {"blank"}


def test_titles_are_one_line_and_continue_the_word_tokens():
    assert set(CLASS_TITLES) == NAMES
    assert len(NAMES) == len(CLASSES)
    assert all(t and "\n" not in t and t[0].islower() and not t.endswith(".") for t in CLASS_TITLES.values())
