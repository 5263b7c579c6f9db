"""The Triage page in its states; scans here are static, but for one on the demo base."""

from __future__ import annotations

import json
import zipfile

import pytest
from streamlit.testing.v1 import app_test

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
