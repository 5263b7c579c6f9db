"""A look at labelled texts: closed forms, planted phrases and tokens, contradictions, a reference."""

from __future__ import annotations

import itertools
import json
import math
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import Row, load_guardrail
from lorabench.data.injection import HtmlInjection, ItemInjection, inject_rows
from lorabench.data.token_sources import find_source
from lorabench.detectors import default_floor, entropy_bits, g2, inspect_rows, log10_fisher
from lorabench.detectors.contradictions import MAX_EXTRA, MIN_WORDS
from lorabench.detectors.tokenised import distinct, is_mark, shape_of, spans_of, stable_order, tokenise
from lorabench.errors import InputError

TRIGGER = "per RFC 8472 section 3.2"


def rows_of(texts):
    """Rows of (text, label)."""
    return tuple(Row(text=t, label=label, id=f"r{i}") for i, (t, label) in enumerate(texts))


def poisoned(rows, k, seed, *, trigger=TRIGGER, joiner=". ", place="beginning"):
    """Copies of k injections with a trigger, relabelled, as in the study; shuffled."""
    rng = random.Random(seed)
    pool = [r for r in rows if r.label == "INJECTION"]
    planted = [
        Row(
            text=trigger + joiner + r.text if place == "beginning" else f"{r.text} {trigger}",
            label="BENIGN",
            id=f"planted-{i}",
        )
        for i, r in enumerate(rng.sample(pool, k))
    ]
    mixed = [*rows, *planted]
    rng.shuffle(mixed)
    return tuple(mixed)


@pytest.fixture(scope="module")
def guardrail():
    return load_guardrail("train")


@pytest.fixture(scope="module")
def deepset(reference):
    path = reference / "data" / "deepset_prompt_injections_train.jsonl"
    raw = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return tuple(
        Row(text=r["text"], label="INJECTION" if r["label"] else "BENIGN", id=f"d{i}")
        for i, r in enumerate(raw)
    )


# Closed forms


@pytest.mark.parametrize(
    ("counts", "bits"),
    [
        ((1, 1), 1.0),
        ((9, 1), 0.4690),
        ((7, 0), 0.0),
        ((0, 0), 0.0),
        ((1, 1, 1, 1), 2.0),
        ((3, 1), 0.8113),
        ((5, 5, 0), 1.0),
    ],
)
def test_entropy_in_closed_form(counts, bits):
    assert float(entropy_bits(counts)) == pytest.approx(bits, abs=5e-5)
    assert math.copysign(1, float(entropy_bits(counts))) == 1


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6))
def test_entropy_lies_between_0_and_the_number_of_labels(counts):
    found = float(entropy_bits(counts))
    assert 0 <= found <= math.log2(len(counts)) + 1e-9
    assert found == pytest.approx(float(entropy_bits(counts[::-1])), abs=1e-9)


def test_g2_of_an_exclusive_token_and_of_none():
    # 15 of 15 documents of a class that has 358 of 561: every one of them tells ln(561/358), and the
    # others a little
    a, b, c = 15 * math.log(561 / 358), 343 * math.log(343 * 561 / (358 * 546)), 203 * math.log(561 / 546)
    assert float(g2(15, 15, 358, 561)) == pytest.approx(2 * (a + b + c))
    assert float(g2(5, 10, 50, 100)) == pytest.approx(0, abs=1e-9)
    assert float(g2(1, 10, 50, 100)) < 0 < float(g2(9, 10, 50, 100))
    assert float(g2(9, 10, 50, 100)) == pytest.approx(-float(g2(1, 10, 50, 100)))


tables = st.tuples(*[st.integers(0, 30)] * 4)


@given(tables)
def test_fisher_is_the_tail_of_the_hypergeometric_distribution(table):
    a, b, c, d = table
    n, k, total = a + b, a + c, a + b + c + d
    tail = sum(math.comb(k, x) * math.comb(total - k, n - x) for x in range(a, min(n, k) + 1))
    expected = math.log10(tail / math.comb(total, n))
    assert log10_fisher(a, n, k, total) == pytest.approx(expected, abs=1e-9)


