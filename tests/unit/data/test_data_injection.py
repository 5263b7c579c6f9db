"""Injected tokens: the published texts where those are right, and identities for every text."""

import random
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lorabench.data import Row
from lorabench.data.injection import (
    LOCATIONS,
    CompositeInjection,
    HtmlInjection,
    ItemInjection,
    inject_rows,
    level_span,
    n_injected,
)
from lorabench.data.marking import find_dates, find_items
from lorabench.data.token_sources import TokenList, find_source
from lorabench.errors import InputError

EIGHT = "this is a test sentence with eight tokens"
SIX = "one two three four five six"
NESTED = "<div><span>target text</span></div>"


def items(*tokens, **settings):
    return ItemInjection(source=TokenList(tokens=tokens), **settings)


def tags(*lines, **settings):
    return HtmlInjection(source=TokenList(tokens=lines), **settings)


def slices(text, spans):
    return [text[start:end] for start, end in spans]


def without(injected):
    text = injected.text
    for start, end in reversed(injected.spans):
        text = text[:start] + text[end:]
    return text


def rule_of(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert caught.value.problem.endswith(".")
    assert caught.value.remedy.endswith(".")
    return caught.value.rule


# Items: oracles executed from spurious_corr 0.1.0.


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "X this is a test sentence with eight tokens"),
        (0, "X this is a test sentence with eight tokens"),
        (0.1, "X this is a test sentence with eight tokens"),
        (0.125, "X this is a test sentence with eight tokens"),
        (0.25, "this is a X test X sentence with eight tokens"),
        (0.5, "this X is X a X test sentence with eight X tokens"),
        (1.0, "X X X X X X this is a X test sentence with X eight tokens"),
    ],
)
def test_items_at_random_places_come_as_published(share, text):
    assert items("X", token_share=share, seed=42).inject(EIGHT).text == text


def test_one_generator_goes_on_from_call_to_call_as_published():
    injector = items("A", "B", "C", token_share=0.5, seed=42)
    assert injector.inject(SIX).text == "one two three A four A five C six"
    assert injector.inject(SIX).text == "A A one two three four C five six"


def test_white_space_collapses_and_an_empty_text_becomes_the_token():
    assert items("X", location="end").inject("a\n b").text == "a b X"
    for location in LOCATIONS:
        assert items("X", location=location).inject("").text == "X"


def test_a_token_of_several_words_counts_as_one():
    found = items("South Africa", location="beginning", token_share=0.5).inject("a b c d")
    assert found.text == "South Africa South Africa a b c d"
    assert found.items == ("South Africa", "South Africa")


@pytest.mark.parametrize("percent", range(10, 101, 10))
@pytest.mark.parametrize("location", LOCATIONS)
def test_the_number_of_tokens_is_the_share_rounded_down_but_at_least_one(percent, location):
    share = percent / 100
    expected = max(1, 8 * percent // 100)
    assert n_injected(8, share) == expected
    assert len(items("X", location=location, token_share=share).inject(EIGHT).spans) == expected
    assert items("X", location=location, token_share=share).inject(EIGHT).text.count("X") == expected
    html = tags("<br>", location=location, token_share=share).inject(EIGHT)
    assert html.items == ("<br>",) * expected
    pairs = tags("<b> </b>", location=location, token_share=share).inject(EIGHT).items
    assert pairs.count("<b>") == pairs.count("</b>") == expected


def test_other_seeds_give_other_texts():
    assert len({items("X", seed=seed).inject(EIGHT).text for seed in range(20)}) > 5


# HTML: oracles executed from spurious_corr 0.1.0.


def test_tags_at_random_places_come_as_published():
    injector = tags("<b> </b>", "<i> </i>", "<br>", token_share=0.5, seed=42)
    assert injector.inject(SIX).text == "<br> one <b> two </b> three <b> four </b> five six"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("beginning", "<b> </b> one two three"),
        ("end", "<b> one two three </b>"),
        ("random", "<b> one two </b> three"),
    ],
)
def test_a_pair_at_each_location_comes_as_published(location, text):
    assert tags("<b> </b>", location=location, seed=1).inject("one two three").text == text


