from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3

import pytest
from cli_files import make_adapter

from lorabench.config import Config
from lorabench.engine import JobManager, ScoreStore
from lorabench.errors import InputError, ServerError
from lorabench.models.rows import RowLogits
from lorabench.workflows import server
from lorabench.workflows.doctor import FLOORS, Check, DoctorReport
from lorabench.workflows.server import ServerRequest, plan_server, registered, running_dashboards
from lorabench.workflows.tasks import list_tasks

SECRET = "a very private prompt"


@pytest.fixture
def config(folders) -> Config:
    return Config.from_environment()


@pytest.fixture
def used(config, adapter, cli) -> Config:
    """A data folder with three scores, two jobs, an adapter, a damaged store and somebody's own file."""
    with_store = ScoreStore(config.store_path)
    with_store.put_many({bytes([i]) * 32: RowLogits(label_logits=(1.0,), logsumexp=2.0) for i in range(3)})
    with_store.close()
    jobs = JobManager(config.jobs_path, {"echo": lambda params, context: params})
    for n in range(2):
        jobs.wait(jobs.submit("echo", {"prompt": SECRET, "n": n}, session="s").id, timeout=20)
    jobs.close()
    config.data_dir.joinpath("scores.sqlite.corrupt-1").write_text(SECRET)
    config.data_dir.joinpath("thesis.txt").write_text("not lorabench's")
    assert cli("adapters", "add", str(adapter)).code == 0
    return config


def test_adapters_are_added_listed_inspected_and_removed(cli, adapter):
    added = cli("adapters", "add", str(adapter), "--name", "My Own!", "--json")
    assert (added.code, added.json["name"], added.json["origin"]) == (0, "my-own", "added")
    assert "my-own" in cli("adapters", "list").out
    assert "my-own" in [a["name"] for a in cli("adapters", "list", "--json").json["items"]]
    shown = cli("adapters", "inspect", "my-own")
    assert shown.code == 0
    assert "claims   base model: demo" in shown.out
    assert cli("adapters", "add", str(adapter), "--name", "my own").code == 2
    removed = cli("adapters", "rm", "my-own", "--json")
    assert (removed.code, removed.json["name"]) == (0, "my-own")
    assert cli("adapters", "rm", "my-own").code == 2


def test_inspect_says_whether_the_claimed_base_is_here(cli, tmp_path):
    folder = make_adapter(tmp_path / "claims")
    (folder / "lorabench.json").write_text(json.dumps({"base_fingerprint": "ab" * 32}))
    found = cli("adapters", "inspect", str(folder))
    assert "of no base on this machine" in found.out
    assert cli("adapters", "inspect", str(folder), "--json").json["claimed_base_here"] is None


def test_base_models_are_listed_without_a_network(cli):
    found = cli("models", "list", "--json")
    assert found.code == 0
    assert next(b["base_id"] for b in found.json["items"]) == "demo"
    assert not any(b["is_present"] for b in found.json["items"])
    assert cli("models", "rm", "demo").out == "demo was not here.\n"


def test_the_zoo_is_listed_with_what_was_planted(cli):
    found = cli("zoo", "list", "--json")
    assert "guard-strong" in {a["name"] for a in found.json["adapters"]}
    assert "guard-strong" in cli("zoo", "list").out


def test_wipe_removes_prompts_jobs_and_scores_and_nothing_else(cli, used):
    refused = cli("data", "wipe")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert used.store_path.exists()
    found = cli("data", "wipe", "--yes", "--json")
    assert found.code == 0
    counted = {p["title"]: p["n_items"] for p in found.json["parts"]}
    assert counted == {"score store": 3, "job list with its prompts": 2}
    assert found.json["kept"] == ["mine"]
    left = {p.name for p in used.data_dir.iterdir()}
    assert left == {"thesis.txt", "adapters"}
    assert not any(SECRET.encode() in p.read_bytes() for p in used.data_dir.rglob("*") if p.is_file())
    assert "nothing to remove" in cli("data", "wipe").out


