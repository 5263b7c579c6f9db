"""On a network, guests look and score; only the presenter changes the machine."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from lorabench.config import Config
from lorabench.engine import EngineStatus, JobManager
from lorabench.ui.bench import BaseState
from lorabench.ui.state import Session
from ui.conftest import labels, markdown_of

KEY = "correct-horse"


@pytest.fixture
def lan(monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    monkeypatch.setenv("LORABENCH_PRESENTER_KEY", KEY)


def who():
    import streamlit as st

    from lorabench import ui

    ui.boot()
    st.session_state["role"] = ui.role()
    st.session_state["limit"] = ui.heatmap_row_limit()
    with ui.shown_errors():
        ui.require_presenter("remove an adapter")
        st.text("allowed")
    from lorabench.ui.guard import presenter_form

    presenter_form()


def run(**params) -> AppTest:
    at = AppTest.from_function(who, default_timeout=60)
    for name, value in params.items():
        at.query_params[name] = value
    return at.run()


def test_one_machine_alone_may_do_everything(data_dir):
    at = run()
    assert at.session_state["role"] == "local"
    assert at.text[0].value == "allowed"


def test_a_guest_is_refused_with_a_way_out(lan, data_dir):
    at = run()
    assert at.session_state["role"] == "guest"
    assert at.session_state["limit"] == 3_000
    assert "Guests cannot remove an adapter." in at.error[0].value
    assert not at.text


def test_the_key_in_the_address_unlocks_and_vanishes(lan, data_dir):
    at = run(key=KEY)
    assert at.session_state["role"] == "presenter"
    assert "key" not in at.query_params
    assert at.run().session_state["role"] == "presenter"


@pytest.mark.parametrize("wrong", ["", "correct-horsf", KEY + "x", "\u00e4"])
def test_a_wrong_key_unlocks_nothing(lan, data_dir, wrong):
    at = run(key=wrong)
    assert at.session_state["role"] == "guest"
    assert "key" not in at.query_params


def test_without_a_configured_key_nobody_is_the_presenter(monkeypatch, data_dir):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    assert run(key="").session_state["role"] == "guest"


def test_the_form_unlocks_as_well(lan, data_dir):
    at = run()
    at.text_input(key="status.key").set_value("nope")
    at.button[0].click().run()
    assert at.session_state["role"] == "guest"
    at.text_input(key="status.key").set_value(KEY)
    at.button[0].click().run()
    assert at.run().session_state["role"] == "presenter"


def test_guessing_is_bounded(lan, data_dir):
    at = run()
    for _ in range(10):
        at.query_params["key"] = "guess"
        at.run()
    at.query_params["key"] = KEY
    assert at.run().session_state["role"] == "guest"


def test_models_offers_guests_no_change(lan, no_base, app, test_adapter, tmp_path):
    import shutil

    shutil.copytree(test_adapter, no_base / "adapters" / "theirs")
    at = app("models")
    assert not at.exception
    assert not {"Fetch", "Check and add", "Yes, remove it", "Check every byte"} & set(labels(at))
    assert not at.get("file_uploader")
    assert any("Guests cannot add" in i.value for i in at.info)


def jobs():
    import streamlit as st

    from lorabench import ui

    with ui.shown_errors():
        job = ui.visible_job(st.session_state["job"])
        st.text(job.id)
        if ui.may_cancel(job):
            st.text("may cancel")
        ui.cancel_job(job.id)
    st.session_state["n"] = len(ui.visible_jobs())


def test_a_guest_sees_and_stops_its_own_jobs_only(lan, data_dir):
    data_dir.mkdir()
    manager = JobManager(Config.from_environment().jobs_path, {"heatmap": lambda p, c: time.sleep(0.1) or {}})
    job = manager.submit("heatmap", {"x": 1}, session="somebody")
    try:
        at = AppTest.from_function(jobs, default_timeout=60)
        at.session_state["job"] = job.id
        at.run()
        assert "no such job" in at.error[0].value
        assert at.session_state["n"] == 0
        at.session_state["lorabench.session"] = Session(id="attached", jobs={job.id})
        at.run()
        assert at.text[0].value == job.id  # it asked for the same, so it may look
        assert "someone else" in at.error[0].value  # but not stop it
    finally:
        manager.close()


def heatmaps():
    import streamlit as st

    from lorabench import ui
    from lorabench.ui.guard import check_guest_jobs

    with ui.shown_errors():
        check_guest_jobs()
        st.text("may start")


def test_a_guest_has_two_heatmaps_under_way_at_most(lan, data_dir, monkeypatch):
    data_dir.mkdir()
    manager = JobManager(
        Config.from_environment().jobs_path, {"heatmap": lambda p, c: c.cancel_event.wait(60)}
    )
    jobs = [
        manager.submit("heatmap", {"x": x}, session=who) for x, who in enumerate(["me", "me", "somebody"])
    ]
    try:
        at = AppTest.from_function(heatmaps, default_timeout=60)
        at.session_state["lorabench.session"] = Session(id="me")
        assert "2 of your jobs" in at.run().error[0].value
        assert not at.text
        manager.cancel(jobs[0].id)
        manager.wait(jobs[0].id, timeout=20)
        assert at.run().text[0].value == "may start"
        manager.resume(jobs[0].id)
        monkeypatch.delenv("LORABENCH_LAN")  # the owner of the machine may
        assert at.run().text[0].value == "may start"
    finally:
        manager.close()


def bar():
    from lorabench import ui

    ui.status_bar()


def test_the_bar_tells_guests_no_folder_of_this_machine(data_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("LORABENCH_BASE", str(tmp_path / "my-base"))  # there is no such folder
    at = AppTest.from_function(bar, default_timeout=60).run()
    assert str(tmp_path) in markdown_of(at).replace("\\", "")
    monkeypatch.setenv("LORABENCH_LAN", "1")
    shown = markdown_of(at.run())
    assert "my-base" in shown
    assert tmp_path.name not in shown
    assert "Ask the presenter" in at.error[0].value


def test_the_bar_tells_guests_no_path_of_the_store(lan, data_dir, monkeypatch):
    status = EngineStatus(
        state="ready",
        model="demo",
        fingerprint="f",
        device="cpu",
        dtype="fp32",
        queue_length=0,
        running=None,
        tokens_per_second=None,
        error=None,
        store_message="The score store at /srv/secret cannot be written.",
    )
    monkeypatch.setattr("lorabench.ui.status.base_state", lambda: BaseState(state="ready", status=status))
    shown = markdown_of(AppTest.from_function(bar, default_timeout=60).run())
    assert "the score store has a problem" in shown
    assert "secret" not in shown
