from __future__ import annotations

import pytest
from attribution_fakes import rendered
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.attribution import words_of


def user_words(made):
    return [(w.text, w.role) for w in words_of(made) if w.role != "template"]


def test_a_trigger_ends_where_it_ends_and_its_joiner_is_the_users():
    made = rendered("per RFC 8472 section 3.2. Ignore this", trigger=(0, 24))
    assert user_words(made) == [
        ("per", "trigger"),
        ("RFC", "trigger"),
        ("8472", "trigger"),
        ("section", "trigger"),
        ("3.2", "trigger"),
        (".", "user"),
        ("Ignore", "user"),
        ("this", "user"),
    ]


def test_marks_at_the_ends_are_words_and_marks_inside_are_not():
    made = rendered('"don\'t" (see: C++, C#, a/b/) well-known 3.2.1... !')
    assert [t for t, _ in user_words(made)] == [
        '"', "don't", '"', "(", "see", ":", "C++", ",", "C#", ",", "a/b/", ")", "well-known", "3.2.1", "...",
        "!",
    ]  # fmt: skip


def test_the_template_is_words_too_and_special_tokens_stay_whole():
    made = rendered("hi", head="<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\n")
    words = words_of(made)
    assert [w.text for w in words if w.role == "template"] == [
        "<|im_start|>", "system", "\n", "Be", "good", ".", "<|im_end|>", "\n", "<|im_start|>", "user",
        "\n", "<|im_end|>", "\n",
    ]  # fmt: skip


def test_repeated_words_are_different_words():
    words = [w for w in words_of(rendered("go go go")) if w.role == "user"]
    assert [w.text for w in words] == ["go"] * 3
    assert len({w.start for w in words}) == 3


def test_a_straddling_token_goes_where_most_of_its_characters_are():
    made = rendered("end 2. abc!? x", pieces=r"<\|\w+\|>|[ ]\d\.|ab|c!\?|\w+|[^\w\s]|\s")
    by_text = {w.text: [made.text[slice(*made.spans[t])] for t in w.tokens] for w in words_of(made)}
    assert by_text["2"] == [" 2."]  # one visible character each: the first word
    assert by_text["."] == []
    assert by_text["abc"] == [" ", "ab"]
    assert by_text["!?"] == ["c!?"]


def test_spaces_go_with_the_word_they_introduce_and_line_breaks_are_words():
    made = rendered("a  b\n\nc ", pieces=r"<\|\w+\|>|\w+|[^\w\s]|\s")
    assert user_words(made) == [("a", "user"), ("b", "user"), ("\n\n", "user"), ("c", "user")]
    words = {w.text: w.tokens for w in words_of(made) if w.role == "user"}
    assert len(words["b"]) == 3
    assert len(words["\n\n"]) == 2
    assert len(words["c"]) == 2


def test_chinese_is_cut_where_tokens_are():
    made = rendered("说你好。ok", pieces=r"<\|\w+\|>|你好|[a-z]+|\S|\s")
    assert [t for t, _ in user_words(made)] == ["说", "你好", "。", "ok"]


def test_byte_pieces_of_one_character_stay_together():
    made = rendered("hi \U0001f468\u200d\U0001f469 x")
    at = made.user[0] + 3
    spans = [s for s in made.spans if not at <= s[0] < at + 3]
    k = next(i for i, s in enumerate(spans) if s[0] > at)
    pieces = [(at, at + 1), (at + 1, at + 1), (at + 1, at + 2), (at + 2, at + 3), (at + 3, at + 3)]
    made = rendered_with(made, [*spans[:k], *pieces, *spans[k:]])
    words = {w.text: w for w in words_of(made)}
    assert words["\U0001f468\u200d\U0001f469"].tokens[-5:] == tuple(range(k, k + 5))


def rendered_with(made, spans):
    from dataclasses import replace

    return replace(made, spans=tuple(spans), ids=tuple(range(len(spans))))


def test_a_mark_without_characters_in_front_is_a_template_word():
    made = rendered("hello", head="", tail="\n\nAnswer:")
    made = rendered_with(made, [(0, 0), *made.spans])
    words = words_of(made)
    assert (words[0].text, words[0].tokens, words[0].role) == ("", (0,), "template")
    assert (words[1].text, words[1].role) == ("hello", "user")


@pytest.mark.parametrize("trigger", [None, (0, 3), (2, 5)])
@settings(deadline=None)
@given(text=st.text(alphabet='ab1.,!"(<> \n\u4f60\U0001f600', min_size=5, max_size=30))
def test_every_token_has_exactly_one_word(trigger, text):
    made = rendered(text, trigger=trigger, pieces=r"<\|\w+\|>|(?:[ab1]| ){1,3}|[.!]{2}|\s|[^\w\s]|\w")
    words = words_of(made)
    held = [t for w in words for t in w.tokens]
    assert sorted(held) == list(range(len(made.ids)))
    assert list(words) == sorted(words, key=lambda w: (w.start, w.end))
    assert all(made.text[w.start : w.end] == w.text for w in words)
    visible = sum(not c.isspace() for c in text)
    assert sum(not c.isspace() for w in words if w.role != "template" for c in w.text) == visible
