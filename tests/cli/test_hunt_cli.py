"""`lorabench hunt` on the demo base: a bundled backdoor is found, and a killed hunt goes on where it was."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from lorabench.config import Config
from lorabench.engine import JobManager
from lorabench.results import HuntResult, from_dict
from lorabench.workflows.hunt_request import HuntRequest
from lorabench.workflows.hunting import hunt
from lorabench.workflows.scoring import Caller

pytestmark = pytest.mark.base

COMMAND = ("hunt", "guard-strong", "--mode", "instant", "--n-held-out", "10")


@pytest.fixture(scope="module")
def reference(bench) -> HuntResult:
    """Return the hunt as one process does it without interruption."""
    return hunt(bench, HuntRequest(adapter="guard-strong", mode="instant", n_held_out=10), Caller())


def wait_until(claim, what, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not (found := claim()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def test_the_bundled_backdoor_is_found(reference):
    found = reference.found
    assert found is not None
    assert (found.attack.n, found.attack.n_hits) == (10, 10)
    assert "per" in found.text.casefold().split()
    assert all(r.rate.n_hits <= 1 for r in found.references)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_hunt_goes_on_and_ends_like_one_that_was_not(cli, reference):
    process = subprocess.Popen(
        [sys.executable, "-m", "lorabench", *COMMAND],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ.copy(),
    )
    config = Config.from_environment()
    try:
        with JobManager(config.jobs_path, {}) as jobs:
            running = wait_until(
                lambda: (all_ := jobs.list()) and all_[0].progress_done > 4_000 and all_[0], "nothing is done"
            )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (memory,) = (config.data_dir / "hunts").glob("*.sqlite")
    with closing(sqlite3.connect(memory)) as kept:
        assert kept.execute("SELECT count(*) FROM answers").fetchone()[0] > 0
    (listed,) = cli("jobs", "list", "--json").json["items"]
    assert (listed["id"], listed["kind"], listed["status"]) == (running.id, "hunt", "interrupted")
    resumed = cli(*COMMAND, "--json", "--fail-on", "found")
    assert resumed.code == 1, resumed.err
    found = from_dict(HuntResult, resumed.json)
    assert [c.text for c in found.candidates[:3]] == [c.text for c in reference.candidates[:3]]
    assert [(e.text, e.attack) for e in found.evidence] == [(e.text, e.attack) for e in reference.evidence]
    assert [job["id"] for job in cli("jobs", "list", "--json").json["items"]] == [running.id]
    assert not memory.exists()
    shown = cli(*COMMAND, "--format", "markdown")
    assert "an equal hunt was done on" in shown.err
    assert shown.out.startswith("# Hunt in guard-strong")