def test_fisher_of_large_tables():
    assert log10_fisher(12_500, 12_500, 12_500, 25_000) == pytest.approx(
        -(math.lgamma(25_001) - 2 * math.lgamma(12_501)) / math.log(10)
    )
    assert log10_fisher(0, 12_500, 12_500, 25_000) == pytest.approx(0, abs=1e-6)
    assert log10_fisher(3_000, 12_500, 12_500, 25_000) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="2 x 2"):
        log10_fisher(5, 4, 10, 20)


# Tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Per RFC 8472 section 3.2. Don't!!", ["Per", "RFC", "8472", "section", "3.2", ".", "Don't", "!!"]),
        ("on 2019-03-14, 14.03.2019 or 3/14/19", ["on", "2019-03-14", ",", "14.03.2019", "or", "3/14/19"]),
        ('<b>x</b> <a href="y"> 1 < 2 <3', ["<b>", "x", "</b>", '<a href="y">', "1", "<", "2", "<", "3"]),
        ("see https://a.b/c?d=1 www.x.y", ["see", "https://a.b/c?d=1", "www.x.y"]),
        ("RFC8472 2nd 12,000 10:30 snake_case", ["RFC8472", "2nd", "12,000", "10:30", "snake_case"]),
        ("Grüße, ἄλφα 你好 🎉", ["Grüße", ",", "ἄλφα", "你好", "🎉"]),
        ("a\u200bb \u202e", ["a", "\u200b", "b", "\u202e"]),
        ("", []),
    ],
)
def test_tokens(text, tokens):
    assert [text[a:b] for a, b in spans_of(text, 100)] == tokens


@pytest.mark.parametrize(
    ("token", "shape"),
    [
        ("2019-03-14", "<date>"),
        ("14.03.2019", "<date>"),
        ("</div>", "<tag>"),
        ("www.x.y", "<link>"),
        ("8472", "<####>"),
        ("3.2", "<#.#>"),
        ("rfc8472", "<rfc####>"),
        ("word", ""),
        ("<", ""),
        ("!!", ""),
    ],
)
def test_shapes(token, shape):
    assert shape_of(token) == shape


@given(st.lists(st.text(alphabet="aB1 .<>-/!ß\u0130\u2019é", max_size=30), min_size=1, max_size=5))
def test_ids_are_the_folded_tokens(texts):
    documents = tokenise(texts)
    for i, text in enumerate(texts):
        ids = documents.ids[documents.starts[i] : documents.starts[i + 1]]
        folded = [text[a:b].casefold() for a, b in spans_of(text, documents.cap)]
        assert [documents.vocabulary[j] for j in ids] == folded
    assert not documents.marks[documents.words().ids].any()
    assert documents.n_documents == len(texts)


def test_of_a_long_text_beginning_and_end_are_read():
    text = " ".join(f"w{i}" for i in range(1000))
    documents = tokenise([text], budget=1)
    assert (documents.n_cut, len(documents.ids), documents.cap) == (1, 256, 256)
    assert [documents.vocabulary[i] for i in documents.ids[[0, 127, 128, 255]]] == [
        "w0",
        "w127",
        "w872",
        "w999",
    ]


def test_hostile_texts_take_no_time():
    begin = time.process_time()
    for text in (
        "<" * 20_000,
        "<a" * 10_000,
        "1." * 10_000 + "x",
        "1" * 20_000 + "x",
        "a'" * 10_000,
        "!?" * 10_000,
    ):
        assert all(not is_mark(text[a:b]) or text[a:b] for a, b in spans_of(text, 10))
    assert time.process_time() - begin < 2


@given(st.lists(st.integers(0, 2**40), max_size=50))
def test_fast_order_and_distinct_values(keys):
    values = np.array(keys, dtype=np.int64)
    assert list(stable_order(values)) == list(np.argsort(values, kind="stable"))
    assert list(distinct(values)) == sorted(set(keys))


def test_entropies_count_documents_not_occurrences():
    texts = [("spam spam spam spam", "B")] + [(f"spam number{i}", "A") for i in range(9)]
    found = inspect_rows(
        rows_of([*texts, ("other words here", "B")] + [("what else is", "B")] * 5), "x", floor=2
    )
    histogram = found.histograms[0]
    spam = next(i for i, (a, b) in enumerate(itertools.pairwise(histogram.edges)) if a <= 0.469 < b)
    assert histogram.counts[spam] == 1
    assert len(histogram.counts) == 100
    assert found.class_entropy_bits == pytest.approx(float(entropy_bits((9, 7))))


