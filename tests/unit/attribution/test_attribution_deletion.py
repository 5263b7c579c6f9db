from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorabench.attribution.texts import delete


def without(text, *words):
    spans = []
    at = 0
    for word in words:
        at = text.index(word, at)
        spans.append((at, at + len(word)))
        at += len(word)
    return delete(text, spans)


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("see RFC 1. Stop", ["1"], "see RFC. Stop"),
        ("see RFC 1. Stop", ["."], "see RFC 1 Stop"),
        ("see RFC 1. Stop", ["1", "."], "see RFC Stop"),
        ("see RFC 1. Stop", ["see"], "RFC 1. Stop"),
        ("see RFC 1. Stop", ["Stop"], "see RFC 1."),
        ("see RFC 1. Stop", ["see", "RFC"], "1. Stop"),
        ("see RFC 1. Stop", ["RFC", "Stop"], "see 1."),
        ('say "hello" now', ["hello"], 'say "" now'),
        ("a (b c) d", ["b"], "a (c) d"),
        ("a\nb c", ["b"], "a\nc"),
        ("a\n\nb", ["\n\n"], "a b"),
        ("one", ["one"], ""),
        ("one two", ["one", "two"], ""),
        ("你好吗", ["好"], "你吗"),
    ],
)
def test_a_word_goes_with_one_space(text, words, left):
    assert without(text, *words) == left


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(["a", "bb", "c1"]), min_size=1, max_size=8), data=st.data())
def test_what_is_left_of_plain_words_is_plain_words(words, data):
    text = " ".join(words)
    gone = data.draw(st.sets(st.integers(0, len(words) - 1)))
    starts = [sum(len(w) + 1 for w in words[:i]) for i in range(len(words))]
    left = delete(text, [(starts[i], starts[i] + len(words[i])) for i in sorted(gone)])
    assert left == " ".join(w for i, w in enumerate(words) if i not in gone)
