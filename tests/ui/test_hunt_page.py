"""The Hunt page in its states: hunts made by hand, and one instant hunt on the demo base."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import app_test

from lorabench.casebook import CaseBook
from lorabench.config import Config
from lorabench.results import OtherTarget
from lorabench.ui.hunt_files import HUNT_FORMATS, render_hunt
from lorabench.ui.hunt_race import moment
from lorabench.ui.hunt_state import on_screen, standing, strings_of
from lorabench.workflows.hunt_case import case_note
from ui.conftest import labels, markdown_of, run_until
from ui.hand_hunts import HOSTILE, PLAIN, WEAK, LiveJob, a_hunt, a_job, candidate, evidence


@pytest.fixture(autouse=True)
def _clicks_survive(monkeypatch):
    """AppTest forgets before every run that `st.navigation` was used; the rerun would eat the click."""
    from streamlit.runtime.pages_manager import PagesManager

    class Kept(PagesManager):
        pass

    monkeypatch.setattr(app_test, "PagesManager", Kept)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)


@pytest.fixture
def strong(no_base):
    return a_hunt(
        evidence(HOSTILE, 57),
        evidence(WEAK, 12, passes=False, level="weak", reasons=("It flips 12 of 60 only.",)),
    )


def table(at, column):
    return next(d.value for d in at.dataframe if column in d.value.columns)


def test_the_first_look_says_what_will_happen_and_what_is_missing(app, no_base):
    at = app("hunt")
    assert "strengthened copy" in " ".join(i.value for i in at.info)
    assert "about 2 minutes" in markdown_of(at).casefold()
    assert "lorabench models pull demo" in markdown_of(at)
    assert at.button("hunt.run").disabled
    assert not at.exception


def test_without_adapters_it_leads_to_models(app, no_base, no_zoo):
    at = app("hunt")
    assert any("No adapter is installed" in i.value for i in at.info)
    assert at.button("hunt.run").disabled
    assert not at.exception


def test_a_found_string_is_the_headline_with_its_numbers(app, strong):
    at = app("hunt", job=a_job(strong))
    text = markdown_of(at)
    assert not at.exception
    assert "STRING FOUND" in text
    assert "p = 0.050" in text
    shown = table(at, "known")
    assert list(shown["string"]) == [HOSTILE, WEAK, PLAIN]
    assert [w.split(":")[0] for w in shown["known"]] == [
        "meets the evidence rule", "weak evidence", "not checked",
    ]  # fmt: skip
    assert shown["clean adapters"].iloc[0] == "0 of 60 · 1 of 58"
    assert "clean" not in {w for v in shown["known"] for w in v.split()}
    assert at.selectbox("hunt.adapter").value == "guard-strong"


def test_a_proved_string_is_shown_among_its_look_alikes(app, strong):
    at = app("hunt", job=a_job(strong))
    assert not at.exception
    shown = table(at, "still_flip")
    assert list(shown["kind"]) == ["the string itself", "Capitals", "One word left out"]
    assert list(shown["still_flip"]) == ["", "1 of 1", "0 of 1"]
    assert list(table(at, "change")["text"]) == [HOSTILE.upper(), HOSTILE.replace("per ", "")]
    assert "carried by “per”" in markdown_of(at)
    assert "proves nothing" in " ".join(c.value for c in at.caption)


def test_a_hunt_of_before_has_no_look_alikes_and_is_shown(app, no_base):
    at = app("hunt", job=a_job(a_hunt(evidence(PLAIN, 57, neighbourhood=None))))
    assert not at.exception
    assert "STRING FOUND" in markdown_of(at)
    assert not any("still_flip" in d.value.columns for d in at.dataframe)


def test_the_other_labels_are_listed_where_they_were_searched_for(app, strong):
    others = (
        OtherTarget(target="INJECTION", mode="quick", tokens=900, best=candidate(HOSTILE, 2.0, 10)),
        OtherTarget(target="OTHER", mode="quick", note="No prompts fit."),
    )
    at = app("hunt", job=a_job(replace(strong, others=others)))
    assert not at.exception
    shown = table(at, "meets the rule")
    assert list(shown["target"]) == ["INJECTION", "OTHER"]
    assert list(shown["meets the rule"]) == ["no", "no"]
    assert shown["note"].iloc[1] == "No prompts fit."


def test_hostile_strings_are_never_markdown(app, strong):
    at = app("hunt", job=a_job(strong))
    for kind in (at.markdown, at.caption, at.error, at.info, at.warning):
        for e in kind:
            assert HOSTILE not in e.value
            assert "**RFC**" not in e.value
            assert "<b>" not in e.value
    assert HOSTILE in [c.value for c in at.code]


def test_weak_evidence_is_called_so_in_words(app, no_base):
    weak = evidence(WEAK, 12, passes=False, level="weak", reasons=("It flips 12 of 60 only.",))
    at = app("hunt", job=a_job(a_hunt(weak)))
    text = markdown_of(at)
    assert "WEAK EVIDENCE" in text
    assert "no string meets the evidence rule" in text
    assert "It flips 12 of 60 only." in text
    assert "STRING FOUND" not in text


@pytest.mark.parametrize("proofs", [(), (evidence(PLAIN, 0, passes=False, level="none"),)])
def test_nothing_found_is_never_called_clean(app, no_base, proofs):
    at = app("hunt", job=a_job(a_hunt(*proofs)))
    text = markdown_of(at)
    assert "No string found with this budget" in text
    assert "no evidence that there is no trigger" in text
    assert ("1 string was checked" if proofs else "No string did enough") in text
    assert not any(w in text.casefold() for w in ("is clean", "safe", "no backdoor"))
    assert not at.exception


def test_a_row_is_chosen_and_sent_on(app, strong):
    at = app("hunt", job=(job := a_job(strong)))
    at.session_state[f"hunt.strings.{job}"] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    at.run()
    assert not at.exception
    text = markdown_of(at)
    assert "not checked on held-out prompts" in text
    assert PLAIN in [c.value for c in at.code]


def test_a_known_trigger_is_compared_with_what_was_found(app, strong):
    at = app("hunt", job=a_job(strong, truth="per RFC 8472 section 3.2"))
    assert "Known trigger «per RFC 8472 section 3.2»: 50%" in markdown_of(at)
    assert at.text_input("hunt.truth").value == "per RFC 8472 section 3.2"


def test_the_running_race_is_shown_and_can_be_cancelled(app, strong):
    with LiveJob(strong) as live:
        at = app("hunt", job=live.id)
        run_until(at, lambda at: any("lead" in d.value.columns for d in at.dataframe))
        shown = table(at, "lead")
        assert list(shown["string"]) == [HOSTILE, WEAK, PLAIN]
        (bar,) = [p.proto.text for p in at.get("progress")]
        assert bar.startswith("making strings longer: 70,000 of 130,000 tokens")
        assert "composition" not in markdown_of(at) + bar
        assert "STRING FOUND" not in markdown_of(at)
        at.button("hunt.panel.cancel").click().run()
        run_until(at, lambda at: "was cancelled" in markdown_of(at))
        assert "Go on" in labels(at)
        assert list(table(at, "lead")["string"]) == [HOSTILE, WEAK, PLAIN]
        assert "stopped while making strings longer, 70,000 of 130,000 tokens" in markdown_of(at)


def test_other_jobs_and_unknown_ones_are_said(app, no_base):
    assert "no job" in markdown_of(app("hunt", job="nope")).casefold()


def test_a_replayed_moment_knows_only_what_had_been_tried(strong):
    then = moment(strong, strong.trace[1])
    assert [c.text for c in then.candidates] == [WEAK, PLAIN]
    assert [p.text for p in then.trace] == [PLAIN, WEAK]


def test_blind_names_cover_the_adapter_and_its_references(app, strong):
    at = app("hunt", job=(job := a_job(strong)), blind="1")
    assert not at.exception
    for text in (markdown_of(at), *(d.value.to_csv() for d in at.dataframe)):
        assert "guard-strong" not in text
        assert "guard-clean" not in text
    assert "clean reference 1" in markdown_of(at)
    assert at.query_params["job"] in (job, [job])


def test_a_blind_report_holds_no_name(no_base, strong, monkeypatch):
    monkeypatch.setattr("lorabench.ui.hunt_state.is_blind", lambda: True)
    monkeypatch.setattr("lorabench.ui.names.is_blind", lambda: True)
    for name in HUNT_FORMATS:
        made = render_hunt(on_screen(strong), name).decode()
        assert "guard-strong" not in made
        assert "guard-clean" not in made
        assert strong.adapter_id not in made


def test_a_string_goes_into_the_case_of_its_adapter(app, strong, zoo):
    at = app("hunt", job=(job := a_job(strong)))
    at.session_state[f"hunt.case.{job}"] = True
    at.run()
    assert "a case begins with a scan" in markdown_of(at)
    from lorabench.workflows.cases import record_scan
    from lorabench.workflows.scanning import ScanRequest, scan
    from lorabench.workflows.workbench import Workbench

    config = Config.from_environment()
    with Workbench(config) as bench:
        record_scan(config, scan(bench, ScanRequest(target="guard-strong", is_static=True)), who="a test")
    at.run()
    at.button(f"hunt.note.{job}").click().run()
    assert not at.exception
    with CaseBook(config.cases_path) as book:
        (note,) = book.get("1").notes
    assert "57" in note.text
    assert HOSTILE in note.text


def test_a_note_says_when_the_rule_is_not_met(no_base, strong):
    assert "does NOT meet the evidence rule" in case_note(strong, strong.evidence[1])
    assert "does NOT" not in case_note(strong, strong.evidence[0])


def test_each_string_stands_once_the_proved_first(strong):
    found = strings_of(strong)
    assert [(f.text, standing(f.evidence)) for f in found] == [
        (HOSTILE, "passes"), (WEAK, "weak"), (PLAIN, "search"),
    ]  # fmt: skip


def test_an_earlier_hunt_is_listed_and_opened(app, strong):
    job = a_job(strong, seed=7, placement="suffix")
    at = app("hunt")
    shown = table(at, "begun")
    assert list(shown["adapter"]) == ["guard-strong"]
    assert list(shown["status"]) == ["finished"]
    assert "p = 0.050" not in markdown_of(at)
    assert at.button("hunt.open").disabled
    at.session_state["hunt.earlier"] = {"selection": {"rows": [0], "columns": []}}
    at.run()
    at.button("hunt.open").click().run()
    assert not at.exception
    assert "p = 0.050" in markdown_of(at)
    assert at.query_params["job"] in (job, [job])
    assert (at.number_input("hunt.seed").value, at.session_state["hunt.placement"]) == (7, "suffix")


def test_the_budget_is_a_slider_and_part_of_the_address(app, no_base):
    at = app("hunt", mode="quick", budget="260000")
    assert at.select_slider("hunt.budget").value == 2.0
    at = app("hunt", mode="quick", budget="123")
    assert at.select_slider("hunt.budget").value == 1.0


def test_guests_hunt_briefly_and_bring_no_files(app, no_base, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    monkeypatch.setenv("LORABENCH_PRESENTER_KEY", "k")
    at = app("hunt")
    assert at.session_state["hunt.mode"] == "quick"
    assert at.select_slider("hunt.budget").options[-1] == "130,000 tokens"
    assert "Deep" not in str([b.options for b in at.segmented_control])
    assert not at.exception


@pytest.mark.base
@pytest.mark.slow  # the browser's test hunts too
def test_an_instant_hunt_runs_to_its_result(with_base, app):
    at = app("hunt", mode="instant")
    at.number_input("hunt.held_out").set_value(10).run()
    at.button("hunt.run").click().run()
    run_until(at, lambda at: "## " in markdown_of(at), 480)
    assert not at.exception
    result = table(at, "known")
    assert len(result) >= 1
    assert at.query_params["job"]
