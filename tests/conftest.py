"""Fixtures for all tests: no network but loopback, the demo base where a test needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts

from lorabench.config import Config, app_root
from lorabench.errors import BaseModelError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _only_loopback():
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def reference() -> Path:
    """Return the folder of published result files and real data, or skip."""
    folder = os.environ.get("LORABENCH_REFERENCE")
    if not folder:
        pytest.skip("LORABENCH_REFERENCE is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def demo_config(tmp_path_factory) -> Config:
    """Return settings with the user's base cache and a data folder of this test run."""
    return Config.from_environment(data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def demo_folder(demo_config) -> Path:
    """Return the folder of the demo base; missing is a failure, because `make test` fetches it."""
    from lorabench.models import fetch

    try:
        return fetch.resolve("demo", demo_config)
    except BaseModelError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Return the folder of the bundled adapters."""
    return app_root() / "assets" / "zoo"


@pytest.fixture(scope="module")
def bench(demo_config, demo_folder):
    """Return one workbench on the demo base; it ends with its module, as page tests wait for its threads."""
    from lorabench.workflows.workbench import Workbench

    with Workbench(demo_config) as opened:
        yield opened
