"""Hostile text stays text: parsed as Markdown, the escaped form gives back what went in."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lorabench.ui import text

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1)) ![x](http://evil/x.png)",
    "**bold** _it_ `code` ~~gone~~",
    "$x^2$ and $$y$$",
    ":material/home: :smile: :red[danger] :streamlit:",
    "# heading",
    "1. one\n2. two",
    "- item\n+ item\n* item",
    "    code by indent",
    "line\n===\nline\n---",
    "| a | b |\n|---|---|",
    "a -- b -> c <- d >= e",
    "&lt;b&gt; &#x41;",
    "back\\slash",
    "see https://evil.example and www.evil.example or me@evil.example",
]
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(markdown: str) -> str:
    """What a reader sees of Markdown, without tags, entities and invisible joiners."""
    rendered = PARSER.render(markdown)
    return html.unescape(re.sub(r"</?(p|br)[^>]*>", "", rendered)).replace("\u2060", "")


def folded(text_: str) -> str:
    return re.sub(r"\s+", " ", text_.replace("\u00a0", " ")).strip()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_escaped_text_reads_as_it_was(hostile):
    assert folded(shown(text.escape_markdown(hostile))) == folded(hostile)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_escaped_text_makes_no_element(hostile):
    assert set(re.findall(r"<(\w+)", PARSER.render(text.escape_markdown(hostile)))) <= {"p", "br"}


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=60))
def test_any_visible_text_survives(value):
    assert folded(shown(text.escape_markdown(value))) == folded(value)


@pytest.mark.parametrize("code", [":smile:", ":material/home:", ":streamlit:", "http://x", "www.x", "a@b.c"])
def test_what_streamlit_rewrites_later_is_broken_up(code):
    """Emoji, icons and links are made from finished text, so a backslash would not help."""
    plain = text.escape_markdown(code).replace("\\", "")
    assert code not in plain
    assert plain.replace("\u2060", "") == code


def test_a_sentence_shows_commands_as_code_and_the_rest_literally():
    assert text.sentence("Run `lorabench models pull demo` for *x*.") == (
        r"Run `lorabench models pull demo` for \*x\*."
    )


def test_hidden_characters_become_visible():
    assert "\u202e" not in text.label("safe\u202eexe")


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "unknown"), (4.2, "4 s"), (190, "3 min 10 s"), (7260, "2 h 01 min")]
)
def test_durations(seconds, words):
    assert text.duration(seconds) == words


def test_a_rate_that_was_not_measured_is_not_zero():
    assert text.percent(None) == "not measured"
    assert text.percent(0.0) == "0%"
    assert text.signed(-1.26) == "\u22121.3"
