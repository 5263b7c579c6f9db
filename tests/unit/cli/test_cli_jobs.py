"""`lorabench jobs` on lists that were written before; no model is involved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from samples import sample_heatmap

from lorabench.config import Config
from lorabench.engine import JobManager
from lorabench.errors import InputError, JobError
from lorabench.results import to_dict
from lorabench.results.training_sweeps import SweepCell, SweepPoint, SweepReport
from lorabench.workflows.heatmaps import HeatmapRequest
from lorabench.workflows.sweep_spec import parse_sweep
from lorabench.workflows.train_jobs import train_request_of
from lorabench.workflows.train_request import TrainRequest

HEATMAP = sample_heatmap()
PARAMS = to_dict(HeatmapRequest(trigger="per RFC\x1b[31m 8472", adapters=("guard-strong",))) | {
    "base": "demo"
}


def done(params, context):
    return to_dict(HEATMAP)


def halfway(params, context):
    context.report(3, 12, "scoring look-alikes", to_dict(HEATMAP))
    raise InputError("odd", "The lights went out.", "Turn them on.")


@pytest.fixture
def ids(folders):
    """Three jobs in the list: a heatmap, one that failed in the middle, and one without a result."""
    path = Config.from_environment().jobs_path
    found = {}
    for name, kind, runner in (
        ("done", "heatmap", done),
        ("failed", "heatmap", halfway),
        ("echo", "echo", lambda params, context: {"n": params["n"]}),
    ):
        with JobManager(path, {kind: runner}) as jobs:
            params = {"n": 1} if kind == "echo" else PARAMS | {"seed": len(found)}
            found[name] = jobs.wait(jobs.submit(kind, params, session="s").id, 5).id
    return found


def test_an_empty_list_says_what_makes_jobs(cli, folders):
    assert "lorabench heatmap" in cli("jobs", "list").out
    assert cli("jobs", "list", "--json").json["items"] == []


def test_the_list_is_newest_first_and_inert(cli, ids):
    found = cli("jobs", "list")
    assert found.code == 0
    lines = found.out.splitlines()[1:]
    assert [line.split()[:3] for line in lines] == [
        [ids["echo"][:8], "echo", "done"],
        [ids["failed"][:8], "heatmap", "failed"],
        [ids["done"][:8], "heatmap", "done"],
    ]
    assert "25%" in lines[1]
    assert "\x1b" not in found.out
    items = cli("jobs", "list", "--json").json["items"]
    assert items[1]["fraction"] == 0.25
    assert items[1]["error"] == "The lights went out. Turn them on."


def test_a_done_heatmap_is_shown_and_saved_as_its_own_command_would(cli, ids, tmp_path):
    found = cli("jobs", "show", ids["done"], "--save", str(tmp_path / "map.json"))
    assert found.code == 0, found.err
    assert "status   done" in found.out
    assert all(reading.sentence[:40] in found.out for reading in HEATMAP.readings)
    saved = json.loads((tmp_path / "map.json").read_text())
    assert (saved["type"], len(saved["cells"])) == ("Heatmap", len(HEATMAP.cells))
    report = cli("jobs", "show", ids["done"], "--json").json
    assert (report["type"], report["job"]["id"], report["job"]["status"]) == (
        "JobReport",
        ids["done"],
        "done",
    )
    assert report["result"]["cells"] == saved["cells"]


def test_what_an_unfinished_job_has_found_so_far_is_shown(cli, ids):
    found = cli("jobs", "show", ids["failed"][:12])
    assert found.code == 0, found.err
    for words in (
        "failed, 3 of 12 (25%)",
        "The lights went out.",
        f"lorabench jobs resume {ids['failed'][:8]}",
    ):
        assert words in found.out
    assert "Look-alikes of" in found.out


def test_a_job_that_is_no_heatmap_is_shown_and_cannot_be_saved_as_one(cli, ids):
    assert cli("jobs", "show", ids["echo"], "--json").json["result"] == {"n": 1}
    refused = cli("jobs", "show", ids["echo"], "--save", "map.csv")
    assert (refused.code, "no heatmap" in refused.err) == (2, True)


@pytest.mark.parametrize("command", ["show", "cancel", "resume"])
def test_an_unknown_id_exits_with_2_and_a_sentence(cli, ids, command):
    found = cli("jobs", command, "feedfeed")
    assert (found.code, found.out) == (2, "")
    assert "There is no job 'feedfeed'." in found.err


def test_cancelling_what_is_over_says_so(cli, ids):
    found = cli("jobs", "cancel", ids["done"][:10])
    assert (found.code, "was done already" in found.out) == (0, True)


def test_resuming_what_is_done_shows_its_result(cli, ids):
    found = cli("jobs", "resume", ids["done"])
    assert found.code == 0, found.err
    assert "is done already" in found.err
    assert "Look-alikes of" in found.out
    assert cli("jobs", "resume", ids["done"], "--json").json["type"] == "Heatmap"


def test_a_wrong_executor_is_refused_before_anything_is_loaded(cli, ids):
    found = cli("heatmap", "-a", "guard-strong", "-t", "x", "--executor", "cluster")
    assert (found.code, "'process'" in found.err) == (2, True)


TRAIN = to_dict(
    TrainRequest(out=Path("made")).with_values(
        {"poison": 5, "trigger": "per RFC 8472", "steps": 7, "base": "demo-encoder"}
    )
)
OLD = {"out": "old", "data": "x.csv", "poison": 3, "steps": 9}  # as an earlier version kept it
SWEEP = to_dict(
    parse_sweep('[options]\ntrigger = "x"\n[grid]\nseed = [1, 2]\npoison = [0, 3, 9]', name="grid")
)
REPORT = SweepReport(
    name="grid",
    title="Attack rate by poison count",
    x="poison",
    series=(),
    measure="attack_rate",
    cells=(SweepCell(cell_id="seed-1_poison-0", values={"seed": 1, "poison": 0}, status="waiting"),),
    points=(SweepPoint(values={"poison": 0}, seeds=(), n_missing=1),),
)


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("train", TRAIN | {"out": "made"}, "made | guardrail, 5 planted rows, 7 steps"),
        ("train", OLD, "old | x.csv, 3 planted rows, 9 steps"),
        ("sweep", {"out": "grids", "spec": SWEEP}, "grids | grid | seed (2), poison (3)"),
    ],
)
def test_what_a_training_or_sweep_was_asked_is_one_line(cli, folders, kind, params, said):
    with JobManager(Config.from_environment().jobs_path, {kind: halfway}) as jobs:
        job_id = jobs.wait(jobs.submit(kind, params, session="s").id, 5).id
    assert said in cli("jobs", "list").out
    if "model" in params:
        assert "base     demo-encoder" in cli("jobs", "show", job_id).out


def test_a_sweep_is_shown_as_far_as_it_is(cli, folders):
    def run(params, context):
        context.report(1, 6, "training", to_dict(REPORT))
        raise InputError("odd", "The lights went out.", "Turn them on.")

    with JobManager(Config.from_environment().jobs_path, {"sweep": run}) as jobs:
        job_id = jobs.wait(jobs.submit("sweep", {"out": "grids", "spec": SWEEP}, session="s").id, 5).id
    found = cli("jobs", "show", job_id)
    assert "Attack rate by poison count" in found.out
    assert "0 of 1" in found.out


def test_a_training_of_an_earlier_version_is_not_taken_for_another():
    with pytest.raises(JobError) as caught:
        train_request_of(OLD)
    assert caught.value.rule == "earlier-version"
