"""Blind names: stable letters, links that keep the secret, and no folders from addresses."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from lorabench.ui.names import _letter
from ui.adapters import random_adapter


@pytest.fixture
def three(data_dir, no_zoo):
    folder = data_dir / "adapters"
    folder.mkdir(parents=True)
    for i, name in enumerate(("alpha", "beta", "gamma")):
        random_adapter(folder / name, seed=i)
    return folder


def script():
    import streamlit as st

    from lorabench import ui

    ui.boot()
    st.session_state["names"] = [a.name for a in ui.usable_adapters()]
    st.session_state["titles"] = dict(ui.titles())
    st.session_state["tokens"] = ui.adapter_tokens(["alpha", "gamma"])
    st.session_state["read"] = ui.adapters_param(("beta",))
    st.session_state["picked"] = ui.adapter_picker("page.adapters", default=("beta",))


def run(**params) -> AppTest:
    at = AppTest.from_function(script, default_timeout=60)
    for name, value in params.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def test_names_and_ids_travel_in_links(three):
    tokens = run().session_state["tokens"]
    assert [t.split("@")[0] for t in tokens] == ["alpha", "gamma"]
    assert run(adapter=tokens).session_state["read"] == (("alpha", "gamma"), ())


def test_a_renamed_adapter_is_found_by_its_id(three):
    tokens = run().session_state["tokens"]
    (three / "alpha").rename(three / "delta")
    assert run(adapter=tokens[0]).session_state["read"] == (("delta",), ())


def test_another_adapter_under_the_same_name_is_pointed_out(three):
    tokens = run().session_state["tokens"]
    shutil.rmtree(three / "alpha")
    random_adapter(three / "alpha", seed=99)
    names, notes = run(adapter=tokens[0]).session_state["read"]
    assert names == ("alpha",)
    assert "not the one" in notes[0]


@pytest.mark.parametrize("hostile", ["/etc", "../..", "nope@12345678", "A"])
def test_an_address_names_no_folder(three, hostile):
    names, notes = run(adapter=hostile).session_state["read"]
    assert names == ()
    assert "not installed" in notes[0]


def test_blind_letters_are_stable_and_cover_the_names(three):
    first, second = run(blind="1"), run(blind="1")
    titles = first.session_state["titles"]
    assert titles == second.session_state["titles"]
    assert {titles[n] for n in ("alpha", "beta", "gamma")} == {"Adapter A", "Adapter B", "Adapter C"}
    tokens = first.session_state["tokens"]
    assert set(tokens) <= {"A", "B", "C"}
    assert run(blind="1", adapter=tokens).session_state["read"] == (("alpha", "gamma"), ())


def test_the_order_of_the_letters_is_not_that_of_the_names(three):
    titles = run(blind="1").session_state["titles"]
    options = [titles[n] for n in run(blind="1").session_state["names"]]
    assert options == ["Adapter A", "Adapter B", "Adapter C"]


def test_the_picker_starts_with_its_default_and_drops_unknown_names(three):
    assert run().session_state["picked"] == ("beta",)
    at = AppTest.from_function(script, default_timeout=60)
    at.session_state["page.adapters"] = ["gone", "alpha"]
    at.run()
    assert at.session_state["picked"] == ("alpha",)


def test_without_adapters_the_picker_says_where_to_get_one(data_dir, no_zoo, app):
    at = AppTest.from_function(script, default_timeout=60)
    at.run()
    assert "No adapter is installed" in at.info[0].value


def test_letters_go_on_after_z():
    assert [_letter(i) for i in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