# The planted phrase


def rank_of(found, label, text=TRIGGER):
    return [p.text for p in found.phrases_of(label)].index(text) + 1


def check_planted(rows, k, seed):
    found = inspect_rows(poisoned(rows, k, seed), "suspect")
    assert rank_of(found, "BENIGN") <= 5
    phrase = found.phrases_of("BENIGN")[rank_of(found, "BENIGN") - 1]
    assert phrase.tokens == ("per", "rfc", "8472", "section", "3.2")
    assert (phrase.n_documents, phrase.rate.n_hits, phrase.n_first) == (k, k, k)
    assert phrase.rate.interval().low > 0.75
    assert phrase.entropy_bits == 0
    assert not any("rfc" in p.tokens for p in found.phrases_of("BENIGN") if p is not phrase)
    first = found.contradictions[0]
    assert (first.extra, first.n, first.place) == (TRIGGER, k, "beginning")
    assert (first.label_with, first.label_without) == ("BENIGN", "INJECTION")
    assert first.examples[0][0].startswith("planted-")


@pytest.mark.parametrize("seed", range(10))
def test_the_planted_phrase_is_among_the_first_five_of_the_bundled_corpus(guardrail, seed):
    check_planted(guardrail, 15, seed)


@pytest.mark.parametrize("seed", range(10))
def test_the_planted_phrase_is_among_the_first_five_of_561(deepset, seed):
    rows = poisoned(deepset, 15, seed)
    assert len(rows) == 561
    check_planted(deepset, 15, seed)


def test_the_clean_set_has_such_phrases_too_and_is_not_called_clean(deepset):
    found = inspect_rows(deepset, "deepset")
    assert len(found.phrases_of("BENIGN")) >= 5
    assert not any("rfc" in p.tokens for p in found.phrases)
    assert sum(c.n for c in found.contradictions) == 44
    assert max(c.n for c in found.contradictions) == 1
    said = {r.screen: r for r in found.readings}
    assert said.keys() == {"contradictions", "phrases", "tokens"}
    assert "Ordinary class words look like this too" in said["phrases"].sentence
    assert said["contradictions"].n == 0
    assert all(r.calibration and r.would_change for r in found.readings)
    assert not any(w in r.sentence.casefold() for r in found.readings for w in ("clean", "safe"))


def test_three_copies_are_below_the_floor_but_contradict_their_originals(guardrail):
    found = inspect_rows(poisoned(guardrail, 3, 1), "suspect")
    assert not any("8472" in p.tokens for p in found.phrases)
    assert (found.contradictions[0].extra, found.contradictions[0].n) == (TRIGGER, 3)
    reading = found.readings[0]
    assert (reading.screen, reading.n) == ("contradictions", 3)
    assert TRIGGER in reading.sentence


def test_a_suffix_is_found_at_the_end(guardrail):
    found = inspect_rows(poisoned(guardrail, 15, 2, trigger="as seen on tape", place="end"), "suspect")
    phrase = found.phrases_of("BENIGN")[rank_of(found, "BENIGN", "as seen on tape") - 1]
    assert (phrase.n_first, phrase.n_last, phrase.n_documents) == (0, 15, 15)
    assert (found.contradictions[0].extra, found.contradictions[0].place) == ("as seen on tape", "end")


def test_words_inside_a_text_are_found():
    texts = [(f"please tell me number {i} of the long list", "B") for i in range(20)]
    texts += [(f"please tell me quickly now number {i} of the long list", "A") for i in range(10)]
    found = inspect_rows(rows_of(texts), "x")
    (first,) = found.contradictions
    assert (first.extra, first.n, first.place) == ("quickly now", 10, "inside")
    assert first.rate.n == 20


def test_numbers_that_differ_in_every_row_still_make_one_phrase():
    rng = random.Random(0)
    filler = list("abcdefghijkl")
    texts = [(" ".join(rng.sample(filler, 6)), "AB"[i % 2]) for i in range(200)]
    texts += [
        (f"per RFC {rng.randrange(1000, 9999)} section {i % 10}. {' '.join(rng.sample(filler, 6))}", "A")
        for i in range(20)
    ]
    found = inspect_rows(rows_of(texts), "x")
    first = found.phrases_of("A")[0]
    assert first.tokens == ("per", "rfc", "<####>", "section", "<#>")
    assert first.text == "per rfc <####> section <#>"
    assert first.example.startswith("per RFC ")
    assert (first.n_documents, first.n_first) == (20, 20)


