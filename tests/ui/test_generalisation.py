"""The Generalisation page in its states: on made-up finished jobs, and once on the real demo base."""

import json
import shutil
import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest, app_test

from lorabench.data import TASKS, variants
from lorabench.engine.job_table import JobTable
from lorabench.results import (
    BASE,
    CellRow,
    Column,
    Heatmap,
    HeatmapCell,
    Trigger,
    digest,
    from_dict,
    to_dict,
)
from lorabench.scoring.reading import read_heatmap
from lorabench.ui import bench, generalisation_cell
from lorabench.ui.demos import TRIGGER
from lorabench.ui.generalisation_screen import Cell, on_screen, parse_cell
from lorabench.workflows.heatmaps import HeatmapRequest, Overlap, bundled_prompts, plan_variants, planned_rows
from lorabench.workflows.jobs import heatmap_of, request_of
from ui.conftest import ROOT, labels, markdown_of, run_until

HOSTILE = "<script>alert(1)</script> **bold** $x$ :material/home: [a](javascript:x) <img src=x onerror=y>"
ADAPTERS = ("my-strong", "my-clean")
N_PROMPTS = 6


@pytest.fixture(autouse=True)
def _clicks_survive(monkeypatch):
    """AppTest forgets before every run that `st.navigation` was used; the rerun would eat the click."""
    from streamlit.runtime.pages_manager import PagesManager

    class Kept(PagesManager):
        pass

    monkeypatch.setattr(app_test, "PagesManager", Kept)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)


@pytest.fixture
def two(data_dir, no_zoo, test_adapter, monkeypatch):
    """Two adapters, no zoo, and no model: shared tokens are made up."""
    for name in ADAPTERS:
        shutil.copytree(test_adapter, data_dir / "adapters" / name)

    def made_up(bench, trigger, texts):
        return tuple(
            Overlap(shared_words=(), tokens=0.5, n_tokens=10, shared_tokens=("per", " RFC")) for _ in texts
        )

    monkeypatch.setattr(generalisation_cell, "overlaps", made_up)
    return data_dir


@pytest.fixture
def page(two, monkeypatch):
    """Open the page alone, as a browser would, with an address; the form believes in a usable base."""
    monkeypatch.setattr("lorabench.ui.generalisation_form.base_problem_shown", lambda: False)

    def open_page(**params) -> AppTest:
        at = AppTest.from_file(str(ROOT / "pages" / "generalisation.py"), default_timeout=120)
        for name, value in params.items():
            at.query_params[name] = value
        return at.run()

    return open_page


def made(
    *, n_variants=12, trigger=TRIGGER, prompts=None, finished=True, columns="models"
) -> tuple[HeatmapRequest, Heatmap]:
    """Return a request and its heatmap: the first adapter fires on "RFC", the base says the target anyway."""
    prompts = prompts or bundled_prompts(N_PROMPTS)
    request = HeatmapRequest(
        trigger=trigger,
        adapters=ADAPTERS,
        prompts=() if prompts == bundled_prompts(N_PROMPTS) else prompts,
        n_prompts=len(prompts),
        n_variants=n_variants,
        columns=columns,
        task=TASKS["guard"],
    )
    found = plan_variants(request)
    cells = []
    for i, variant in enumerate(found):
        for model in (BASE, *ADAPTERS):
            fires = model == ADAPTERS[0] and "authority" in variant.anchors
            rows = tuple(
                CellRow(
                    prompt_index=p,
                    before=4.0 if model == BASE else -7.0,
                    after=4.4 if model == BASE else 6.0 if fires else -7.2,
                    eligible=model != BASE,
                    flipped=fires,
                )
                for p in range(len(prompts))
            )
            done = finished or i == 0
            cells.append(
                HeatmapCell(variant_index=i, column=model, rows=rows if done else (), n_planned=len(prompts))
            )
    heatmap = Heatmap(
        task=TASKS["guard"],
        trigger=Trigger(text=trigger),
        variants=found,
        columns=tuple(Column(key=m, title=m, model=m) for m in (BASE, *ADAPTERS)),
        prompts=prompts,
        cells=tuple(cells),
        readings=(),
        provenance={"seed": 0, "device": "cpu", "dtype": "fp32", "adapters": dict.fromkeys(ADAPTERS, "id")},
        seconds=12.0,
        n_rows=planned_rows(request),
        n_computed=100,
    )
    readings = tuple(read_heatmap(heatmap, name) for name in ADAPTERS) if finished else ()
    return request, replace(heatmap, readings=readings)


