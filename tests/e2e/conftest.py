"""The real server, started by the real command, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def server(demo_folder, tmp_path_factory) -> Iterator[str]:
    """Start `lorabench ui` on a free port with a data folder of its own; return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scratch = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "lorabench", "ui", "--port", str(port), "--no-browser"]
    environment = os.environ | {"LORABENCH_DATA_DIR": str(scratch / "data")}
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=scratch)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/_stcore/health", process, scratch / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not answer within {seconds} s: {log.read_text()}")


@pytest.fixture(scope="module")
def chromium():
    """Return a running browser; without one the tests are skipped, in CI they fail.

    Playwright's event loop runs in this thread while the fixture lives, and would stall the
    page tests: it must end with its module.
    """
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1440, "height": 1700}, color_scheme="light")
    context.set_default_timeout(90_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def snap():
    """Return a function that saves a screenshot where `LORABENCH_SCREENSHOTS` says, if it does."""
    folder = os.environ.get("LORABENCH_SCREENSHOTS")

    def save(page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.wait_for_timeout(2_000)  # tables and charts are drawn after their data are here
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save
