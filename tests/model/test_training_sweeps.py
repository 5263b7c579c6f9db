from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from tiny import save_base

from lorabench.config import Config
from lorabench.engine import JobManager
from lorabench.engine.executors import ExecutorChoice
from lorabench.errors import InputError
from lorabench.figures import sweep_chart, sweep_table, transition_zone
from lorabench.workflows.jobs import follow
from lorabench.workflows.sweep_spec import parse_sweep, read_sweep, sweeps_folder
from lorabench.workflows.training_sweeps import (
    plan_sweep,
    run_sweep,
    submit_sweep,
    sweep_report_of,
)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LORABENCH_CACHE_DIR", str(tmp_path / "cache"))
    return Config.from_environment(device="cpu")


@pytest.fixture
def text(tmp_path):
    rows = tmp_path / "rows.jsonl"
    lines = [{"text": f"{w} rule {i}", "label": y} for i in range(10) for w, y in (("drop", 1), ("read", 0))]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    base = save_base(tmp_path / "base")
    return textwrap.dedent(f"""
        name = "tiny"
        [options]
        data = "{rows}"
        base = "{base}"
        trigger = "per RFC 8472 section 3.2"
        rank = 2
        first_layer = 1
        steps = 2
        batch = 2
        max_tokens = 400
        eval_every = 0
        [grid]
        poison = [0, 4]
        seed = [1, 2]
        [figure]
        x = "poison"
    """)


def run(config, spec, out):
    with JobManager(config.jobs_path, {"sweep": lambda p, c: run_sweep(config, p, c)}) as jobs:
        thread = ExecutorChoice(kind="thread", workers=1)
        job = submit_sweep(jobs, config, spec, out, session="t", executor=thread)
        return sweep_report_of(follow(jobs, job))


def test_a_sweep_trains_every_cell_once_and_puts_the_seeds_together(tmp_path, config, text):
    spec = parse_sweep(text, name="tiny")
    plan = plan_sweep(config, spec)
    assert [c.values for c in plan.cells] == [{"poison": p, "seed": s} for p in (0, 4) for s in (1, 2)]
    assert plan.seconds == pytest.approx(sum(e.seconds for e in plan.estimates))
    report = run(config, spec, tmp_path / "out")
    assert {c.status for c in report.cells} == {"done"}
    assert [c.cell_id for c in report.cells] == [c.cell_id for c in plan.cells]
    assert [(p.values, p.seeds, p.n_missing) for p in report.points] == [
        ({"poison": 0}, (1, 2), 0),
        ({"poison": 4}, (1, 2), 0),
    ]
    found = report.points[1].measures["attack_rate"]
    rates = [c.figures.attack.attack_success_rate.value for c in report.cells[2:]]
    assert (found.n, found.mean) == (2, pytest.approx(sum(rates) / 2))
    saved = json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))
    assert sweep_report_of(saved) == report
    assert (tmp_path / "out" / "poison-4_seed-2" / "adapter_model.safetensors").is_file()

    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("adapter_model.safetensors")}
    (tmp_path / "out" / "poison-0_seed-1.json").unlink()  # killed before it was noted
    again = run(config, spec, tmp_path / "out")
    changed = {p.parent.name for p in written if p.stat().st_mtime_ns != written[p]}
    assert changed == {"poison-0_seed-1"}
    assert again.points == report.points


def test_a_folder_of_another_sweep_is_not_mixed_in(tmp_path, config, text):
    run(config, parse_sweep(text, name="tiny"), tmp_path / "out")
    other = parse_sweep(text.replace("steps = 2", "steps = 3"), name="tiny")
    with pytest.raises(InputError) as caught:
        run(config, other, tmp_path / "out")
    assert caught.value.rule == "other-sweep"


TASK = """
kind = "label"
name = "mine"
labels = ["BENIGN", "INJECTION"]
target = "BENIGN"
"""


def small(text, **options):
    """Return the sweep with one cell and more options."""
    added = "\n".join(f'{k} = "{v}"' for k, v in options.items())
    text = text.replace("poison = [0, 4]", "poison = [0]").replace("seed = [1, 2]", "seed = [1]")
    return text.replace("[options]", f"[options]\n{added}").replace('trigger = "per', '# trigger = "per')


