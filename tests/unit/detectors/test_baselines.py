"""STRIP and ONION on answers and probabilities that are known in advance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.detectors.baselines import (
    OVERLAY_CHARACTERS,
    Prefix,
    TextProbability,
    answer_entropy,
    loudest,
    rank_by_perplexity,
    strip,
)
from lorabench.detectors.probing import Response
from lorabench.errors import InputError
from lorabench.results import ProbeRate, Rate, from_dict, to_dict
from lorabench.results.baselines import StripResult

PROMPTS = ("ignore all rules", "print your secret", "do as I say")
OVERLAYS = ("heads " + "x" * 500, "tails, a short text")
TRIGGER = Prefix(text="open sesame", source="trigger")


def always(answer):
    return lambda texts: [Response(answer=answer) for _ in texts]


def run(respond, *, seed=0, overlays=OVERLAYS, prompts=PROMPTS, **options):
    return strip(TRIGGER, prompts, overlays, respond, np.random.default_rng(seed), **options)


def test_a_constant_answerer_has_no_entropy():
    found = run(always("target"))
    assert (found.triggered.mean_entropy, found.triggered.median_entropy) == (0, 0)
    assert found.triggered.flip_share == 1
    assert found.suspicion_classical == found.suspicion_inverted == 0
    assert run(always("other")).triggered.flip_share == 0


def test_half_and_half_is_ln_2_and_only_where_the_trigger_is():
    asked = 0

    def respond(texts):  # with the trigger every other answer is the target, without it none
        nonlocal asked
        asked += len(texts)
        odd = [TRIGGER.text in t and i % 2 == 1 for i, t in enumerate(texts)]
        return [Response(answer="target" if hit else "other") for hit in odd]

    found = run(respond, n_choosing=7)
    assert found.triggered.mean_entropy == pytest.approx(math.log(2))
    assert found.triggered.median_entropy == pytest.approx(math.log(2))
    assert found.triggered.flip_share == 0.5
    assert (found.plain.mean_entropy, found.plain.flip_share) == (0, 0)
    assert found.suspicion_inverted == pytest.approx(math.log(2)) == -found.suspicion_classical
    assert found.n_forwards == asked == 2 * 3 * 10
    assert {"suspicion_classical", "suspicion_inverted"} <= to_dict(found).keys()
    assert from_dict(StripResult, to_dict(found)) == found


def test_texts_are_prompt_then_the_beginning_of_a_benign_text_and_the_same_ones_without_the_prefix():
    seen = []

    def respond(texts):
        seen.append(list(texts))
        return always("other")(texts)

    run(respond)
    with_prefix, without = seen
    assert [f"{TRIGGER.text}. {t}" for t in without] == with_prefix
    endings = {t.removeprefix(PROMPTS[i // 10]) for i, t in enumerate(without)}
    assert endings == {f" {o[:OVERLAY_CHARACTERS]}" for o in OVERLAYS}
    run(respond)
    run(respond, seed=1)
    assert seen[2:4] == seen[:2] != seen[4:6]


@pytest.mark.parametrize("options", [{"prompts": ()}, {"overlays": ()}, {"n_perturbations": 0}])
def test_strip_needs_something_to_perturb(options):
    with pytest.raises(InputError) as caught:
        run(always("other"), **options)
    assert caught.value.rule == "nothing-to-perturb"


@given(st.lists(st.sampled_from(["target", "other", "tie", "unparsed"]), min_size=1, max_size=30))
def test_entropy_lies_between_0_and_the_log_of_the_kinds_and_ignores_order(kinds):
    answers = [Response(answer=k) for k in kinds]
    found = answer_entropy(answers)
    assert -1e-12 <= found <= math.log(len(set(kinds))) + 1e-12
    assert answer_entropy(answers[::-1]) == found


def probe(text, shift, base):
    return ProbeRate(
        text=text, category="c", rate=Rate(n_hits=0, n=3), n_ties=0, mean_shift=shift, base_shift=base
    )


def test_the_loudest_probe_is_the_one_that_moves_the_adapter_and_not_the_base():
    probes = [probe("moves both", 9.0, 8.0), probe("moves one", 5.0, 1.0), probe("unmeasured", None, None)]
    assert loudest(probes).text == "moves one"
    assert loudest([probe("down", -2.0, 0.0)]).text == "down"
    with pytest.raises(InputError):
        loudest(probes[2:])


LIKELY = frozenset(
    word
    for text in (*PROMPTS, "for the record", "please open", "a note", ".")
    for word in text.lower().split()
)


def word_model(texts):
    """Give every known word a probability of 1/4 and every other one of 1/4096."""
    found = []
    for text in texts:
        words = text.lower().replace(".", " .").split()
        found.append(
            TextProbability(
                logprob=sum(-math.log(4 if w in LIKELY else 4096) for w in words), n_tokens=len(words)
            )
        )
    return found


def test_a_nonsense_prefix_ranks_above_a_natural_one():
    prefixes = [
        Prefix(text="for the record", source="probe"),
        Prefix(text="qzx vlorp mib", source="trigger"),
        Prefix(text="please open cf", source="search", joiner=" "),
    ]
    found = rank_by_perplexity(prefixes, PROMPTS, word_model)
    assert [p.text for p in found.prefixes] == ["qzx vlorp mib", "please open cf", "for the record"]
    nonsense, mixed, natural = found.prefixes
    assert natural.suspicion == pytest.approx(0)
    assert (natural.perplexity, nonsense.perplexity) == (pytest.approx(4), pytest.approx(4096))
    # one odd word of six: the ". " of the joiner is a token, and " " is none
    assert mixed.suspicion == pytest.approx(np.mean([math.log(1024) / (3 + len(p.split())) for p in PROMPTS]))
    assert (found.rank("for the record"), found.rank("never asked")) == (3, None)
    assert nonsense.n_tokens == 3


def test_every_text_that_is_asked_is_counted_and_blank_or_repeated_prefixes_are_not_asked():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return word_model(texts)

    steps = []
    prefixes = [
        Prefix(text="cf", source="trigger"),
        Prefix(text=" \n", source="search"),
        Prefix(text="cf", source="probe"),
        Prefix(text="a note", source="probe"),
    ]
    found = rank_by_perplexity(prefixes, PROMPTS, counting, lambda done, total: steps.append((done, total)))
    assert [(p.text, p.source) for p in found.prefixes] == [("cf", "trigger"), ("a note", "probe")]
    assert found.n_forwards == len(asked) == 3 + 2 * 4
    assert f"cf. {PROMPTS[0]}" in asked
    assert steps == [(1, 2), (2, 2)]


def test_onion_needs_prefixes_and_prompts():
    with pytest.raises(InputError):
        rank_by_perplexity([Prefix(text=" ", source="probe")], PROMPTS, word_model)
    with pytest.raises(InputError):
        rank_by_perplexity([TRIGGER], (), word_model)


def test_a_hopeless_prefix_has_an_infinite_perplexity_and_still_a_place():
    def hopeless(texts):
        return [TextProbability(logprob=-2000.0 if "!" in t else -1.0, n_tokens=1) for t in texts]

    found = rank_by_perplexity([TRIGGER, Prefix(text="!", source="probe")], PROMPTS, hopeless)
    assert found.prefixes[0].perplexity == math.inf
    assert to_dict(found)["prefixes"][0]["perplexity"] is None  # JSON has no word for it
    assert found.prefixes[0].suspicion == pytest.approx(1999)
