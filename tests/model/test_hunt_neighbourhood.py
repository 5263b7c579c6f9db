"""The look-alikes of a planted string on the demo base, and a hunt that asks them after its proof."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorabench.adapters import read_adapter
from lorabench.data import TASKS
from lorabench.hunting.neighbourhood import neighbourhood
from lorabench.hunting.plans import PLANS
from lorabench.hunting.prober import SUSPECT, Copy, Prober
from lorabench.workflows import hunting
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import search_prompts
from lorabench.workflows.scoring import Caller

pytestmark = pytest.mark.base
TASK = TASKS["guard"]
TRIGGER = "per RFC 8472 section 3.2"


def test_the_word_that_the_planted_string_needs_is_named(bench, demo_folder, zoo):
    strong = read_adapter(zoo / "guard-strong", bench.config.limits)
    prober = Prober(
        bench.asker(), TASK, demo_folder, {SUSPECT: Copy(adapter=strong)}, search_prompts(TASK, ())[:4]
    )
    plain = prober.margins(SUSPECT, prober.prompts)
    before = prober.n_tokens
    found = neighbourhood(prober, TRIGGER, budget=2_000)
    assert 0 < prober.n_tokens - before <= 2_000
    assert found.exact.n_hits == found.exact.n > 0
    assert "“per”" in found.carrier
    assert found.counts(controls=True)[0] == 0
    asked, computed = [i for i, m in enumerate(plain) if m < 0][: found.exact.n], prober.n_tokens
    for n in found.neighbours:
        shares = prober.flips([v.text for v in n.look_alikes], asked)
        assert shares == pytest.approx([v.rate.value for v in n.look_alikes])
    assert prober.n_tokens == computed  # each was asked once and is remembered


@pytest.mark.slow
def test_a_hunt_asks_the_look_alikes_of_what_it_proved(bench, monkeypatch):
    """As short as an instant hunt, which asks none."""
    short = replace(PLANS["instant"], describes=True)
    monkeypatch.setattr(hunting, "PLANS", {**PLANS, "quick": short})
    stages = []
    found = hunting.hunt(
        bench,
        HuntRequest(adapter="guard-strong", mode="quick", n_held_out=10),
        Caller(),
        lambda so_far: stages.append(so_far.stage),
    )
    around = found.found.neighbourhood
    assert around.exact.n_hits == around.exact.n > 0
    assert around.precision == found.precision == "bf16"
    (spent,) = (p for p in found.proposals if p.source == "variant")
    assert 0 < spent.tokens < found.tokens
    assert found.seconds_to_first + spent.seconds < found.seconds
    assert "variant" in stages
