"""Pages run on the real demo base, in a data folder of their own; errors come from really missing things."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from ui.adapters import random_adapter

ROOT = Path(__file__).resolve().parents[2]
OpenApp = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LORABENCH_LAN", "LORABENCH_PRESENTER_KEY", "LORABENCH_BASE", "LORABENCH_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("streamlit").setLevel(logging.ERROR)


@pytest.fixture(autouse=True)
def _warm_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run pages through `app.py`, as every server does after `st.navigation` was called once.

    AppTest forgets that before each run, so each page would begin like a cold deep link (which
    `test_server` tests on a real server), and the second run would lose the click.
    """
    begin = PagesManager.__init__

    def warm(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", warm)


@pytest.fixture(scope="session")
def test_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tmp_path_factory.mktemp("made") / "test-adapter", card="**card** <b>x</b>")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of its own; the workbench that was built on it is closed afterwards."""
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path / "data"
    close_all()


@pytest.fixture
def no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Path:
    """A cache folder without any base model."""
    monkeypatch.setenv("LORABENCH_CACHE_DIR", str(tmp_path / "cache"))
    return data_dir


@pytest.fixture
def no_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the bundled adapters."""
    monkeypatch.setattr("lorabench.adapters.catalogue.app_root", lambda: tmp_path)


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory, test_adapter: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "adapters").mkdir()
    shutil.copytree(test_adapter, folder / "adapters" / "test-adapter")
    yield folder
    close_all()


@pytest.fixture
def with_base(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo base and one adapter; the loaded base is kept from test to test."""
    monkeypatch.setenv("LORABENCH_DATA_DIR", str(shared_data))
    return shared_data


def close_all() -> None:
    """Close the workbench and wait for its threads: torch must not run while Python ends."""
    st.cache_resource.clear()
    for thread in threading.enumerate():
        if thread.name.startswith("lorabench-"):
            thread.join(60)


@pytest.fixture
def app() -> OpenApp:
    """Open the app at a page, as a browser would."""

    def open_app(page: str = "home", **params: str | list[str]) -> AppTest:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        for name, value in params.items():
            at.query_params[name] = value
        at.run()
        if page != "home":
            at.switch_page(f"pages/{page}.py").run()
        return at

    return open_app


def run_until(at: AppTest, done: Callable[[AppTest], object], seconds: float = 120) -> None:
    """Rerun until something is on the screen, as the polling fragment would."""
    deadline = time.monotonic() + seconds
    while not done(at):
        assert not at.exception
        assert time.monotonic() < deadline, markdown_of(at)
        time.sleep(0.3)
        at.run()


def markdown_of(at: AppTest) -> str:
    """All text on the screen that Streamlit reads as Markdown."""
    kinds = (at.markdown, at.caption, at.error, at.info, at.warning, at.success)
    return "\n".join(str(e.value) for kind in kinds for e in kind)


def labels(at: AppTest) -> list[str]:
    """Labels of all buttons."""
    return [b.label for b in at.button]
