"""The wheel holds the whole dashboard and its data, and runs from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lorabench.config import app_root

FILES = [
    "_app/app.py",
    "_app/pages/home.py",
    "_app/.streamlit/config.toml",
    "_app/assets/zoo/guard-strong/adapter_model.safetensors",
    "_app/assets/recorded/heatmap.json",
    "data/batteries.toml",
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """Build the wheel without a network, and return the folder it is unpacked in."""
    built, folder = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", ".", *options, "-w", str(built)]
    done = subprocess.run(command, cwd=app_root(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("lorabench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(unpacked: Path, where: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(unpacked), "LORABENCH_DATA_DIR": str(where / "data")}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_dashboard_and_its_data(unpacked):
    package = unpacked / "lorabench"
    assert [name for name in FILES if not (package / name).is_file()] == []
    source = app_root() / "lorabench" / "data" / "corpora"
    assert {p.name for p in source.iterdir()} == {p.name for p in (package / "data" / "corpora").iterdir()}


def test_the_wheel_runs_with_its_own_zoo(unpacked, tmp_path):
    root = run(unpacked, tmp_path, "-c", "from lorabench.config import app_root; print(app_root())").strip()
    assert Path(root) == unpacked / "lorabench" / "_app"
    adapters = json.loads(run(unpacked, tmp_path, "-m", "lorabench", "zoo", "list", "--json"))["adapters"]
    assert "guard-strong" in {a["name"] for a in adapters}
    assert {a["status"] for a in adapters} == {"here"}
