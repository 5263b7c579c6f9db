"""Null distributions on disk: what is saved is what is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from samples import TASK

from lorabench.config import Config
from lorabench.errors import InputError
from lorabench.results import Rate
from lorabench.results.nulls import Null, NullEntry
from lorabench.workflows.nulls import find_null, list_nulls, nulls_dir, read_null, save_null

BASE = "f" * 64


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def null(name="mine", n=3, **changes):
    entries = tuple(
        NullEntry(
            adapter_id=f"{i:064x}",
            name=f"clean-{i}",
            text="a \u202e string",
            attack=Rate(n_hits=i, n=60),
            shift=0.1 * i,
        )
        for i in range(n)
    )
    fields = {
        "base_fingerprint": BASE,
        "task": TASK.name,
        "task_digest": TASK.digest,
        "mode": "quick",
        "placement": "prefix",
        "entries": entries,
        "held_out": "made up",
        "created": "2026-01-01",
        "versions": {"lorabench": "0.1.0"},
    }
    return Null(name=name, **{**fields, **changes})


def test_saving_and_reading_is_identity(config):
    path = save_null(config, null())
    assert path == nulls_dir(config) / "mine.json"
    assert read_null(path) == null()
    assert list_nulls(config)[0] == null()
    assert not list(path.parent.glob("*.part"))


def test_only_a_search_of_the_same_kind_is_found_and_the_largest_of_those(config):
    save_null(config, null("small", 2))
    save_null(config, null("large", 5))
    save_null(config, null("deep", 9, mode="deep"))
    save_null(config, null("other-base", 9, base_fingerprint="0" * 64))
    assert find_null(config, BASE, TASK, "quick", "prefix").name == "large"
    assert find_null(config, BASE, TASK, "deep", "prefix").name == "deep"
    assert find_null(config, BASE, TASK, "quick", "suffix") is None
    assert find_null(config, BASE, TASK, "standard", "prefix") is None
    assert find_null(config, BASE, TASK.with_target("INJECTION"), "quick", "prefix") is None


def test_the_id_changes_with_the_content():
    assert null().id != replace(null(), entries=null(n=2).entries).id
    assert null().id.startswith("mine (")


def test_a_name_is_taken_once_and_must_be_a_name(config, tmp_path):
    save_null(config, null())
    with pytest.raises(InputError, match="already"):
        save_null(config, null(n=1))
    for name in ("../up", "", ".hidden", "a/b", "x" * 81, "a\n"):
        with pytest.raises(InputError, match="cannot be a file's name"):
            save_null(config, null(name))
    assert save_null(config, null(), tmp_path / "elsewhere.json").is_file()


def test_a_changed_number_is_noticed(config):
    path = save_null(config, null())
    content = json.loads(path.read_text(encoding="utf-8"))
    content["null"]["entries"][2]["attack"]["n_hits"] = 0
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="changed") as caught:
        list_nulls(config)
    assert caught.value.rule == "bad-null"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": "lorabench-null-1"}',
        b'{"format": "lorabench-null-1", "sha256": "", "null": {"entries": [[]]}}',
        b'{"format": "lorabench-null-1", "sha256": "", "null": 7}',
        b"[" * 100_000,
        b" " * (4 * 1024**2 + 1),
        b"\xff\xfe",
    ],
)
def test_what_is_no_null_is_refused_by_its_name(config, data):
    nulls_dir(config).mkdir(parents=True)
    path = nulls_dir(config) / "odd.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"odd\.json"):
        read_null(path)


def test_a_null_that_measured_nothing_cannot_be_made():
    with pytest.raises(ValueError, match="measured nothing"):
        NullEntry(adapter_id="a", name="x", text="", attack=Rate(n_hits=0, n=0), shift=0.0)
    with pytest.raises(ValueError, match="measured nothing"):
        NullEntry(adapter_id="a", name="x", text="", attack=Rate(n_hits=0, n=1), shift=float("nan"))
    with pytest.raises(ValueError, match="each of some"):
        null(n=0)
    with pytest.raises(ValueError, match="each of some"):
        null(entries=null(n=1).entries * 2)
    with pytest.raises(ValueError, match="no such search"):
        null(mode="huge")


def test_every_shipped_null_can_be_read(config):
    for shipped in list_nulls(config):
        assert shipped.entries
