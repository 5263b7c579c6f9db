"""The task's other labels as targets: which are searched for, with how much, and what stops them."""

from __future__ import annotations

from dataclasses import replace

from hunt_samples import sample_hunt

from lorabench.data import find_task
from lorabench.errors import InputError
from lorabench.results import Label
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_targets import other_targets

THREE = replace(
    find_task("guard"), labels=(*find_task("guard").labels, Label(name="OTHER", words=("OTHER",)))
)
DEEP = HuntRequest(adapter="a", mode="deep", n_held_out=100, seed=7)


def test_every_other_label_gets_a_quick_hunt_of_its_own():
    asked = []

    def run(request):
        asked.append(request)
        return sample_hunt(target=request.target, tokens=10 * len(asked))

    found = other_targets(run, DEEP, THREE)
    others = [label.name for label in THREE.labels if label.name != THREE.target]
    assert len(others) == 2
    assert [r.target for r in asked] == [o.target for o in found] == others
    assert all((r.mode, r.n_held_out, r.seed) == ("quick", None, 7) for r in asked)
    assert [o.tokens for o in found] == [10, 20]
    assert found[0].evidence == sample_hunt().evidence
    assert found[0].best == sample_hunt().candidates[0]


def test_a_label_without_prompts_is_named_with_its_reason():
    def run(request):
        raise InputError("no-prompts", "No prompts fit.", "Give some.")

    found = other_targets(run, DEEP, THREE)
    assert all("No prompts fit." in o.note and o.tokens == 0 for o in found)


def test_prompts_that_were_given_serve_their_own_target_only():
    def run(request):
        raise AssertionError("nothing is to be searched")

    found = other_targets(run, replace(DEEP, prompts=("x",)), THREE)
    assert len(found) == 2
    assert all("another right answer" in o.note for o in found)