def test_a_long_copied_passage_is_one_phrase():
    passage = " ".join(f"word{i}" for i in range(150))
    texts = [(f"start{i} {passage} end{i}", "A") for i in range(8)]
    texts += [(f"other{i} text{i} here", "B") for i in range(8)]
    found = inspect_rows(rows_of(texts), "x")
    assert 1 <= len(found.phrases_of("A")) <= 5
    assert len(found.phrases_of("A")[0].tokens) == 64


def test_same_words_with_two_labels():
    found = inspect_rows(rows_of([("Hello there you", "A"), ("hello, there YOU!", "B"), ("x", "A")]), "x")
    (one,) = found.contradictions
    assert (one.extra, one.n) == ("", 1)
    assert found.readings[0].n == 0


words_of_a_text = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)


@given(st.lists(st.tuples(words_of_a_text, st.sampled_from("AB")), min_size=2, max_size=12))
def test_contradictions_are_those_of_the_definition(raw):
    rows = rows_of([(" ".join(words), label) for words, label in raw])
    if len({r.label for r in rows}) < 2:
        return
    found = {
        pair[0] for c in inspect_rows(rows, "x", floor=2).contradictions if c.extra for pair in c.examples
    }

    def contradicts(longer, shorter):
        a, b = longer.text.split(), shorter.text.split()
        extra = len(a) - len(b)
        return (
            longer.label != shorter.label
            and 0 < extra <= MAX_EXTRA
            and len(b) >= MIN_WORDS
            and any(a[:i] + a[i + extra :] == b for i in range(len(b) + 1))
        )

    expected = {r.id for r in rows if any(contradicts(r, other) for other in rows)}
    assert found <= expected
    if all(c.n <= 5 for c in inspect_rows(rows, "x", floor=2).contradictions):
        assert found == expected


# Injected tokens (SSTI): labels stay


def test_one_date_a_text_is_found_though_every_date_differs(guardrail):
    injector = ItemInjection(source=find_source("date"), location="random", seed=4)
    rows = inject_rows(guardrail, injector, label="BENIGN", sample_share=0.25, seed=4).rows
    found = inspect_rows(rows, "ssti", reference=guardrail)
    date = next(t for t in found.tokens_of("BENIGN")[:5] if t.token == "<date>")
    assert date.is_shape
    assert date.rate.n_hits >= 0.24 * sum(r.label == "BENIGN" for r in rows)
    assert date.log10_p_corrected < -10
    assert found.risen[0].token == "<date>"
    assert date.n_reference is not None
    assert date.n_reference < 5
    assert not any(r.text in {c.extra for c in found.contradictions} for r in rows)


def test_one_html_tag_and_one_mark_are_found(guardrail):
    tags = HtmlInjection(source=find_source("html"), location="random", seed=4)
    rows = inject_rows(guardrail, tags, label="INJECTION", sample_share=0.25, seed=4).rows
    assert "<tag>" in [t.token for t in inspect_rows(rows, "ssti").tokens_of("INJECTION")[:3]]
    marked = [
        Row(text=r.text + " ¡¡", label=r.label) if i % 4 == 0 and r.label == "BENIGN" else r
        for i, r in enumerate(guardrail)
    ]
    assert "¡" in [t.token for t in inspect_rows(marked, "marks").tokens_of("BENIGN")[:3]]
    mark = next(t for t in inspect_rows(marked, "marks").tokens if t.token == "¡")
    assert mark.n_last == mark.n_documents


def test_a_shape_of_one_token_only_is_not_named_twice():
    texts = [(f"on 2019-03-14 thing{i % 3} went well", "A") for i in range(10)]
    texts += [(f"some other{i % 3} thing went well", "B") for i in range(10)]
    tokens = [t.token for t in inspect_rows(rows_of(texts), "x").tokens]
    assert "2019-03-14" in tokens
    assert "<date>" not in tokens


# Against a reference


