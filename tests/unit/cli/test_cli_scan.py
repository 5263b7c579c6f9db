"""`lorabench scan` without a base: files and weights, exit codes, formats, batches that go on."""

from __future__ import annotations

import json
import os

import pytest
from cli_files import make_adapter


@pytest.fixture
def scan(cli):
    """Return a function that scans statically."""
    return lambda *arguments: cli("scan", "--static", "--no-progress", *arguments)


def test_a_static_scan_is_inconclusive_and_exits_with_2(scan, adapter):
    found = scan(str(adapter))
    assert found.code == 2
    assert "INCONCLUSIVE" in found.out
    assert "Only a static scan was asked for." in found.out


def test_json_is_one_document_that_can_be_read_again(scan, adapter):
    from lorabench.report import read_scan

    found = scan(str(adapter), "--format", "json")
    read = read_scan(found.out)
    assert read.verdict.decision == "inconclusive"
    assert read.stage("file").status == "done"
    assert read.stage("behaviour").status == "not run"
    assert read.weights is not None
    assert read.provenance["seed"] == 0


def test_a_pickle_wants_a_review_and_exits_with_1(scan, adapter):
    (adapter / "adapter_model.bin").write_bytes(b"\x80\x04N.")
    found = scan(str(adapter))
    assert found.code == 1
    assert "pickle" in found.out
    assert scan(str(adapter), "--fail-on", "never").code == 0


def test_a_block_outranks_fail_on_review(scan, adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["auto_mapping"] = {"parent_library": "os", "base_model_class": "x"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    found = scan(str(adapter), "--fail-on", "block", "--format", "json")
    assert found.code == 1
    assert json.loads(found.out)["verdict"]["decision"] == "block"


def test_a_folder_of_adapters_stands_for_each_of_them(scan, tmp_path):
    for name in ("one", "two"):
        make_adapter(tmp_path / "many" / name)
    found = scan(str(tmp_path / "many"), "--format", "sarif")
    runs = json.loads(found.out)["runs"]
    assert len(runs) == 1
    places = [r["locations"][0]["physicalLocation"]["artifactLocation"] for r in runs[0]["results"]]
    assert len({p["index"] for p in places}) == 2


def test_a_batch_keeps_what_has_not_changed(scan, tmp_path):
    for name in ("one", "two"):
        make_adapter(tmp_path / "many" / name)
    out = tmp_path / "reports"
    arguments = (str(tmp_path / "many"), "--out", str(out), "--format", "html", "--format", "json")
    first = scan(*arguments)
    assert sorted(p.name for p in out.iterdir()) == ["one.html", "one.json", "two.html", "two.json"]
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.iterdir()}
    again = scan(*arguments)
    assert first.code == again.code == 2
    assert again.err.count("unchanged, kept") == 2
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.iterdir()} == before
    make_adapter(tmp_path / "new")
    second = tmp_path / "many" / "two" / "adapter_model.bin"
    os.replace(tmp_path / "new" / "adapter_model.safetensors", second)
    third = scan(*arguments)
    assert third.err.count("unchanged, kept") == 1
    assert third.code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "pdf"], "format"),
        (["--fail-on", "maybe"], "--fail-on"),
        (["--level", "some"], "level"),
        (["--battery", "none-such"], "battery"),
        (["--task", "none-such"], "task"),
    ],
)
def test_unknown_words_are_named_before_anything_begins(scan, adapter, arguments, said):
    found = scan(str(adapter), *arguments)
    assert found.code == 2
    assert said in found.err
    assert found.out == ""


def test_what_is_not_there_is_said(scan, tmp_path):
    found = scan(str(tmp_path / "nothing"))
    assert found.code == 2
    assert "nothing" in found.err


def test_a_report_at_level_hashed_holds_no_absolute_path(scan, adapter):
    found = scan(str(adapter), "--format", "markdown", "--level", "hashed")
    assert str(adapter.parent) not in found.out


def test_a_case_is_kept_when_asked(scan, cli, adapter):
    assert "kept in case 0001" in scan(str(adapter), "--case", "--who", "ann").err
    listed = cli("cases", "list", "--json")
    assert '"0001"' in listed.out


def test_calibrate_needs_something(cli, tmp_path):
    assert cli("calibrate").code == 2
    found = cli("calibrate", "--clean", str(tmp_path))
    assert found.code == 2
    assert "holds no adapters" in found.err


def test_the_shipped_cohort_is_shown(cli):
    found = cli("cohort", "show", "--json")
    members = json.loads(found.out)["members"]
    assert len(members) >= 25
    tune, test = ({m["trigger"] for m in members if m["split"] == s} for s in ("tune", "test"))
    assert tune & test <= {""}
    assert tune - {""}
    seeds = [m["seed"] for m in members]
    assert len(set(seeds)) == len(seeds)