def test_wipe_takes_added_adapters_when_asked(cli, used):
    assert cli("data", "wipe", "--yes", "--adapters").code == 0
    assert {p.name for p in used.data_dir.rglob("*")} == {"thesis.txt", "adapters"}


def test_wipe_waits_for_a_running_dashboard_unless_forced(cli, used):
    plan = plan_server(ServerRequest(port=free_port()))
    open_store = ScoreStore(used.store_path)
    with registered(used, plan.url):
        refused = cli("data", "wipe", "--yes")
        assert (refused.code, plan.url in refused.err) == (2, True)
        assert len(open_store) == 3
        assert cli("data", "wipe", "--yes", "--force").code == 0
        assert len(open_store) == 0  # emptied in place: the dashboard goes on with it
    open_store.close()
    with sqlite3.connect(used.jobs_path) as jobs:
        assert jobs.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    jobs.close()
    assert running_dashboards(used) == ()
    assert not any(SECRET.encode() in p.read_bytes() for p in used.data_dir.rglob("*") if p.is_file())


def test_a_process_keeps_its_first_note(config):
    with registered(config, "http://first"):
        with registered(config, "http://second"):
            assert [d.url for d in running_dashboards(config)] == ["http://first"]
        assert len(running_dashboards(config)) == 1
    assert running_dashboards(config) == ()


