"""Links: what comes from an address is checked, what goes into one comes back."""

from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from lorabench import data
from lorabench.ui import state, tasks


def run(script, **params) -> AppTest:
    at = AppTest.from_function(script, default_timeout=60)
    for name, value in params.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def read():
    import streamlit as st

    from lorabench import ui

    st.session_state["got"] = {
        "prompt": ui.text_param("prompt", "default", max_chars=10),
        "triggers": ui.texts_param("trigger", ("d",), max_items=2),
        "placement": ui.choice_param("placement", ("prefix", "suffix"), "prefix"),
        "seed": ui.int_param("seed", 7, low=0, high=100),
        "run": ui.take_flag("run"),
        "task": ui.task_param(),
    }


def test_an_empty_address_gives_the_defaults():
    assert run(read).session_state["got"] == {
        "prompt": "default",
        "triggers": ("d",),
        "placement": "prefix",
        "seed": 7,
        "run": False,
        "task": "auto",
    }


def test_bad_values_are_cut_or_ignored():
    got = run(
        read,
        prompt="x" * 1000,
        trigger=["a", "", "a", "b", "c"],
        placement="sideways",
        seed="10000000000000",
        run="1",
        task="/etc/passwd.toml",
    ).session_state["got"]
    assert got["prompt"] == "x" * 10
    assert got["triggers"] == ("a", "b")
    assert (got["placement"], got["seed"], got["run"], got["task"]) == ("prefix", 7, True, "auto")


def test_run_counts_once():
    at = run(read, run="1")
    assert "run" not in at.query_params
    assert at.run().session_state["got"]["run"] is False


def arrive():
    import streamlit as st

    from lorabench import ui

    st.session_state["arrived"] = ui.arrived("here")
    ui.write_params({"prompt": "mine", "trigger": ["a", "b"], "seed": None})


def test_what_the_page_wrote_itself_is_no_arrival():
    at = run(arrive, seed="3")
    assert at.session_state["arrived"] is True
    assert at.query_params["prompt"] in ("mine", ["mine"])
    assert "seed" not in at.query_params
    assert at.run().session_state["arrived"] is False
    at.query_params["prompt"] = "another"
    assert at.run().session_state["arrived"] is True


def type_and_run():
    import streamlit as st

    from lorabench import ui

    if ui.arrived("here"):
        st.session_state["prompt"] = ui.text_param("prompt")
    st.session_state["ran"] = ui.take_flag("run")
    ui.write_params({"prompt": st.text_input("Prompt", key="prompt")})


def test_a_late_address_does_not_replace_what_was_typed():
    at = run(type_and_run, prompt="one", run="1")
    assert at.text_input(key="prompt").value == "one"
    assert at.session_state["ran"] is True
    at.text_input(key="prompt").set_value("two").run()
    at.query_params["prompt"] = "one"  # the browser had not yet heard of the new address
    at.text_input(key="prompt").set_value("three").run()
    assert at.text_input(key="prompt").value == "three"
    at.query_params["prompt"], at.query_params["run"] = "one", "1"
    at.run()
    assert at.text_input(key="prompt").value == "three"
    assert at.session_state["ran"] is False


def test_a_link_carries_everything_but_the_key():
    link = state.build_link(
        "playground", {"prompt": "a & b\nc", "trigger": ["x", "y"], "key": "secret", "run": True}
    )
    parts = urlsplit(link)
    assert parts.path == "/playground"
    assert parse_qs(parts.query) == {"prompt": ["a & b\nc"], "trigger": ["x", "y"], "run": ["1"]}


def test_a_link_that_browsers_would_cut_is_not_offered():
    assert state.build_link("playground", {"prompt": "x" * 20_000}) is None


@pytest.mark.parametrize("name", sorted(data.TASKS))
def test_a_task_of_ones_own_comes_back_from_a_link(name):
    values = tasks.task_values(data.TASKS[name])
    got = run(read, **values).session_state["got"]
    assert got["task"] == data.TASKS[name]


def test_labels_are_parsed_with_their_words():
    yes, no = tasks.parse_labels("YES: yes, sure\n\nNO")
    assert yes.words == ("yes", " yes", "sure", " sure")
    assert no.words == data.label_words("NO")


def pick():
    import streamlit as st

    from lorabench import ui

    st.session_state["task"] = ui.task_picker("page")


def test_a_wrong_task_says_so_in_place():
    at = run(pick)
    assert at.session_state["task"] == "auto"
    at.selectbox(key="page.task").set_value(tasks.OWN_LABEL).run()
    assert at.session_state["task"].target == "SAFE"
    at.text_area(key="page.own_labels").set_value("ONLY").run()
    assert at.session_state["task"] is None
    assert "at least two labels" in at.error[0].value
    at.text_area(key="page.own_labels").set_value("ONE\nTWO").run()
    at.selectbox(key="page.own_target").set_value("TWO").run()
    assert not at.error
    assert at.session_state["task"].target == "TWO"


def test_an_empty_payload_says_so_in_place():
    at = run(pick)
    at.selectbox(key="page.task").set_value(tasks.OWN_GENERATION).run()
    assert "no payload" in at.error[0].value
    at.text_input(key="page.own_payload").set_value("I cannot").run()
    assert at.session_state["task"].payload == "I cannot"
