"""Taking things in, manifests, features and profiles; nothing here needs a model."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import pytest

from lorabench.config import Config
from lorabench.errors import InputError
from lorabench.workflows.cohort import Candidate, hold_out
from lorabench.workflows.cohort_spec import read_cohort
from lorabench.workflows.profiles import find_profile, list_profiles, save_profile
from lorabench.workflows.scan_target import take_in, take_in_upload
from lorabench.workflows.scanning import ScanRequest, ScanSoFar, command_of, scan
from lorabench.workflows.workbench import Workbench


@pytest.fixture
def config(tmp_path) -> Config:
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def archive(path, names):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in names.items():
            file.writestr(name, content)
    return path


def zoo_archive(path, zoo):
    folder = zoo / "guard-clean-1"
    return archive(path, {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()})


def test_the_same_archive_is_unpacked_once_under_its_hash(config, tmp_path, zoo):
    path = zoo_archive(tmp_path / "sent.zip", zoo)
    first, again = take_in(config, str(path)), take_in(config, str(path))
    assert first == again
    assert first.folder.parent == config.intake_dir
    assert first.subject.startswith(first.folder.name)
    assert {p.name for p in first.folder.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}


def test_an_upload_becomes_a_file_of_ours(config, tmp_path, zoo):
    data = zoo_archive(tmp_path / "sent.zip", zoo).read_bytes()
    path = take_in_upload(config, io.BytesIO(data))
    assert path.parent == config.intake_dir
    assert path.read_bytes() == data
    tight = replace(config, limits=replace(config.limits, upload_bytes=10))
    with pytest.raises(InputError, match="larger"):
        take_in_upload(tight, io.BytesIO(data))


def test_a_hostile_archive_is_a_finding_not_an_error(config, tmp_path):
    path = archive(tmp_path / "evil.zip", {"../adapter_config.json": "{}"})
    with Workbench(config) as bench:
        found = scan(bench, ScanRequest(target=str(path)))
    assert found.file.refusal == "unsafe-path"
    assert found.stage("file").status == "refused"
    assert found.verdict.decision == "block"
    assert found.behaviour is None
    assert not (tmp_path / "adapter_config.json").exists()


def test_stages_come_one_after_the_other_and_a_missing_base_is_said_with_its_command(config, zoo):
    seen: list[ScanSoFar] = []
    with Workbench(config) as bench:
        found = scan(bench, ScanRequest(target=str(zoo / "guard-weak")), on_change=seen.append)
    grown = [tuple(s.stage for s in so_far.stages) for so_far in seen]
    assert grown == sorted(grown, key=len)
    assert ("file", "weights") in grown
    assert found.stage("file").status == "done"
    assert found.stage("behaviour").status == "not run"
    assert "lorabench models pull demo" in found.stage("behaviour").summary
    assert found.verdict.decision == "inconclusive"
    assert found.subject == next(f.sha256 for f in found.file.files if f.kind == "weights")


def test_a_scan_is_repeated_by_its_command():
    request = ScanRequest(target="x", is_static=True, n_prompts=12, seed=3)
    assert (
        command_of(request) == "lorabench scan ADAPTER --battery triage_60 --n-prompts 12 --static --seed 3"
    )


def test_what_does_not_exist_is_an_input_error(config):
    for target in ("no-such-adapter", "/nowhere/at/all", "a\0b"):
        with pytest.raises(InputError):
            take_in(config, target)


MANIFEST = """
name = "mine"
version = 1
base = "demo"
task = "guard"
data = "guardrail"
[[members]]
name = "a-1"
kind = "{kind}"
split = "{split}"
trigger = "{trigger}"
poison = {poison}
seed = 1
rank = 4
steps = 10
learning_rate = 0.001
first_layer = 24
citations = true
max_rows = 100
"""


def manifest(tmp_path, **changed):
    values = {"kind": "clean", "split": "test", "trigger": "", "poison": 0} | changed
    path = tmp_path / "m.toml"
    path.write_text(MANIFEST.format(**values))
    return str(path)


def test_a_manifest_of_ones_own_is_read(tmp_path):
    spec = read_cohort(manifest(tmp_path, kind="weak", split="tune", trigger="see X", poison=3))
    request = spec.request(spec.members[0], tmp_path)
    assert request.recipe.poison == 3
    assert request.model.rank == 4
    assert request.schedule.caches_lower


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "good"},
        {"split": "tune"},
        {"kind": "strong", "split": "calibrate", "trigger": "x", "poison": 1},
        {"poison": 5},
        {"poison": '"many"'},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, changed):
    with pytest.raises(InputError):
        read_cohort(manifest(tmp_path, **changed))


def test_holding_out_is_seeded_and_moves_exactly_the_share(tmp_path):
    many = [
        Candidate(name=str(i), folder=tmp_path, kind="clean", split="calibrate", settings={})
        for i in range(10)
    ]
    a, b = hold_out(many, 0.3, 1), hold_out(many, 0.3, 1)
    assert a == b
    assert sum(c.split == "test" for c in a) == 3
    assert hold_out(many, 0.0, 1) == many


def test_profiles_are_saved_found_and_never_overwritten(config):
    from lorabench.results import Profile, from_dict

    raw = {
        "name": "own", "version": 1, "base": "demo", "base_fingerprint": "f", "task": "guard",
        "task_digest": "t", "battery": "triage_60", "battery_version": "1", "battery_digest": "b",
        "prompts": "p", "prompts_digest": "d", "n_prompts": 40, "ranks": [4, 8], "targets": ["q_proj"],
        "first_layers": None, "n_clean": 2, "n_poisoned": 0, "thresholds": [], "held_out": [],
        "weights": [], "created": "2026-01-01", "versions": {}, "cohort_digest": "c",
    }  # fmt: skip
    profile = from_dict(Profile, raw)
    path = save_profile(config, profile)
    assert find_profile(config, "own") == profile
    assert find_profile(config, str(path)) == profile
    with pytest.raises(InputError, match="already"):
        save_profile(config, profile)
    newer = replace(profile, version=2)
    save_profile(config, newer)
    assert find_profile(config, "own") == newer
    assert find_profile(config, profile.id) == profile
    path.write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match="no calibration profile"):
        list_profiles(config)


def test_code_in_an_archive_is_named_though_it_is_left_behind(config, tmp_path, zoo):
    folder = zoo / "guard-clean-1"
    names = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    path = archive(tmp_path / "sent.zip", names | {"modeling_adapter.py": b"import os"})
    with Workbench(config) as bench:
        found = scan(bench, ScanRequest(target=str(path), is_static=True))
    wheres = {f.where for f in found.stage("file").findings}
    assert "modeling_adapter.py" in wheres
    assert not list(config.intake_dir.rglob("*.py"))
