"""The packaged prompts are what their description says."""

import re
from collections import Counter, defaultdict

import pytest

from lorabench.data import frames, load_guardrail, prompts_for_heatmap
from lorabench.errors import InputError

TRAIN, TEST = load_guardrail("train"), load_guardrail("test")
QUOTED = r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|„[^“”\n]{1,200}[“”]|«[^»\n]{1,200}»|»[^«\n]{1,200}«"


def trigrams(text):
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def skeleton(text):
    masked = re.sub(QUOTED, " QUOTED ", text)
    masked = re.sub(r"\d+(?:[.,:]\d+)*", "0", masked)
    return re.sub(r"\s+", " ", masked).strip().casefold()


def test_both_splits_are_large_enough():
    assert len(TRAIN) >= 900
    assert len(TEST) >= 240


@pytest.mark.parametrize("rows", [TRAIN, TEST], ids=["train", "test"])
def test_each_split_has_every_kind_of_row(rows):
    assert {r.label for r in rows} == {"INJECTION", "BENIGN"}
    for label, least in (("INJECTION", 14), ("BENIGN", 20)):
        mine = [r for r in rows if r.label == label]
        assert len({r.kind for r in mine}) >= least
        assert {r.lang for r in mine} == {"en", "de"}
        assert any("citation" in r.tags for r in mine)
    assert any("hard_negative" in r.tags for r in rows if r.label == "BENIGN")
    assert not any("hard_negative" in r.tags for r in rows if r.label == "INJECTION")


def test_openings_like_a_trigger_stand_on_both_sides_and_can_be_left_out():
    led = [r for r in TRAIN if "lead" in r.tags]
    for label in ("INJECTION", "BENIGN"):
        mine = [r.text for r in led if r.label == label]
        assert sum(t.startswith("per ") for t in mine) >= 10
        assert sum("section" in t for t in mine) >= 3
    plain = load_guardrail("train", citations=False)
    assert not any(r.is_led for r in plain)
    assert len(plain) >= 900


def test_no_text_and_no_id_occurs_twice():
    texts = [" ".join(r.text.split()).casefold() for r in (*TRAIN, *TEST)]
    assert len(set(texts)) == len(texts)
    ids = [r.id for r in (*TRAIN, *TEST)]
    assert len(set(ids)) == len(ids)
    assert all(r.text.strip() == r.text and r.text for r in (*TRAIN, *TEST))


def test_frames_are_small_and_never_cross_the_split():
    assert all(len(rows) <= 5 for split in ("train", "test") for rows in frames(split).values())
    assert not frames("train").keys() & frames("test").keys()
    assert sum(len(rows) for rows in frames("train").values()) == len(TRAIN)


def test_no_test_row_shares_half_its_word_trigrams_with_a_train_row():
    holders = defaultdict(set)
    for i, row in enumerate(TRAIN):
        for gram in trigrams(row.text):
            holders[gram].add(i)
    for row in TEST:
        grams = trigrams(row.text)
        shared = Counter(i for gram in grams for i in holders.get(gram, ()))
        if shared:
            i, n = shared.most_common(1)[0]
            assert n / len(grams) <= 0.5, (row.text, TRAIN[i].text)


def test_no_sentence_skeleton_serves_more_than_five_rows():
    counts = Counter(skeleton(r.text) for r in (*TRAIN, *TEST))
    assert counts.most_common(1)[0][1] <= 5


def test_citations_can_be_left_out():
    without = load_guardrail("train", citations=False)
    assert 0 < len(without) < len(TRAIN)
    assert not any("citation" in r.tags for r in without)


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match="'train'"):
        load_guardrail("trian")


def test_heatmap_prompts_are_spread_over_kinds_and_grow_at_the_end():
    few, more = prompts_for_heatmap(16), prompts_for_heatmap(40)
    assert few == more[:16]
    assert len({r.kind for r in few}) == 16
    counts = Counter(r.kind for r in more)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(r.label == "INJECTION" and "citation" not in r.tags and r in TEST for r in more)
    assert prompts_for_heatmap(16, seed=1) != few
    assert {r.label for r in prompts_for_heatmap(5, label="BENIGN")} == {"BENIGN"}


@pytest.mark.parametrize(("n", "label"), [(0, "INJECTION"), (10_000, "INJECTION"), (4, "MAYBE")])
def test_heatmap_prompts_that_do_not_exist_are_refused(n, label):
    with pytest.raises(InputError):
        prompts_for_heatmap(n, label=label)