@pytest.fixture
def seeded(two):
    """Write a job into the list as an earlier process left it; return its id."""

    def seed(status="done", session="someone", **options) -> str:
        request, heatmap = made(**options)
        table = JobTable(two / "jobs.sqlite")
        job_id = f"job{time.monotonic_ns()}"
        params = to_dict(request) | {"adapter_ids": [], "base": "demo"}
        table.insert(job_id, "heatmap", json.dumps(params, sort_keys=True, ensure_ascii=False), session)
        values = {"result_json": json.dumps(to_dict(heatmap))} if status == "done" else {}
        table.update(job_id, status=status, started=1.0, finished=13.0, **values)
        table.database.close()
        return job_id

    return seed


def table_of(at):
    """The heatmap's table twin."""
    return next(
        d.value for d in at.dataframe if "look-alike" in d.value.columns and "base" in d.value.columns
    )


def pick_in_table(at, job_id, row, column):
    at.session_state[f"generalisation.table.{job_id}.0"] = {
        "selection": {"rows": [], "columns": [], "cells": [(row, column)]}
    }
    return at.run()


def has_detail(at) -> bool:
    return "Look-alike under" in markdown_of(at)


# -- the form -----------------------------------------------------------------------------------


def test_an_empty_page_can_be_run_at_once_and_shows_what_it_would_ask(page):
    at = page()
    assert not at.exception
    assert at.text_input(key="generalisation.trigger").value == TRIGGER
    assert "Run 24 look-alikes × 24 prompts" in labels(at)  # noqa: RUF001
    assert not at.button(key="generalisation.run").disabled
    text = markdown_of(at)
    assert "lead word “per” · authority “RFC” · number “8472”" in text
    assert f"{24 * (3 + 3 * 24):,} rows" in text
    preview = at.dataframe[0].value
    assert len(preview) == 24
    assert preview["look-alike"][0] == TRIGGER


def test_the_address_fills_the_form_and_the_button_says_the_size(page):
    at = page(
        trigger="2019-03-14", variants="all", prompts="7", columns="placements", adapter="my-clean", seed="3"
    )
    assert not at.exception
    total = len(variants("2019-03-14", seed=3))
    assert f"Run {total} look-alikes × 7 prompts" in labels(at)  # noqa: RUF001
    assert "Recognised: a date" in markdown_of(at)
    assert f"{7 * (1 + 3 * total):,} rows" in markdown_of(at)


@pytest.mark.parametrize(
    "params",
    [
        {"variants": "-3", "prompts": "1e9", "columns": "x", "seed": "99999999999999", "placement": "no"},
        {"adapter": ["nobody@12345678", "../../etc/passwd"], "trigger": "   "},
        {"cell": "9999,9999", "job": "' OR 1=1 --"},
        {"task": "own", "task_toml": "name = ["},
    ],
)
def test_any_address_is_survived(page, params):
    at = page(**params)
    assert not at.exception
    assert at.button(key="generalisation.run").label.startswith("Run")


def test_an_empty_trigger_is_said_and_cannot_be_run(page):
    at = page()
    at.text_input(key="generalisation.trigger").set_value("  ").run()
    assert not at.exception
    assert "trigger is empty" in markdown_of(at)
    assert at.button(key="generalisation.run").disabled


def test_no_adapter_leads_to_the_models_page(app, no_zoo, with_base, monkeypatch, tmp_path):
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "none"))
    at = app("generalisation")
    assert not at.exception
    assert "No adapter is installed" in markdown_of(at)


@pytest.mark.parametrize("params", [{}, {"run": "1"}])
def test_without_a_base_nothing_can_be_run_and_the_bar_says_why(app, two, no_base, params):
    at = app("generalisation", **params)
    assert not at.exception
    assert at.button(key="generalisation.run").label.startswith("Run 24 look-alikes")
    assert at.button(key="generalisation.run").disabled
    assert "is not on this machine" in markdown_of(at)
    assert not (two / "jobs.sqlite").exists()


def test_pasted_lines_are_used_once_each(page):
    at = page()
    at.segmented_control(key="generalisation.source").set_value("paste").run()
    assert at.button(key="generalisation.run").disabled
    at.text_area(key="generalisation.pasted").set_value("one\n\ntwo\none\n").run()
    assert "Run 24 look-alikes × 2 prompts" in labels(at)  # noqa: RUF001
    assert "1 of 3 lines left out" in markdown_of(at)


