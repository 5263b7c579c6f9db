"""A real server: the first request ever may be a deep link."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lorabench.config import Config
from lorabench.workflows.server import running_dashboards

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cold_server(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"LORABENCH_DATA_DIR": str(tmp_path / "d"), "LORABENCH_CACHE_DIR": str(tmp_path / "c")}
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
    flags = [f"--server.port={port}", "--server.enableAgentApi=true"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen([*command, *flags], env=env, stdout=log, stderr=log, cwd=tmp_path)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the server did not start")


def interact(server: str, message: dict[str, object]) -> str:
    """Run the app as an agent would, and wait for it on a slow machine."""
    for _ in range(8):
        request = urllib.request.Request(
            f"{server}/_stcore/agent/interact",
            data=json.dumps(message).encode(),
            headers={"Content-Type": "application/json"},
        )
        with contextlib.suppress(urllib.error.HTTPError):
            with urllib.request.urlopen(request, timeout=120) as answer:
                shown = answer.read().decode()
            if "wait_timed_out" not in shown:
                return shown
            message = {"session_id": json.loads(shown)["session_id"]}
    raise AssertionError("the app did not finish")


def test_a_cold_deep_link_gets_the_whole_page(cold_server):
    """Without `ui.boot()`, Streamlit 1.67 would run the page alone: no status bar, no guard."""
    shown = interact(cold_server, {"page": "models"})
    assert "Base models" in shown  # the page itself
    assert "base missing" in shown  # the bar that app.py draws


def test_data_wipe_sees_a_server_that_streamlit_started(cold_server, tmp_path):
    interact(cold_server, {"page": "models"})
    (found,) = running_dashboards(Config.from_environment(data_dir=tmp_path / "d"))
    assert found.url == cold_server
