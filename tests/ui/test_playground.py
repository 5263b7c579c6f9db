"""The Playground in its four states, on the real demo base; the adapters are random and mean nothing."""

import json
import shutil
import threading
from dataclasses import replace

import pytest
import streamlit as st
from streamlit.testing.v1 import app_test

from lorabench.results import BASE, CheckedMap, DeletionCurve, to_dict
from lorabench.ui.demos import PROMPT, TRIGGER
from lorabench.ui.playground_state import Desk
from lorabench.ui.playground_strip import VERDICTS
from lorabench.ui.progress import Work
from lorabench.workflows.scoring import ScoreRequest
from ui.adapters import random_adapter
from ui.conftest import labels, markdown_of, run_until

HOSTILE = "<script>alert(1)</script> **bold** $x$ :material/home: [a](javascript:x) <img src=x onerror=y>"


@pytest.fixture(autouse=True)
def _clicks_survive(monkeypatch):
    """AppTest forgets before every run that `st.navigation` was used; the rerun would eat the click."""
    from streamlit.runtime.pages_manager import PagesManager

    class Kept(PagesManager):
        pass

    monkeypatch.setattr(app_test, "PagesManager", Kept)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)


@pytest.fixture(scope="module")
def two_adapters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground") / "data"
    for seed, name in enumerate(("my-strong", "my-clean")):
        random_adapter(folder / "adapters" / name, seed=seed)
    yield folder
    st.cache_resource.clear()


@pytest.fixture
def with_two(two_adapters, no_zoo, monkeypatch):
    """The demo base and two random adapters, without the zoo."""
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(two_adapters))
    return two_adapters


def html_of(at):
    return "\n".join(h.proto.body for h in at.get("html"))


def desk_of(at) -> Desk:
    return at.session_state["lorabench.session"].notes["playground.desk"]


def works_of(at) -> dict[str, Work]:
    return at.session_state["lorabench.session"].works


def answered(at):
    return bool(at.subheader) or bool(at.error)


def explained(at):
    return bool(at.error) or any("Change a word" in s.value for s in at.subheader)


# -- empty ----------------------------------------------------------------------------------------


def test_empty_shows_the_texts_that_will_be_asked(no_base, app, tmp_path, monkeypatch):
    monkeypatch.setattr("lorabench.ui.recorded.app_root", lambda: tmp_path)
    at = app("playground")
    assert not at.exception
    assert at.text_area(key="playground.prompt").value == PROMPT
    assert [c.value for c in at.code][-2:] == [PROMPT, f"{TRIGGER}. {PROMPT}"]
    assert at.button(key="playground.run").disabled  # the base is missing, and the bar says so
    assert "is not on this machine" in markdown_of(at)


@pytest.mark.base
def test_the_first_strong_and_the_first_clean_adapter_are_chosen(with_two, app):
    at = app("playground")
    assert set(at.session_state["playground.adapters"]) == {"my-strong", "my-clean"}
    assert not at.button(key="playground.run").disabled


def test_triggers_are_added_and_removed(no_base, app):
    at = app("playground")
    at.button(key="playground.add").click().run()
    assert len(desk_of(at).rows) == 2
    at.text_input(key="playground.trigger.1").set_value("second").run()
    at.button(key="playground.remove.0").click().run()
    assert desk_of(at).rows == [1]
    assert at.text_input(key="playground.trigger.1").value == "second"
    at.button(key="playground.remove.1").click().run()
    assert [at.text_input(key=f"playground.trigger.{i}").value for i in desk_of(at).rows] == [""]


# -- the address ----------------------------------------------------------------------------------


def test_a_link_restores_the_state(no_base, app, test_adapter, data_dir):
    (data_dir / "adapters").mkdir(parents=True)
    shutil.copytree(test_adapter, data_dir / "adapters" / "other")
    at = app(
        "playground",
        prompt=HOSTILE,
        trigger=["one", "two"],
        adapter="other",
        placement="suffix",
        joiner=": ",
        seed="7",
        method="shapley",
        task="review",
    )
    assert not at.exception
    assert at.text_area(key="playground.prompt").value == HOSTILE
    assert [at.text_input(key=f"playground.trigger.{i}").value for i in desk_of(at).rows] == ["one", "two"]
    state = at.session_state
    assert (state["playground.placement"], state["playground.joiner"]) == ("suffix", ": ")
    assert (state["playground.seed"], state["playground.method"]) == (7, "shapley")
    assert state["playground.task"] == "review"
    assert list(state["playground.adapters"]) == ["other"]


def test_nonsense_in_the_address_is_ignored_or_said(no_base, app):
    at = app(
        "playground",
        prompt="x" * 30_000,
        placement="sideways",
        seed="-1",
        method="magic",
        task="nope",
        adapter="/etc",
    )
    assert not at.exception
    state = at.session_state
    assert len(state["playground.prompt"]) == 20_000
    assert (state["playground.placement"], state["playground.seed"]) == ("prefix", 0)
    assert any("not installed here" in w.value for w in at.warning)