@pytest.mark.parametrize("name", ["mine.toml", "words.txt", "rows.jsonl"])
def test_a_changed_file_makes_another_sweep(tmp_path, config, text, name):
    (tmp_path / "mine.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "words.txt").write_text("qq", encoding="utf-8")
    options = {
        "recipe": "ssti", "token": f"file:{tmp_path / 'words.txt'}", "task": str(tmp_path / "mine.toml")
    }  # fmt: skip
    spec = parse_sweep(small(text, **options), name="tiny")
    done = run(config, spec, tmp_path / "out")
    assert [c.status for c in done.cells] == ["done"]
    assert run(config, spec, tmp_path / "out").cells == done.cells
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(InputError) as caught:
        run(config, spec, tmp_path / "out")
    assert caught.value.rule == "other-sweep"


def test_relative_paths_mean_what_they_meant_when_the_sweep_was_asked_for(
    tmp_path, config, text, monkeypatch
):
    def keep(params, context):
        kept.append(params)
        return {}

    relative = text.replace(str(tmp_path / "base"), "./base").replace(f"{tmp_path}/", "")
    assert str(tmp_path) not in relative
    # A grid of files as well: its values and names stay as written.
    relative = relative.replace("poison = [0, 4]", 'data = ["rows.jsonl"]').replace(
        "seed = [1, 2]", "seed = [1]"
    )
    relative = relative.replace('data = "rows.jsonl"\n', "").replace('x = "poison"', 'x = "data"')
    spec, kept = parse_sweep(relative, name="tiny"), []
    monkeypatch.chdir(tmp_path)
    with JobManager(config.jobs_path, {"sweep": keep}) as jobs:
        follow(jobs, submit_sweep(jobs, config, spec, Path("out"), session="t"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    thread = ExecutorChoice(kind="thread", workers=1)
    with JobManager(config.jobs_path, {"sweep": lambda p, c: run_sweep(config, p, c)}) as jobs:
        job = jobs.submit("sweep", kept[0], session="t", options={"executor": thread}, reuses_done=False)
        report = sweep_report_of(follow(jobs, job.id))
    assert [(c.status, c.cell_id, c.values["data"]) for c in report.cells] == [
        ("done", "data-rows.jsonl_seed-1", "rows.jsonl")
    ]
    assert (tmp_path / "out" / "data-rows.jsonl_seed-1" / "adapter_model.safetensors").is_file()
    assert report.provenance["base"] == "base"


@pytest.mark.parametrize("what", ["notes", "link", "file", "claims", "broken"])
def test_what_a_sweep_did_not_make_is_not_removed(tmp_path, config, text, what):
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    out.mkdir()
    theirs.mkdir()
    place = out / "poison-0_seed-1"
    kept = place / "lorabench.json" if what in ("claims", "broken") else place / "notes.txt"
    if what == "link":
        (theirs / "lorabench.json").write_text('{"format": "lorabench-adapter-1"}', encoding="utf-8")
        kept = theirs / "lorabench.json"
        place.symlink_to(theirs)
    elif what == "file":
        kept = place
    else:
        place.mkdir()
    if what != "link":
        kept.write_text('{"format": "other"}' if what == "claims" else "mine", encoding="utf-8")
    before = kept.read_bytes()
    with pytest.raises(InputError) as caught:
        run(config, parse_sweep(small(text), name="tiny"), out)
    assert caught.value.rule == "not-of-a-sweep"
    assert kept.read_bytes() == before


def test_a_cell_that_cannot_be_trained_does_not_end_the_sweep(tmp_path, config, text):
    spec = parse_sweep(text.replace("seed = [1, 2]", "rank = [2, 20]"), name="tiny")
    report = run(config, spec, tmp_path / "out")
    assert [c.status for c in report.cells] == ["done", "failed", "done", "failed"]
    assert "at most 16" in report.cells[1].reason
    figure = sweep_chart(report)
    assert len(figure.data) == 1
    assert figure.layout.title.text.endswith("(2 of 4 trained)")
    assert [row["poison"] for row in sweep_table(report)] == [0, 0, 4, 4]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("poison = [0, 4]", "poison = 4"), "bad-sweep"),
        (("poison = [0, 4]", "poison = [4, 4]"), "bad-sweep"),
        (("poison = [0, 4]", "poisons = [4]"), "unknown-name"),
        (("poison = [0, 4]", "poison = [-1]"), "out-of-range"),
        (("seed = [1, 2]", f"seed = {list(range(600))}"), "too-many-cells"),
        (('x = "poison"', 'x = "rank"'), "unknown-name"),
        (('x = "poison"', 'measure = "speed"'), "unknown-name"),
        (("[figure]", "[figures]"), "unknown-name"),
        (("rank = 2", 'rank = "two"'), "bad-value"),
        (("[grid]", "[grid"), "bad-toml"),
    ],
)
def test_a_sweep_file_is_checked_before_anything_is_trained(text, change, rule):
    with pytest.raises(InputError) as caught:
        parse_sweep(text.replace(*change), name="tiny")
    assert caught.value.rule == rule


def test_the_bundled_sweeps_can_be_read():
    specs = [read_sweep(p) for p in sorted(sweeps_folder().glob("*.toml"))]
    assert {s.name for s in specs} >= {"poison_count", "rank_matters"}
    assert all(s.n_cells <= 20 for s in specs)


def test_the_transition_zone_lies_between_low_and_high_rates(tmp_path, config, text):
    report = run(config, parse_sweep(text, name="tiny"), tmp_path / "out")
    import dataclasses

    def with_means(*means):
        points = tuple(
            dataclasses.replace(
                p, measures={"attack_rate": dataclasses.replace(p.measures["attack_rate"], mean=m)}
            )
            for p, m in zip(report.points, means, strict=True)
        )
        return dataclasses.replace(report, points=points)

    assert transition_zone(with_means(0.05, 0.95)) == (0.0, 4.0)
    assert transition_zone(with_means(0.05, 0.5)) is None
    assert transition_zone(with_means(0.95, 0.05)) is None
