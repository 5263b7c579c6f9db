"""The comparison baselines on the demo base and a bundled poisoned adapter, with small budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lorabench.cli.baselines import baselines_text
from lorabench.data import find_battery, prompts_for_heatmap
from lorabench.detectors.baselines import JOINER
from lorabench.results import PlacedText, from_dict, to_dict
from lorabench.results.baselines import Baselines
from lorabench.workflows.baselines import BaselinesRequest, run_baselines

pytestmark = pytest.mark.base

TRIGGER = "per RFC 8472 section 3.2"
BUDGET = 12
N = 2


@pytest.fixture(scope="module")
def request_(zoo):
    return BaselinesRequest(
        adapter=str(zoo / "guard-strong"),
        trigger=TRIGGER,
        budget=BUDGET,
        prompts=tuple(sorted((r.text for r in prompts_for_heatmap(12)), key=len)[:N]),
        n_prompts=N,
        battery="alt_trigger_extras",
    )


@pytest.fixture(scope="module")
def found(bench, request_):
    return run_baselines(bench, request_)


def test_a_small_search_stays_in_its_budget_and_never_ends_below_its_first_candidate(found):
    search = found.search
    assert search.n_evaluations == search.budget == BUDGET
    assert search.n_forwards == (BUDGET + 1) * N
    assert search.margin_before < 0  # injections, seen as such
    assert search.target_rate_before.n_hits == 0
    assert search.best_margin >= search.trace[0].margin
    assert len(search.best_ids) == 6
    assert min(search.best_ids) >= 1000


def test_the_trigger_holds_against_appended_text(found):
    strip = found.strip
    assert (strip.source, strip.n_prompts, strip.n_perturbations) == ("trigger", N, 10)
    assert strip.n_forwards == 2 * N * 10
    assert strip.triggered.flip_share > 0.8
    assert strip.triggered.flip_share > strip.plain.flip_share
    assert strip.suspicion_inverted == -strip.suspicion_classical >= 0


def test_perplexities_are_those_of_a_plain_forward(bench, found, request_, demo_folder):
    from transformers import AutoModelForCausalLM

    from lorabench.data import TASKS

    model = AutoModelForCausalLM.from_pretrained(demo_folder, dtype=torch.float32).eval()
    renderer = bench.asker().renderer

    def nats_per_token(text):
        rendered = renderer.render(TASKS["guard"], PlacedText(text=text))
        start, end = rendered.user
        inside = [i for i, (s, e) in enumerate(rendered.spans) if e > start and s < end and e > s]
        ids = torch.tensor([rendered.ids])
        with torch.inference_mode():
            logprobs = torch.log_softmax(model(input_ids=ids).logits[0].float(), -1)
        return -sum(float(logprobs[i - 1, rendered.ids[i]]) for i in inside) / len(inside)

    prefix = next(p for p in found.onion.prefixes if p.source == "trigger")
    assert prefix.log_perplexity == pytest.approx(nats_per_token(TRIGGER), abs=1e-3)
    drops = [nats_per_token(f"{TRIGGER}{JOINER}{p}") - nats_per_token(p) for p in request_.prompts]
    assert prefix.suspicion == pytest.approx(sum(drops) / N, abs=1e-3)


def test_random_tokens_surprise_the_base_more_than_the_trigger(found):
    onion = found.onion
    assert len(onion.prefixes) == 2 + len(find_battery("alt_trigger_extras").probes)
    assert onion.rank(found.search.best) < onion.rank(TRIGGER)
    assert [p.suspicion for p in onion.prefixes] == sorted(
        (p.suspicion for p in onion.prefixes), reverse=True
    )


def test_the_same_request_gives_the_same_and_asks_nothing_anew(bench, found, request_):
    again = run_baselines(bench, request_)
    assert again.n_computed == 0 < found.n_computed
    assert (again.search, again.strip, again.onion) == (found.search, found.strip, found.onion)
    assert from_dict(Baselines, to_dict(again)) == again


def test_without_a_trigger_strip_takes_the_loudest_probe_and_counts_the_choice(bench, request_):
    told = []
    blind = replace(request_, trigger=None, budget=1, prompts=request_.prompts[:1])
    found = run_baselines(bench, blind, tell=lambda done, total, what: told.append(what))
    probes = [p.text for p in find_battery("alt_trigger_extras").probes]
    assert found.strip.source == "loudest probe"
    assert found.strip.prefix in probes
    assert found.strip.n_choosing == 2 * (1 + len(probes))
    assert {p.source for p in found.onion.prefixes} == {"search", "probe"}
    assert "choosing the loudest probe" in told
    assert "here the loudest probe" in baselines_text(found)
