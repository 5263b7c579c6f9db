from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from adapter_files import make, refused, weights

from lorabench.adapters import (
    FetchedAdapter,
    add_adapter,
    catalogue,
    find_adapter,
    list_adapters,
    remove_adapter,
)
from lorabench.config import Config
from lorabench.errors import InputError


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    root = tmp_path / "app"
    for i, name in enumerate(("guard-strong", "guard-clean")):
        make(root / "assets" / "zoo" / name, tensors=weights(i))
    (root / "assets" / "zoo" / "broken").mkdir()
    (root / "assets" / "zoo" / "index.json").write_text("{}")
    monkeypatch.setattr(catalogue, "app_root", lambda: root)
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def names(config: Config) -> list[tuple[str, str]]:
    return [(a.name, a.origin) for a in list_adapters(config)]


def test_the_zoo_comes_first_and_refused_ones_say_why(config, tmp_path):
    add_adapter(str(make(tmp_path / "Mine!", tensors=weights(9))), config)
    assert names(config) == [
        ("broken", "zoo"),
        ("guard-clean", "zoo"),
        ("guard-strong", "zoo"),
        ("mine", "added"),
    ]
    broken = list_adapters(config)[0]
    assert broken.facts is None
    assert "adapter_config.json" in (broken.refusal or "")


def test_an_empty_machine_has_none(config, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "app_root", lambda: tmp_path / "nothing")
    assert list_adapters(config) == ()


def test_find_by_name_and_by_path(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder of that name in the working folder would come first
    by_name = find_adapter("guard-strong", config)
    assert by_name.origin == "zoo"
    assert find_adapter("assets/zoo/guard-strong", config) == by_name
    assert find_adapter(by_name.path, config) == by_name
    make(tmp_path / "work" / "other", tensors=weights(5))
    monkeypatch.chdir(tmp_path / "work")
    other = find_adapter("other", config)
    assert (other.name, other.origin) == ("other", "path")
    assert other.facts is not None


@pytest.mark.parametrize("text", ["guard-stron", "owner/name", "", "\0", "x" * 5000, "~nobody-here/x"])
def test_an_unknown_name_lists_the_known_ones(config, text):
    with pytest.raises(InputError) as caught:
        find_adapter(text, config)
    assert caught.value.rule == "unknown-name"
    assert "guard-strong" in str(caught.value)


def test_a_changed_adapter_is_read_again(config):
    before = find_adapter("guard-strong", config)
    make(Path(before.path), tensors=weights(7))
    after = find_adapter("guard-strong", config)
    assert before.facts is not None
    assert after.facts is not None
    assert before.facts.adapter_id != after.facts.adapter_id


def test_add_copies_the_four_files_and_keeps_the_notes(config, tmp_path):
    source = make(
        tmp_path / "src", files={"loader.py": b"", "README.md": b"card", "lorabench.json": b'{"a": 1}'}
    )
    added = add_adapter(source, config, name="Über cool")
    assert added.name == "uber-cool"
    assert added.facts is not None
    assert added.facts.claims.card == "card"
    assert "Added from folder src." in added.facts.claims.notes
    assert "Code files, never run: loader.py." in added.facts.claims.notes
    assert sorted(p.name for p in Path(added.path).iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "added.json",
        "lorabench.json",
    ]
    assert find_adapter("uber-cool", config) == added


def archive(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for path in folder.iterdir():
            packed.write(path, f"top/{path.name}")
    return buffer.getvalue()


def test_add_a_zip_by_path_and_by_upload(config, tmp_path):
    blob = archive(make(tmp_path / "src"))
    (tmp_path / "My.zip").write_bytes(blob)
    assert add_adapter(str(tmp_path / "My.zip"), config).name == "my"
    assert add_adapter(io.BytesIO(blob), config, name="up").facts is not None
    with pytest.raises(InputError) as caught:
        add_adapter(io.BytesIO(blob), config)
    assert caught.value.rule == "bad-name"


def test_add_refuses_and_leaves_nothing(config, tmp_path):
    bad = make(tmp_path / "bad", lora_bias=True)
    with refused("lora-bias"):
        add_adapter(str(bad), config)
    pickled = make(tmp_path / "pickled", files={"x.pkl": b""})
    with refused("pickle-weights"):
        add_adapter(str(pickled), config)
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with refused("bad-zip"):
        add_adapter(str(tmp_path / "no.zip"), config)
    assert list(config.adapters_dir.iterdir()) == []


def test_add_never_overwrites(config, tmp_path):
    source = make(tmp_path / "src")
    add_adapter(str(source), config)
    for name in ("src", "SRC", "guard-strong"):
        with pytest.raises(InputError) as caught:
            add_adapter(str(source), config, name=name)
        assert caught.value.rule == "name-taken"


@pytest.mark.parametrize(
    "source",
    ["nowhere", "no/such/folder", "here/typo", "/abs/x", "../x", "owner/name.git--x", "x" * 5000, "a\0b"],
)
def test_a_mistyped_source_never_reaches_a_network(config, tmp_path, monkeypatch, source):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "fetch_adapter", None)
    with pytest.raises(InputError) as caught:
        add_adapter(source, config)
    assert caught.value.rule == "unknown-source"


@pytest.mark.parametrize(
    ("source", "asked"),
    [("owner/name", ("owner/name", None)), ("hf:here/name@v1", ("here/name", "v1"))],
)
def test_a_hub_id_is_fetched(config, tmp_path, monkeypatch, source, asked):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    seen = []

    def fetch(repo_id, revision, into, limits, *, cache_dir):
        seen.append((repo_id, revision))
        make(into)
        return FetchedAdapter(path=into, repo_id=repo_id, commit="c" * 40, left_out=("x.bin",))

    monkeypatch.setattr(catalogue, "fetch_adapter", fetch)
    added = add_adapter(source, config)
    assert seen == [asked]
    assert added.name == "name"
    assert added.facts is not None
    assert any(asked[0] in note and "c" * 40 in note for note in added.facts.claims.notes)
    assert json.loads((Path(added.path) / "added.json").read_text())["notes"] == ["Not fetched: x.bin."]


def test_remove(config, tmp_path):
    add_adapter(str(make(tmp_path / "src")), config)
    remove_adapter("src", config)
    assert list(config.adapters_dir.iterdir()) == []
    for name, rule in (("src", "unknown-name"), ("guard-strong", "zoo-adapter"), ("../x", "unknown-name")):
        with pytest.raises(InputError) as caught:
            remove_adapter(name, config)
        assert caught.value.rule == rule


def test_a_clash_with_a_later_zoo_is_renamed(config, tmp_path):
    make(config.adapters_dir / "guard-strong", tensors=weights(3))
    assert ("guard-strong-added", "added") in names(config)
    remove_adapter("guard-strong-added", config)
    assert ("guard-strong", "zoo") in names(config)


def test_linked_and_hidden_folders_are_not_listed(config, tmp_path):
    config.adapters_dir.mkdir(parents=True)
    (config.adapters_dir / "link").symlink_to(make(tmp_path / "real"))
    make(config.adapters_dir / ".half.part")
    assert all(origin == "zoo" for _, origin in names(config))
