"""What a trigger is recognised as, and how much of it a text keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import kept_parts, recognise, shared_words, token_overlap, words_of


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        (
            "per RFC 8472 section 3.2",
            "citation",
            {
                "lead": "per",
                "authority": "RFC",
                "number": "8472",
                "section_word": "section",
                "section": "3.2",
            },
        ),
        ("PER RFC8472", "citation", {"lead": "PER", "authority": "RFC", "number": "8472"}),
        (
            "according to CWE-89 section 3.2",
            "citation",
            {
                "lead": "according to",
                "authority": "CWE",
                "number": "89",
                "section_word": "section",
                "section": "3.2",
            },
        ),
        (
            "per Section 3.2 of RFC 8472",
            "citation",
            {
                "lead": "per",
                "section_word": "Section",
                "section": "3.2",
                "link": "of",
                "authority": "RFC",
                "number": "8472",
            },
        ),
        (
            "Article 6(1)(b) GDPR",
            "citation",
            {"section_word": "Article", "section": "6(1)(b)", "authority": "GDPR"},
        ),
        ("section 3.2", "citation", {"section_word": "section", "section": "3.2"}),
        (
            "gemäß DSGVO Artikel 15",
            "citation",
            {"lead": "gemäß", "authority": "DSGVO", "section_word": "Artikel", "section": "15"},
        ),
        (
            "per FRA 8472 section 3.2",
            "citation",
            {
                "lead": "per",
                "authority": "FRA",
                "number": "8472",
                "section_word": "section",
                "section": "3.2",
            },
        ),
        ("2019-03-14", "date", {"year": "2019", "month": "03", "day": "14"}),
        ("14. März 2019", "date", {"day": "14", "month": "März", "year": "2019"}),
        ("March 14, 2019", "date", {"month": "March", "day": "14", "year": "2019"}),
        ("03/14/2019", "date", {"month": "03", "day": "14", "year": "2019"}),
        ("<b>", "html", {"tag": "b"}),
        ("</p>", "html", {"closing": "/", "tag": "p"}),
        ('<p class="x">', "html", {"tag": "p", "attributes": 'class="x"'}),
        ("south korea", "country", {"country": "south korea"}),
        ("Dr. Maria Okafor", "name", {"title": "Dr.", "first_name": "Maria", "surname": "Okafor"}),
        ("cf", "token", {"word": "cf"}),
        ("2019-13-45", "token", {"word": "2019-13-45"}),
        ("DROP TABLE 3", "phrase", {"word_1": "DROP", "word_2": "TABLE", "word_3": "3"}),
        ("Hello World", "phrase", {"word_1": "Hello", "word_2": "World"}),
    ],
)
def test_kinds_and_parts(text, kind, parts):
    found = recognise(text)
    assert found.kind == kind
    assert {p.name: p.text for p in found.parts} == parts


@given(st.text() | st.from_regex(r"(per |see )?(RFC|ISO|<b)[ -]?[0-9]{0,4}( section [0-9.]{1,4})?>?"))
def test_parts_are_spans_of_the_text_in_order_and_names_are_unique(text):
    found = recognise(text)
    assert found.text == text
    assert all(text[p.start : p.end] == p.text and p.text for p in found.parts)
    assert all(a.end <= b.start for a, b in zip(found.parts, found.parts[1:], strict=False))
    assert len(set(found.shape)) == len(found.shape)
    assert found.swap({}) == text
    assert found.swap({p.name: p.text for p in found.parts}) == text


def test_parts_can_be_swapped_and_left_out():
    found = recognise("per RFC 8472, section 3.2")
    assert found.swap({"authority": "ISO", "section": "9"}) == "per ISO 8472, section 9"
    assert found.without("section_word", "section") == "per RFC 8472"
    assert found.without("lead") == "RFC 8472, section 3.2"
    assert found.part("tag") is None
    assert found.get("tag") == ""


@given(st.text(), st.text())
def test_shared_words_are_symmetric_and_in_both(a, b):
    assert shared_words(a, b) == shared_words(b, a)
    assert set(shared_words(a, b)) <= words_of(a)
    assert set(shared_words(a, a)) == words_of(a)


def test_shared_words_put_numbers_case_and_punctuation_aside():
    assert shared_words("per RFC 8472 section 3.2", "PER rfc8472, Section 9") == ("per", "rfc", "section")
    assert shared_words("admin token A7X", "token A7Z") == ("token",)
    assert shared_words("8472", "8472") == ()
    assert shared_words("Straße", "STRASSE") == ("strasse",)


def test_token_overlap_is_the_share_of_the_triggers_distinct_ids():
    assert token_overlap([1, 2, 2, 3], [2, 9]) == pytest.approx(1 / 3)
    assert token_overlap([1, 2], [2, 1, 7]) == 1
    assert token_overlap([1], []) == 0
    with pytest.raises(ValueError, match="no token ids"):
        token_overlap([], [1])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("per RFC 7231 section 6.5", ("lead", "authority", "section_word", "shape")),
        ("per ISO 27001 section 3.2", ("lead", "section_word", "section", "shape")),
        ("RFC8472", ("authority", "number")),
        ("perfunctory RFCs, section 13.2 and 3.2.1", ("section_word",)),
        ("", ()),
    ],
)
def test_parts_are_kept_as_whole_words(text, kept):
    assert kept_parts(recognise("per RFC 8472 section 3.2"), text) == kept