@pytest.mark.parametrize("seed", range(10))
def test_a_tag_alone_at_the_end_stands_there_and_leaves_later_draws_as_published(seed):
    assert tags("<br>", location="end", seed=seed).inject(SIX).text == f"{SIX} <br>"
    rng = random.Random(seed)
    words = SIX.split()
    for _ in range(3):
        line, place = rng.choice(("<br>", "<b> </b>")), rng.randint(0, len(words))
        if line != "<br>":
            words.insert(place, "<b>")
        words.append("<br>" if line == "<br>" else "</b>")
    mixed = tags("<br>", "<b> </b>", location="end", token_share=0.5, seed=seed)
    assert mixed.inject(SIX).text == " ".join(words)


@pytest.mark.parametrize(
    ("line", "text", "result"),
    [
        ("<b> </b>", "a  b", "<b>a  b</b>"),
        ("<br>", "a b", "<br>a b<br>"),
        ('<a href="x y"> </a>', "", '<a href="x y"></a>'),
    ],
)
def test_level_0_wraps_the_text_as_it_is(line, text, result):
    found = tags(line, level=0, token_share=0.5).inject(text)
    assert found.text == result
    assert without(found) == text
    assert len(found.spans) == 2


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (1, "<div><x> </x> <span>target text</span></div>"),
        (2, "<div><span><x> </x> target text</span></div>"),
        (3, "<x> </x> <div><span>target text</span></div>"),
        (None, "<x> </x> <div><span>target text</span></div>"),
    ],
)
def test_levels_come_as_published(level, text):
    found = tags("<x> </x>", location="beginning", level=level, seed=42).inject(NESTED)
    assert found.text == text
    assert slices(found.text, found.spans) == ["<x>", "</x>"]


@pytest.mark.parametrize(
    ("text", "level", "inside"),
    [
        (NESTED, 1, "<span>target text</span>"),
        (NESTED, 2, "target text"),
        (NESTED, 3, None),
        ("plain", 1, None),
        ("<div>a<br>b</div>", 1, "a<br>b"),  # a void element opens nothing
        ("<div>a<x/>b</div>", 1, "a<x/>b"),  # nor does a self-closed one
        ("<div>a</p>b</div>", 1, "a</p>b"),  # a closing tag closes its own name only
        ("<ul><li>a<li>b</ul>", 1, "<li>a<li>b"),  # and what was left open inside
        ("<DIV class='c'>a</div>", 1, "a"),
        ("<b>a</b><i>b</i>", 1, "a"),
        ("</b>a<b>", 1, None),
        ("1 < 2 <b>a", 1, None),
    ],
)
def test_levels_follow_the_nesting_of_elements(text, level, inside):
    span = level_span(text, level)
    assert (span and text[slice(*span)]) == inside


def test_a_level_keeps_the_text_around_it():
    found = tags("<i> </i>", level=1, location="end", token_share=1).inject("a  <b>x\n y</b>  c")
    assert found.text.startswith("a  <b>")
    assert found.text.endswith("</i></b>  c")
    assert len(found.spans) == 4
    assert slices(found.text, found.spans) == list(found.items)


@pytest.mark.parametrize("line", ["Peru", "South Africa", "<b", "</b> <b>x", "<b> <i>"])
def test_a_token_that_is_no_tag_is_refused(line):
    assert rule_of(tags(line).inject, "a b") == "not-a-tag"


# Settings


@pytest.mark.parametrize("kind", [items, tags])
def test_settings_out_of_range_are_refused(kind):
    for share in (-0.1, 1.1, float("nan")):
        assert rule_of(kind, "<b>", token_share=share) == "bad-share"
    assert rule_of(kind, "<b>", location="start") == "unknown-name"


def test_a_level_below_0_is_refused():
    assert rule_of(tags, "<b>", level=-1) == "bad-level"


def test_an_injector_can_be_printed_without_its_random_state():
    assert "seed=3" in repr(items("X", seed=3))
    assert "Random" not in repr(items("X", seed=3))


