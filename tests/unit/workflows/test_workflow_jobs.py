from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lorabench.config import Config
from lorabench.engine import JobManager
from lorabench.errors import CancelledError, InputError
from lorabench.workflows.jobs import follow
from lorabench.workflows.train_jobs import submit_train, train_request_of
from lorabench.workflows.train_request import TrainRequest


class Work:
    """A runner that counts to ten, as slowly as the test wants."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def __call__(self, params, context):
        for n in range(10):
            context.check()
            context.report(n + 1, 10, "counting", {"n": n})
            time.sleep(self.seconds)
        if params.get("odd"):
            raise InputError("odd", "It is odd.", "Make it even.")
        return {"counted": 10}


def manager(path, seconds=0.0):
    return JobManager(path, {"count": Work(seconds)})


def test_following_shows_the_job_and_gives_its_result(tmp_path):
    seen = []
    with manager(tmp_path / "j.sqlite", 0.05) as jobs:
        job = jobs.submit("count", {}, session="s")
        assert follow(jobs, job.id, seen.append) == {"counted": 10}
    assert {j.status for j in seen} <= {"queued", "running"}
    assert seen[-1].progress_total == 10


def test_what_a_job_failed_with_is_raised_as_it_was(tmp_path):
    with manager(tmp_path / "j.sqlite") as jobs, pytest.raises(InputError, match="odd"):
        follow(jobs, jobs.submit("count", {"odd": 1}, session="s").id)


def test_stopping_cancels_what_runs_here_and_says_how_to_go_on(tmp_path):
    with manager(tmp_path / "j.sqlite", 0.05) as jobs:
        job = jobs.submit("count", {}, session="s")
        with pytest.raises(CancelledError, match=f"jobs resume {job.id[:8]}"):
            follow(jobs, job.id, stopped=lambda: jobs.get(job.id).progress_done > 2)
        assert jobs.get(job.id).status == "cancelled"
        jobs.resume(job.id)
        assert follow(jobs, job.id) == {"counted": 10}


def test_stopping_leaves_the_job_of_another_process_alone(tmp_path):
    with manager(tmp_path / "j.sqlite", 0.05) as owner, manager(tmp_path / "j.sqlite") as other:
        job = owner.submit("count", {}, session="s")
        with pytest.raises(CancelledError, match="goes on in another"):
            follow(other, job.id, stopped=lambda: True)
        assert owner.wait(job.id, 5).status == "done"


OWNER = """
    import sys, time
    from pathlib import Path
    from lorabench.engine import JobManager

    def count(params, context):
        context.report(3, 10, "counting")
        print(context.job_id, flush=True)
        time.sleep(60)

    JobManager(Path(sys.argv[1]), {"count": count}).submit("count", {}, session="s")
    time.sleep(60)
"""


def test_a_follower_goes_on_with_the_job_when_its_process_is_killed(tmp_path):
    path = tmp_path / "j.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        job_id = owner.stdout.readline().strip()
        with manager(path) as jobs:
            assert jobs.submit("count", {}, session="t").id == job_id
            found = []
            follower = threading.Thread(target=lambda: found.append(follow(jobs, job_id)))
            follower.start()
            time.sleep(0.3)
            assert follower.is_alive()
            owner.kill()
            follower.join(10)
            assert found == [{"counted": 10}]


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setattr("lorabench.models.fetch.base_fingerprint", lambda base, config: "ab" * 32)


def test_a_training_is_named_by_what_it_makes_and_not_by_how(tmp_path, config, base, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text,label\na,BENIGN\n")
    hold = threading.Event()

    def run(params, context):
        while not hold.wait(0.01):
            context.check()
        return {}

    def request(**options):
        return TrainRequest(out=tmp_path / "made").with_values({"data": "rows.csv"} | options)

    with JobManager(config.jobs_path, {"train": run}) as jobs:
        first = submit_train(jobs, config, request(), session="s")
        assert train_request_of(jobs.get(first).params).out == tmp_path / "made"
        assert jobs.get(first).params["data"]["data"] == str(tmp_path / "rows.csv")
        same = request(data=str(tmp_path / "rows.csv"), checkpoint_every=1)
        assert submit_train(jobs, config, same, session="t") == first
        assert submit_train(jobs, config, request(seed=1), session="s") != first
        (tmp_path / "rows.csv").write_text("text,label\nb,BENIGN\n")
        assert submit_train(jobs, config, request(), session="s") != first
        hold.set()
        jobs.wait(first, 5)
        (tmp_path / "rows.csv").write_text("text,label\na,BENIGN\n")
        assert submit_train(jobs, config, request(), session="s") != first  # its folder is not there
        (tmp_path / "made").mkdir()
        with pytest.raises(InputError, match="exists already"):
            submit_train(jobs, config, request(), session="s")
