from __future__ import annotations

import pytest

from lorabench.data import TASKS, load_guardrail
from lorabench.errors import LorabenchError
from lorabench.results import Label, LabelTask
from lorabench.workflows.baselines import BaselinesRequest, check_request, clean_texts


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"budget": 0}, "bad-budget"),
        ({"n_prompts": 0}, "bad-prompt-count"),
        ({"trigger": " "}, "empty-trigger"),
        ({"battery": "none such"}, "unknown-name"),
    ],
)
def test_a_request_that_cannot_run_is_refused_before_a_model_is_loaded(changes, rule):
    with pytest.raises(LorabenchError) as caught:
        check_request(BaselinesRequest(adapter="any", **changes))
    assert caught.value.rule == rule


def test_appended_texts_are_test_rows_of_the_target_class():
    guard = TASKS["guard"]
    labels = {r.text: r.label for r in load_guardrail("test")}
    found = clean_texts(guard)
    assert len(found) > 50
    assert {labels[t] for t in found} == {"BENIGN"}
    turned = clean_texts(guard.with_target("INJECTION"))
    assert {labels[t] for t in turned} == {"INJECTION"}


def test_a_task_of_its_own_gets_texts_without_a_label():
    own = LabelTask(
        name="own",
        system="",
        labels=(Label(name="A", words=("A",)), Label(name="B", words=("B",))),
        target="A",
    )
    found = clean_texts(own)
    assert found
    assert not set(found) & {r.text for r in load_guardrail("test")}
