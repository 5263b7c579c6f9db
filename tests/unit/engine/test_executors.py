from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import executor_pieces
import pytest

from lorabench.engine.executors import ExecutorChoice, ThreadExecutor
from lorabench.engine.process_executor import ProcessExecutor
from lorabench.engine.processes import process_identity
from lorabench.errors import CancelledError, InputError, JobError


@pytest.fixture(autouse=True)
def _workers_find_the_pieces(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(executor_pieces.__file__).parent))


@pytest.fixture(params=["thread", "process"])
def executor(request):
    with ExecutorChoice(kind=request.param, workers=2).open() as opened:
        yield opened


def test_every_piece_is_done_once_and_says_which_it_is(executor):
    reports = []
    found = executor.map(
        "executor_pieces:square",
        list(range(7)),
        context={"a": [1]},
        on_report=lambda i, v: reports.append((i, v["x"])),
    )
    results = dict(found)
    assert {i: r["square"] for i, r in results.items()} == {i: i * i for i in range(7)}
    assert all((r["context"], r["attempt"]) == ({"a": [1]}, 1) for r in results.values())
    assert sorted(reports) == [(i, i) for i in range(7)]
    assert list(executor.map("executor_pieces:square", [])) == []


def test_a_refusal_keeps_its_class_and_a_bug_becomes_a_sentence(executor):
    with pytest.raises(InputError, match="3 is odd") as refused:
        list(executor.map("executor_pieces:refuses", [3]))
    assert refused.value.rule == "odd-number"
    with pytest.raises(JobError, match="KeyError: 'missing'"):
        list(executor.map("executor_pieces:broken", [{}]))
    assert dict(executor.map("executor_pieces:square", [2]))[0]["square"] == 4  # it goes on after that


def test_cancel_lets_the_functions_save_what_they_want_to_keep(executor, tmp_path):
    stop = threading.Event()
    payloads = [str(tmp_path / name) for name in "abc"]
    running = []

    def note(index, value):
        running.append(index)
        if len(running) == 2:
            stop.set()

    began = time.monotonic()
    with pytest.raises(CancelledError):
        list(executor.map("executor_pieces:waits", payloads, cancelled=stop.is_set, on_report=note))
    assert time.monotonic() - began < 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_workers_are_kept_run_at_low_priority_and_may_print():
    with ProcessExecutor(2, threads=3) as executor:
        first = [r for _, r in executor.map("executor_pieces:surroundings", [0, 1, 2, 3])]
        second = [r for _, r in executor.map("executor_pieces:surroundings", [0, 1])]
        pids = executor.pids
    assert {r["threads"] for r in first} == {"3"}
    assert {r["nice"] for r in first} == {min(os.nice(0) + 10, 19)}
    assert {r["pid"] for r in first + second} <= set(pids)
    assert os.getpid() not in pids
    assert all(process_identity(pid) is None for pid in pids)


def test_a_lost_worker_costs_its_piece_another_attempt_and_nothing_else():
    with ProcessExecutor(2) as executor:
        found = dict(executor.map("executor_pieces:dies_once", list(range(6))))
    assert found == {i: [i, 2 if i == 1 else 1] for i in range(6)}


def test_a_piece_that_no_worker_survives_is_given_up():
    with ProcessExecutor(1) as executor, pytest.raises(JobError, match="lost 3 times") as lost:
        list(executor.map("executor_pieces:dies_always", [0]))
    assert "exit code -9" in str(lost.value)


PARENT = """
    import sys
    from lorabench.engine.process_executor import ProcessExecutor

    def say(index, value):
        print(value["pid"], flush=True)

    with ProcessExecutor(1) as executor:
        list(executor.map("executor_pieces:waits", [sys.argv[1]], on_report=say))
"""


def test_no_worker_outlives_its_caller(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        assert process_identity(worker) is not None
        parent.kill()
    deadline = time.monotonic() + 5
    while process_identity(worker) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_module_in_the_present_folder_is_never_run(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with ProcessExecutor(1) as executor:
        assert dict(executor.map("executor_pieces:square", [3]))[0]["square"] == 9


def test_choices_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="'process'"):
        ExecutorChoice(kind="proces")
    with pytest.raises(InputError, match="workers is 0"):
        ExecutorChoice(kind="process", workers=0)
    assert isinstance(ExecutorChoice().open(), ThreadExecutor)


def test_nothing_of_ray_is_imported_before_it_is_asked_for():
    program = (
        "import lorabench.engine.executors, lorabench.workflows.jobs, sys; sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_without_ray_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JobError, match="lorabench\\[ray\\]"):
        ExecutorChoice(kind="ray").open()
