from __future__ import annotations

import subprocess
import sys

import pytest

from lorabench.cli import entry

COMMANDS = [
    ["ui"],
    ["score"],
    ["attribute"],
    ["heatmap"],
    ["train"],
    ["sweep"],
    ["data", "inspect"],
    ["doctor"],
    ["data", "wipe"],
    *(["jobs", c] for c in ("list", "show", "cancel", "resume")),
    *(["zoo", c] for c in ("build", "list", "verify", "record")),
    *(["models", c] for c in ("list", "pull", "verify", "rm")),
    ["hunt"],
    *(["nulls", c] for c in ("build", "list")),
    *(["adapters", c] for c in ("list", "inspect", "add", "rm")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_offers_json(cli, command):
    found = cli(*command, "--help")
    assert found.code == 0
    assert "--json" in found.out


def test_version_is_one_line(cli):
    found = cli("--version")
    assert (found.code, found.out.split()[0], found.out.count("\n")) == (0, "lorabench", 1)


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from lorabench.cli import run; run(['--help']); heavy = set(sys.modules) & "
        "{'torch', 'streamlit', 'pandas', 'numpy', 'transformers', 'altair'}; sys.exit(','.join(heavy) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scor"], "score"),
        (["score", "--nonsense"], "--nonsense"),
        (["attribute", "--adapter", "x"], "--prompt"),
        (["heatmap", "--adapter", "x"], "--trigger"),
        (["score", "--prompt", "x", "--seed", "many"], "--seed"),
        (["models", "pul"], "pull"),
    ],
)
def test_bad_usage_exits_with_2_and_names_the_problem(cli, arguments, words):
    found = cli(*arguments)
    assert found.code == 2
    assert words in found.err
    assert found.out == ""


def test_with_json_bad_usage_is_a_json_document_too(cli):
    found = cli("score", "--nonsense", "--json")
    assert found.code == 2
    assert (found.json["type"], found.json["rule"], found.json["exit_code"]) == ("Error", "usage", 2)


def test_a_bug_exits_with_3_and_shows_its_traceback_only_when_asked(cli, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lorabench.workflows.models.list_bases", broken)
    found = cli("models", "list")
    assert (found.code, found.out) == (3, "")
    assert "ZeroDivisionError" in found.err
    assert "Traceback" not in found.err
    assert "--debug" in found.err
    assert "Traceback" in cli("models", "list", "--debug").err
    monkeypatch.setenv("LORABENCH_DEBUG", "1")
    assert "Traceback" in cli("models", "list").err


@pytest.mark.parametrize("error", [KeyboardInterrupt, "CancelledError"])
def test_ctrl_c_exits_with_130(cli, monkeypatch, error):
    from lorabench.errors import CancelledError

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt if error is KeyboardInterrupt else CancelledError()

    monkeypatch.setattr("lorabench.workflows.models.list_bases", stopped)
    found = cli("models", "list")
    assert found.code == 130
    assert found.err.startswith("cancelled")


def test_arguments_that_are_not_utf8_are_refused(cli):
    found = cli("score", "--prompt", "caf\udce9")
    assert found.code == 2
    assert "UTF-8" in found.err
    assert "Traceback" not in found.err


def test_a_closed_pipe_is_no_error():
    program = "from lorabench.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "models", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        complaint = process.stderr.read()
        assert process.wait(60) == entry.DONE
    assert complaint == b""