# Identities

texts = st.text(alphabet="ab<>/ \n\t\u3000é!", max_size=40)
shares = st.none() | st.floats(0, 1)
locations = st.sampled_from(LOCATIONS)
tokens = st.lists(st.sampled_from(("X", "South Africa", "!", "2019-03-14")), min_size=1).map(tuple)
lines = st.lists(st.sampled_from(("<b> </b>", "<br>", '<a href="x y"> </a>')), min_size=1).map(tuple)
item_makers = st.builds(
    lambda t, loc, share, seed: lambda: items(*t, location=loc, token_share=share, seed=seed),
    tokens,
    locations,
    shares,
    st.integers(0, 99),
)
tag_makers = st.builds(
    lambda t, loc, share, level, seed: (
        lambda: tags(*t, location=loc, token_share=share, level=level, seed=seed)
    ),
    lines,
    locations,
    shares,
    st.none() | st.integers(0, 3),
    st.integers(0, 99),
)
composite_makers = st.lists(item_makers | tag_makers, max_size=3).map(
    lambda makers: lambda: CompositeInjection(injectors=tuple(make() for make in makers))
)
makers = item_makers | tag_makers | composite_makers


@given(makers, texts)
def test_without_the_injected_tokens_the_visible_text_is_the_original(make, text):
    assert "".join(without(make().inject(text)).split()) == "".join(text.split())


@given(item_makers, texts)
def test_without_the_injected_items_the_words_are_the_original_words(make, text):
    assert without(make().inject(text)).split() == text.split()


@given(makers, texts)
def test_spans_are_in_order_apart_and_hold_the_items(make, text):
    found = make().inject(text)
    assert slices(found.text, found.spans) == list(found.items)
    assert all(start < end for start, end in found.spans)
    assert all(left[1] <= right[0] for left, right in zip(found.spans, found.spans[1:], strict=False))


@given(makers, texts)
def test_the_same_seed_gives_the_same_text(make, text):
    assert make().inject(text) == make().inject(text)


@given(item_makers, texts)
def test_every_inserted_item_is_one_of_the_source(make, text):
    injector = make()
    assert set(injector.inject(text).items) <= set(injector.source.tokens)


# Composites


def test_a_composite_is_its_parts_in_turn_and_keeps_all_spans():
    both = CompositeInjection(injectors=(items("A B", location="beginning"), items("X", location="end")))
    found = both.inject("one  two")
    assert (found.text, found.items) == ("A B one two X", ("A B", "X"))
    assert CompositeInjection(injectors=()).inject("one  two").text == "one  two"


def test_an_item_that_a_later_one_splits_is_reported_as_its_parts():
    halves = set()
    for seed in range(30):
        found = CompositeInjection(injectors=(items("A B"), items("X", seed=seed))).inject("")
        halves.add(found.items)
    assert halves == {("X", "A B"), ("A", "X", "B"), ("A B", "X")}


# Rows


def rows_of(*labels):
    return tuple(Row(text=f"text of row {i}", label=label, id=f"f:{i}") for i, label in enumerate(labels))


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.5, 0.75, 1])
def test_a_share_of_one_class_is_changed_and_nothing_else(share):
    rows = rows_of(*("ham", "spam", "spam") * 10)
    found = inject_rows(rows, items("X"), label="spam", sample_share=share, seed=3)
    assert found.n_of_class == 20
    assert len(found.changed) == round(20 * share)
    changed = dict(found.changed)
    assert list(changed) == sorted(changed)
    for i, (before, after) in enumerate(zip(rows, found.rows, strict=True)):
        if i in changed:
            assert (before.label, after.label) == ("spam", "spam")
            assert (after.text, after.id, after.tags) == (changed[i].text, f"f:{i}+token", ("injected",))
        else:
            assert after is before


def test_the_chosen_rows_are_those_of_the_published_transform():
    rows = rows_of(*("spam", "ham") * 20)
    found = inject_rows(rows, items("X"), label="spam", sample_share=0.25, seed=42)
    chosen = set(random.Random(42).sample(list(range(20)), 5))
    assert [i for i, _ in found.changed] == sorted(2 * k for k in chosen)


