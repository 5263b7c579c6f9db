"""Home in its four states."""

import pytest

from lorabench.errors import BaseModelError
from lorabench.ui.tour import STEPS
from ui.conftest import labels, markdown_of, run_until


def test_without_a_base_it_says_so_and_leads_on(no_base, app):
    at = app()
    assert not at.exception
    assert "is not on this machine" in at.error[0].value
    assert "`lorabench models pull demo`" in at.error[0].value
    assert all(at.button(key=f"home.demo_{d}").disabled for d in ("fire", "look-alikes", "blind", "hunt"))


def test_a_base_that_cannot_be_opened_can_be_tried_again(no_base, app, monkeypatch, tmp_path):
    tried = []

    def fail(workbench):
        tried.append(workbench.base)
        raise BaseModelError("damaged", "The weights are damaged.", "Fetch them again.")

    monkeypatch.setattr("lorabench.models.fetch.resolve", lambda base_id, config: tmp_path)
    monkeypatch.setattr("lorabench.workflows.workbench.Workbench._open", fail)
    at = app()
    run_until(at, lambda at: at.error)
    assert "The weights are damaged." in at.error[0].value
    assert at.button(key="status.retry").label == "Try again"
    assert at.button(key="home.demo_fire").disabled
    at.button(key="status.retry").click().run()
    run_until(at, lambda at: len(tried) == 2 and at.error)
    assert not at.exception


def test_without_adapters_it_says_so(no_base, no_zoo, app):
    at = app()
    assert any("none is installed" in i.value for i in at.info)
    assert any("0 adapters" in t.value for t in at.text)


def test_it_says_what_a_clean_result_does_not_prove(no_base, app):
    assert "no evidence found with these checks" in markdown_of(app())


def test_the_tour_goes_forward_and_back(no_base, app):
    at = app()
    assert at.button(key="home.tour").label == f"Tour ({len(STEPS)} steps)"
    at.button(key="home.tour").click().run()
    for step in STEPS[1:]:
        at.button(key="home.tour_next").click().run()
        assert step.title in [s.value for s in at.subheader]
    at.button(key="home.tour_back").click().run()
    assert "Hunt" in next(s.text for s in STEPS if s.page == "pages/hunt.py")
    assert STEPS[-2].title in [s.value for s in at.subheader]


@pytest.mark.base
def test_with_a_base_it_loads_without_blocking_and_gets_ready(with_base, app):
    at = app()
    assert not at.exception
    assert not at.error
    run_until(at, lambda at: "evidence mode fp32" in markdown_of(at))
    assert "See a backdoor fire" in labels(at)


@pytest.mark.base
@pytest.mark.parametrize("demo", ["fire", "look-alikes", "blind", "hunt"])
def test_a_demo_opens_its_page_filled_in(with_base, app, demo):
    at = app()
    at.button(key=f"home.demo_{demo}").click().run()
    assert not at.exception
    assert at.title[0].value in ("Playground", "Generalisation", "Hunt")
