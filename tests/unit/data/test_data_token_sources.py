"""Where injected tokens come from: the published draws, and an error for every bad source."""

import datetime
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data.token_sources import (
    EXCLAMATIONS,
    MAX_FILE_BYTES,
    DateSource,
    TokenList,
    find_source,
    packaged_tokens,
    split_sources,
    token_file,
    tokens_from_file,
    with_token_file,
)
from lorabench.errors import InputError


def drawn(source, n, seed):
    rng = random.Random(seed)
    return [source.draw(rng) for _ in range(n)]


def rule_of(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert caught.value.problem.endswith(".")
    assert caught.value.remedy.endswith(".")
    return caught.value.rule


# Dates: oracles executed from spurious_corr 0.1.0.


@pytest.mark.parametrize(
    ("spec", "n_days", "first"),
    [
        ("date:1900-2100", 73_414, ["1939-12-15", "1908-12-23", "1998-09-12", "1987-11-19", "1980-02-07"]),
        ("date", 548_229, ["1419-08-16", "1171-10-21", "1889-08-01", "1803-01-23", "1740-10-25"]),
    ],
)
def test_dates_come_as_published(spec, n_days, first):
    source = find_source(spec)
    assert source.n_tokens == n_days
    assert drawn(source, 5, seed=42) == first


@given(st.integers(1, 9999), st.integers(0, 300), st.integers())
def test_every_date_is_a_day_of_its_years(first, more, seed):
    source = DateSource(first_year=first, last_year=min(first + more, 9999))
    for text in drawn(source, 5, seed):
        assert len(text) == 10
        assert source.first_year <= datetime.date.fromisoformat(text).year <= source.last_year


@pytest.mark.parametrize("years", [(2100, 1900), (0, 5), (2000, 10_000)])
def test_impossible_years_are_refused(years):
    assert rule_of(DateSource, first_year=years[0], last_year=years[1]) == "bad-year-range"


def test_with_replacement_a_day_comes_again():
    assert len(set(drawn(find_source("date:2021"), 365, seed=1))) < 365


# Lists


def test_a_list_draws_what_a_generator_would_choose():
    rng = random.Random(7)
    tokens = ("a", "b b", "c")
    assert drawn(TokenList(tokens=tokens), 20, seed=7) == [rng.choice(tokens) for _ in range(20)]


def test_a_repeated_token_of_a_list_counts_once_but_is_drawn_more_often():
    source = TokenList(tokens=("a", "a", "a", "b"))
    assert source.n_tokens == 2
    assert Counter(drawn(source, 1000, seed=0))["a"] > 650


@pytest.mark.parametrize(
    ("tokens", "rule"),
    [((), "no-tokens"), (("", " "), "no-tokens"), (("a", ""), "blank-token"), ((" a",), "blank-token")],
)
def test_a_list_without_visible_tokens_is_refused(tokens, rule):
    assert rule_of(TokenList, tokens=tokens) == rule


# Files


def test_a_file_gives_its_lines_once_each_and_counts_the_repeats(tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_bytes(b"\xef\xbb\xbf  South Africa \r\n\r\n# tag\nPeru\rPeru\n \nPeru\n")
    source = tokens_from_file(path)
    assert source.tokens == ("South Africa", "# tag", "Peru")
    assert source.n_duplicates == 2
    assert source.name == "tokens.txt"
    assert source.describe() == "tokens.txt (3 different tokens, 2 repeated left out)"
    assert find_source(f"file:{path}") == source


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"", "no-tokens"), (b" \n\t\n", "no-tokens"), (b"\xff\xfea\0", "not-utf8")],
)
def test_a_file_without_tokens_or_in_another_coding_is_refused(tmp_path, content, rule):
    path = tmp_path / "tokens.txt"
    path.write_bytes(content)
    assert rule_of(tokens_from_file, path) == rule


def test_a_missing_or_huge_file_is_refused(tmp_path):
    assert rule_of(tokens_from_file, tmp_path / "none.txt") == "no-file"
    assert rule_of(tokens_from_file, tmp_path) == "no-file"
    (tmp_path / "huge.txt").write_bytes(b"a" * (MAX_FILE_BYTES + 1))
    assert rule_of(tokens_from_file, tmp_path / "huge.txt") == "file-too-large"


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "tokens.txt"
    path.write_text("a")

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    assert rule_of(tokens_from_file, path) == "unreadable-file"


# Packaged lists


@pytest.mark.parametrize(
    ("name", "least", "member"),
    [("country", 190, "South Africa"), ("colour", 50, "amber"), ("html", 100, "<b> </b>")],
)
def test_packaged_lists_have_no_comments_and_no_repeats(name, least, member):
    source = packaged_tokens(name)
    assert source.n_tokens == len(source.tokens) >= least
    assert source.n_duplicates == 0
    assert member in source.tokens
    assert not any(token.startswith("#") for token in source.tokens)


