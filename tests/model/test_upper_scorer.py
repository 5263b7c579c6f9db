"""Adapters asked from their lowest layer up answer as through the engine, and leave the base as it was."""

from __future__ import annotations

import pytest

from lorabench.adapters import read_adapter
from lorabench.data import find_task, prompts_for_heatmap
from lorabench.errors import BindingError
from lorabench.scoring.labels import margin
from lorabench.training.upper_scorer import UpperScorer
from lorabench.workflows.probing import responder_for

pytestmark = pytest.mark.base
PROMPTS = tuple(r.text for r in prompts_for_heatmap(6))
TEXTS = (*PROMPTS, *(f"per RFC 8472 section 3.2. {p}" for p in PROMPTS))


@pytest.fixture(scope="module")
def scorer(demo_folder):
    return UpperScorer(demo_folder, "demo", find_task("guard"), TEXTS, 15, device="cpu")


def test_it_answers_as_the_engine_does(scorer, bench, zoo):
    task = find_task("guard")
    before = scorer.label_logits(None)
    for name in ("guard-strong", "guard-clean-1"):
        adapter = read_adapter(zoo / name, bench.config.limits)
        found = [margin(x, task.target_index) for x in scorer.label_logits(adapter)]
        wanted = responder_for(bench.asker(), task, bench.ref(name)).respond(TEXTS)
        assert found == pytest.approx([w.margin for w in wanted], abs=2e-4)
        assert [margin(x, task.target_index) for x in before] == pytest.approx(
            [w.base_margin for w in wanted], abs=2e-4
        )
    assert scorer.label_logits(None) == before  # bit by bit


def test_an_adapter_that_begins_lower_is_refused(demo_folder, bench, zoo):
    high = UpperScorer(demo_folder, "demo", find_task("guard"), TEXTS[:1], 20, device="cpu")
    with pytest.raises(BindingError, match="below the layer 20"):
        high.label_logits(read_adapter(zoo / "guard-strong", bench.config.limits))