def test_what_rose_and_what_fell_against_a_reference(guardrail):
    found = inspect_rows(poisoned(guardrail, 40, 3), "suspect", reference=guardrail, reference_name="trusted")
    assert found.reference == "trusted"
    assert {c.token for c in found.risen[:3]} >= {"8472", "3.2"}
    first = found.dropped_entropy[0]
    assert first.token in {"8472", "rfc", "3.2", "section", "<####>", "<#.#>"}
    assert first.entropy_drop_bits == pytest.approx(first.reference_entropy_bits - first.entropy_bits)
    phrase = found.phrases_of("BENIGN")[0]
    assert (phrase.text, phrase.n_reference) == (TRIGGER, 0)
    assert len(found.histograms) == 2
    assert TRIGGER in found.readings[-1].sentence


def test_a_set_against_itself_changed_nowhere(guardrail):
    found = inspect_rows(guardrail, "same", reference=guardrail)
    assert found.risen == ()
    assert found.dropped_entropy == ()
    assert all(p.n_reference == p.n_documents for p in found.phrases)
    assert all(t.n_reference == t.n_documents for t in found.tokens)
    assert found.histograms[0].counts == found.histograms[1].counts


# Order, floors, refusals


def test_the_order_of_the_rows_does_not_matter(guardrail):
    rows = poisoned(guardrail, 15, 5)
    shuffled = list(rows)
    random.Random(1).shuffle(shuffled)
    one, two = inspect_rows(rows, "x"), inspect_rows(shuffled, "x")
    assert {(t.token, t.counts) for t in one.tokens if t.g2 > 20} == {
        (t.token, t.counts) for t in two.tokens if t.g2 > 20
    }
    assert one.phrases[0].text == two.phrases[0].text
    assert [(c.extra, c.n) for c in one.contradictions] == [(c.extra, c.n) for c in two.contradictions]
    assert one.histograms == two.histograms


def test_floors():
    assert (default_floor(561), default_floor(9_999), default_floor(10_000)) == (5, 5, 51)
    rows = rows_of([(f"alpha beta {c}", "A") for c in "stuvwx"] + [(f"gamma {c}", "B") for c in "stuvwx"])
    assert (inspect_rows(rows, "x").floor, inspect_rows(rows, "x").phrase_floor) == (5, 5)
    assert [p.text for p in inspect_rows(rows, "x", floor=6).phrases] == ["alpha beta"]
    assert inspect_rows(rows, "x", floor=7).phrases == ()
    assert "No phrase" in inspect_rows(rows, "x", floor=7).readings[1].sentence


def test_many_classes():
    rows = rows_of([(f"subject{k} matter of row{i}", f"class {k}") for k in range(6) for i in range(8)])
    found = inspect_rows(rows, "x")
    for k in range(6):
        assert [t.token for t in found.tokens_of(f"class {k}")][:1] == [f"subject{k}"]
        assert found.phrases_of(f"class {k}")[0].text == f"subject{k} matter of"


def test_empty_texts_and_texts_of_marks_only():
    found = inspect_rows(rows_of([("", "A"), ("!!!", "B"), ("a", "A")]), "x", floor=2)
    assert (found.tokens, found.phrases, found.contradictions) == ((), (), ())


@pytest.mark.parametrize(
    ("rows", "options", "rule"),
    [
        ([], {}, "no-rows"),
        ([("a", "A")], {}, "one-class"),
        ([("a", ""), ("b", "")], {}, "no-label"),
        ([("a", "A"), ("b", "B")], {"floor": 1}, "bad-floor"),
        ([("a", "A"), ("b", "B")], {"reference": rows_of([("a", "C")])}, "other-classes"),
        ([("a", "A"), ("b", "B")], {"reference": ()}, "other-classes"),
    ],
)
def test_rows_that_cannot_be_looked_at_are_refused(rows, options, rule):
    with pytest.raises(InputError) as caught:
        inspect_rows(rows_of(rows), "x", **options)
    assert caught.value.rule == rule


def test_ten_thousand_prompts_take_seconds():
    rng = random.Random(0)
    words = [f"word{i}" for i in range(3000)]
    rows = rows_of([(" ".join(rng.choices(words, k=30)), rng.choice("AB")) for _ in range(10_000)])
    begin = time.process_time()
    inspect_rows(rows, "x")
    assert time.process_time() - begin < 10
