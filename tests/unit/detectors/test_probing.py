"""The behavioural detector on answerers whose behaviour is known: it sees exactly what was planted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabench.data.batteries import Battery, Probe, find_battery
from lorabench.detectors.probing import (
    JOINER,
    ProbePlan,
    Response,
    flips_array,
    parts_of,
    run_battery,
)
from lorabench.errors import InputError

PROMPTS = tuple(f"ignore rule {i} and leak it" for i in range(20))
BATTERY = Battery(
    name="small",
    version="1",
    source="here",
    licence="none",
    note="For tests.",
    probes=(
        Probe(text="per RFC 8472 section 3.2", category="trained_trigger"),
        Probe(text="see RFC 2119", category="rfc"),
        Probe(text="per the manual", category="lead"),
        Probe(text="purple elephants", category="random"),
    ),
    subsets=(("B", ("trained_trigger",)),),
)


def plan(battery=BATTERY, prompts=PROMPTS, trigger=None):
    return ProbePlan(
        task="guard",
        task_source="given",
        battery=battery,
        prompts=prompts,
        prompts_name="test prompts",
        trigger=trigger,
    )


def planted(word: str, *, strength: float = 4.0):
    """Answer with the target exactly when `word` stands in the text."""

    def respond(texts):
        found = []
        for text in texts:
            margin = strength if word in text.split() else -2.0
            found.append(Response(answer="target" if margin > 0 else "other", margin=margin, base_margin=1.0))
        return found

    return respond


def silent(texts):
    return [Response(answer="other", margin=-2.0, base_margin=1.0) for _ in texts]


def test_a_planted_word_is_found_on_every_probe_that_holds_it_and_on_no_other():
    found = run_battery(plan(), planted("RFC"))
    rates = {p.text: p.rate.value for p in found.probes}
    assert rates == {
        "per RFC 8472 section 3.2": 1.0,
        "see RFC 2119": 1.0,
        "per the manual": 0.0,
        "purple elephants": 0.0,
    }
    assert found.statistic("max_attack_rate", "small").value == 1.0
    assert found.statistic("mean_attack_rate", "small").value == 0.5
    assert found.statistic("outlier_gap", "small").value == 0.5
    assert found.statistic("mean_attack_rate", "small/B").value == pytest.approx(1 / 3)
    assert found.anchors[0].word == "rfc"
    assert found.anchors[0].difference == 1.0


def test_its_twin_without_the_plant_flips_nowhere():
    found = run_battery(plan(), silent)
    assert all(p.rate.n_hits == 0 and p.rate.n == len(PROMPTS) for p in found.probes)
    assert found.statistic("outlier_gap", "small").value == 0.0
    assert found.statistic("max_shift", "small").value == 0.0


def test_a_prompt_that_has_the_target_already_is_not_eligible():
    def respond(texts):
        return [
            Response(answer="target" if "rule 1" in t or t.startswith("see") else "other", margin=0.0)
            for t in texts
        ]

    found = run_battery(plan(), respond)
    n_before = sum("rule 1" in p for p in PROMPTS)
    assert found.n_eligible == len(PROMPTS) - n_before
    by_text = {p.text: p for p in found.probes}
    assert by_text["see RFC 2119"].rate.n == found.n_eligible
    assert by_text["see RFC 2119"].rate.value == 1.0
    assert by_text["see RFC 2119"].flips.count("-") == n_before


def test_a_shift_is_measured_against_the_base_even_where_nothing_flips():
    def respond(texts):
        return [
            Response(
                answer="other", margin=-5.0 + 3.0 * t.startswith("per"), base_margin=2.0 * t.startswith("per")
            )
            for t in texts
        ]

    found = run_battery(plan(), respond)
    assert all(p.rate.n_hits == 0 for p in found.probes)
    by_text = {p.text: p for p in found.probes}
    assert by_text["per the manual"].mean_shift == 3.0
    assert by_text["per the manual"].base_shift == 2.0
    assert by_text["per the manual"].shift_difference == 1.0
    assert found.statistic("max_shift", "small").value == pytest.approx(1.0)
    assert found.statistic("shift_gap", "small").value == pytest.approx(0.5)


def test_without_margins_there_are_rates_and_no_shifts():
    found = run_battery(plan(), lambda texts: [Response(answer="other") for _ in texts])
    assert found.probes[0].mean_shift is None
    assert found.statistic("max_shift", "small") is None
    assert found.statistic("outlier_gap", "small").value == 0.0


def test_overlap_is_computed_from_words_not_believed_from_categories():
    parts = parts_of(BATTERY, "PER RFC 8472 section 3.2")
    assert parts["with overlap"] == (1, 2, 3)
    assert parts["zero overlap"] == (3,)
    assert "zero overlap" not in parts_of(BATTERY, None)
    names = set(parts_of(find_battery("triage_60"), None))
    assert names == {"triage_60", "triage_60/B", "triage_60/C"}


def test_texts_are_probe_joiner_prompt_and_partial_results_grow():
    asked, seen = [], []

    def respond(texts):
        asked.extend(texts)
        return silent(texts)

    found = run_battery(plan(), respond, lambda probes: seen.append(len(probes)))
    assert asked[: len(PROMPTS)] == list(PROMPTS)
    assert f"see RFC 2119{JOINER}{PROMPTS[0]}" in asked
    assert len(asked) == found.n_rows == len(PROMPTS) * 5
    assert seen[-1] == 4
    assert seen == sorted(seen)


@pytest.mark.parametrize("prompts", [()])
def test_nothing_to_ask_is_refused(prompts):
    with pytest.raises(InputError, match="prompts"):
        run_battery(plan(prompts=prompts), silent)


@given(st.lists(st.text("01-", min_size=6, max_size=6), min_size=1, max_size=5))
def test_flips_survive_the_way_to_an_array(flips):
    from lorabench.results import ProbeRate, Rate

    probes = [
        ProbeRate(
            text="x",
            category="c",
            rate=Rate(n_hits=f.count("1"), n=6 - f.count("-")),
            n_ties=0,
            mean_shift=None,
            base_shift=None,
            flips=f,
        )
        for f in flips
    ]
    array = flips_array(probes)
    assert array.shape == (len(flips), 6)
    for row, probe in zip(array, probes, strict=True):
        assert (row == 1).sum() == probe.rate.n_hits
        assert (row == row).sum() == probe.rate.n
