from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from engine_fakes import FakeModel, rows

from lorabench.engine import Engine, JobManager
from lorabench.engine.processes import own_identity, process_identity
from lorabench.errors import CancelledError, InputError, JobError


class Runners:
    """Job functions whose pace the test sets."""

    def __init__(self):
        self.release = threading.Event()
        self.calls = 0

    def double(self, params, context):
        self.calls += 1
        return {"twice": 2 * params["x"]}

    def slow(self, params, context):
        self.calls += 1
        context.report(1, 4, "first quarter", {"cells": [1]})
        while not self.release.wait(0.005):
            context.check()
        return {"x": params["x"]}

    def broken(self, params, context):
        self.calls += 1
        raise ZeroDivisionError("too bad")

    def refused(self, params, context):
        raise InputError("no-prompts", "There are no prompts.", "Add one.")

    def table(self):
        return {name: getattr(self, name) for name in ("double", "slow", "broken", "refused")}


@pytest.fixture
def runners():
    runners = Runners()
    yield runners
    runners.release.set()


@pytest.fixture
def manager(tmp_path, runners):
    manager = JobManager(tmp_path / "jobs.sqlite", runners.table())
    yield manager
    runners.release.set()
    manager.close()


def wait_until(claim, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_job_runs_and_keeps_its_result(manager):
    job = manager.submit("double", {"x": 21}, session="s")
    job = manager.wait(job.id, 5)
    assert (job.status, job.kind, job.params, job.session) == ("done", "double", {"x": 21}, "s")
    assert manager.result(job.id) == {"twice": 42}
    assert job.seconds >= 0
    assert job.error is None


def test_a_second_submit_of_the_same_attaches(manager, runners):
    first = manager.submit("slow", {"x": 1, "y": 2}, session="a")
    second = manager.submit("slow", {"y": 2, "x": 1}, session="b")
    other = manager.submit("slow", {"x": 2, "y": 2}, session="b")
    assert first.id == second.id != other.id
    runners.release.set()
    manager.wait(first.id, 5)
    assert manager.submit("slow", {"x": 1, "y": 2}, session="c").id == first.id
    manager.wait(other.id, 5)
    assert runners.calls == 2


def test_a_session_cancels_its_own_jobs_and_no_others(manager):
    job = manager.submit("slow", {"x": 1}, session="alice")
    with pytest.raises(JobError, match="someone else"):
        manager.cancel(job.id, "bob")
    assert manager.get(job.id).is_active
    manager.cancel(job.id, "alice")
    assert manager.wait(job.id, 1).status == "cancelled"
    with pytest.raises(CancelledError):
        manager.result(job.id)
    other = manager.submit("slow", {"x": 2}, session="alice")
    manager.cancel(other.id)  # the owner of the machine
    assert manager.wait(other.id, 1).status == "cancelled"
    assert manager.cancel(other.id).status == "cancelled"


def test_a_cancelled_job_can_be_started_again(manager, runners):
    first = manager.submit("slow", {"x": 1}, session="s")
    manager.cancel(first.id)
    manager.wait(first.id, 5)
    runners.release.set()
    second = manager.submit("slow", {"x": 1}, session="s")
    assert second.id != first.id
    assert manager.wait(second.id, 5).status == "done"
    assert manager.wait(manager.resume(first.id).id, 5).status == "done"


def test_four_run_at_once_and_the_others_wait_in_order(manager, runners):
    jobs = [manager.submit("slow", {"x": i}, session="s") for i in range(6)]
    states = [manager.get(j.id).status for j in jobs]
    assert states == ["running"] * 4 + ["queued"] * 2
    assert manager.cancel(jobs[4].id).status == "cancelled"
    manager.cancel(jobs[0].id)
    wait_until(lambda: manager.get(jobs[5].id).status == "running")
    runners.release.set()
    assert [manager.wait(j.id, 5).status for j in jobs] == ["cancelled", *["done"] * 3, "cancelled", "done"]


def test_a_failure_is_a_sentence(manager, caplog):
    refused = manager.submit("refused", {}, session="s")
    assert manager.wait(refused.id, 5).error == "There are no prompts. Add one."
    broken = manager.submit("broken", {}, session="s")
    assert manager.wait(broken.id, 5).error == "Unexpected ZeroDivisionError: too bad"
    assert "Traceback" in caplog.text
    with pytest.raises(JobError, match="too bad"):
        manager.result(broken.id)
    manager.wait(manager.resume(broken.id).id, 5)
    assert manager.get(broken.id).status == "failed"


def test_a_result_that_is_no_json_fails_the_job(tmp_path):
    manager = JobManager(tmp_path / "j.sqlite", {"odd": lambda params, context: {"model": object()}})
    job = manager.wait(manager.submit("odd", {}, session="s").id, 5)
    assert job.status == "failed"
    manager.close()


def test_progress_and_partial_results_while_it_runs(manager, runners):
    job = manager.submit("slow", {"x": 1}, session="s")
    wait_until(lambda: manager.partial(job.id))
    assert manager.partial(job.id) == {"cells": [1]}
    now = manager.get(job.id)
    assert (now.progress_done, now.progress_total, now.message) == (1, 4, "first quarter")
    assert now.fraction == 0.25
    assert now.eta_seconds > 0
    with pytest.raises(JobError, match="running"):
        manager.result(job.id)
    runners.release.set()
    job = manager.wait(job.id, 5)
    assert manager.partial(job.id) is None
    assert job.eta_seconds is None


def test_the_table_is_written_at_most_twice_a_second(tmp_path):
    written = []

    def busy(params, context):
        for i in range(1_000):
            context.report(i + 1, 1_000)
        return {}

    manager = JobManager(tmp_path / "j.sqlite", {"busy": busy})
    update = manager._table.update
    manager._table.update = lambda job_id, **values: (written.append(values), update(job_id, **values))
    job = manager.wait(manager.submit("busy", {}, session="s").id, 5)
    assert job.progress_done == 1_000
    assert len(written) <= 5
    manager.close()


def test_lists_are_newest_first_and_by_session(manager):
    first = manager.submit("double", {"x": 1}, session="a")
    second = manager.submit("double", {"x": 2}, session="b")
    assert [j.id for j in manager.list()] == [second.id, first.id]
    assert [j.id for j in manager.list("a")] == [first.id]
    assert manager.list("nobody") == ()


def test_unknown_names_are_told(manager):
    with pytest.raises(InputError, match="'double'"):
        manager.submit("duoble", {}, session="s")
    for call in (manager.get, manager.result, manager.cancel, manager.wait, manager.resume):
        with pytest.raises(JobError, match="no job 'nope'"):
            call("nope")


def test_waiting_has_an_end(manager):
    job = manager.submit("slow", {"x": 1}, session="s")
    with pytest.raises(JobError, match="still running"):
        manager.wait(job.id, 0.02)


CRASH = """
    import os, sys, threading, time
    from pathlib import Path
    from lorabench.engine import JobManager

    def slow(params, context):
        context.report(3, 10, "working", {"cells": [1, 2]})
        reported.set()
        time.sleep(60)

    reported = threading.Event()

    manager = JobManager(Path(sys.argv[1]), {"slow": slow})
    job = manager.submit("slow", {"x": 5}, session="s")
    reported.wait()
    print(job.id, flush=True)
    sys.stdin.readline()
    os._exit(1)
"""


def test_a_job_of_a_dead_process_is_interrupted_and_can_be_resumed(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        job_id = child.stdout.readline().strip()
        manager = JobManager(path, runners.table())
        assert manager.get(job_id).status == "running"
        assert manager.submit("slow", {"x": 5}, session="t").id == job_id
        assert manager.partial(job_id) == {"cells": [1, 2]}
        child.stdin.write("\n")
        child.stdin.flush()
        assert manager.wait(job_id, 5).status == "interrupted"
    job = manager.get(job_id)
    assert (job.progress_done, job.progress_total, job.message) == (3, 10, "working")
    assert manager.partial(job_id) == {"cells": [1, 2]}
    with pytest.raises(JobError, match="interrupted"):
        manager.result(job_id)
    manager.close()

    manager = JobManager(path, runners.table())
    runners.release.set()
    assert manager.resume(job_id).is_active
    assert manager.wait(job_id, 5).pid == os.getpid()
    assert manager.result(job_id) == {"x": 5}
    assert manager.resume(job_id).status == "done"
    assert manager.partial(job_id) is None
    manager.close()


TWINS = """
    import sys, time
    from pathlib import Path
    from lorabench.engine import JobManager

    def slow(params, context):
        time.sleep(1)
        return {"x": params["x"]}

    manager = JobManager(Path(sys.argv[1]), {"slow": slow})
    print("ready", flush=True)
    sys.stdin.readline()
    ids = [manager.submit("slow", {"x": x}, session="s").id for x in range(5)]
    print(*ids, flush=True)
    for job_id in ids:
        manager.wait(job_id, 20)
    manager.close()
"""


def test_two_processes_that_ask_for_the_same_at_once_get_the_same_jobs(tmp_path):
    path = tmp_path / "jobs.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(TWINS), str(path)]
    twins = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for twin in twins:
        assert twin.stdout.readline() == "ready\n"
    for twin in twins:
        twin.stdin.write("\n")
        twin.stdin.flush()
    first, second = (twin.communicate(timeout=30)[0].split() for twin in twins)
    assert first == second
    manager = JobManager(path, {})
    assert [job.status for job in manager.list()] == ["done"] * 5
    assert len({job.pid for job in manager.list()}) in (1, 2)
    manager.close()


def test_the_same_question_goes_on_with_an_interrupted_job_as_ones_own(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    manager = JobManager(path, runners.table())
    job = manager.submit("slow", {"x": 1}, session="gone")
    wait_until(lambda: manager.partial(job.id))
    manager.close()
    later = JobManager(path, runners.table())
    again = later.submit("slow", {"x": 1}, session="new")
    assert (again.id, again.session, again.is_active) == (job.id, "new", True)
    runners.release.set()
    assert later.wait(job.id, 5).status == "done"
    later.close()


def test_what_makes_jobs_equal_can_be_said_apart(manager, runners):
    a = manager.submit("double", {"x": 1, "file": "/one"}, session="s", key={"x": 1})
    b = manager.submit("double", {"x": 1, "file": "/two"}, session="s", key={"x": 1})
    assert a.id == b.id
    manager.wait(a.id, 5)
    c = manager.submit("double", {"x": 1, "file": "/two"}, session="s", key={"x": 1}, reuses_done=False)
    assert c.id != a.id


def test_how_a_job_is_run_is_no_part_of_what_it_is(tmp_path):
    seen = []
    manager = JobManager(tmp_path / "j.sqlite", {"look": lambda p, c: seen.append(c.options) or {}})
    job = manager.submit("look", {}, session="s", options={"executor": "process"})
    manager.wait(job.id, 5)
    assert manager.submit("look", {}, session="s").id == job.id
    assert seen == [{"executor": "process"}]
    assert "executor" not in job.params
    manager.close()


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(manager):
    ids = [manager.submit("double", {"x": x}, session="s").id for x in range(40)]
    assert manager.find(ids[0]).id == ids[0]
    assert manager.find(ids[3][:14]).id == ids[3]
    shared = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
    with pytest.raises(JobError, match=f"begins with '{shared}'"):
        manager.find(shared)
    for nothing in ("", "%", "xyz", ids[0] + "0"):
        with pytest.raises(JobError, match="There is no job"):
            manager.find(nothing)


def test_a_large_partial_result_stays_in_memory(tmp_path, runners, monkeypatch):
    monkeypatch.setattr("lorabench.engine.jobs.MAX_PARTIAL_CHARS", 5)
    here, elsewhere = (JobManager(tmp_path / "j.sqlite", runners.table()) for _ in range(2))
    job = here.submit("slow", {"x": 1}, session="s")
    wait_until(lambda: here.partial(job.id))
    here.cancel(job.id)
    here.wait(job.id, 5)
    assert here.partial(job.id) == {"cells": [1]}
    assert elsewhere.partial(job.id) is None
    here.close()
    elsewhere.close()


def test_partial_results_are_written_now_and_then_and_the_last_one_at_the_end(tmp_path):
    def busy(params, context):
        for i in range(1_000):
            context.report(i + 1, 1_000, "", {"n": i})
        raise InputError("odd", "It stopped.", "Go on.")

    path = tmp_path / "j.sqlite"
    manager = JobManager(path, {"busy": busy})
    update, written = manager._table.update, []
    manager._table.update = lambda job_id, **values: (written.append(values), update(job_id, **values))
    job = manager.wait(manager.submit("busy", {}, session="s").id, 5)
    assert len([w for w in written if "partial_json" in w]) == 2
    manager.close()
    later = JobManager(path, {})
    assert later.partial(job.id) == {"n": 999}
    later.close()


def test_a_list_of_an_earlier_version_is_kept(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    manager = JobManager(path, runners.table())
    job = manager.submit("double", {"x": 4}, session="s")
    manager.wait(job.id, 5)
    manager.close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN partial_json")
    connection.close()
    later = JobManager(path, runners.table())
    assert later.message is None
    assert later.result(job.id) == {"twice": 8}
    slow = later.submit("slow", {"x": 1}, session="s")
    wait_until(lambda: later.partial(slow.id))
    later.close()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_the_error_itself_is_at_hand_where_the_job_failed(manager, caplog):
    refused = manager.submit("refused", {}, session="s")
    manager.wait(refused.id, 5)
    assert isinstance(manager.error(refused.id), InputError)
    broken = manager.submit("broken", {}, session="s")
    manager.wait(broken.id, 5)
    assert isinstance(manager.error(broken.id), ZeroDivisionError)


def test_a_process_number_that_was_used_again_does_not_fool_it(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    manager = JobManager(path, runners.table())
    job = manager.submit("slow", {"x": 1}, session="s")
    manager._table.update(job.id, process="before the reboot")
    later = JobManager(path, runners.table())
    assert later.get(job.id).status == "interrupted"
    later.close()
    runners.release.set()
    manager.close()


def test_another_process_can_ask_a_job_to_stop(tmp_path):
    def reporting(params, context):
        for i in range(1_000):
            context.report(i, 1_000)
            context.check()
            time.sleep(0.01)
        return {}

    path = tmp_path / "jobs.sqlite"
    here, elsewhere = (JobManager(path, {"reporting": reporting}) for _ in range(2))
    job = here.submit("reporting", {}, session="s")
    assert elsewhere.cancel(job.id).is_active
    assert here.wait(job.id, 30).status == "cancelled"
    assert elsewhere.wait(job.id, 30).status == "cancelled"
    here.close()
    elsewhere.close()


def test_closing_interrupts_and_refuses(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    manager = JobManager(path, runners.table(), max_running=1)
    jobs = [manager.submit("slow", {"x": i}, session="s") for i in range(2)]
    wait_until(lambda: manager.partial(jobs[0].id))
    manager.close()
    with pytest.raises(JobError, match="shutting down"):
        manager.submit("double", {"x": 1}, session="s")
    later = JobManager(path, runners.table())
    assert [later.get(j.id).status for j in jobs] == ["interrupted"] * 2
    assert later.get(jobs[0].id).message == "first quarter"
    later.close()


def test_wiping_forgets_all(manager, runners):
    done = manager.submit("double", {"x": 1}, session="s")
    manager.wait(done.id, 5)
    manager.submit("slow", {"x": 1}, session="s")
    manager.wipe()
    assert manager.list() == ()
    again = manager.submit("double", {"x": 1}, session="s")
    assert again.id != done.id
    assert manager.wait(again.id, 5).status == "done"


def test_a_corrupt_job_list_is_begun_afresh(tmp_path, runners):
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"no database" * 1_000)
    manager = JobManager(path, runners.table())
    assert "job list" in manager.message
    assert manager.wait(manager.submit("double", {"x": 1}, session="s").id, 5).status == "done"
    manager.close()


def test_jobs_work_without_a_usable_folder(tmp_path, runners):
    (tmp_path / "file").write_text("in the way")
    manager = JobManager(tmp_path / "file" / "jobs.sqlite", runners.table())
    assert "cannot be written" in manager.message
    assert manager.wait(manager.submit("double", {"x": 1}, session="s").id, 5).status == "done"
    manager.close()


@pytest.fixture
def scoring(tmp_path):
    """An engine, and a manager whose one runner scores on it."""
    engine = Engine(lambda: FakeModel(seconds=0.01))

    def score(params, context):
        ticket = engine.score(
            rows(params["n"]),
            session=context.session,
            cancel=context.cancel_event,
            on_progress=lambda p: context.report(p.done, p.total),
        )
        return {"n": len(ticket.result())}

    manager = JobManager(tmp_path / "jobs.sqlite", {"score": score})
    yield engine, manager
    manager.close()
    engine.close()


def test_a_job_on_the_engine_is_cancelled_within_a_second(scoring):
    _, manager = scoring
    job = manager.submit("score", {"n": 5_000}, session="s")
    wait_until(lambda: manager.get(job.id).progress_done)
    began = time.monotonic()
    manager.cancel(job.id, "s")
    assert manager.wait(job.id, 5).status == "cancelled"
    assert time.monotonic() - began < 1


def test_a_job_whose_engine_is_closed_is_interrupted(scoring):
    engine, manager = scoring
    job = manager.submit("score", {"n": 5_000}, session="s")
    wait_until(lambda: manager.get(job.id).progress_done)
    engine.close()
    assert manager.wait(job.id, 5).status == "interrupted"


def test_a_process_is_known_by_its_start():
    assert process_identity(os.getpid()) == own_identity()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_identity(child.pid) not in (None, own_identity())
    child.communicate(b"\n")
    assert process_identity(child.pid) is None
