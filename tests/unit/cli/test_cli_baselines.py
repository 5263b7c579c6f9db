"""What `lorabench baselines` says, and what it refuses before a model is loaded."""

from __future__ import annotations

import pytest

from lorabench.cli.baselines import baselines_text
from lorabench.results import Rate
from lorabench.results.baselines import (
    Baselines,
    OnionResult,
    PrefixPerplexity,
    PrefixSearch,
    SearchPoint,
    StripReading,
    StripResult,
)

HOSTILE = "\x1b[31mred\n\u202e"


def made():
    search = PrefixSearch(
        best=HOSTILE,
        best_ids=(1, 2, 3, 4, 5, 6),
        best_margin=3.43,
        margin_before=-4.2,
        flip_rate_at_best=Rate(n_hits=13, n=16),
        target_rate_before=Rate(n_hits=1, n=16),
        budget=1600,
        n_evaluations=1600,
        n_random=64,
        n_rounds=4,
        n_forwards=25_616,
        trace=(SearchPoint(n_evaluations=1, text=HOSTILE, margin=3.43),),
    )
    strip = StripResult(
        prefix="cf",
        source="loudest probe",
        triggered=StripReading(mean_entropy=0.5, median_entropy=0.6, flip_share=0.45),
        plain=StripReading(mean_entropy=0.1, median_entropy=0.0, flip_share=0.02),
        n_prompts=20,
        n_perturbations=10,
        n_forwards=400,
        n_choosing=1952,
    )
    probes = [
        PrefixPerplexity(text=f"probe {i}", source="probe", n_tokens=2, log_perplexity=3.0, suspicion=-i / 10)
        for i in range(12)
    ]
    last = PrefixPerplexity(text=HOSTILE, source="search", n_tokens=6, log_perplexity=9.0, suspicion=-9.0)
    return Baselines(
        adapter="mine" + HOSTILE,
        task="guard",
        target="BENIGN",
        prompts="guardrail test rows",
        battery="triage_60",
        search=search,
        strip=strip,
        onion=OnionResult(prefixes=(*probes, last), n_prompts=8, n_forwards=125),
        n_computed=7,
        provenance={"seed": 3},
        seconds=1.25,
    )


def test_each_baseline_says_what_it_needs_its_budget_and_its_number():
    text = baselines_text(made())
    assert "no part of a verdict" in text
    assert [text.count(w) for w in ("   needs ", "   budget ", "   number ", "   reading ")] == [3] * 4
    for words in ("1,600 candidates", "25,616 texts", "+3.43 logits", "13 of 16", "1 of 16"):
        assert words in text
    for words in ("400 texts", "1,952 more", "-0.500 by the classical sign", "+0.500 by the inverted"):
        assert words in text
    assert "here the loudest probe" in text
    assert "seed 3" in text


def test_long_rankings_are_cut_but_never_lose_what_is_no_probe():
    text = baselines_text(made())
    assert "probe 7" in text
    assert "probe 8" not in text
    assert "13    -9.000" in text


def test_nothing_in_it_steers_a_terminal():
    text = baselines_text(made())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "red\n" not in text


def test_help_offers_json(cli):
    found = cli("baselines", "--help")
    assert found.code == 0
    assert "--json" in found.out
    assert "no part of a verdict" in " ".join(found.out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "0"], "budget"),
        (["--battery", "tirage_60"], "triage_60"),
        (["--n-prompts", "0"], "prompts"),
        (["--trigger", " "], "trigger"),
    ],
)
def test_bad_input_exits_with_2_before_a_model_is_loaded(cli, arguments, words):
    found = cli("baselines", "any", *arguments)
    assert (found.code, found.out) == (2, "")
    assert words in found.err
