"""Jobs that are killed, shared and computed by others, on the demo base: always the same heatmap."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lorabench.config import Config
from lorabench.engine import JobContext, JobManager
from lorabench.engine.executors import ExecutorChoice
from lorabench.engine.job_context import LiveJob
from lorabench.results import Heatmap, from_dict
from lorabench.workflows import sweeps
from lorabench.workflows.heatmaps import HeatmapRequest, heatmap, plan_heatmap
from lorabench.workflows.sweeps import compute_elsewhere
from lorabench.workflows.workbench import Workbench

pytestmark = [
    pytest.mark.base,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

TRIGGER, N_PROMPTS, N_VARIANTS = "per RFC 8472", 4, 3


@pytest.fixture(scope="module")
def reference(bench, adapters) -> Heatmap:
    """Return the heatmap as one process computes it without interruption."""
    request = HeatmapRequest(
        trigger=TRIGGER, adapters=(adapters.fits,), n_prompts=N_PROMPTS, n_variants=N_VARIANTS
    )
    return heatmap(bench, request)


@pytest.fixture
def command(adapters) -> list[str]:
    options = ["--n-prompts", str(N_PROMPTS), "--n-variants", str(N_VARIANTS), "--json"]
    return ["heatmap", "-a", adapters.fits, "-t", TRIGGER, *options]


@pytest.fixture
def start(cli, tmp_path):
    """Return a function that starts one command line in a process of its own, in small steps."""
    started = []

    def call(arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "lorabench", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"LORABENCH_TOKEN_BUDGET": "64"},
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def jobs(cli):
    """Return the job list that the command lines write."""
    with JobManager(Config.from_environment().jobs_path, {}) as found:
        yield found


def only(jobs):
    return jobs.list()[0] if jobs.list() else None


def wait_until(claim, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := claim()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def wait_for_rows(jobs, n=3):
    """Wait until the only job has some rows and more to come, and return it."""
    return wait_until(
        lambda: (job := only(jobs)) is not None and 0 < n <= job.progress_done < job.progress_total and job,
        "no row is done",
    )


def assert_same(found: Heatmap, reference: Heatmap):
    """Assert the same answer on every row, with margins within 1e-4."""
    assert found.variants == reference.variants
    assert [(c.variant_index, c.column) for c in found.cells] == [
        (c.variant_index, c.column) for c in reference.cells
    ]
    for cell, expected in zip(found.cells, reference.cells, strict=True):
        assert len(cell.rows) == len(expected.rows) == N_PROMPTS
        for row, other in zip(cell.rows, expected.rows, strict=True):
            assert replace(row, before=0, after=0) == replace(other, before=0, after=0)
            assert (row.before, row.after) == pytest.approx((other.before, other.after), abs=1e-4)


def workers_of(pid: int, words: str) -> list[int]:
    """Return the children of a process, and theirs, with these words in their command line."""
    parents, lines = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    family = {pid}
    for _ in range(6):
        family |= {child for child, parent in parents.items() if parent in family}
    return [p for p in family if words in lines.get(p, "")]


def test_a_killed_sweep_is_resumed_and_is_the_same_as_an_uninterrupted_one(
    cli, start, jobs, command, reference
):
    process = start(command)
    running = wait_for_rows(jobs)
    wait_until(lambda: jobs.partial(running.id), "nothing can be read while it runs")
    process.send_signal(signal.SIGKILL)
    process.wait()
    listed = cli("jobs", "list", "--json").json["items"]
    assert [(j["id"], j["status"]) for j in listed] == [(running.id, "interrupted")]
    shown = cli("jobs", "show", running.id[:8], "--json").json["result"]
    n_shown = sum(len(cell["rows"]) for cell in shown["cells"])
    assert n_shown < len(reference.cells) * N_PROMPTS
    resumed = cli("jobs", "resume", running.id[:8], "--json")
    assert resumed.code == 0, resumed.err
    found = from_dict(Heatmap, resumed.json)
    assert_same(found, reference)
    assert found.readings == reference.readings
    assert found.n_computed < reference.n_computed  # what was done before the kill was not done again
    assert jobs.get(running.id).status == "done"


def test_two_command_lines_that_ask_the_same_share_one_job(cli, start, jobs, command, reference):
    first = start(command)
    running = wait_for_rows(jobs, 1)
    second = cli(*command)
    assert second.code == 0, second.err
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert json.loads(out) == second.json
    assert [job.id for job in jobs.list()] == [running.id]
    assert running.pid == first.pid
    assert_same(from_dict(Heatmap, second.json), reference)


def test_ctrl_c_stops_a_sweep_so_that_it_can_be_resumed(start, jobs, command):
    process = start(command)
    running = wait_for_rows(jobs, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert f"lorabench jobs resume {running.id[:8]}" in err
    assert jobs.get(running.id).status == "cancelled"


def kill_a_worker(jobs, pid, words):
    wait_for_rows(jobs, 1)
    victims = wait_until(lambda: workers_of(pid, words), "there is no worker", 30)
    os.kill(victims[0], signal.SIGKILL)


def test_worker_processes_give_the_same_heatmap_when_one_is_killed(start, jobs, command, reference):
    process = start([*command, "--executor", "process", "--workers", "2"])
    kill_a_worker(jobs, process.pid, "lorabench.engine.worker")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found = from_dict(Heatmap, json.loads(out))
    assert_same(found, reference)
    assert found.n_computed > 0
    assert only(jobs).params.keys().isdisjoint({"executor", "workers"})


class Collected:
    """Keeps what a job reports."""

    def __init__(self):
        self.partials = []

    def take_report(self, job_id, done, total, message, partial):
        assert 0 <= done <= total
        if partial is not None:
            self.partials.append(from_dict(Heatmap, partial))


def test_while_workers_go_on_complete_variants_can_be_read(tmp_path, adapters, reference, monkeypatch):
    monkeypatch.setattr(sweeps, "_PARTIAL_SECONDS", 0.0)
    monkeypatch.setattr(sweeps, "_PARTIAL_SHARE", 1e9)
    request = HeatmapRequest(
        trigger=TRIGGER, adapters=(adapters.fits,), n_prompts=N_PROMPTS, n_variants=N_VARIANTS
    )
    collected = Collected()
    with Workbench(Config.from_environment(data_dir=tmp_path)) as own:
        plan = plan_heatmap(own, request)
        context = JobContext(collected, "id", "s", LiveJob(options={}))
        choice = ExecutorChoice(kind="thread", workers=4)  # its shards are done by one model, in turn
        assert compute_elsewhere(own, plan, request.adapters, choice, context) == reference.n_computed
        assert compute_elsewhere(own, plan, request.adapters, choice, context) == 0
    first, last = collected.partials[0], collected.partials[-1]
    assert {len(c.rows) for c in first.cells} == {0, N_PROMPTS}
    assert [len(c.rows) for c in last.cells] == [N_PROMPTS] * len(reference.cells)
    assert_same(last, reference)


@pytest.mark.ray
def test_two_ray_workers_give_the_same_heatmap_when_one_is_killed(start, jobs, command, reference):
    pytest.importorskip("ray", reason="Ray is not installed (pip install lorabench[ray])")
    process = start([*command, "--executor", "ray", "--ray-address", "local", "--workers", "2"])
    kill_a_worker(jobs, process.pid, "ray::run_piece")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert_same(from_dict(Heatmap, json.loads(out)), reference)


def test_the_base_and_the_adapter_of_a_job_must_still_be_the_same(cli, jobs, command, tmp_path, adapters):
    """A job names what it was made for; going on with anything else would mix two answers."""
    with Workbench(Config.from_environment()) as other:
        params = {"trigger": TRIGGER, "adapters": [adapters.fits], "adapter_ids": ["00" * 32], "base": "demo"}
        job = other.jobs.wait(other.jobs.submit("heatmap", params, session="s").id, 60)
    assert job.status == "failed"
    assert "other weights of an adapter" in job.error
