"""Every unusable input: its sentence, exit code 2, and nothing on stdout."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from cli_files import CONFIG, make_adapter

from lorabench.workflows.server import ServerPlan

SAME_LABELS = 'kind = "label"\nname = "t"\ntarget = "YES"\nlabels = ["YES", "YES"]\n'


def refused(found, *words: str) -> None:
    assert found.code == 2, found.err
    assert found.out == ""
    assert "Traceback" not in found.err
    for word in words:
        assert word in found.err, found.err


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_empty_prompt(cli, prompt):
    refused(cli("score", "--prompt", prompt), "prompt is empty")
    refused(cli("attribute", "--adapter", "x", "--prompt", prompt), "prompt is empty")


def test_no_prompt(cli):
    refused(cli("score"), "--prompt", "--prompts-file")


@pytest.mark.parametrize("trigger", ["", " ", "\t\n"])
def test_white_space_trigger(cli, trigger):
    refused(cli("score", "--prompt", "x", "--trigger", trigger), "trigger is empty")
    refused(cli("attribute", "-a", "x", "--prompt", "x", "--trigger", trigger), "trigger is empty")
    refused(cli("heatmap", "-a", "x", "--trigger", trigger), "trigger is empty")
    refused(cli("train", "--out", "x", "--poison", "3", "--trigger", trigger), "trigger is empty")


def test_labels_that_are_the_same(cli, tmp_path):
    task = tmp_path / "task.toml"
    task.write_text(SAME_LABELS)
    refused(cli("score", "--prompt", "x", "--task", str(task)), "labels", "different names")


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["score", "-p", "x", "--task", "gard"], "Known: 'guard'"),
        (["attribute", "-a", "x", "-p", "x", "--method", "shaply"], "Known: 'shapley'"),
        (["heatmap", "-a", "x", "-t", "x", "--columns", "model"], "Known: 'models'"),
        (["models", "pull", "demoo"], "Known: 'demo'"),
        (["zoo", "build", "--only", "guard-stron"], "Known: 'guard-strong'"),
        (["score", "-p", "x", "-t", "y", "--placement", "infix"], "prefix, suffix, random"),
        (["adapters", "inspect", "nope"], "no adapter called 'nope'"),
        (["adapters", "rm", "nope"], "no adapter called 'nope'"),
        (["adapters", "add", "no-such-place"], "no folder or zip"),
        (["models", "verify", "/no/such/folder"], "no folder"),
    ],
)
def test_unknown_names_list_the_known_ones_nearest_first(cli, arguments, nearest):
    refused(cli(*arguments), nearest)


def test_missing_base(cli, adapter):
    refused(cli("score", "-p", "x"), "'demo' is not on this machine", "lorabench models pull demo")
    refused(cli("score", "-p", "x", "-a", str(adapter)), "lorabench models pull demo")
    refused(cli("attribute", "-p", "x", "-a", str(adapter)), "lorabench models pull demo")
    refused(cli("heatmap", "-t", "x", "-a", str(adapter)), "lorabench models pull demo")
    refused(cli("models", "verify", "demo"), "lorabench models pull demo")
    refused(cli("train", "--out", "x", "--steps", "1"), "lorabench models pull demo")


def no_adapter(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")


def only_pickle(folder):
    make_adapter(folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def truncated(folder):
    weights = make_adapter(folder) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])


def not_a_number(folder):
    make_adapter(folder, values=np.nan)


def not_lora(folder):
    make_adapter(folder, config={**CONFIG, "peft_type": "PREFIX_TUNING"})


BROKEN = {
    no_adapter: "adapter_config.json",
    only_pickle: "pickle",
    truncated: "safetensors",
    not_a_number: "not finite",
    not_lora: "PREFIX_TUNING",
}


@pytest.mark.parametrize(("breaks", "word"), BROKEN.items(), ids=lambda x: getattr(x, "__name__", None))
def test_adapters_that_are_refused(cli, tmp_path, breaks, word):
    folder = tmp_path / "broken"
    breaks(folder)
    found = cli("adapters", "inspect", str(folder))
    assert found.code == 2
    assert "Refused" in found.out
    assert word in found.out
    refused(cli("adapters", "add", str(folder)), word)
    refused(cli("score", "-p", "x", "-a", str(folder)), word)
    assert not list((tmp_path / "data" / "adapters").glob("[!.]*"))
    document = cli("adapters", "inspect", str(folder), "--json").json
    assert document["facts"] is None
    assert word in document["refusal"]


def test_zip_that_leads_out_of_its_folder(cli, tmp_path, adapter):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in adapter.iterdir():
            file.write(path, path.name)
        file.writestr("../evil.txt", "out")
    refused(cli("adapters", "add", str(archive)), "lead out of its folder")
    found = cli("adapters", "inspect", str(archive))
    assert (found.code, "lead out of its folder" in found.out) == (2, True)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_data_folder_that_cannot_be_written(cli, tmp_path, monkeypatch, adapter):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "file" / "data"))
    refused(cli("adapters", "add", str(adapter)), "could not be written")
    monkeypatch.setattr(
        "lorabench.workflows.server.plan_server",
        lambda request: ServerPlan(address="127.0.0.1", port=1, url="http://127.0.0.1:1"),
    )
    refused(cli("ui"), "LORABENCH_DATA_DIR")


@pytest.mark.parametrize("name", ["LORABENCH_THREADS", "LORABENCH_TOKEN_BUDGET"])
def test_settings_that_make_no_sense(cli, monkeypatch, name):
    monkeypatch.setenv(name, "lots")
    refused(cli("models", "list"), name, "whole number")


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "-p", "x", "--save", "x.txt"],
        ["score", "-p", "x", "--save", "no/such/folder/x.json"],
        ["attribute", "-a", "x", "-p", "x", "--save", "x.parquet"],
        ["heatmap", "-a", "x", "-t", "x", "--save", "x.gif"],
        ["score", "--prompts-file", "nowhere.csv"],
        ["heatmap", "-a", "x", "-t", "x", "--n-prompts", "0"],
        ["heatmap", "-t", "x"],
        ["train", "--out", "x", "--poison", "3"],
        ["train", "--out", "x", "--rank", "0"],
        ["train", "--out", "x", "--lr", "2"],
        ["train", "--out", "x", "--data", "nowhere.jsonl"],
        ["models", "pull", "demo", "--from-file", "nowhere.whl"],
        ["models", "pull", "demo", "--revision", "main"],
        ["ui", "--port", "70000"],
        ["ui", "--address", "203.0.113.7"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_used(cli, arguments):
    refused(cli(*arguments))


def test_dropped_rows_of_a_file_are_counted(cli, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text('text\none\n\none\n\n"  "\n')
    found = cli("score", "--prompts-file", str(rows))
    refused(found, "left out", "lorabench models pull demo")
    refused(cli("score", "--prompts-file", str(rows), "--text-column", "txt"), "no column 'txt'", "'text'")


def test_a_refusal_is_json_when_json_was_asked_for(cli):
    found = cli("adapters", "rm", "nope", "--json")
    assert found.code == 2
    assert json.loads(found.out)["rule"] == "unknown-name"