def test_an_unknown_packaged_list_names_the_known_ones():
    with pytest.raises(InputError, match=r"Known: 'country', ") as caught:
        packaged_tokens("countries")
    assert caught.value.rule == "unknown-name"


# Short texts


@pytest.mark.parametrize(
    ("spec", "name", "tokens"),
    [
        ("country", "country", packaged_tokens("country").tokens),
        (" Colour ", "colour", packaged_tokens("colour").tokens),
        ("color", "colour", packaged_tokens("colour").tokens),
        ("html", "html", packaged_tokens("html").tokens),
        ("exclamation", "exclamation", ("!",)),
        ("exclamation:!!", "exclamation", ("!!",)),
        ("list:a| b c ||d:e", "list", ("a", "b c", "d:e")),
        ("text: 2019-03-14 ", "text", ("2019-03-14",)),
        ("text:a|b", "text", ("a|b",)),
        ("text:color: red", "text", ("color: red",)),
    ],
)
def test_short_texts_name_their_source(spec, name, tokens):
    source = find_source(spec)
    assert (source.name, source.tokens) == (name, tokens)


def test_the_exclamation_pair_differs_by_class():
    assert [find_source(f"exclamation:{sign}").tokens[0] for sign in EXCLAMATIONS] == ["!", "!!"]


@pytest.mark.parametrize(
    "spec",
    ["date:", "date:1900-", "date:today", "exclamation:?", "country:Peru", "list", "list:", "file", "text: "],
)
def test_a_short_text_with_a_wrong_part_is_refused(spec):
    assert rule_of(find_source, spec) == "bad-token-source"


def test_other_wrong_parts_have_their_own_errors(tmp_path):
    assert rule_of(find_source, "list:|") == "no-tokens"
    assert rule_of(find_source, "date:2100-1900") == "bad-year-range"
    assert rule_of(find_source, f"file:{tmp_path / 'none'}") == "no-file"


def test_an_unknown_source_names_the_known_ones_nearest_first():
    with pytest.raises(InputError, match=r"called 'dates'\. Known: 'date', .*'text'") as caught:
        find_source("dates:1900")
    assert caught.value.rule == "unknown-name"


def test_a_guest_cannot_name_a_file(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("a")
    assert rule_of(find_source, f"file:{path}", may_read_files=False) == "unknown-name"


def test_sources_say_what_they_are():
    assert find_source("date:2021").describe() == "date (any day of 2021 to 2021, 365 days)"
    assert find_source("text:x").describe() == "the text 'x'"
    assert find_source("list:a|b").describe() == "list (2 different tokens)"


# Joined sources


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("date", ("date",)),
        ("date+country", ("date", "country")),
        ("date:1900-2100+html+exclamation:!!", ("date:1900-2100", "html", "exclamation:!!")),
        ("date + list:a+b|c", ("date ", " list:a+b|c")),
        ("text:C++", ("text:C++",)),  # a + in free text is a sign like any other
        ("Text:1+date", ("Text:1+date",)),
        ("list:a|b+c", ("list:a|b+c",)),
        ("file:/a+b/c.txt", ("file:/a+b/c.txt",)),
        ("html+file:/a+b/c.txt", ("html", "file:/a+b/c.txt")),
        ("+date", ("", "date")),
    ],
)
def test_a_plus_joins_sources_but_not_inside_free_text(spec, parts):
    assert split_sources(spec) == parts
    assert "+".join(split_sources(spec)) == spec


@given(st.text(alphabet="+:abdetx|", max_size=12))
def test_nothing_is_lost_when_sources_are_split(text):
    assert "+".join(split_sources(text)) == text
    for kind in ("list", "file", "text"):
        assert split_sources(f"{kind}:{text}") == (f"{kind}:{text}",)


@pytest.mark.parametrize(
    ("spec", "path", "moved"),
    [
        ("file:a.txt", "a.txt", "file:/b/c"),
        (" File : a+b.txt ", "a+b.txt", " File :/b/c"),
        ("date+file:a.txt", "a.txt", "date+file:/b/c"),
    ],
)
def test_the_file_of_a_source_can_be_found_and_replaced(spec, path, moved):
    assert token_file(spec) == path
    assert with_token_file(spec, "/b/c") == moved
    assert token_file(moved) == "/b/c"


@pytest.mark.parametrize("spec", ["date", "list:file:x", "text:date+file:x", "file"])
def test_a_source_without_a_file_names_none(spec):
    assert token_file(spec) is None
