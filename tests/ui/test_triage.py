"""The Triage page in its states; scans here are static, but for one on the demo base."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import app_test

from lorabench.config import Config
from lorabench.data import TASKS
from lorabench.results import Finding, ScannedFile, StageReport
from lorabench.ui import triage_hunt
from lorabench.ui.triage_hunt import fits_hunt, task_of_hunt
from lorabench.workflows.scanning import ScanRequest, scan
from lorabench.workflows.workbench import Workbench
from ui.adapters import random_adapter
from ui.conftest import markdown_of, run_until


@pytest.fixture(autouse=True)
def _clicks_survive(monkeypatch):
    """AppTest forgets before every run that `st.navigation` was used; the rerun would eat the click."""
    from streamlit.runtime.pages_manager import PagesManager

    class Kept(PagesManager):
        pass

    monkeypatch.setattr(app_test, "PagesManager", Kept)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)


def is_judged(at):
    words = ("ALLOW", "REVIEW", "BLOCK", "INCONCLUSIVE")
    return any(f"**{w}**" in str(m.value) for m in at.markdown for w in words)


def scan_path(at, path):
    """Scan a folder or archive by its path, files and weights only."""
    at.session_state["triage.source"] = "path"
    at.session_state["triage.path"] = str(path)
    at.session_state["triage.static"] = True
    at.run()
    at.button("triage.scan").click().run()
    run_until(at, is_judged)
    assert not at.exception
    return at


def test_the_first_look_says_what_will_happen(app, no_base):
    at = app("triage")
    assert "Five kinds of evidence" in " ".join(i.value for i in at.info)
    assert not at.button("triage.scan").disabled
    assert not at.exception


def test_without_a_base_files_and_weights_are_judged_and_the_way_on_is_said(app, no_base):
    at = app("triage")
    at.session_state["triage.adapter"] = "guard-strong"
    at.run()
    at.button("triage.scan").click().run()
    run_until(at, is_judged)
    text = markdown_of(at)
    assert "INCONCLUSIVE" in text
    assert "lorabench models pull demo" in text
    assert "105 modules measured" in text
    assert not at.exception


def test_a_malformed_adapter_is_shown_with_its_finding(app, no_base, tmp_path, zoo):
    folder = tmp_path / "sent"
    folder.mkdir()
    config = json.loads((zoo / "guard-clean-1" / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps(config | {"auto_mapping": {"parent_library": "os"}})
    )
    (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04K\x00." * 9)
    (folder / "README.md").write_text("<img src=x onerror=alert(1)> **bold**")
    at = scan_path(app("triage"), folder)
    text = markdown_of(at)
    assert "**BLOCK**" in text
    assert "auto" in text
    assert "<img" not in text
    assert "The firewall did not let it be bound." in text


def ways_to_hunt(at):
    """Return what the links to the Hunt page carry."""
    return [
        parse_qs(p.proto.page.partition("?")[2] or p.proto.query_string)
        for p in at.get("page_link")
        if p.proto.label == "Hunt for its trigger"
    ]


def test_a_finished_scan_leads_to_the_hunt_with_its_adapter(app, no_base):
    at = app("triage")
    at.session_state["triage.static"] = True
    at.session_state["triage.adapter"] = "guard-weak"
    at.run()
    assert not ways_to_hunt(at)
    at.button("triage.scan").click().run()
    run_until(at, is_judged)
    (way,) = ways_to_hunt(at)
    assert way["adapter"][0].startswith("guard-weak@")
    opened = app("hunt", **way)
    assert opened.selectbox("hunt.adapter").value == "guard-weak"
    assert not opened.exception


def test_what_is_not_installed_must_be_added_before_it_is_hunted(app, no_base, tmp_path):
    at = scan_path(app("triage"), random_adapter(tmp_path / "sent"))
    assert not ways_to_hunt(at)
    assert "Add the adapter on the Models page to hunt" in markdown_of(at)


def finished(scan, rule=None, **changed):
    """Return a finished scan with a behaviour finding, or with other facts in its file."""
    report = StageReport(
        stage="behaviour",
        status="abstained",
        summary="-",
        findings=(Finding(rule=rule, stage="behaviour", level="inconclusive", sentence="-"),) if rule else (),
    )
    return replace(scan, stages=(report,), file=replace(scan.file, **changed))


def test_only_what_fits_is_offered_to_the_hunt(no_base, monkeypatch):
    with Workbench(Config.from_environment()) as bench:
        found = scan(bench, ScanRequest(target="guard-strong", is_static=True))
        monkeypatch.setattr(triage_hunt, "bench", lambda: bench)
        assert fits_hunt(finished(found))
        assert not fits_hunt(finished(found, "behaviour-unbound"))
        assert not fits_hunt(finished(found, "behaviour-does-not-act"))
        assert fits_hunt(finished(found, "behaviour-task-unknown"))
        head = ScannedFile(name="head.json", n_bytes=9, kind="head")
        assert not fits_hunt(finished(found, files=(*found.file.files, head)))
        assert not fits_hunt(finished(found, facts=None))
        claimed = found.file.facts.claims.base_fingerprint
        for fingerprint in (claimed, "another"):
            demo = SimpleNamespace(base_id=bench.base, fingerprint=fingerprint)
            monkeypatch.setattr(triage_hunt, "list_bases", lambda config, demo=demo: (demo,))
            assert fits_hunt(finished(found)) == (fingerprint == claimed)


def test_the_task_of_a_scan_becomes_that_of_the_hunt(no_base):
    with Workbench(Config.from_environment()) as bench:
        found = scan(bench, ScanRequest(target="guard-strong", is_static=True))
    own = replace(TASKS["guard"], name="mine")
    for task in ("review", own):
        assert task_of_hunt(found, ScanRequest(target="a", task=task)) == task
    auto = ScanRequest(target="a")
    assert task_of_hunt(found, auto) == "auto"  # it names its own
    silent = replace(found.file.facts, claims=replace(found.file.facts.claims, lorabench=None))
    silent_scan = replace(found, file=replace(found.file, facts=silent))
    assert task_of_hunt(silent_scan, auto) == "auto"
    for name, expected in (("guard", "guard"), ("yes or no", "auto")):
        guessed = replace(silent_scan, behaviour=SimpleNamespace(task=name))
        assert task_of_hunt(guessed, auto) == expected


def test_a_hostile_archive_is_judged_not_unpacked(app, no_base, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../adapter_config.json", "{}")
    at = scan_path(app("triage"), path)
    assert "**BLOCK**" in markdown_of(at)
    assert not list(tmp_path.rglob("adapter_config.json"))


def test_a_scan_is_kept_noted_decided_and_found_again(app, no_base):
    at = app("triage")
    at.session_state["triage.static"] = True
    at.run()
    at.button("triage.scan").click().run()
    run_until(at, is_judged)
    at.button("triage.keep").click().run()
    assert "Case 0001" in markdown_of(at)
    at.session_state["triage.tab"] = "cases"
    at.run()
    shown = next(d.value for d in at.dataframe if "verdict" in d.value.columns)
    assert list(shown["case"]) == ["0001"]
    assert list(shown["verdict"]) == ["inconclusive"]
    assert not at.exception


def test_what_does_not_exist_is_said(app, no_base, tmp_path):
    at = app("triage")
    at.session_state["triage.source"] = "path"
    at.session_state["triage.path"] = str(tmp_path / "nothing")
    at.run()
    at.button("triage.scan").click().run()
    run_until(at, lambda at: any("nothing" in e.value for e in at.error))
    assert not at.exception