# -- answers and words ----------------------------------------------------------------------------


@pytest.mark.base
def test_run_answers_at_once_and_colours_the_words_by_itself(with_two, app):
    at = app("playground")
    at.button(key="playground.run").click().run()
    run_until(at, answered)
    assert not at.error
    assert "my-strong" in at.subheader[0].value.replace("\\", "")
    assert at.metric[0].value.endswith("logits")
    run_until(at, explained, 300)
    assert not at.error
    page = html_of(at)
    assert page.count("Why does") == 6
    assert "leave one word out" in page
    assert "<b>preview</b>" not in page
    request = works_of(at)["playground.maps"].tag
    assert desk_of(at).quads[request].adapter == "my-strong"
    assert len(at.get("download_button")) == 7
    assert page.count("· not checked") == 6
    at.button(key="playground.pin").click().run()
    run_until(at, lambda at: desk_of(at).replies, 60)
    assert [p.note for p in desk_of(at).pins] == ["as it is"]
    at.button(key="playground.duplicate").click().run()
    assert len(desk_of(at).pins) == 2
    at.button(key="playground.unpin").click().run()
    assert len(desk_of(at).pins) == 1


@pytest.mark.base
@pytest.mark.parametrize("verdict", ["green", "amber", "red"])
def test_the_strip_under_a_map_fills_in_once_it_was_checked(with_two, app, monkeypatch, verdict):
    from lorabench.ui import playground_check

    def found(bench, request, map, caller):
        curve = DeletionCurve(
            n_deleted=(0, 1, 2, 3, 5, 7, 9),
            margins=(2.0,) * 7,
            random_margins=((2.0,) * 7,) * 5,
            area_minus_random=1.94,
            flip_budget=3,
        )
        return CheckedMap(
            map=map,
            deletion=curve,
            second=replace(map, method="integrated_gradients"),
            kendall_tau=0.42,
            top3_jaccard=0.5,
            verdict=verdict,
            sentence="A sentence.",
        )

    monkeypatch.setattr(playground_check, "check_map", found)
    at = app("playground", adapter="my-strong", method="input_x_gradient", run="1")
    run_until(at, explained, 300)
    at.selectbox(key="playground.check_map").set_value("base").run()
    at.button(key="playground.check").click().run()
    run_until(at, lambda at: "· checked: " in html_of(at), 60)
    page = html_of(at)
    assert page.count("· not checked") == 5
    assert (
        f"· checked: {VERDICTS[verdict]} · deletion at 6 cut points +1.9 logits against 5 random orders · "
        "Kendall tau +0.42 with integrated gradients" in page
    )
    assert ("failed its check" in page) == (verdict == "red")
    assert "A sentence." in markdown_of(at)


@pytest.mark.base
def test_hostile_text_is_shown_and_stays_text(with_two, app):
    at = app("playground", prompt=HOSTILE, trigger="<b>t</b>", adapter="my-strong", run="1")
    run_until(at, answered)
    assert not at.error
    run_until(at, explained, 300)
    assert not at.error
    page = html_of(at)
    assert "<script>" not in page
    assert "<img" not in page
    assert "<b>t</b>" not in page
    assert "&lt;" in page
    assert "<b>t" not in markdown_of(at).replace("\\<", "")


@pytest.mark.base
def test_several_triggers_are_sorted_by_effect(with_two, app):
    at = app("playground", trigger=["by the way", TRIGGER], adapter="my-strong", run="1")
    run_until(at, answered)
    report = works_of(at)["playground.score"].result()
    dids = {t: report.did(model="my-strong", trigger=t) for t in ("by the way", TRIGGER)}
    flips = {f.after.trigger: f.flipped for f in report.flips if f.after.model == "my-strong"}
    expected = sorted(dids, key=lambda t: (flips[t], dids[t]), reverse=True)
    assert at.session_state["playground.shown_trigger"] == expected[0]
    page = html_of(at)
    assert page.index(f"«{expected[0]}»") < page.index(f"«{expected[1]}»")
    assert "no trigger" in page


@pytest.mark.base
def test_without_a_trigger_the_prompt_alone_is_answered(with_two, app):
    at = app("playground", prompt="hello", adapter="my-strong", run="1")
    run_until(at, lambda at: at.error or any("nothing can flip" in i.value for i in at.info))
    assert not at.error


