"""Waiting: works finish, fail and stop without freezing the page."""

import logging
import time

from streamlit.testing.v1 import AppTest

from lorabench.engine import Job
from lorabench.errors import CancelledError
from lorabench.ui.progress import Work, _is_settled, progress_text
from ui.conftest import run_until


def wait_page():
    import time

    import streamlit as st

    from lorabench import ui
    from lorabench.errors import InputError

    def count(work):
        for i in range(4):
            time.sleep(0.05)
            work.report(i + 1, 4)
        return "the answer"

    def fail(work):
        raise InputError("rule", "The *prompt* is bad.", "Run `this`.")

    def crash(work):
        raise RuntimeError("secret path of this machine")

    def forever(work):
        while not work.cancelled:
            time.sleep(0.02)
        from lorabench.errors import CancelledError

        raise CancelledError

    calls = {"count": count, "fail": fail, "crash": crash, "forever": forever}
    name = st.selectbox("call", list(calls), key="page.call")
    if st.button("Run", key="page.run"):
        ui.begin("page.work", "Counting", calls[name])
    work = ui.current("page.work")
    if work is None:
        st.info("empty")
    elif ui.wait(work, key="page.work", seconds=0.6):
        with ui.shown_errors():
            st.text(work.result())


def run(call: str) -> AppTest:
    at = AppTest.from_function(wait_page, default_timeout=60).run()
    assert at.info[0].value == "empty"
    at.selectbox(key="page.call").set_value(call).run()
    at.button(key="page.run").click().run()
    if call != "forever":
        run_until(at, lambda at: at.text or at.error)
    return at


def test_a_result_is_shown():
    at = run("count")
    assert [t.value for t in at.text] == ["the answer"]
    assert "Cancel" not in [b.label for b in at.button]


def test_an_expected_error_is_shown_with_its_remedy():
    assert run("fail").error[0].value == "The \\*prompt\\* is bad.\n\nRun `this`."


def test_a_bug_is_logged_and_shown_without_details(caplog):
    with caplog.at_level(logging.ERROR):
        at = run("crash")
    assert "secret" not in at.error[0].value
    assert "secret path" in caplog.text


def test_a_long_work_goes_on_in_a_fragment_and_can_be_cancelled():
    at = run("forever")
    assert not at.exception
    assert not at.text
    at.button(key="page.work.cancel").click().run()
    run_until(at, lambda at: at.info)
    assert "cancelled" in at.info[0].value


def test_a_work_keeps_its_partial_result_and_its_error():
    def call(work):
        work.keep({"so": "far"})
        raise CancelledError

    work = Work("label", call, owner="me")
    assert work.done_within(5)
    assert work.partial == {"so": "far"}
    assert isinstance(work.error, CancelledError)


def test_progress_is_counts_rate_and_time_left():
    assert progress_text(120, 2304, 41.2, 53.0) == "120 of 2,304 · 41 per second · 53 s left"
    assert progress_text(4, 4, None, None) == "4 of 4"
    assert progress_text(4, 40, None, 6.0, "tokens") == "4 of 40 tokens · 6 s left"


def job_at(done: int, seconds: float) -> Job:
    return Job(
        id="1", kind="hunt", params={}, params_sha="", status="running", progress_done=done,
        progress_total=16_000, message="", session="me", created=0.0, started=time.time() - seconds,
        finished=None, error=None, pid=1,
    )  # fmt: skip


def test_no_time_left_is_told_from_a_rate_that_is_mostly_loading():
    assert not _is_settled(job_at(442, 15.0))
    assert _is_settled(job_at(1_000, 15.0))
    assert _is_settled(job_at(442, 90.0))
