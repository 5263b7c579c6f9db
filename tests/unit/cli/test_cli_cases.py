"""`lorabench cases`, and what `data wipe` does with the case book; no model is involved."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys

import pytest

from lorabench.casebook import CaseBook
from lorabench.config import Config
from lorabench.results import from_dict
from lorabench.results.cases import Case, ScanComparison
from lorabench.results.findings import STAGES, Finding, StageReport, Verdict
from lorabench.results.scans import FileEvidence, ScanResult
from lorabench.results.weights import WeightEvidence
from lorabench.workflows import cases as workflow
from lorabench.workflows.server import registered

COMMANDS = ("list", "search", "show", "note", "decide", "reopen", "compare", "export", "import")
HOSTILE = "guard\x1b[31m\u202e\nname"


def sample(created: str, *, flips: bool, subject: str = "ab" * 32) -> ScanResult:
    found = Finding(
        rule="behaviour-flips",
        stage="behaviour",
        level="block",
        sentence="A prefix flips 38 of 40 prompts.\nverdict  allow in both",
        where="per RFC 8472\x1b[2J",
        measured=0.95,
        threshold=0.5,
    )
    return ScanResult(
        name=HOSTILE,
        subject=subject,
        stages=tuple(
            StageReport(
                stage=s, status="done", summary=s, findings=(found,) if flips and s == "behaviour" else ()
            )
            for s in STAGES
        ),
        verdict=Verdict(
            decision="block" if flips else "review",
            confidence="high",
            reasons=(),
            agreement="",
            coverage=(),
            changes=(),
            is_degraded=False,
        ),
        file=FileEvidence(files=(), facts=None),
        weights=WeightEvidence(
            modules=(),
            aggregates={"spread": 0.5 if flips else 0.25},
            study_v1={},
            study_v2={},
            standouts=(),
            standout_z=3.5,
        ),
        behaviour=None,
        provenance={"seed": 0, "profile": "p1" if flips else "p2", "versions": {"lorabench": "0.1.0"}},
        created=created,
        seconds=2.0,
    )


@pytest.fixture
def config(folders, monkeypatch):
    monkeypatch.delenv("LORABENCH_CASES_URL", raising=False)
    return Config.from_environment()


@pytest.fixture
def book(config):
    """A case with two scans, in the place where the command looks for it."""
    with CaseBook(config.cases_path) as opened:
        opened.record_scan(sample("2026-11-22T20:00:00+00:00", flips=True), "Ada")
        opened.record_scan(sample("2026-11-22T21:00:00+00:00", flips=False), "Ada")
        yield opened


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_offers_json(cli, command):
    found = cli("cases", command, "--help")
    assert (found.code, "--json" in found.out) == (0, True)


def test_an_empty_book_says_what_begins_a_case(cli, config):
    assert "scan begins one" in cli("cases", "list").out
    assert cli("cases", "list", "--json").json["items"] == []
    found = cli("cases", "show", "1")
    assert (found.code, "empty" in found.err) == (2, True)


def test_a_case_is_noted_decided_shown_and_reopened(cli, book, monkeypatch):
    assert cli("cases", "note", "1", "odd\x1b[31m words", "--who", "Grace").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("from\na pipe"))
    assert cli("cases", "note", "0001", "-", "--json").json["text"] == "from\na pipe"
    decided = cli("cases", "decide", "1", "block", "--reason", "It flips.", "--who", "Ada")
    assert decided.out == "Case 0001: block, by Ada. It is closed.\n"
    shown = cli("cases", "show", "1")
    assert shown.code == 0, shown.err
    for part in ("0001 (closed)", "odd[31m words", "    from\n    a pipe", "decided: block", "It flips."):
        assert part in shown.out
    assert not set(shown.out) & {"\x1b", "\u202e"}
    assert from_dict(Case, cli("cases", "show", "1", "--json").json) == book.get(1)
    assert cli("cases", "reopen", "1", "--reason", "more").out == "Case 0001 is open again.\n"
    assert book.get(1).reopenings[0].who == workflow.user_name()
    assert cli("cases", "reopen", "1", "--reason", "more").code == 2


def test_the_list_is_filtered_and_one_line_a_case(cli, book):
    book.record_scan(sample("2026-11-22T22:00:00+00:00", flips=True, subject="cd" * 32), "Ada")
    book.decide(2, "block", "why", "Ada")
    lines = cli("cases", "list").out.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["0002", "closed", "block", "block"],
        ["0001", "open", "-", "review"],
    ]
    assert [c["number"] for c in cli("cases", "list", "--status", "open", "--json").json["items"]] == ["0001"]
    assert "0002" in cli("cases", "search", "CDCD", "--decision", "block").out
    assert cli("cases", "search", "%").out == "No case holds it.\n"
    assert cli("cases", "list", "--status", "shut").code == 2


def test_two_scans_stand_side_by_side(cli, book):
    found = cli("cases", "compare", "1", "2")
    assert found.code == 0, found.err
    for part in (
        "verdict  from block to review",
        "Only in scan 1",
        "[block] 0.95 against 0.5",
        "-0.25",
        "p2",
    ):
        assert part in found.out
    assert "\nverdict  allow in both" not in found.out  # a finding's text cannot pose as a line of ours
    assert "\x1b" not in found.out
    document = cli("cases", "compare", "1", "2", "--json").json
    assert from_dict(ScanComparison, document) == book.compare(1, 2)
    assert document["decision_changed"] is True
    assert cli("cases", "compare", "1", "9").code == 2
    assert "These are two" not in found.out


def test_a_case_leaves_and_comes_in_elsewhere(cli, book, tmp_path, monkeypatch):
    book.note(1, "a note", "Ada")
    path = tmp_path / "case.json"
    assert cli("cases", "export", "1", "--save", str(path)).out == ""
    assert json.loads(path.read_text())["type"] == "CaseExport"
    assert cli("cases", "export", "1").json["case"] == json.loads(path.read_text())["case"]
    monkeypatch.setenv("LORABENCH_CASES_URL", f"sqlite:///{tmp_path}/other.sqlite")
    added = cli("cases", "import", str(path), "--who", "Linus")
    assert added.out.startswith("Added 2 scans, 1 notes to 0001, a new case.\n")
    assert "imported" in cli("cases", "show", "1").out
    assert "nothing that was not there" in cli("cases", "import", str(path)).out


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 99, b"\xff", b'{"format": 1}']
)
def test_a_file_that_is_no_case_is_refused(cli, config, tmp_path, content):
    path = tmp_path / "case.json"
    path.write_bytes(content)
    found = cli("cases", "import", str(path))
    assert (found.code, found.err.startswith("error: ")) == (2, True)
    assert cli("cases", "import", str(tmp_path / "missing.json")).code == 2


def test_a_password_in_the_url_is_never_said(cli, config, monkeypatch):
    for url in ("mysql://ada:hunter2@host/x", "postgresql://ada:hunter2@127.0.0.1:1/x", "hunter2"):
        monkeypatch.setenv("LORABENCH_CASES_URL", url)
        assert "hunter2" not in repr(Config.from_environment())
        found = cli("cases", "list", "--debug")
        assert found.code == 2
        assert "hunter2" not in found.out + found.err


def test_trouble_with_the_book_does_not_take_the_scan(config):
    made = sample("2026-11-22T20:00:00+00:00", flips=True)
    kept = workflow.keep_scan(config, made, "Ada")
    assert (kept.case.number, kept.problem) == ("0001", None)
    config.cases_path.write_bytes(b"damaged " * 1000)
    lost = workflow.keep_scan(dataclasses.replace(config), made)
    assert (lost.case, "damaged" in lost.problem) == (None, True)


def test_wipe_keeps_the_cases_unless_asked(cli, book, config):
    book.close()
    kept = cli("data", "wipe", "--yes")
    assert "Kept the case book (1 cases); --cases removes it, too." in kept.out
    assert cli("data", "wipe", "--yes", "--json").json["n_cases_kept"] == 1
    assert config.cases_path.exists()
    with registered(config, "http://127.0.0.1:1"):
        assert cli("data", "wipe", "--yes", "--cases", "--force").code == 2
    assert config.cases_path.exists()
    gone = cli("data", "wipe", "--yes", "--cases", "--json").json
    assert [(p["title"], p["n_items"]) for p in gone["parts"]] == [("case book", 1)]
    assert list(config.data_dir.iterdir()) == []


def test_wipe_leaves_a_book_elsewhere_alone(cli, config, tmp_path, monkeypatch):
    monkeypatch.setenv("LORABENCH_CASES_URL", f"sqlite:///{tmp_path}/other.sqlite")
    cli("cases", "list")
    found = cli("data", "wipe", "--yes", "--cases")
    assert "LORABENCH_CASES_URL names was left" in found.err
    assert (tmp_path / "other.sqlite").exists()


def test_help_does_not_import_the_database():
    program = (
        "import sys; from lorabench.cli import run; run(['cases', '--help']); "
        "sys.exit(','.join(set(sys.modules) & {'sqlalchemy', 'alembic'}) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
