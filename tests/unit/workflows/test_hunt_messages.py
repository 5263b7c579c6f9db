"""What a running hunt says of itself, as a job of its own and as a stage of a scan: people's words."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hunt_samples import sample_hunt, sample_so_far

from lorabench.data import find_task
from lorabench.results import from_dict, to_dict
from lorabench.results.hunts import HuntSoFar
from lorabench.workflows import scan_hunt
from lorabench.workflows.hunt_jobs import run_hunt
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.scoring import LOCAL


def searched(bench, request, caller, show):
    """Stand for the search: report once, then end."""
    show(sample_so_far())
    return sample_hunt()


@pytest.fixture
def said():
    return []


def test_a_job_says_its_stage_in_words_and_keeps_the_short_name(monkeypatch, said):
    monkeypatch.setattr("lorabench.workflows.hunting.hunt", searched)
    context = SimpleNamespace(
        report=lambda *args: said.append(args), session="me", cancel_event=threading.Event()
    )
    run_hunt(None, to_dict(HuntRequest(adapter="guard-strong")), context)
    ((tokens, budget, message, partial),) = said
    assert (tokens, budget, message) == (30_000, 130_000, "making strings longer")
    assert from_dict(HuntSoFar, partial).stage == "composition"


def test_a_scan_says_it_too(monkeypatch, said):
    monkeypatch.setattr(scan_hunt, "hunt", searched)
    scan_hunt.run_hunt_stage(
        None, "quick", Path("a"), find_task("guard"), 0, LOCAL, lambda **what: said.append(what["message"])
    )
    assert said == ["hunting for a trigger: making strings longer"]
