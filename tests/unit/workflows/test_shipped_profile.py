"""The profile that ships is what its features say, and holds what the README says of it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from lorabench.config import Config
from lorabench.data.batteries import find_battery
from lorabench.detectors.probing import battery_digest
from lorabench.results import digest
from lorabench.workflows.cohort import profile_of, read_features
from lorabench.workflows.cohort_spec import read_cohort
from lorabench.workflows.probing import held_out_prompts
from lorabench.workflows.profiles import find_profile


@pytest.fixture(scope="module")
def features():
    with resources.as_file(
        resources.files("lorabench.data") / "cohorts" / "guard-demo.features.json"
    ) as path:
        return read_features(Path(path))


@pytest.fixture
def profile(tmp_path):
    return find_profile(Config(data_dir=tmp_path, cache_dir=tmp_path), "guard-demo")


def test_the_profile_is_what_its_features_say(features, profile):
    assert profile_of(features) == profile


def test_the_features_are_those_of_the_manifest(features):
    spec = read_cohort("guard-demo")
    wanted = {(m.name, m.kind, m.split, m.trigger) for m in spec.members}
    wanted |= {(m.name, m.kind, "test", m.trigger) for m in spec.existing}
    assert {(m.name, m.kind, m.split, m.trigger) for m in features.members} == wanted
    assert len({m.adapter_id for m in features.members}) == len(features.members)


def test_battery_and_prompts_are_still_those_it_was_measured_with(features, profile):
    from lorabench.data import find_task

    task = find_task(profile.task)
    assert profile.battery_digest == battery_digest(find_battery(profile.battery))
    assert profile.task_digest == task.digest
    name, prompts = held_out_prompts(task, profile.n_prompts)
    assert (profile.prompts, profile.prompts_digest) == (name, digest(prompts))
    assert all(len(flips) == len(prompts) for m in features.members for flips in m.flips.values())


def test_no_threshold_saw_a_test_adapter(features, profile):
    seen = {m.adapter_id for m in features.members if m.split != "test"}
    assert not seen & {m.adapter_id for m in features.members if m.split == "test"}
    gap = profile.threshold("outlier_gap", profile.battery)
    clean = [
        m.statistics[f"outlier_gap|{profile.battery}"] for m in features.members if m.split == "calibrate"
    ]
    assert gap.value == max(clean)
    assert gap.n_clean == len(clean)