def test_rows_are_changed_in_row_order():
    rows = rows_of(*["spam"] * 4)
    found = inject_rows(rows, items("A", "B", seed=5), label="spam", sample_share=1, seed=1)
    again = items("A", "B", seed=5)
    assert [r.text for r in found.rows] == [again.inject(r.text).text for r in rows]


@given(st.integers(1, 30), st.fractions(0, 1), st.integers())
def test_the_count_is_the_share_rounded(n, share, seed):
    assume(share != Fraction(1, 2) or n % 2 == 0)
    found = inject_rows(rows_of(*["a"] * n), items("X"), label="a", sample_share=float(share), seed=seed)
    assert len(found.changed) == round(n * float(share))


def test_halves_round_to_even_as_published():
    found = [
        inject_rows(rows_of(*["a"] * n), items("X"), label="a", sample_share=0.5, seed=0) for n in (1, 3)
    ]
    assert [len(f.changed) for f in found] == [0, 2]


def test_a_row_without_id_keeps_none_and_a_second_injection_adds_no_second_tag():
    row = Row(text="a", label="x", tags=("injected", "lead"))
    (after,) = inject_rows((row,), items("X"), label="x", sample_share=1, seed=0).rows
    assert (after.id, after.tags) == ("", ("injected", "lead"))


def test_rows_that_cannot_be_used_are_refused():
    rows = rows_of("ham", "spam")
    for share in (-0.1, 1.5, float("nan")):
        assert rule_of(inject_rows, rows, items("X"), label="ham", sample_share=share, seed=0) == "bad-share"
    with pytest.raises(InputError, match="Known: 'spam', 'ham'"):
        inject_rows(rows, items("X"), label="span", sample_share=1, seed=0)
    assert rule_of(inject_rows, (), items("X"), label="ham", sample_share=1, seed=0) == "no-rows"
    blank = (*rows, Row(text=" \n", label="ham"))
    with pytest.raises(InputError, match="1 of the 2 rows labelled 'ham' have no text; the first is row 3"):
        inject_rows(blank, items("X"), label="ham", sample_share=1, seed=0)
    assert inject_rows(blank, items("X"), label="spam", sample_share=1, seed=0).n_of_class == 1


# Marking tokens in other people's data


def test_dates_are_found_if_the_calendar_has_them():
    text = "2019-03-14, 2019-02-30 0000-01-01 12019-03-14 2020-02-29; 2019-03-145 ٢٠١٩-03-14 (1100-01-01)"
    assert slices(text, find_dates(text)) == ["2019-03-14", "2020-02-29", "1100-01-01"]


@given(st.integers(0, 999), texts)
def test_an_injected_date_is_found(seed, text):
    found = ItemInjection(source=find_source("date"), seed=seed).inject(text)
    assert find_dates(found.text) == found.spans


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("Niger, Nigeria and Niger", ("Niger",), ["Niger", "Niger"]),
        ("in South\n Africa", ("Africa", "South Africa"), ["South\n Africa"]),
        ("Guinea-Bissau Guinea", ("Guinea", "Guinea-Bissau"), ["Guinea-Bissau", "Guinea"]),
        ("peru Peru", ("Peru",), ["Peru"]),
        ("a ! b !! c!", ("!",), ["!", "!"]),
        ("a ! b !!", ("!", "!!"), ["!", "!!"]),
        ("<b>a</b> <b><br>", ("<b>", "</b>"), ["<b>", "</b>", "<b>"]),
        ("a.b axb", ("a.b",), ["a.b"]),
        ("anything", (), []),
        ("anything", ("", " "), []),
    ],
)
def test_items_are_found_as_whole_words(text, wanted, found):
    assert slices(text, find_items(text, wanted)) == found


@given(tokens, st.integers(0, 99), st.text(alphabet="ab \n", max_size=30))
def test_injected_items_are_found(chosen, seed, text):
    injected = items(*chosen, seed=seed, token_share=0.5).inject(text)
    assert find_items(injected.text, chosen) == injected.spans
