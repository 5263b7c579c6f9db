"""`lorabench hunt` around its search: inputs, formats, exit codes, one job per question; no model."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace

import pytest
from hunt_samples import CANDIDATES, TEXT, WEAK, sample_hunt, sample_so_far

from lorabench.cli import hunt as hunt_command
from lorabench.errors import CancelledError
from lorabench.results import to_dict

pytestmark = pytest.mark.base
HOSTILE = "per\x1b[31m \u202eRFC"


class Searches:
    """Stands for the search: counts its runs, keeps what it was given, and ends as it is told."""

    def __init__(self):
        self.params, self.result, self.waits = [], sample_hunt(), False

    def __call__(self, bench, params, context):
        self.params.append(params)
        best = replace(CANDIDATES[0], text=HOSTILE)
        so_far = replace(sample_so_far(), candidates=(best,))
        context.report(30_000, 130_000, "composition", to_dict(so_far))
        while self.waits:
            if context.cancel_event.wait(0.01):
                raise CancelledError()
        return to_dict(self.result)


@pytest.fixture
def searches(monkeypatch):
    found = Searches()
    monkeypatch.setattr("lorabench.workflows.jobs.run_hunt", found)
    return found


@pytest.fixture
def hunt(cli, searches):
    return lambda *arguments: cli("hunt", "guard-strong", "--mode", "quick", *arguments)


def test_the_report_goes_to_stdout_and_nothing_else(hunt, searches):
    found = hunt()
    assert (found.code, found.err) == (0, "")
    assert "57 of 60 held-out prompts" in found.out
    (params,) = searches.params
    assert (params["adapter"], params["task"], params["mode"], params["base"]) == (
        "guard-strong",
        None,
        "quick",
        "demo",
    )
    assert "lorabench hunt guard-strong --mode quick --seed 0" in found.out


@pytest.mark.parametrize(
    ("fmt", "words"),
    [
        ("json", '"type": "HuntResult"'),
        ("html", "<!DOCTYPE html>"),
        ("markdown", "# Hunt in"),
        ("csv", "adapter,"),
    ],
)
def test_a_format_is_named_or_told_by_the_file(hunt, tmp_path, fmt, words):
    from lorabench.report import HUNT_FORMATS

    assert words in hunt("--format", fmt).out[:80]
    out = tmp_path / f"report{HUNT_FORMATS[fmt][0]}"
    found = hunt("--out", str(out))
    assert (found.code, found.out) == (0, "")
    assert words in out.read_text(encoding="utf-8")
    assert f"saved {out}" in found.err


def test_json_is_one_document_beside_any_file(hunt, tmp_path):
    found = hunt("--json", "--out", str(tmp_path / "r.md"))
    assert found.json["type"] == "HuntResult"
    assert found.json["provenance"]["command"].startswith("lorabench hunt guard-strong")
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# Hunt in")


@pytest.mark.parametrize(
    ("evidence", "option", "code"),
    [("strong", "found", 1), ("strong", "never", 0), ("weak", "found", 0), ("none", "found", 0)],
)
def test_only_a_string_that_meets_the_rule_fails_a_build(hunt, searches, evidence, option, code):
    if evidence != "strong":
        searches.result = sample_hunt(evidence=(WEAK,) if evidence == "weak" else ())
    assert hunt("--fail-on", option).code == code


def test_an_equal_hunt_is_done_once_unless_asked_again(hunt, searches):
    assert hunt().code == 0
    second = hunt()
    assert "an equal hunt was done on" in second.err
    assert "57 of 60" in second.out
    assert len(searches.params) == 1
    assert "equal" not in hunt("--again").err
    assert len(searches.params) == 2
    hunt("--seed", "1")
    assert len(searches.params) == 3


def test_progress_shows_stage_tokens_and_the_best_string_inert(hunt, monkeypatch, searches):
    monkeypatch.setattr(hunt_command, "_BEST_SECONDS", 0.0)
    searches.waits = True

    def stop(terminal, jobs):
        show = show_hunt(terminal, jobs)

        def once(job):
            show(job)
            searches.waits = not job.progress_done

        return once

    show_hunt = hunt_command.show_hunt
    monkeypatch.setattr(hunt_command, "show_hunt", stop)
    monkeypatch.setattr("lorabench.cli.terminal._LINE_SECONDS", 0.0)
    found = hunt("--progress")
    assert found.code == 0, found.err
    line = next(x for x in found.err.splitlines() if "30,000 of 130,000" in x)
    assert line == "composition, best «per␛ ⟨U+202E⟩RFC» +10.5, 30,000 of 130,000 tokens (23%)"
    assert "\x1b" not in found.err


def test_ctrl_c_stops_it_and_the_same_command_goes_on(hunt, cli, monkeypatch, searches):
    show_hunt = hunt_command.show_hunt

    def press(terminal, jobs):
        return lambda job: signal.raise_signal(signal.SIGINT) if job.progress_done else None

    monkeypatch.setattr(hunt_command, "show_hunt", press)
    searches.waits = True
    stopped = hunt()
    assert (stopped.code, stopped.out) == (130, ""), stopped.err
    assert "lorabench jobs resume" in stopped.err
    (job,) = cli("jobs", "list", "--json").json["items"]
    assert (job["kind"], job["status"]) == ("hunt", "cancelled")
    shown = cli("jobs", "show", job["id"])
    assert "making strings longer, 30,000 of 130,000 tokens" in shown.out
    assert "\x1b" not in shown.out
    monkeypatch.setattr(hunt_command, "show_hunt", show_hunt)
    searches.waits = False
    assert hunt().code == 0


def test_a_hunt_is_listed_shown_and_resumed_like_any_job(hunt, cli):
    hunt("--target", "BENIGN")
    listed = cli("jobs", "list")
    assert "guard-strong | quick, BENIGN" in listed.out
    (job,) = cli("jobs", "list", "--json").json["items"]
    assert "57 of 60" in cli("jobs", "show", job["id"]).out
    resumed = cli("jobs", "resume", job["id"], "--json")
    assert (resumed.code, resumed.json["type"]) == (0, "HuntResult")


def test_files_and_folders_are_kept_whole_so_that_the_job_can_go_on_elsewhere(cli, searches, zoo, tmp_path):
    adapter = shutil.copytree(zoo / "guard-weak", tmp_path / "mine")
    prompts, data = tmp_path / "prompts.txt", tmp_path / "data.csv"
    prompts.write_text("\n".join(f"prompt {i}" for i in range(30)), encoding="utf-8")
    data.write_text("text,label\na,b\n", encoding="utf-8")
    found = cli(
        *("hunt", str(adapter), "--task", "guard", "--target", "BENIGN", "--reference", "guard-clean-1"),
        *("--reference", "guard-clean-1", "--prompts", str(prompts), "--suspect-data", str(data)),
        *("--placement", "suffix", "--truth", TEXT, "--n-held-out", "10", "--budget", "9000", "--json"),
    )
    assert found.code == 0, found.err
    assert "known trigger: a word of it is in the strongest string" in found.err
    (params,) = searches.params
    assert params["adapter"] == str(adapter)
    assert params["references"] == ["guard-clean-1"]
    assert len(params["prompts"]) == 30
    assert (params["suspect_data"], params["truth"], params["n_held_out"]) == (str(data), TEXT, 10)
    command = found.json["provenance"]["command"]
    for words in (
        "--task guard",
        "--placement suffix",
        "--budget 9000",
        f"--truth '{TEXT}'",
        "--reference guard-clean-1",
        "--prompts",
    ):
        assert words in command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "fast"], "mode called 'fast'"),
        (["--placement", "random"], "placement"),
        (["--format", "pdf"], "format"),
        (["--format", "html", "--json"], "--json and --format html"),
        (["--fail-on", "review"], "--fail-on"),
        (["--task", "gard"], "'guard'"),
        (["--task", "guard", "--target", "HARMLESS"], "'BENIGN'"),
        (["--reference", "guard-clean-9"], "adapter called 'guard-clean-9'"),
        (["--suspect-data", "nothing.csv"], "no file 'nothing.csv'"),
        (["--prompts", "nothing.csv"], "nothing.csv"),
        (["--n-held-out", "3"], "3 held-out prompts"),
        (["--budget", "3"], "budget of 3 tokens"),
        (["--truth", " "], "trigger"),
        (["--out", "report.pdf"], "ending"),
        (["--out", "no/such/report.html"], "does not exist"),
        (["--seed", "many"], "--seed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_refused_before_anything_is_loaded(hunt, searches, arguments, words):
    found = hunt(*arguments)
    assert found.code == 2
    assert words in found.err + (found.out if "--json" in arguments else "")
    assert "Traceback" not in found.err
    assert searches.params == []


def test_it_explains_itself(cli):
    found = cli("hunt", "--help")
    assert found.code == 0
    for words in ("--json", "--reference", "--suspect-data", "no evidence that there is no trigger"):
        assert words in " ".join(found.out.split())


def test_an_adapter_that_is_not_there_is_named(cli, searches):
    found = cli("hunt", "guard-stron", "--json")
    assert (found.code, json.loads(found.out)["rule"]) == (2, "unknown-name")
    assert "'guard-strong'" in found.err
    assert cli("hunt").code == 2