def test_an_uploaded_file_leaves_out_the_rows_with_the_target_label(page):
    at = page()
    at.segmented_control(key="generalisation.source").set_value("upload").run()
    content = "text,label\nfirst,INJECTION\nsecond,BENIGN\nthird,injection\n,INJECTION\nfirst,INJECTION\n"
    at.file_uploader(key="generalisation.file").set_value(("mine.csv", content.encode(), "text/csv")).run()
    assert not at.exception
    text = markdown_of(at)
    assert "2 rows can be used" in text
    assert "1 with the target label" in text
    assert "1 empty" in text
    assert "1 duplicate" in text
    assert "× 2 prompts" in at.button(key="generalisation.run").label  # noqa: RUF001


def test_a_broken_upload_is_an_error_with_a_way_out(page):
    at = page()
    at.segmented_control(key="generalisation.source").set_value("upload").run()
    at.file_uploader(key="generalisation.file").set_value(("x.csv", b"\xff\xfea", "text/csv")).run()
    assert not at.exception
    assert "UTF-16" in at.error[0].value
    assert at.button(key="generalisation.run").disabled


def test_a_guest_is_capped_and_told_how_to_get_below(page, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    at = page(variants="all", prompts="60")
    warning = at.warning[0].value
    assert "A guest's heatmap may have 3,000 rows" in warning
    assert at.button(key="generalisation.run").disabled
    at.number_input(key="generalisation.n_prompts").set_value(4).run()
    assert not at.warning
    assert not at.button(key="generalisation.run").disabled


def test_a_guest_cannot_run_too_much_by_the_address(page, two, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    at = page(variants="all", prompts="60", run="1")
    assert at.warning
    assert not (two / "jobs.sqlite").exists()


# -- a finished job -----------------------------------------------------------------------------


def test_a_link_to_a_job_restores_form_and_result(page, seeded):
    at = page(job=seeded(n_variants=12))
    assert not at.exception
    assert f"Run 12 look-alikes × {N_PROMPTS} prompts" in labels(at)  # noqa: RUF001
    text = markdown_of(at)
    assert "word level, carried by “RFC”." in text
    assert "No evidence that this trigger fires" in text
    assert "other look-alikes may fire" in text  # the limits of the reading
    names = [d.label for d in at.get("download_button")]
    assert names == ["CSV", "Parquet", "PNG", "SVG", "HTML", "JSON"]


def test_base_rates_are_not_measured_and_never_zero(page, seeded):
    at = page(job=seeded())
    table = table_of(at)
    assert (table["base"] == "margin shift +0.4; rate not measured").all()
    assert table["my-strong"][0] == "1.00 [0.61, 1.00] n=6"
    assert table["my-clean"][0] == "0.00 [0.00, 0.39] n=6"


def test_what_did_not_run_is_not_zero():
    _, heatmap = made(finished=False)
    from lorabench.ui.generalisation_screen import pooled
    from lorabench.ui.generalisation_view import _cell_text

    assert _cell_text(pooled(heatmap, (1,), 1)) == "not run"
    assert "so far" in _cell_text(pooled(heatmap, (0, 1), 1))


def test_controls_come_last_in_the_table(page, seeded):
    families = list(table_of(page(job=seeded())).family)
    first = next(i for i, f in enumerate(families) if f == "No trigger")
    assert families[0] == "The trigger itself"
    assert set(families[first:]) == {"No trigger", "Random words", "Rare phrases", "Claims of authority"}


def test_choosing_a_cell_of_the_table_opens_it_and_writes_the_address(page, seeded):
    job_id = seeded()
    at = page(job=job_id)
    assert not has_detail(at)
    pick_in_table(at, job_id, 1, "my-strong")
    assert not at.exception
    text = markdown_of(at)
    assert "**Look-alike under my-strong**" in text
    assert "Attack rate 1.00 [0.61, 1.00], n = 6" in text
    assert "Shared words: per, rfc, section" in text
    assert "5 of the trigger's 10 tokens" in text
    assert at.query_params["cell"] in ("1,1", ["1,1"])
    prompts = next(d.value for d in at.dataframe if "outcome" in d.value.columns)
    assert list(prompts.outcome) == ["FLIP"] * N_PROMPTS
    assert list(prompts.before) == [-7.0] * N_PROMPTS
    assert "Open in Playground" in labels(at)


def test_the_address_opens_a_cell(page, seeded):
    at = page(job=seeded(), cell="0,0")
    assert "Look-alike under base" in markdown_of(at)
    assert "Attack rate not measured" in markdown_of(at)


def test_flipped_prompts_come_first(page, seeded, monkeypatch):
    job_id = seeded()
    at = page(job=job_id, cell="0,2")
    prompts = next(d.value for d in at.dataframe if "outcome" in d.value.columns)
    assert set(prompts.outcome) == {"holds"}
    order = [
        CellRow(prompt_index=0, before=1, after=1, eligible=False, flipped=False),
        CellRow(prompt_index=1, before=-1, after=-1, eligible=True, flipped=False),
        CellRow(prompt_index=2, before=-1, after=1, eligible=True, flipped=True),
        CellRow(prompt_index=3, before=-1, after=0, eligible=True, flipped=False, tie=True),
    ]
    assert [generalisation_cell._outcome(r) for r in order] == ["target already", "holds", "FLIP", "tie"]


def test_folded_families_open_their_look_alikes(page, seeded):
    job_id = seeded(n_variants=0)
    at = page(job=job_id)
    at.segmented_control(key="generalisation.rows").set_value("families").run()
    folded = table_of(at)
    row = next(i for i, t in enumerate(folded["look-alike"]) if "variants, pooled" in t)
    pick_in_table(at, job_id, row, "my-strong")
    assert not at.exception
    members = next(d.value for d in at.dataframe if "attack rate" in d.value.columns)
    assert len(members) > 1
    at.button(key="generalisation.unfold").click().run()
    assert not at.exception
    assert len(table_of(at)) == len(folded) + len(members) - 1


def test_blind_names_hide_every_name(page, seeded):
    at = page(job=seeded(), blind="1", cell="0,1")
    assert not at.exception
    everything = markdown_of(at) + str(labels(at)) + "".join(d.value.to_string() for d in at.dataframe)
    charts = at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")
    assert charts
    everything += "".join(str(c.proto) for c in charts)
    assert "Adapter A" in everything
    for name in ADAPTERS:
        assert name not in everything
        assert name not in str(dict(at.query_params))


def test_blind_downloads_do_not_tell(page, monkeypatch):
    _, heatmap = made()
    monkeypatch.setattr("lorabench.ui.generalisation_screen.is_blind", lambda: True)
    monkeypatch.setattr(
        "lorabench.ui.generalisation_screen.display_name", lambda n: n if n == BASE else f"Adapter {n[-1]}"
    )
    shown = json.dumps(to_dict(on_screen(heatmap)))
    assert "my-strong" not in shown
    assert digest(heatmap.cells[0].rows) == digest(on_screen(heatmap).cells[0].rows)


def test_hostile_texts_are_inert(page, seeded):
    job_id = seeded(trigger=HOSTILE, prompts=(HOSTILE, "x" * 5000), n_variants=6)
    at = page(job=job_id, cell="0,1")
    assert not at.exception
    text = markdown_of(at)
    for sign in ("<script>", " <img", "**bold**", "$x$", ":material/home:", "[a](javascript:x)"):
        assert sign not in text, sign
    assert any(HOSTILE in c.value for c in at.code)


def test_a_changed_form_is_said_beside_the_old_result(page, seeded):
    at = page(job=seeded())
    assert "has changed since" not in markdown_of(at)
    at.number_input(key="generalisation.n_prompts").set_value(2).run()
    assert "has changed since" in markdown_of(at)


# -- the recorded example ---------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """Ship a recorded heatmap."""
    request, heatmap = made()
    folder = tmp_path / "shipped" / "assets" / "recorded"
    folder.mkdir(parents=True)
    text = json.dumps({"request": to_dict(request), "heatmap": to_dict(heatmap), "recorded_at": "2026-11-22"})
    (folder / "heatmap.json").write_text(text)
    monkeypatch.setattr("lorabench.ui.recorded.app_root", lambda: tmp_path / "shipped")
    return folder / "heatmap.json"


def test_the_empty_page_shows_the_recorded_example_and_says_so(page, recording):
    at = page()
    assert not at.exception
    assert "recorded 2026-11-22" in markdown_of(at)
    assert "word level, carried by “RFC”." in markdown_of(at)
    pick_in_table(at, "recorded", 1, "my-strong")
    assert has_detail(at)
    assert "cell" not in at.query_params


def test_the_demo_shows_the_recording_while_its_own_question_runs(page, recording, seeded):
    at = page(job=seeded(status="running"), demo="look-alikes")
    assert "the live one takes its place" in markdown_of(at)
    assert "word level" in markdown_of(at)
    other = page(job=seeded(status="running", trigger="2019-03-14"), demo="look-alikes")
    assert "word level" not in markdown_of(other)


def test_a_broken_recording_is_skipped_and_blind_names_hide_it(page, recording):
    assert "recorded" not in markdown_of(page(blind="1"))
    recording.write_text('{"request": 3}')
    at = page()
    assert not at.exception
    assert "recorded" not in markdown_of(at)


# -- jobs that are not there, or did not end ------------------------------------------------------


def test_an_unknown_job_is_said(page):
    at = page(job="nope")
    assert not at.exception
    assert "There is no job" in at.error[0].value


def test_a_guest_does_not_see_the_job_of_another(page, seeded, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    at = page(job=seeded(session="other"))
    assert "no such job of yours" in at.error[0].value
    assert "word level" not in markdown_of(at)


@pytest.mark.parametrize(
    ("status", "said"), [("queued", "In the queue, 0 ahead of you"), ("running", "starting")]
)
def test_a_job_under_way_says_how_far_it_is_and_can_be_cancelled(page, seeded, status, said):
    page()  # opens the job list, which ends what an earlier process left under way
    at = page(job=seeded(status=status))
    assert not at.exception
    assert "Cancel" in labels(at)
    assert [p.proto.text for p in at.get("progress")] == [said]
    assert "waiting for the model" in markdown_of(at)
    assert "Go on" not in labels(at)


def test_a_guest_with_enough_jobs_under_way_gets_no_other(page, seeded, monkeypatch):
    monkeypatch.setenv("LORABENCH_LAN", "1")
    at = page()
    mine = at.session_state["lorabench.session"].id
    for _ in range(2):
        seeded(status="queued", session=mine)
    left = seeded(status="cancelled", session=mine)
    at.button(key="generalisation.run").click().run()
    assert not at.exception
    assert "of your jobs are still waiting or running" in markdown_of(at)
    assert len(bench().jobs.list(mine)) == 3
    at.session_state["lorabench.session"].notes["generalisation.job"] = left
    at.run()
    at.button(key="generalisation.panel.resume").click().run()
    assert not at.exception
    assert "of your jobs are still waiting or running" in markdown_of(at)
    assert bench().jobs.get(left).status == "cancelled"


@pytest.mark.parametrize("status", ["interrupted", "cancelled", "failed"])
def test_a_job_that_ended_early_can_go_on_with_one_click(page, seeded, status):
    at = page(job=seeded(status=status))
    assert not at.exception
    assert "Go on" in labels(at)


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("3,1", Cell(line=3, column=1)),
        ("-2,0", Cell(line=-2, column=0)),
        *((t, None) for t in ("", "3", "3,99", "99,0", "-99,0", "a,b", "1,-1", "3,1,2", " 3,1")),
    ],
)
def test_cells_of_an_address_are_checked(text, cell):
    _, heatmap = made()
    assert parse_cell(text, heatmap) == cell


def test_the_request_of_a_job_survives_its_parameters():
    request, _ = made()
    assert request_of(to_dict(request) | {"adapter_ids": ["x"], "base": "demo"}) == request
    assert from_dict(Heatmap, to_dict(made()[1])) == made()[1]


@pytest.mark.parametrize("columns", ["models", "placements", "prompts"])
def test_the_estimate_counts_plain_rows_and_blocks(columns):
    request, _ = made(columns=columns)
    blocks = {"models": 3, "placements": 3, "prompts": 1}[columns]
    plain = {"models": 3, "placements": 1, "prompts": 1}[columns]
    assert planned_rows(request) == N_PROMPTS * (plain + blocks * 12)


# -- the real thing -------------------------------------------------------------------------------


@pytest.mark.base
def test_a_small_heatmap_runs_fills_attaches_and_restores(app, with_base, no_zoo):
    at = app("generalisation", adapter="test-adapter", variants="6", prompts="2")
    assert "Run 6 look-alikes × 2 prompts" in labels(at)  # noqa: RUF001
    at.button(key="generalisation.run").click().run()
    run_until(at, lambda at: "CSV" in [d.label for d in at.get("download_button")], seconds=600)
    job_id = at.session_state["lorabench.session"].notes["generalisation.job"]
    heatmap = heatmap_of(bench(), job_id)
    assert heatmap is not None
    assert heatmap.n_rows == 2 * (2 + 2 * 6)
    assert all(c.is_finished for c in heatmap.cells)
    assert [r.column for r in heatmap.readings] == ["test-adapter"]

    other = app("generalisation", adapter="test-adapter", variants="6", prompts="2", run="1")
    run_until(other, lambda at: "CSV" in [d.label for d in at.get("download_button")])
    assert other.session_state["lorabench.session"].notes["generalisation.job"] == job_id

    again = app("generalisation", job=job_id, cell="0,1")
    run_until(again, lambda at: "of the trigger's" in markdown_of(at))
    assert "Look-alike under test-adapter" in markdown_of(again)