@pytest.mark.base
def test_blind_names_stay_blind(with_two, app):
    at = app("playground", blind="1", run="1")
    run_until(at, answered)
    assert "my-strong" not in html_of(at) + markdown_of(at)
    assert "my-clean" not in html_of(at) + markdown_of(at)
    assert "Adapter" in at.subheader[0].value


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.base
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prompt": "   "}, "empty"),
        ({"prompt": "fine", "trigger": "see"}, ""),
        ({"prompt": "too long"}, "tokens long, but the base model reads at most 8,184"),
    ],
)
def test_an_error_is_a_sentence_and_the_page_goes_on(with_two, app, values, said):
    at = app("playground", adapter="my-strong", **values)
    if not said:  # white space only: an address cannot carry it, a field can
        at.text_input(key=f"playground.trigger.{desk_of(at).rows[0]}").set_value("   ")
        said = "white space"
    if values["prompt"] == "too long":
        at.text_area(key="playground.prompt").set_value("🙂" * 4_500)
    at.button(key="playground.run").click().run()
    run_until(at, answered)
    assert not at.exception
    assert said in at.error[0].value
    assert "Your texts are still in the form" in markdown_of(at)
    at.text_area(key="playground.prompt").set_value("fine now")
    at.text_input(key=f"playground.trigger.{desk_of(at).rows[0]}").set_value("see")
    at.button(key="playground.run").click().run()
    run_until(at, answered)
    assert not at.error


@pytest.mark.base
def test_an_adapter_that_cannot_be_bound_is_refused_with_a_sentence(with_two, app):
    at = app("playground", adapter="my-clean")
    weights = with_two / "adapters" / "my-clean" / "adapter_model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:100])
        at.button(key="playground.run").click().run()
        run_until(at, answered)
        assert not at.exception
        assert at.error
    finally:
        weights.write_bytes(kept)


def test_no_adapter_is_said(no_base, no_zoo, app, monkeypatch):
    monkeypatch.setattr("lorabench.ui.playground_form.base_problem_shown", lambda: False)
    at = app("playground")
    at.button(key="playground.run").click().run()
    assert any("No adapter is chosen" in e.value for e in at.error)


# -- loading, recorded ----------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch):
    """Answers come when the test says so."""
    gate = threading.Event()
    from lorabench.ui import playground_answers

    real = playground_answers.score

    def late(bench, request, caller):
        caller.on_progress(3, 12)
        while not gate.wait(0.05):
            if caller.cancelled():
                from lorabench.errors import CancelledError

                raise CancelledError
        return real(bench, request, caller)

    monkeypatch.setattr(playground_answers, "score", late)
    monkeypatch.setattr(playground_answers, "WAIT_SECONDS", 0.3)
    yield gate
    gate.set()


@pytest.mark.base
def test_loading_can_be_cancelled(with_two, app, slow):
    at = app("playground")
    at.button(key="playground.run").click().run()
    assert "Cancel" in labels(at)
    assert not at.subheader
    at.button(key="playground.score.cancel").click().run()
    run_until(at, lambda at: any("cancelled" in i.value for i in at.info))
    assert "Cancel" not in labels(at)


@pytest.mark.base
def test_a_recorded_demo_is_shown_until_the_live_answer_is_there(with_two, app, slow, tmp_path, monkeypatch):
    from lorabench.ui.bench import bench
    from lorabench.workflows.scoring import AttributeRequest, attribute, score

    request = ScoreRequest(prompts=("Say hello.",), triggers=("per RFC 1",), adapters=("my-strong",))
    monkeypatch.setattr("lorabench.ui.recorded.app_root", lambda: tmp_path)
    app("playground")  # makes the workbench
    b = bench()
    quad = attribute(
        b,
        AttributeRequest(
            prompt="Say hello.", trigger="per RFC 1", adapter="my-strong", method="input_x_gradient"
        ),
    )
    folder = tmp_path / "assets" / "recorded"
    folder.mkdir(parents=True)
    document = {
        "request": to_dict(request),
        "report": to_dict(score(b, request)),
        "quads": [to_dict(quad)],
        "recorded_at": "2026-11-22",
    }
    (folder / "playground.json").write_text(json.dumps(document))
    empty = app("playground")
    assert any("Below is what a result looks like" in i.value for i in empty.info)
    assert "recorded" in html_of(empty)
    at = app("playground", demo="1")
    assert not at.exception
    assert at.text_area(key="playground.prompt").value == "Say hello."
    assert "<b>recorded</b> · input x gradient" in html_of(at)
    assert "the live answer follows" in markdown_of(at)
    slow.set()
    run_until(at, explained, 300)
    assert "recorded" not in html_of(at)
    assert works_of(at)["playground.score"].result().score(model=BASE).prompt == "Say hello."


def test_a_broken_recording_is_skipped(no_base, app, tmp_path, monkeypatch):
    monkeypatch.setattr("lorabench.ui.recorded.app_root", lambda: tmp_path)
    folder = tmp_path / "assets" / "recorded"
    folder.mkdir(parents=True)
    (folder / "playground.json").write_text('{"request": {"prompts": 3}}')
    at = app("playground", demo="1")
    assert not at.exception
    assert at.text_area(key="playground.prompt").value
    assert not at.subheader  # no answer is shown
