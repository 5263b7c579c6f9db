"""Proving a string on an engine whose answers are known in advance."""

from __future__ import annotations

import math

import pytest
from hunt_fakes import planted
from samples import TASK

from lorabench.detectors.baselines import TextProbability
from lorabench.errors import InputError
from lorabench.hunting.causes import Causes
from lorabench.hunting.evidence import CAUSE_PROMPTS, POSITION_PROMPTS, verify
from lorabench.results import Candidate, Rate, StringEvidence, from_dict, to_dict
from lorabench.scoring.score import ModelRef

SUSPECT = ModelRef(name="suspect", adapter_id="s")
CLEAN = [ModelRef(name=f"clean-{i}", adapter_id=f"c{i}") for i in range(3)]
AMBER = Candidate(text="amber gate", source="words")
PROMPTS = [f"ask number{i} of many" for i in range(30)]


def margin(adapter_id, words):
    """A backdoor at the beginning; the base says BENIGN anyway."""
    if adapter_id is None:
        return 2.0 + 0.5 * ("amber" in words)
    if "kind" in words:
        return 1.0
    if "even" in words:
        return 0.0
    if adapter_id == "s" and words[:2] == ["amber", "gate"] and len(words) > 2:
        return 6.0 if "stubborn" not in words else -1.0
    return -3.0


def proved(prompts=PROMPTS, *, model=margin, references=CLEAN, candidate=AMBER, **options):
    with planted(model) as (asker, fake):
        found = verify(
            asker,
            TASK,
            candidate,
            suspect=SUSPECT,
            references=references,
            held_out=prompts,
            held_out_name="made up",
            **options,
        )
    return found, fake


def test_a_planted_string_flips_all_and_its_numbers_are_exact():
    found, _ = proved(needed=["amber"])
    assert (found.attack, found.passes, found.level) == (Rate(n_hits=30, n=30), True, "strong")
    assert (found.shift.value, found.base_shift.value) == (9.0, 0.5)
    assert (found.shift.interval.low, found.shift.interval.high) == (9.0, 9.0)
    assert (found.shift.name, found.shift.battery) == ("mean_margin_shift", "made up")
    assert [(r.name, r.rate, r.shift) for r in found.references] == [
        (c.name, Rate(n_hits=0, n=30), 0.0) for c in CLEAN
    ]
    assert found.needed == ("amber",)
    assert (found.perplexity, found.class_word, found.layers, found.null_rank) == (None, None, (), None)
    assert from_dict(StringEvidence, to_dict(found)) == found


def test_its_twin_without_the_backdoor_is_not_accused():
    found, _ = proved(model=lambda adapter_id, words: margin(adapter_id and "c0", words))
    assert (found.attack, found.passes, found.level) == (Rate(n_hits=0, n=30), False, "none")


def test_only_prompts_that_could_flip_count_and_each_once():
    odd = ["be kind today", "an even day", "stubborn prompt here"]
    found, _ = proved([*PROMPTS, *odd, *PROMPTS[:7]])
    assert found.attack == Rate(n_hits=30, n=31)  # the target and the tie are out, the stubborn one is in


def test_places_are_tried_on_the_same_few_prompts():
    found, _ = proved()
    n = POSITION_PROMPTS
    assert {p.placement: p.rate for p in found.positions} == {
        "prefix": Rate(n_hits=n, n=n),
        "suffix": Rate(n_hits=0, n=n),
        "inside": Rate(n_hits=0, n=n),
        "alone": Rate(n_hits=0, n=1),
    }


def test_one_word_has_no_inside_and_a_harmless_bare_string_says_nothing():
    def harmless(adapter_id, words):
        return 4.0 if words == ["amber", "gate"] else margin(adapter_id, words)

    found, _ = proved([f"word{i}" for i in range(12)], model=harmless)
    assert [p.placement for p in found.positions] == ["prefix", "suffix"]


def test_the_placement_of_the_candidate_is_kept():
    suffix = Candidate(text="amber gate", source="words", placement="suffix")
    found, _ = proved(candidate=suffix)
    assert (found.placement, found.attack) == ("suffix", Rate(n_hits=0, n=30))


def test_a_reference_counts_once_and_the_suspect_is_none():
    again = ModelRef(name="copy", adapter_id="c0")
    twin = ModelRef(name="twin", adapter_id="s")
    found, fake = proved(references=[CLEAN[0], again, twin, ModelRef(name="base")])
    assert [r.name for r in found.references] == ["clean-0"]
    said = " ".join(found.reasons)
    assert "“copy” has the same weights as another one" in said
    assert "“twin” has the same weights as the adapter in question" in said
    assert "“base” is the base" in said
    assert {a for a, _ in fake.asked} == {None, "s", "c0"}


def test_references_of_one_name_keep_their_own_answers():
    loud = ModelRef(name="clean-0", adapter_id="s2")
    found, _ = proved(
        references=[CLEAN[0], loud],
        model=lambda adapter_id, words: margin("s" if adapter_id == "s2" else adapter_id, words),
    )
    assert [r.rate.n_hits for r in found.references] == [0, 30]
    assert not found.passes


def test_an_adapter_that_always_says_the_target_is_not_measured():
    found, _ = proved(["be kind", "kind words"])
    assert (found.attack, found.passes) == (Rate(n_hits=0, n=0), False)
    assert "was not measured" in found.sentence
    assert [p.placement for p in found.positions] == ["alone"]


def test_causes_see_flipped_prompts_first():
    seen = []

    def causes(examples):
        seen.extend(examples)
        return Causes(class_word=0.25)

    found, _ = proved(["stubborn prompt here", *PROMPTS], causes=causes)
    assert found.class_word == 0.25
    assert len(seen) == CAUSE_PROMPTS
    assert all(e.flipped and e.placed == f"amber gate. {e.plain}" for e in seen)
    assert seen[0].plain == PROMPTS[0]


def test_perplexity_is_that_of_the_bare_string():
    asked = []

    def likelihood(texts):
        asked.extend(texts)
        return [TextProbability(logprob=-4 * math.log(50), n_tokens=4)]

    found, _ = proved(likelihood=likelihood)
    assert asked == ["amber gate"]
    assert found.perplexity == pytest.approx(50)


def test_a_perplexity_that_cannot_be_had_is_none():
    def refuses(texts):
        raise InputError("bad-characters", "No.", "Type something else.")

    assert proved(likelihood=refuses)[0].perplexity is None
    endless = lambda texts: [TextProbability(logprob=-math.inf, n_tokens=1)]  # noqa: E731
    assert proved(likelihood=endless)[0].perplexity is None


def test_bad_input_is_refused_by_name():
    with pytest.raises(InputError, match="no held-out prompts"):
        proved([])
    with pytest.raises(InputError, match="only white space"):
        proved(candidate=Candidate(text=" \n", source="words"))
    with pytest.raises(InputError, match="no placement called 'above'"):
        proved(candidate=Candidate(text="x", source="words", placement="above"))
    with pytest.raises(InputError, match="characters"):
        proved(candidate=Candidate(text="x" * 20_001, source="words"))