def test_notes_of_dead_dashboards_are_cleared_away(config):
    config.data_dir.mkdir(parents=True)
    dead = config.data_dir / "dashboard-1.json"
    dead.write_text(json.dumps({"pid": os.getpid(), "process": "another one", "url": "http://x"}))
    config.data_dir.joinpath("dashboard-2.json").write_text("{")
    assert running_dashboards(config) == ()
    assert list(config.data_dir.iterdir()) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_names_the_next_free_one(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = cli("ui", "--port", str(port), "--no-browser")
        assert found.code == 2
        assert f"port {port} is taken" in found.err
        suggested = int(found.err.split("--port ")[1].split("`")[0])
        plan_server(ServerRequest(port=suggested))
        with pytest.raises(ServerError):
            plan_server(ServerRequest(port=port))


def test_only_lan_opens_the_machine_and_makes_a_key(monkeypatch):
    monkeypatch.setattr(server, "lan_addresses", lambda: ("192.168.1.7",))
    monkeypatch.setattr(server, "_bind_problem", lambda address, port: None)
    local = plan_server(ServerRequest())
    assert (local.url, local.is_open, local.presenter_key) == ("http://127.0.0.1:8501", False, None)
    assert local.presenter_url == local.url
    room = plan_server(ServerRequest(lan=True, port=9000))
    assert (room.address, room.url) == ("0.0.0.0", "http://127.0.0.1:9000")
    assert room.lan_urls == ("http://192.168.1.7:9000",)
    assert room.presenter_key
    assert len(room.presenter_key) >= 16
    assert room.presenter_key != plan_server(ServerRequest(lan=True)).presenter_key
    other = plan_server(ServerRequest(address="10.0.0.3"))
    assert (other.is_open, other.lan_urls) == (True, ("http://10.0.0.3:8501",))
    assert plan_server(ServerRequest(address="::1")).url == "http://[::1]:8501"


def test_reserved_ports_and_foreign_addresses_are_told_apart(monkeypatch):
    codes = {80: errno.EACCES, 8501: errno.EADDRNOTAVAIL}
    monkeypatch.setattr(
        server, "_bind_problem", lambda address, port: OSError(codes[port], "x") if port in codes else None
    )
    with pytest.raises(ServerError, match=r"reserved for the system.*--port 1024"):
        plan_server(ServerRequest(port=80))
    with pytest.raises(InputError, match="no address"):
        plan_server(ServerRequest(address="10.9.8.7"))


def test_the_dashboard_is_announced_and_its_note_removed(cli, config, monkeypatch):
    import lorabench.ui.launch as launch

    seen = []

    def serve(plan, *, on_ready, opens_browser):
        seen.append((plan, opens_browser, running_dashboards(config), os.environ.get("LORABENCH_LAN")))
        on_ready()

    monkeypatch.setattr(launch, "serve", serve)
    found = cli("ui", "--port", str(free_port()), "--no-browser", "--json")
    plan, opens_browser, running, lan = seen[0]
    assert (found.code, opens_browser, lan) == (0, False, None)
    assert running[0].url == plan.url == found.json["url"]
    assert running_dashboards(config) == ()
    assert "lorabench models pull demo" in found.err  # the cache is empty here


def test_base_device_and_dtype_reach_the_pages(cli, monkeypatch):
    import lorabench.ui.launch as launch

    seen = []

    def serve(plan, *, on_ready, opens_browser):
        seen.append([os.environ.get(f"LORABENCH_{name}") for name in ("BASE", "DEVICE", "DTYPE")])

    monkeypatch.setattr(launch, "serve", serve)
    where = ("--port", str(free_port()), "--no-browser")
    found = cli("ui", *where, "--base", "owner/name", "--device", "cpu", "--dtype", "bf16")
    assert (found.code, seen.pop()) == (0, ["owner/name", "cpu", "bf16"])
    assert "lorabench models pull owner/name" in found.err
    assert "demo" not in found.err
    monkeypatch.setenv("LORABENCH_BASE", "other/name")
    assert "other/name is not on this machine" in cli("ui", *where).err
    assert seen.pop()[0] == "other/name"
    refused = cli("ui", *where, "--base", "no such base")
    assert (refused.code, seen) == (2, [])
    assert "no base model called 'no such base'" in refused.err


def test_lan_hands_the_key_to_the_pages(cli, monkeypatch):
    import lorabench.ui.launch as launch

    for name in ("LORABENCH_LAN", "LORABENCH_PRESENTER_KEY"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores them
    monkeypatch.setattr(server, "lan_addresses", lambda: ("192.168.1.7",))
    keys = []

    def serve(plan, *, on_ready, opens_browser):
        keys.append((os.environ["LORABENCH_LAN"], os.environ["LORABENCH_PRESENTER_KEY"]))
        on_ready()

    monkeypatch.setattr(launch, "serve", serve)
    found = cli("ui", "--lan", "--port", str(free_port()), "--no-browser")
    assert keys[0][0] == "1"
    assert keys[0][1] in found.out
    assert "http://192.168.1.7" in found.out
    assert "no encryption" in found.err


def test_doctor_exits_with_2_when_something_is_missing(cli, monkeypatch):
    bad = Check(
        name="demo base", status="missing", value="not here", remedy="Run `lorabench models pull demo`."
    )
    odd = Check(name="chromium", status="note", value="not found")
    good = Check(name="torch", status="ok", value="2.10")
    for checks, code in (((good, odd), 0), ((good, odd, bad), 2)):
        monkeypatch.setattr(
            "lorabench.workflows.doctor.examine", lambda config, checks=checks: DoctorReport(checks=checks)
        )
        found = cli("doctor", "--json")
        assert (found.code, found.json["is_ready"]) == (code, code == 0)
        shown = cli("doctor")
        assert shown.code == code
        assert ("lorabench models pull demo" in shown.out) == (code == 2)


def test_floors_are_those_of_pyproject():
    import tomllib
    from pathlib import Path

    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())["project"]
    declared = dict(line.split(",")[0].split(">=") for line in project["dependencies"])
    assert declared == FLOORS


def test_ready_made_tasks_are_listed():
    guard = list_tasks()[0]
    assert (guard.name, guard.target, guard.answers) == ("guard", "BENIGN", ("BENIGN", "INJECTION"))
    assert {t.kind for t in list_tasks()} == {"label", "generation"}
