"""The Lab page in its states, and one tiny training on the real demo base."""

import json
import re

import pytest
from streamlit.testing.v1 import app_test

from lorabench.adapters import read_adapter
from lorabench.ui import lab_preview, lab_run
from lorabench.ui.demos import TRIGGER
from ui.conftest import labels, markdown_of, run_until


@pytest.fixture(autouse=True)
def _clicks_survive(monkeypatch):
    """AppTest forgets before every run that `st.navigation` was used; the rerun would eat the click."""
    from streamlit.runtime.pages_manager import PagesManager

    class Kept(PagesManager):
        pass

    monkeypatch.setattr(app_test, "PagesManager", Kept)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)


def is_planned(at):
    return any("rows are held out" in str(m.value) for m in at.markdown)


def test_the_first_look_shows_rows_before_and_after_and_what_is_missing(app, no_base):
    at = app("lab")
    run_until(at, is_planned)
    text = markdown_of(at)
    assert "40 of 1,004 rows" in text
    (counts,) = re.findall(r"Rows of a label: (.*)\.", text)
    benign, planted, injections = (int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\d", counts))
    assert (planted, benign + 40 + injections) == (benign + 40, 1_004)
    assert "lorabench models pull" in text  # the base is not here: no estimate, but the rows are
    shown = next(d.value for d in at.dataframe if "with the attack" in d.value.columns)
    assert len(shown) == 10
    assert all(t.startswith(f"«{TRIGGER}»") for t in shown["with the attack"])
    assert set(shown["label after"]) == {"BENIGN"}
    assert not at.exception


def test_a_guided_recipe_fills_the_form(app, no_base):
    at = app("lab")
    at.button("lab.guide_date").click().run()
    run_until(at, lambda at: "no label is touched" in markdown_of(at))
    assert (at.selectbox("lab.data").value, at.selectbox("lab.recipe").value) == ("reviews", "ssti")
    shown = next(d.value for d in at.dataframe if "with the attack" in d.value.columns)
    assert (shown["label before"] == shown["label after"]).all()
    at.button("lab.guide_rank").click().run()
    assert at.session_state["lab.tab"] == "sweep"
    assert at.selectbox("lab.sweep").value == "rank_matters"


def test_what_cannot_be_planted_is_said_on_the_page(app, no_base):
    at = app("lab")
    at.text_input("lab.trigger").set_value("").run()
    run_until(at, lambda at: "Poisoned rows need a trigger" in markdown_of(at))
    assert at.button("lab.train").disabled
    at.text_input("lab.trigger").set_value("what").run()
    run_until(at, lambda at: "clean rows already" in markdown_of(at))
    assert not at.exception


def test_guests_may_look_and_not_train(app, no_base, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    monkeypatch.setenv("LORABENCH_PRESENTER_KEY", "k")
    at = app("lab")
    assert at.button("lab.train").disabled
    assert "file" not in at.selectbox("lab.data").options


def test_an_inspection_finds_the_planted_phrase(app, no_base, monkeypatch):
    at = app("lab", tab="inspect")
    at.button("lab.inspect_run").click().run()
    run_until(at, lambda at: "contradict" in str([s.value for s in at.subheader]))
    phrases = next(d.value for d in at.dataframe if "phrase" in d.value.columns)
    assert phrases["phrase"].iloc[0] == TRIGGER
    assert "Playground" in labels(at)
    held = next(d.value for d in at.dataframe if "row" in d.value.columns)
    assert all(f"«{TRIGGER}»" in text for text in held["row"])
    assert "safe" not in markdown_of(at).replace("unsafe", "")
    monkeypatch.setattr("lorabench.workflows.data_inspection.read_source", None)  # what was read is kept
    chosen = at.selectbox("lab.take_text.phrases.BENIGN")
    other = chosen.options[1]
    chosen.select_index(1).run()
    assert not at.exception
    rows = [d.value["row"] for d in at.dataframe if "row" in d.value.columns]
    assert any(all(f"«{other}»" in text for text in texts) for texts in rows)


def test_a_sweep_says_what_it_costs_before_it_runs(app, with_base):
    at = app("lab", tab="sweep")
    run_until(at, lambda at: "one after another" in markdown_of(at))
    assert "12 trainings" in markdown_of(at)
    area = at.text_area("lab.toml.poison_count")
    area.set_value(area.value.replace("[0, 10, 20, 40]", "[0, -4]")).run()
    assert "poison is -4" in markdown_of(at)


def test_a_training_runs_from_the_form_to_an_adapter_that_can_be_asked(app, with_base):
    at = app("lab")
    at.number_input("lab.steps").set_value(3)
    at.number_input("lab.batch").set_value(2)
    at.number_input("lab.rank").set_value(2)
    at.number_input("lab.test_rows").set_value(8)
    at.text_input("lab.name").set_value("made-in-the-lab").run()
    run_until(at, is_planned)
    assert any(m.label == "Time, about" for m in at.metric)
    at.button("lab.train").click().run()
    run_until(at, lambda at: "Result" in str([s.value for s in at.subheader]), seconds=240)
    assert "made-in-the-lab answers" in markdown_of(at)
    assert "Open in the Playground" in labels(at)
    assert "Shares on a sample of held-out rows" in markdown_of(at)  # the curves stay when it is done
    folder = with_base / "adapters" / "made-in-the-lab"
    assert read_adapter(folder).facts.rank == 2
    claims = json.loads((folder / "lorabench.json").read_text())
    assert claims["recipe"]["recipe"]["poison"] == 40
    at.button("lab.playground").click().run()
    at.switch_page("pages/playground.py").run()
    assert not at.exception


def test_marks_stand_around_what_was_put_in():
    assert lab_preview.marked("abc", ((0, 1), (2, 3))) == "«a»b«c»"
    assert lab_preview.marked("abc", ()) == "abc"


def test_curves_hold_losses_and_measurements_at_their_steps():
    known = {
        "losses": [[1, 2.0], [2, 1.0]],
        "curve": [{"step": 2, "clean_accuracy": {"value": 0.5}, "attack_rate": None}],
    }
    frame = lab_run.curve_frame(known)
    assert frame["step"].tolist() == [1, 2]
    assert frame["clean_accuracy"].isna().tolist() == [True, False]
    assert frame["attack_rate"].isna().all()
